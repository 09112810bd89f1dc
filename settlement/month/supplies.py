"""What was supplied in a month, by whom to whom: from the lines of its windows. Pure.

Payments net, supplies never do. There are three types of supply:

    VALUE      the target honours points that came from the source; taxed by the terms' value tax
    FEE        the operator's work, for whoever bears the fee; taxed by the fee's tax
    PROMOTION  the target honours bonus points for a funder; not taxed

Each is gross and of one direction: what A supplies to B never stands against what B supplies to A.
Every movement of money on a line is in exactly one supply, taken from one file: VALUE and PROMOTION
from the supplier's own lines, FEE from those of whoever bears it. So all supplies of a month
together are its statements' lines.

A reversal takes back what was supplied. Where its transfer lies in the same month, it is a line of
the same supply, signed the other way; where that lies in an earlier month, it corrects that month.
A tax's rate is the one that held at the log's time of the transfer.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from partners.agreement import HUB
from settlement.lines.line import Line, Role


class SupplyType(StrEnum):
    """What is supplied."""

    VALUE = "VALUE"
    FEE = "FEE"
    PROMOTION = "PROMOTION"


@dataclass(frozen=True, slots=True)
class Pair:
    """Who supplies what to whom: a partner's id, or `hub`."""

    supplier: str
    customer: str
    type: SupplyType


@dataclass(frozen=True, slots=True)
class Title:
    """What the movements of one line of an invoice have in common."""

    source_program: str
    target_program: str
    agreement_id: str
    promotion_id: str
    tax_code: str
    """Empty where nothing is taxed."""
    tax_basis_points: int
    is_reversed: bool
    """Whether the line takes back what transfers had supplied."""
    corrects: str = ""
    """The earlier month whose supply it takes back, if it does."""


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a supply. Units of the currency's scale; negative takes back."""

    title: Title
    count: int
    """Transfers, or reversals."""
    points: int
    """Target points; 0 for fees, and for promotions, whose shares have no points of their own."""
    net: int
    tax: int


@dataclass(frozen=True, slots=True)
class Original:
    """The transfer that a reversal takes back."""

    month: str
    """Of the window that counted it."""
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Background:
    """What must be known besides the lines."""

    month: str
    owners: Mapping[str, str]
    """Program to its partner."""
    originals: Mapping[UUID, Original]
    """By transfer, for every reversal."""
    rates: Mapping[str, tuple[tuple[datetime, int], ...]]
    """Tax code to its rates in basis points, each with the instant from which it holds."""

    def rate(self, tax_code: str, time: datetime) -> int:
        """The basis points of a tax at a time."""
        begun = [points for since, points in self.rates.get(tax_code, ()) if since <= time]
        return begun[-1] if begun else 0


Supplies = dict[Pair, dict[Title, Item]]


def add_supplies(
    supplies: Supplies, partner_id: str, lines: Iterable[Line], background: Background
) -> None:
    """Add what a partner's own lines of one window show."""
    for line in lines:
        for pair, item in movements(partner_id, line, background):
            items = supplies.setdefault(pair, {})
            items[item.title] = _added(items.get(item.title), item)


def movements(partner_id: str, line: Line, background: Background) -> Iterator[tuple[Pair, Item]]:
    """The supplies that one line is part of, as far as they are read from this partner's lines."""
    if line.role in (Role.TARGET, Role.TARGET_REVERSED):
        customer = background.owners[line.source_program]
        points = line.target_points - line.bonus_points
        if line.value or line.value_tax:
            pair = Pair(partner_id, customer, SupplyType.VALUE)
            yield (
                pair,
                _item(line, background, line.value, line.value_tax, line.value_tax_code, points),
            )
        sign = -1 if line.role.is_reversed else 1
        for share in line.promotions:
            # What a target funds itself moves nothing: nobody supplied it to anybody.
            if share.funder != partner_id and share.amount:
                pair = Pair(partner_id, share.funder, SupplyType.PROMOTION)
                yield (
                    pair,
                    _item(line, background, sign * share.amount, promotion=share.promotion_id),
                )
    if line.fee or line.tax:
        pair = Pair(HUB, partner_id, SupplyType.FEE)
        yield pair, _item(line, background, -line.fee, -line.tax, line.tax_code)


def _item(
    line: Line,
    background: Background,
    net: int,
    tax: int = 0,
    tax_code: str = "",
    points: int = 0,
    promotion: str = "",
) -> Item:
    month, time = background.month, line.recorded_at
    is_reversed = line.role.is_reversed
    if is_reversed:
        original = background.originals[line.transfer_id]
        month, time = original.month, original.recorded_at
    title = Title(
        line.source_program,
        line.target_program,
        line.agreement_id,
        promotion,
        tax_code,
        background.rate(tax_code, time) if tax_code else 0,
        is_reversed,
        "" if month == background.month else month,
    )
    return Item(title, 1, -points if is_reversed else points, net, tax)


def _added(before: Item | None, item: Item) -> Item:
    if before is None:
        return item
    return Item(
        item.title,
        before.count + item.count,
        before.points + item.points,
        before.net + item.net,
        before.tax + item.tax,
    )


def balance(supplies: Supplies, partner_id: str) -> dict[SupplyType, int]:
    """What supplies come to for one partner, taxes included: positive is owed to it."""
    sums = dict.fromkeys(SupplyType, 0)
    for pair, items in supplies.items():
        total = sum(each.net + each.tax for each in items.values())
        sums[pair.type] += total * ((pair.supplier == partner_id) - (pair.customer == partner_id))
    return sums
