"""What a window comes to: from its sums to each partner's figures and payment. Pure.

Rules kept here:

- The nets of a window, the operator's among them, sum to 0, and each pair of parties sees opposite
  sums. Anything else stops the step.
- A statement has a line for everything in its net. A code without one stops the step: it is never
  folded into another.
- Payment = ⌊due⌋ to the currency's minor unit, towards −∞ as the partner sees it. A debtor pays up
  to it and a creditor receives down to it, so pay-ins cover pay-outs and the operator never lends.
  The rest is carried forward.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from exchange.fold import InvariantBroken
from exchange.ledger.accounts import HUB
from exchange.ledger.postings import OUTSIDE_NETS, Code
from settlement.windows import WindowSum

MONEY_CODES = frozenset(
    {
        *(Code.VALUE, Code.VALUE_TAX, Code.PROMO, Code.FEE),
        *(Code.REV_VALUE, Code.REV_VALUE_TAX, Code.REV_PROMO, Code.REV_FEE),
    }
)
"""What a statement shows by one line each, taxes on fees apart."""

ADJUSTMENT_CODES = frozenset({Code.ADJUSTMENT, Code.WRITE_OFF, Code.INVOICE_ROUNDING})
"""What people booked for a reason of their own."""

OTHER_CODES = ADJUSTMENT_CODES | OUTSIDE_NETS
"""What lines of a line file do not show."""


@dataclass(frozen=True, slots=True)
class ReversalFigures:
    """What reversals gave back: the signs are against those of what they take back."""

    outgoing_value: int = 0
    incoming_value: int = 0
    fees: int = 0
    taxes: tuple[tuple[str, int], ...] = ()
    value_tax: int = 0
    promotions: int = 0

    @property
    def net(self) -> int:
        """All of it together."""
        return (
            self.outgoing_value
            + self.incoming_value
            + self.fees
            + sum(amount for _, amount in self.taxes)
            + self.value_tax
            + self.promotions
        )


@dataclass(frozen=True, slots=True)
class Figures:
    """One partner's window. Units of the currency's scale, positive is owed to the partner."""

    outgoing_value: int
    incoming_value: int
    fees: int
    taxes: tuple[tuple[str, int], ...]
    """Tax code and amount, by code; none that is 0."""
    value_tax: int
    """Tax on value, both directions together."""
    promotions: int
    """Bonuses that the partner paid for or was paid for."""
    payments_since: int
    """What the bank confirmed in the window, positive when paid by the partner."""
    reversals: ReversalFigures = ReversalFigures()
    adjustments: int = 0
    """Adjustments and write-offs."""
    top_ups: int = 0
    """Collateral that came in."""
    withdrawals: int = 0
    """Collateral that went out, draws among it: not positive."""
    draws: int = 0
    """Of it, what paid the position."""

    @property
    def net(self) -> int:
        """Net of the window; payments and collateral are no part of it."""
        return (
            self.outgoing_value
            + self.incoming_value
            + self.fees
            + sum(amount for _, amount in self.taxes)
            + self.value_tax
            + self.promotions
            + self.reversals.net
            + self.adjustments
        )


@dataclass(frozen=True, slots=True)
class Payment:
    """How a due amount is split: what is paid now and what stays.

    Signed from the partner's view.
    """

    due: int
    payment: int
    carried_forward: int


def nets(sums: Iterable[WindowSum]) -> dict[int, int]:
    """Each party's net by its number.

    Raises InvariantBroken unless the pairs mirror each other and all sum to 0.
    """
    result: dict[int, int] = {HUB: 0}
    pairs: dict[tuple[int, int, Code, int], int] = {}
    for each in sums:
        low, high = sorted((each.party, each.counterparty))
        pair = (low, high, each.code, each.tax_number)
        pairs[pair] = pairs.get(pair, 0) + each.amount
        if each.code not in OUTSIDE_NETS:
            result[each.party] = result.get(each.party, 0) + each.amount
    lopsided = {pair: total for pair, total in pairs.items() if total}
    if lopsided or sum(result.values()):
        raise InvariantBroken(f"the nets {result} of a window do not sum to 0: {lopsided}")
    return result


def figures(
    sums: Iterable[WindowSum],
    partner_number: int,
    incoming_value: int,
    tax_codes: Mapping[int, str],
    reversed_incoming_value: int = 0,
) -> Figures:
    """A partner's figures of a window.

    The sums hold value per pair of partners, both directions together, so the part that came in is
    given as `incoming_value`, and the part that was given back of it as `reversed_incoming_value`
    (both from the lines). `tax_codes` maps a tax number to its code. Raises InvariantBroken for a
    sum that no line of a statement shows.
    """
    money: dict[Code, int] = {}
    taxes: dict[Code, dict[str, int]] = {Code.TAX: {}, Code.REV_TAX: {}}
    moved: dict[Code, int] = {}
    for each in sums:
        if each.party != partner_number:
            continue
        if each.code in taxes:
            of_code, code = taxes[each.code], tax_codes[each.tax_number]
            of_code[code] = of_code.get(code, 0) + each.amount
        elif each.code in MONEY_CODES:
            money[each.code] = money.get(each.code, 0) + each.amount
        elif each.code in OTHER_CODES:
            moved[each.code] = moved.get(each.code, 0) + each.amount
        else:
            raise InvariantBroken(f"a statement has no line for {each.code.name}")
    return Figures(
        outgoing_value=money.get(Code.VALUE, 0) - incoming_value,
        incoming_value=incoming_value,
        fees=money.get(Code.FEE, 0),
        taxes=by_code(taxes[Code.TAX]),
        value_tax=money.get(Code.VALUE_TAX, 0),
        promotions=money.get(Code.PROMO, 0),
        payments_since=moved.get(Code.PAY_IN, 0) + moved.get(Code.PAY_OUT, 0),
        reversals=ReversalFigures(
            outgoing_value=money.get(Code.REV_VALUE, 0) - reversed_incoming_value,
            incoming_value=reversed_incoming_value,
            fees=money.get(Code.REV_FEE, 0),
            taxes=by_code(taxes[Code.REV_TAX]),
            value_tax=money.get(Code.REV_VALUE_TAX, 0),
            promotions=money.get(Code.REV_PROMO, 0),
        ),
        adjustments=sum(moved.get(each, 0) for each in ADJUSTMENT_CODES),
        top_ups=moved.get(Code.TOP_UP, 0),
        withdrawals=moved.get(Code.WITHDRAW, 0),
        draws=moved.get(Code.DRAW, 0),
    )


def by_code(amounts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """Amounts in the order of their codes, none that is 0."""
    return tuple((code, amount) for code, amount in sorted(amounts.items()) if amount)


def pay(standing: int, withheld: int, minor_unit: int, minimum_payout: int = 0) -> Payment:
    """Split what stands to a partner, `withheld` of it in dispute.

    Of what is due, whole `minor_unit`s are paid, rounded towards −∞; a pay-out below the minimum
    waits. What is not paid is carried forward, the withheld part too.
    """
    due = standing - withheld
    payment = due // minor_unit * minor_unit
    if 0 < payment < minimum_payout:
        payment = 0
    return Payment(due, payment, standing - payment)
