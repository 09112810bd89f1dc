"""The operator's own leg: what it pays for the bonuses that it funds, and what it has lost. Pure.

What the operator funds it owes as any partner would, on `hub.promotions`: carried in and net of the
window, up to the minor unit. It is paid by a leg of the window like any other, with party number 0
in its reference; what reversals give back beyond what is owed is paid to it.

Its fees and taxes do not stand against it. They are withdrawn (`settlement.own_funds.withdrawal`),
so that what bonuses cost and what the work earns are two sums of money, each with its own proof.

What its other accounts lack together it is asked for too: the bank's charges, what was written off,
fees that were withdrawn and then refunded. Else that would be missing at the bank for ever, and
creditors would wait for money that nobody owes. It is paid to `hub.promotions` like the rest: what
stands there for it is paid back once fees have made up for it.
"""

from dataclasses import dataclass

from exchange.ledger.accounts import HUB
from partners import agreement
from settlement.netting import Payment, pay
from settlement.references import leg_reference
from settlement.windows import Leg, SettlementWindow


@dataclass(frozen=True, slots=True)
class OwnStood:
    """How the operator stands for what it funds. Units of the currency's scale; positive is owed to
    it.
    """

    brought_forward: int
    """Of windows before this one, once what they ask for is paid."""
    net: int
    """Of the window: bonuses, and what reversals gave back of them."""
    shortfall: int = 0
    """What fees, taxes, rounding and losses together lack, as of the window; never positive."""

    def payment(self, minor_unit: int) -> Payment:
        """What is paid of it."""
        return pay(self.brought_forward + self.net + self.shortfall, 0, minor_unit)


def own_leg(window: SettlementWindow, stood: OwnStood | None) -> Leg | None:
    """The operator's leg of a window, if it has one."""
    if stood is None:
        return None
    payment = stood.payment(window.currency.minor_unit).payment
    if not payment:
        return None
    return Leg(window.window_id, HUB, agreement.HUB, leg_reference(window.number, HUB), payment)
