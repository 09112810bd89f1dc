"""What the net of a statement is made of: one row for each figure and code, whatever the output.
Pure.

PDF, CSV, journal and exports all begin here, so that none of them can leave out a figure or count
one twice: the rows add up to the statement's net, or nothing is written.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from exchange.fold import InvariantBroken
from settlement.statement import PromotionLine, Reversals, Statement


class Item(StrEnum):
    """What a figure is for. The names are those of account maps and CSV files."""

    OUTGOING_VALUE = "outgoing-value"
    OUTGOING_VALUE_TAX = "outgoing-value-tax"
    INCOMING_VALUE = "incoming-value"
    INCOMING_VALUE_TAX = "incoming-value-tax"
    FEES = "fees"
    FEE_TAX = "fee-tax"
    PROMOTIONS_PAID = "promotions-paid"
    PROMOTIONS_RECEIVED = "promotions-received"
    ADJUSTMENTS = "adjustments"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of a net, in units of the currency's scale; positive is owed to the partner."""

    item: Item
    amount: int
    is_reversed: bool = False
    """Whether reversals gave it back."""
    code: str = ""
    """Of the tax."""
    agreement_id: str = ""
    promotion_id: str = ""
    funder: str = ""


def net_rows(statement: Statement) -> tuple[Row, ...]:
    """The rows of a statement's net, in the order of the paper; figures of 0 are left out.

    Raises InvariantBroken unless they add up to the net.
    """
    rows = (
        *_rows(statement, is_reversed=False),
        Row(Item.ADJUSTMENTS, statement.adjustments),
        *_rows(statement.reversals, is_reversed=True),
    )
    if sum(row.amount for row in rows) != statement.net:
        raise InvariantBroken(
            f"the rows of {statement.partner_id} in {statement.window_id} come to "
            f"{sum(row.amount for row in rows)}, its net is {statement.net}"
        )
    return tuple(row for row in rows if row.amount)


def _rows(figures: Statement | Reversals, *, is_reversed: bool) -> Iterator[Row]:
    yield Row(Item.OUTGOING_VALUE, figures.outgoing_value, is_reversed)
    for tax in figures.value_taxes:
        yield Row(Item.OUTGOING_VALUE_TAX, tax.outgoing, is_reversed, code=tax.tax_code)
    yield Row(Item.INCOMING_VALUE, figures.incoming_value, is_reversed)
    for tax in figures.value_taxes:
        yield Row(Item.INCOMING_VALUE_TAX, tax.incoming, is_reversed, code=tax.tax_code)
    yield Row(Item.FEES, figures.fees, is_reversed)
    for code, amount in figures.taxes:
        yield Row(Item.FEE_TAX, amount, is_reversed, code=code)
    for line in figures.promotion_lines:
        yield _promotion(line, is_reversed)


def _promotion(line: PromotionLine, is_reversed: bool) -> Row:
    # A transfer's funder pays; of a reversal it is who gets back.
    paid = (line.amount < 0) is not is_reversed
    item = Item.PROMOTIONS_PAID if paid else Item.PROMOTIONS_RECEIVED
    return Row(
        item,
        line.amount,
        is_reversed,
        agreement_id=line.agreement_id,
        promotion_id=line.promotion_id,
        funder=line.funder,
    )
