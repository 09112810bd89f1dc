"""Postings and balances. Pure.

A posting is one row: code, debit account, credit account, one unit, one positive amount. It is
balanced by construction. A balance is four counters; what is posted only grows. `available` is
credits posted less debits posted less debits pending, so a hold counts against its payer at once
and for its payee only when it is posted. `usable`, by which floors decide, leaves out the credits
of a position that wait until their window is settled, where its partner's credits do.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from types import MappingProxyType
from typing import NamedTuple

from exchange.ledger.accounts import (
    HubAccount,
    hub_account,
    is_position,
    party_of,
    tax_number_of,
    unit_of,
)
from partners.errors import PointclearError


class Code(IntEnum):
    """What a posting is for. Numbers are stored: they are never reused."""

    OUT = 1
    IN = 2
    BONUS_IN = 3
    VALUE = 4
    VALUE_TAX = 5
    PROMO = 6
    FEE = 7
    TAX = 8
    REV_OUT = 9
    REV_IN = 10
    REV_BONUS_IN = 11
    REV_VALUE = 12
    REV_VALUE_TAX = 13
    REV_PROMO = 14
    REV_FEE = 15
    REV_TAX = 16
    ADJUSTMENT = 17
    PAY_IN = 18
    PAY_OUT = 19
    DRAW = 20
    TOP_UP = 21
    WITHDRAW = 22
    RETIRE = 23
    ISSUE = 24
    INVOICE_ROUNDING = 25
    WRITE_OFF = 26


POINTS_CODES = frozenset(
    {Code.OUT, Code.IN, Code.BONUS_IN, Code.REV_OUT, Code.REV_IN, Code.REV_BONUS_IN}
)
"""Postings of points that a window counts by program."""

PAYMENT_CODES = frozenset({Code.PAY_IN, Code.PAY_OUT, Code.DRAW})
"""Postings by which money settles a position; they are no part of a window's net."""

COLLATERAL_CODES = frozenset({Code.TOP_UP, Code.WITHDRAW})
"""Postings of collateral: no part of a window's net either, and they move no position."""

OUTSIDE_NETS = PAYMENT_CODES | COLLATERAL_CODES
"""What a window counts and its nets leave out."""


class Phase(IntEnum):
    """Where a posting stands in the life of a hold."""

    POSTED = 1
    PENDING = 2
    CONFIRMS = 3
    """Posts an earlier pending posting."""
    VOIDS = 4
    """Releases an earlier pending posting."""


_POSTED, _CONFIRMS = Phase.POSTED, Phase.CONFIRMS

COUNTER_MAX = 2**62 - 1
"""Most that a balance's counter may hold: the database adds two of them in 64 bits."""


class CounterFull(PointclearError):
    """A posting would take a counter of an account past what the books can hold."""

    def __init__(self, account: int) -> None:
        """`account` is the number of the account whose counter is full."""
        super().__init__(f"account {account} cannot count this posting")
        self.account = account


class OutOfBounds(PointclearError):
    """A posting would take an account past its floor or ceiling."""

    def __init__(self, account: int) -> None:
        """`account` is the number of the account whose bound stands."""
        super().__init__(f"account {account} has no room for this posting")
        self.account = account


@dataclass(frozen=True, slots=True)
class PostingRef:
    """Names a posting: the log index of its entry and its place in it, from 0."""

    log_index: int
    place: int


@dataclass(frozen=True, slots=True)
class Posting:
    """One movement of one unit from the debit account to the credit account."""

    code: Code
    debit: int
    credit: int
    amount: int
    """Units, at least 1."""
    phase: Phase = Phase.POSTED
    resolves: PostingRef | None = None
    """The pending posting that this one confirms or voids."""

    def __post_init__(self) -> None:
        assert self.amount > 0, "a posting moves at least one unit"
        assert self.debit != self.credit, "a posting has two accounts"
        assert unit_of(self.debit) == unit_of(self.credit), "a posting has one unit"
        assert (self.resolves is not None) == (self.phase in (Phase.CONFIRMS, Phase.VOIDS))


@dataclass(frozen=True, slots=True)
class Balance:
    """An account's four counters and its bounds."""

    debits_pending: int = 0
    debits_posted: int = 0
    credits_pending: int = 0
    credits_posted: int = 0
    floor: int | None = None
    ceiling: int | None = None
    credits_held: int | None = None
    """Of a position whose credits count only when their window is settled: those that wait. None
    where credits count at once."""

    @property
    def posted(self) -> int:
        """Credits less debits, what is pending left out."""
        return self.credits_posted - self.debits_posted

    @property
    def available(self) -> int:
        """What may still be debited, were the floor 0."""
        return self.posted - self.debits_pending

    @property
    def usable(self) -> int:
        """What is available without the credits that wait; a floor bounds this."""
        return self.available - (self.credits_held or 0)

    @property
    def countable(self) -> bool:
        """Whether every counter fits the database."""
        return (
            max(self.debits_pending, self.debits_posted, self.credits_pending, self.credits_posted)
            <= COUNTER_MAX
        )

    @property
    def at_most(self) -> int:
        """What stands to the account's credit once all pending credits are posted, and no debit."""
        return self.posted + self.credits_pending


def debited(balance: Balance, amount: int, phase: Phase) -> Balance:
    """The balance after a debit of `amount` units in the given phase."""
    posted, pending = _steps(amount, phase)
    return Balance(
        balance.debits_pending + pending,
        balance.debits_posted + posted,
        balance.credits_pending,
        balance.credits_posted,
        balance.floor,
        balance.ceiling,
        balance.credits_held,
    )


