"""What a committed transfer's figures must come to by the rates beside them. Pure.

Written apart from the code that converts, in fractions that are rounded where the rules say so, so
that one error is not made twice. Its rules:

- base = blocks × target units; the uplift of the segment and each bonus are rounded down; target
  points are all of them together.
- The value is base and uplift times the price, and whole; the tax on it is rounded half to even.
- A bonus is worth its points times the price. Its funders' parts are rounded down, and the units
  left go to the largest remainders, the earlier funder first; their shares sum to the whole.
- The fee is that part of the value, rounded up, and what is added for points and for the transfer,
  then at least the minimum, then at most the maximum; the tax on it is rounded half to even.

Source: protocol.md (A transfer order).
"""

import math
from collections.abc import Iterator
from fractions import Fraction

from exchange.cli.checks.verification import Fault, compare
from pointclear.exchange.v1.transfer_pb2 import (
    AppliedPromotion,
    SourcePart,
    TargetPart,
    TransferRecord,
)

WHOLE = 10_000
"""Basis points."""

FeePart = SourcePart | TargetPart


def figure_faults(place: str, record: TransferRecord) -> Iterator[Fault]:
    """What in a committed record does not follow from its rates."""
    rate = record.block_rate
    if min(rate.source_units, rate.target_units) < 1:
        yield Fault(place, "the record's block rate is not of at least 1 point each")
        return
    if bool(record.price_per_target_point) == bool(record.price_per_thousand_target_points):
        yield Fault(place, "the record's price is not of one point or of a thousand")
        return
    blocks, rest = divmod(record.source_points, rate.source_units)
    yield from compare(place, "source points beyond whole blocks", 0, rest)
    base = blocks * rate.target_units
    paid = base
    if record.HasField("segment"):
        segment = record.segment
        if not 1 <= segment.multiplier_denominator <= segment.multiplier_numerator:
            yield Fault(place, "the record's segment does not multiply by 1 or more")
            return
        multiplier = Fraction(segment.multiplier_numerator, segment.multiplier_denominator)
        paid += math.floor(base * (multiplier - 1))
    for promotion in record.promotions:
        yield from _promotion_faults(place, record, promotion, base)
    target_points = paid + sum(each.bonus_points for each in record.promotions)
    yield from compare(
        place, "target_points by the block rate", target_points, record.target_points
    )
    yield from compare(place, "value by the price", paid * _price(record), record.value)
    value_tax = round(Fraction(record.value * record.value_tax_basis_points, WHOLE))
    yield from compare(place, "tax on the value", value_tax, record.value_tax)


def paid_points(record: TransferRecord) -> int:
    """What the source pays for: all points but the bonuses."""
    return record.target_points - sum(each.bonus_points for each in record.promotions)


def _price(record: TransferRecord) -> Fraction:
    """Of one target point."""
    per_thousand = Fraction(record.price_per_thousand_target_points, 1_000)
    return record.price_per_target_point + per_thousand


def _promotion_faults(
    place: str, record: TransferRecord, promotion: AppliedPromotion, base: int
) -> Iterator[Fault]:
    name = promotion.promotion_id
    bonus = math.floor(Fraction(base * promotion.bonus_basis_points, WHOLE))
    yield from compare(place, f"bonus of {name}", bonus, promotion.bonus_points)
    value = promotion.bonus_points * _price(record)
    yield from compare(place, f"value of {name} by the price", value, promotion.value)
    whole = sum(each.share_basis_points for each in promotion.shares)
    yield from compare(place, f"shares of {name} together", WHOLE, whole)
    exact = [promotion.value * Fraction(s.share_basis_points, WHOLE) for s in promotion.shares]
    parts = [math.floor(each) for each in exact]
    left = promotion.value - sum(parts)
    # A stable sort keeps the earlier of two equal remainders before the later one.
    by_remainder = sorted(range(len(exact)), key=lambda at: parts[at] - exact[at])
    for at in by_remainder[:left] if 0 <= left <= len(exact) else ():
        parts[at] += 1
    found = [each.amount for each in promotion.shares]
    yield from compare(place, f"parts of {name}", parts, found)


def fee_faults(place: str, record: TransferRecord, part: FeePart) -> Iterator[Fault]:
    """What in a part that bears the fee does not follow from its terms, value and points."""
    terms = part.fee_terms
    fee = math.ceil(Fraction(record.value * terms.basis_points, WHOLE))
    fee += paid_points(record) * terms.per_target_point + terms.fixed
    fee = max(fee, terms.minimum)
    fee = min(fee, terms.maximum) if terms.maximum else fee
    yield from compare(place, "fee by its terms", fee, part.fee)
    tax = round(Fraction(part.fee * part.tax_basis_points, WHOLE))
    yield from compare(place, "tax on the fee", tax, part.tax)
