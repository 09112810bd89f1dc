"""Credits that wait: of a partner whose credits are no room for debits until their window is
settled. Pure but for the run that it is given.

- Once it is, those that the partner has not been paid are room. A pay-out comes from credits of the
  window that it pays, so it takes as much off what waits; where it is voided, that waits again.
- The credits of an aborted window wait on with the next one that is not stated yet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from exchange.commands import Book
from exchange.fold.run import Run
from exchange.fold.state import InvariantBroken
from exchange.ledger.accounts import (
    is_position,
    party_of,
    position_account,
)
from exchange.ledger.postings import (
    PAYMENT_CODES,
    CreditCell,
    Phase,
)
from exchange.outcomes import Window
from partners.registry import Partner

_UNSTATED = ("CLOSED", "OPEN")


def unsettled_credits(run: Run, partner: Partner) -> int:
    """What waits of a partner's credits, were they to wait."""
    settled = {each.number for each in run.windows.values() if each.state == "SETTLED"}
    return sum(
        max(0, amount)
        for (number, cell), amount in run.sums.items()
        if isinstance(cell, CreditCell) and cell.party == partner.number and number not in settled
    )


@dataclass(frozen=True, slots=True)
class Paid:
    """What an entry pays a partner of a window, or no longer pays where it is negative."""

    window_id: str
    window_number: int
    party: int
    account: int
    amount: int


def paid_by(run: Run, command: Book) -> tuple[Paid, ...]:
    """What an entry pays of its window; raises Refused(WINDOW_UNKNOWN)."""
    if not command.pays:
        return ()
    number = run.window(command.pays).number
    signs = {Phase.POSTED: 1, Phase.PENDING: 1, Phase.VOIDS: -1, Phase.CONFIRMS: 0}
    return tuple(
        Paid(
            command.pays, number, party_of(each.debit), each.debit, signs[each.phase] * each.amount
        )
        for each in command.postings
        if each.code in PAYMENT_CODES and is_position(each.debit) and signs[each.phase]
    )


def released_by(run: Run, paid: tuple[Paid, ...]) -> Mapping[int, int]:
    """What payments take off the credits that wait, by account. All are of one window; nothing of
    one that is settled waits any more.
    """
    total: dict[int, int] = {}
    for each in paid:
        if run.windows[each.window_id].state != "SETTLED":
            total[each.party] = total.get(each.party, 0) + each.amount
    return {
        each.account: run.waits(each.window_number, each.party)
        - run.waits_after(each.window_number, each.party, -total[each.party])
        for each in paid
        if each.party in total
    }


def settle_credits(run: Run, window: Window) -> None:
    """A window is settled: what still waits of its credits need not wait any more, nor what waits
    of windows that were aborted before it.
    """
    for each in tuple(run.windows.values()):
        is_left = each.state == "ABORTED" and each.number < window.number
        if is_left and each.currency == window.currency:
            hand_over(run, each, window)
    for partner in run.registry.partners.values():
        waited = run.waits(window.number, partner.number)
        if not waited:
            continue
        money = run.registry.units[partner.currency].number
        position = position_account(money, partner.number)
        before = run.balances[position]
        if before.credits_held is not None:
            if before.credits_held < waited:
                raise InvariantBroken(
                    f"{partner.partner_id} has fewer credits that wait than {window.window_id}"
                )
            run.balances[position] = replace(before, credits_held=before.credits_held - waited)


def hand_over(run: Run, aborted: Window, to: Window) -> None:
    """Have what waits of a window's credits wait with another one."""
    for partner in run.registry.partners.values():
        waits = run.waits(aborted.number, partner.number)
        if waits:
            run.credit(aborted.number, partner.number, -waits)
            run.credit(to.number, partner.number, waits)


def abort_credits(run: Run, window: Window) -> None:
    """A window is aborted: the next one that is not stated yet takes what waits of it."""
    later = [
        each
        for each in run.windows.values()
        if each.currency == window.currency
        and each.number > window.number
        and each.state in _UNSTATED
    ]
    if later:
        hand_over(run, window, min(later, key=lambda each: each.number))
