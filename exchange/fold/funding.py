"""How far positions may go: by cap or collateral, and with or without credits that are not settled.
Pure but for the run that it is given.

Rules kept here:

- A CAPPED partner goes as far as its cap, a PREPAID one as far as the collateral that is there and
  not on its way out, and a POSTPAID one as far as it likes, unless a cap is set.
- The bound of a PREPAID partner moves with its collateral in the same entry. Neither that nor
  another limit ever fails: who then stands beyond its bound goes no further.
- Where a partner's credits wait, they are no room for debits until their window is settled. Then
  those that it has not been paid are. A pay-out comes from credits of the window that it pays, so
  it takes as much off what waits; where it is voided, that waits again.
- The credits of an aborted window wait on with the next one that is not stated yet.
- Collateral that covers what a partner owes is not given back to it. A draw does not ask: it pays
  what is owed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from exchange.cap_alerts import CapAlert, level_of
from exchange.commands import Book
from exchange.fold.run import Run
from exchange.fold.state import InvariantBroken
from exchange.ledger.accounts import (
    collateral_account,
    is_collateral,
    is_position,
    party_of,
    position_account,
)
from exchange.ledger.postings import (
    COLLATERAL_CODES,
    PAYMENT_CODES,
    Balance,
    Code,
    CreditCell,
    Phase,
)
from exchange.outcomes import Window
from partners.errors import Reason, Refused
from partners.limits.values import Funding, PartnerLimits
from partners.registry import Partner

_UNSTATED = ("CLOSED", "OPEN")


def floor_of(limits: PartnerLimits, collateral: Balance) -> int | None:
    """How low a partner's position may be debited; None for no bound."""
    match limits.funding:
        case Funding.PREPAID:
            return -max(0, collateral.available)
        case Funding.POSTPAID:
            return -limits.net_debit_cap or None
        case Funding.CAPPED:
            return -limits.net_debit_cap


def fund(run: Run, limits: PartnerLimits) -> None:
    """Have new limits hold for a partner's position, in whatever state it is."""
    partner = run.registry.partners[limits.partner_id]
    position, collateral = accounts_of(run, partner)
    before = run.balances[position]
    held = before.credits_held
    if limits.credits_wait and held is None:
        held = unsettled_credits(run, partner)
    elif not limits.credits_wait:
        held = None
    move_floor(
        run,
        partner,
        replace(before, floor=floor_of(limits, run.balances[collateral]), credits_held=held),
    )


def accounts_of(run: Run, partner: Partner) -> tuple[int, int]:
    """A partner's position and collateral."""
    money = run.registry.units[partner.currency].number
    return position_account(money, partner.number), collateral_account(money, partner.number)


def move_floor(run: Run, partner: Partner, after: Balance) -> None:
    """Put a partner's position under other bounds, and tell of the level that this makes."""
    position, _ = accounts_of(run, partner)
    before = run.balances[position]
    run.balances[position] = after
    level = level_of(after.usable, after.floor)
    if level > level_of(before.usable, before.floor):
        run.alerts.append(CapAlert(run.index, partner.number, level))


def unsettled_credits(run: Run, partner: Partner) -> int:
    """What waits of a partner's credits, were they to wait."""
    settled = {each.number for each in run.windows.values() if each.state == "SETTLED"}
    return sum(
        max(0, amount)
        for (number, cell), amount in run.sums.items()
        if isinstance(cell, CreditCell) and cell.party == partner.number and number not in settled
    )


# Collateral


def follow_collateral(run: Run, command: Book) -> None:
    """Have the bounds of PREPAID partners follow what an entry did to their collateral."""
    moved = {
        party_of(account)
        for posting in command.postings
        if posting.code in COLLATERAL_CODES
        for account in (posting.debit, posting.credit)
        if is_collateral(account)
    }
    for partner in run.registry.partners.values() if moved else ():
        limits = run.registry.limits_of(partner)
        if partner.number in moved and limits.funding is Funding.PREPAID:
            position, collateral = accounts_of(run, partner)
            floor = floor_of(limits, run.balances[collateral])
            move_floor(run, partner, replace(run.balances[position], floor=floor))


def check_withdrawals(run: Run, command: Book) -> None:
    """Raise Refused(COLLATERAL_NEEDED) where an entry lets collateral go that covers what its
    partner owes. What the bank has taken already is booked as it is.
    """
    if any(each.code is Code.DRAW for each in command.postings):
        return
    for posting in command.postings:
        if posting.code is not Code.WITHDRAW or posting.phase is not Phase.PENDING:
            continue
        free = free_collateral(run.balances[posting.debit], run.balances[posting.debit - 1])
        if posting.amount > free:
            raise Refused(
                Reason.COLLATERAL_NEEDED,
                "amount",
                "the collateral covers what the partner owes; less of it is free",
                {"freeUnits": str(free)},
            )


def free_collateral(collateral: Balance, position: Balance) -> int:
    """What of a partner's collateral covers nothing: credits that wait cover nothing either."""
    return max(0, collateral.available - max(0, -position.usable))


# Credits that wait


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
        position, _ = accounts_of(run, partner)
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