def credited(balance: Balance, amount: int, phase: Phase) -> Balance:
    """The balance after a credit of `amount` units in the given phase."""
    posted, pending = _steps(amount, phase)
    return Balance(
        balance.debits_pending,
        balance.debits_posted,
        balance.credits_pending + pending,
        balance.credits_posted + posted,
        balance.floor,
        balance.ceiling,
        balance.credits_held,
    )


def _steps(amount: int, phase: Phase) -> tuple[int, int]:
    """What a phase does to the posted and the pending counter of one side."""
    match phase:
        case Phase.POSTED:
            return amount, 0
        case Phase.PENDING:
            return 0, amount
        case Phase.CONFIRMS:
            return amount, -amount
        case Phase.VOIDS:
            return 0, -amount


def waiting_credits(postings: Iterable[Posting]) -> dict[int, int]:
    """What an entry credits to each position beyond what it debits, by account: a credit, its own
    fee left out, that some partners may use only when its window is settled. Payments are none.
    """
    # Every transfer comes by here, so accounts are looked at first, and enum members not looked up.
    net: dict[int, int] = {}
    posted, confirms = _POSTED, _CONFIRMS
    for each in postings:
        credit, debit, phase = each.credit, each.debit, each.phase
        if not (is_position(credit) or is_position(debit)) or each.code in OUTSIDE_NETS:
            continue
        if (phase is posted or phase is confirms) and is_position(credit):
            net[credit] = net.get(credit, 0) + each.amount
        if phase is posted and is_position(debit):
            net[debit] = net.get(debit, 0) - each.amount
    return {account: credit for account, credit in net.items() if credit > 0}


NOTHING: Mapping[int, int] = MappingProxyType({})


def post(
    balances: dict[int, Balance],
    postings: tuple[Posting, ...],
    *,
    is_forced: bool = False,
    released: Mapping[int, int] = NOTHING,
) -> None:
    """Apply an entry's postings to `balances`, all of them or none.

    `released` is what the entry takes off the credits that wait, by account. Raises CounterFull or
    OutOfBounds, naming the account, when the entry as a whole leaves an account with more than can
    be counted, or out of its bounds. Before a forced one floors give way: no cap refuses it.
    """
    after: dict[int, Balance] = {}
    for posting in postings:
        debit = after.get(posting.debit, balances[posting.debit])
        after[posting.debit] = debited(debit, posting.amount, posting.phase)
        credit = after.get(posting.credit, balances[posting.credit])
        after[posting.credit] = credited(credit, posting.amount, posting.phase)
    if any(each.credits_held is not None for each in after.values()):
        hold_credits(after, postings, released)
    for account, balance in after.items():
        if not balance.countable:
            raise CounterFull(account)
    for account, balance in after.items():
        if leaves_bounds(balances[account], replace(balance, floor=None) if is_forced else balance):
            raise OutOfBounds(account)
    balances.update(after)


def hold_credits(
    balances: dict[int, Balance], postings: Iterable[Posting], released: Mapping[int, int]
) -> None:
    """Have the credits of an entry wait, where credits do, and take off what is `released`."""
    for account, credit in waiting_credits(postings).items():
        held = balances[account].credits_held
        if held is not None:
            balances[account] = replace(balances[account], credits_held=held + credit)
    for account, credit in released.items():
        held = balances[account].credits_held
        if held is not None:
            balances[account] = replace(balances[account], credits_held=held - credit)


def leaves_bounds(before: Balance, after: Balance) -> bool:
    """Whether a balance has moved towards a bound and past it. One that stands outside already, as
    when a cap was lowered, may always come back.

    A floor bounds what is available, too: a pay-out takes nothing off what is usable where it comes
    from credits that wait, and still is not made to who owes more than its bound.
    """
    if after.floor is not None:
        if after.usable < min(after.floor, before.usable):
            return True
        if after.available < min(after.floor, before.available):
            return True
    if after.ceiling is None:
        return False
    return after.at_most > max(after.ceiling, before.at_most)


# Both are tuples: every posting makes some and looks them up, for which a data class takes twice as
# long.
class MoneyCell(NamedTuple):
    """Key of one window sum: what a party's window counts against one party under a code."""

    party: int
    counterparty: int
    code: Code
    tax_number: int = 0


class PointsCell(NamedTuple):
    """Key of one window's points: a program's unit and a code."""

    unit: int
    code: Code


class CreditCell(NamedTuple):
    """Key of what one window credits to a partner, entry by entry, less what it has been paid of
    it: what waits where its credits wait until the window is settled.
    """

    party: int


def window_steps(posting: Posting) -> tuple[tuple[MoneyCell | PointsCell, int], ...]:
    """What a posting adds to its window's sums: nothing until it is posted, then both sides with
    opposite signs.
    """
    if posting.phase in (Phase.PENDING, Phase.VOIDS):
        return ()
    if posting.code in POINTS_CODES:
        return ((PointsCell(unit_of(posting.debit), posting.code), posting.amount),)
    payer, payee = party_of(posting.debit), party_of(posting.credit)
    if payer == payee:
        return ()
    tax = tax_number_of(posting.debit) or tax_number_of(posting.credit)
    return (
        (MoneyCell(payer, payee, posting.code, tax), -posting.amount),
        (MoneyCell(payee, payer, posting.code, tax), posting.amount),
    )


def bank_settlement(unit: int) -> int:
    """Number of the mirror of the settlement account at the bank."""
    return hub_account(unit, HubAccount.BANK_SETTLEMENT)
