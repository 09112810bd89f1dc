"""How far positions may go: by cap or collateral, and with or without credits that are not settled.
Pure but for the run that it is given.

Rules kept here:

- A CAPPED partner goes as far as its cap, a PREPAID one as far as the collateral that is there and
  not on its way out, and a POSTPAID one as far as it likes, unless a cap is set.
- The bound of a PREPAID partner moves with its collateral in the same entry. Neither that nor
  another limit ever fails: who then stands beyond its bound goes no further.
- Where a partner's credits wait, they are no room for debits: see `waiting_credits`.
- Collateral that covers what a partner owes is not given back to it. A draw does not ask: it pays
  what is owed.
"""

from dataclasses import replace

from exchange.cap_alerts import CapAlert, level_of
from exchange.commands import Book
from exchange.fold.run import Run
from exchange.fold.waiting_credits import unsettled_credits
from exchange.ledger.accounts import (
    collateral_account,
    is_collateral,
    party_of,
    position_account,
)
from exchange.ledger.postings import (
    COLLATERAL_CODES,
    Balance,
    Code,
    Phase,
)
from partners.errors import Reason, Refused
from partners.limits.values import Funding, PartnerLimits
from partners.registry import Partner


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
