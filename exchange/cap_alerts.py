"""How near a partner's position is to its net debit cap. Pure.

An alert is given when an entry takes a position to 50, 80 or 95 % of its cap or beyond, what is
reserved counted, and not again until it has been below that level. What is forced may take it past
its cap, and an alert is given each time that this takes it further. Nothing is kept for it: an
entry's own postings tell where the position stood before.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from exchange.ledger.accounts import HUB, party_of
from exchange.ledger.postings import NOTHING, Balance, Phase, Posting

LEVELS = (95, 80, 50)
"""In percent of the cap."""
PAST_CAP = 100
"""The level of an alert about what was forced."""
_DEBIT = {Phase.POSTED: -1, Phase.PENDING: -1, Phase.CONFIRMS: 0, Phase.VOIDS: 1}
_CREDIT = {Phase.POSTED: 1, Phase.PENDING: 0, Phase.CONFIRMS: 1, Phase.VOIDS: 0}


@dataclass(frozen=True, slots=True)
class CapAlert:
    """A position that has come to a level."""

    log_index: int
    """Of the entry that took it there."""
    partner_number: int
    level: int
    """In percent of the cap."""


def level_of(usable: int, floor: int | None) -> int:
    """The highest level that a position has reached, 0 for none: `usable` against its floor, which
    is minus the cap.
    """
    if not floor or usable >= 0:
        return 0
    return next((level for level in LEVELS if usable * 100 <= floor * level), 0)


def alerts_of(
    log_index: int,
    postings: Iterable[Posting],
    balances: Mapping[int, Balance],
    released: Mapping[int, int] = NOTHING,
    *,
    is_forced: bool = False,
) -> Iterator[CapAlert]:
    """The levels that an entry's postings took positions to; `balances` are those after it, and
    `released` is what it took off the credits that wait.
    """
    moved = dict(released)
    for posting in postings:
        for account, by in steps_of(posting):
            if by and party_of(account) != HUB:
                moved[account] = moved.get(account, 0) + by
    for account, by in moved.items():
        balance = balances[account]
        if by < 0 and is_forced and is_past(balance):
            yield CapAlert(log_index, party_of(account), PAST_CAP)
        elif by < 0 and balance.floor:
            level = level_of(balance.usable, balance.floor)
            if level > level_of(balance.usable - by, balance.floor):
                yield CapAlert(log_index, party_of(account), level)


def is_past(balance: Balance) -> bool:
    """Whether a position stands below what its cap allows."""
    return balance.floor is not None and balance.usable < balance.floor


def steps_of(posting: Posting) -> tuple[tuple[int, int], tuple[int, int]]:
    """What a posting does to what is available on its two accounts."""
    return (
        (posting.debit, _DEBIT[posting.phase] * posting.amount),
        (posting.credit, _CREDIT[posting.phase] * posting.amount),
    )
