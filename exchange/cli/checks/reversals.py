"""What a reversal's record must say, by itself and beside the transfer that it reverses. Pure.

Written apart from the code that reverses, so that one error is not made twice. Its rules, where k
of a transfer's n target points are taken back in all:

- Source points to date are ⌊source points × k / n⌋, and each reversal gives back the difference.
- Points are dealt out to what was paid for and to each bonus: of the parts from one on, those
  behind it get theirs rounded down, and it gets the rest. So is a bonus's value to its shares.
- Value is the points' part of the transfer's, rounded down: with a price of single points, points
  times price. The tax on it, and fee and its tax where they are refundable, are rounded half to
  even, to date.
- Reversals follow each other: each states what all before it and itself took back, never above n.

Source: books.md (Reversal), protocol.md (Reversals).
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction

from exchange.cli.checks.verification import Fault, compare
from pointclear.exchange.v1.transfer_pb2 import (
    TRANSFER_STATE_ABORTED,
    TRANSFER_STATE_COMMITTED,
    TRANSFER_STATE_REFUSED,
    TRANSFER_STATE_RESERVED,
    ReversalPart,
    ReversalRecord,
    SourcePart,
    TargetPart,
    TransferRecord,
)

REVERSAL_LEAVES = {
    TRANSFER_STATE_COMMITTED: 6,
    TRANSFER_STATE_REFUSED: 7,
    TRANSFER_STATE_ABORTED: 7,
    TRANSFER_STATE_RESERVED: 8,
}
"""The type byte of each state's leaf."""
FeePart = SourcePart | TargetPart
Figures = Counter[str]


def reversal_faults(place: str, record: ReversalRecord) -> Iterator[Fault]:
    """What in a reversal's record does not hold by itself."""
    yield from compare(place, "bytes of reversal_id", 16, len(record.reversal_id))
    yield from compare(place, "bytes of transfer_id", 16, len(record.transfer_id))
    yield from compare(place, "bytes of order_sha256", 32, len(record.order_sha256))
    if record.state not in REVERSAL_LEAVES:
        yield Fault(place, "the record states no outcome of a reversal")
    refused = record.state in (TRANSFER_STATE_REFUSED, TRANSFER_STATE_ABORTED)
    yield from compare(place, "whether the record states a reason", refused, bool(record.reason))
    if record.state == TRANSFER_STATE_COMMITTED:
        yield from _figure_faults(place, record)


def _figure_faults(place: str, record: ReversalRecord) -> Iterator[Fault]:
    n, k = record.transfer_target_points, record.reversed_points
    before = k - record.target_points
    if not 0 <= before < k <= n:
        yield Fault(place, "points reversed so far", f"1 to {n}", f"{before} and then {k}")
        return
    surrendered = record.transfer_source_points
    given_back = surrendered * k // n - surrendered * before // n
    yield from compare(place, "source_points by the transfer's", given_back, record.source_points)
    bonuses = sum(each.bonus_points for each in record.promotions)
    if record.price_per_target_point:
        value = (record.target_points - bonuses) * record.price_per_target_point
        yield from compare(place, "value by the price", value, record.value)
    for each in record.promotions:
        parts = sum(share.amount for share in each.shares)
        yield from compare(place, f"shares of {each.promotion_id} together", each.value, parts)


def linked_faults(
    place: str,
    record: ReversalRecord,
    part: ReversalPart | None,
    original: TransferRecord,
    fee_part: FeePart | None,
    earlier: Figures,
) -> Iterator[Fault]:
    """What in a reversal does not follow from its transfer and from what `earlier` reversals of it
    gave back; adds to `earlier` what this one does.
    """
    for name in ("source_partner", "target_partner", "source_program", "target_program"):
        yield from compare(place, name, getattr(original, name), getattr(record, name))
    for name in ("agreement_id", "agreement_version", "agreement_sha256", "settlement_currency"):
        yield from compare(place, name, getattr(original, name), getattr(record, name))
    yield from compare(place, "transfer_id", original.transfer_id, record.transfer_id)
    yield from compare(
        place, "transfer's points", original.target_points, record.transfer_target_points
    )
    yield from compare(
        place, "transfer's source points", original.source_points, record.transfer_source_points
    )
    earlier.update(_given_back(record, part))
    to_date = _to_date(original, fee_part, record.reversed_points)
    for name in sorted(earlier.keys() | to_date.keys()):
        what = f"{name} of all reversals so far"
        yield from compare(place, what, to_date[name], earlier[name])


def _given_back(record: ReversalRecord, part: ReversalPart | None) -> Figures:
    """The figures of one reversal."""
    figures = Counter(
        {
            "target_points": record.target_points,
            "source_points": record.source_points,
            "value": record.value,
            "value_tax": record.value_tax,
            "fee": part.fee if part else 0,
            "tax": part.tax if part else 0,
        }
    )
    for each in record.promotions:
        figures[f"bonus of {each.promotion_id}"] += each.bonus_points
        for share in each.shares:
            figures[f"share of {share.funder} in {each.promotion_id}"] += share.amount
    return figures


def _to_date(original: TransferRecord, fee_part: FeePart | None, k: int) -> Figures:
    """What `k` points of a transfer come to; of the fee, where this side bore it."""
    n = original.target_points
    bonuses = [each.bonus_points for each in original.promotions]
    paid, *back = dealt([n - sum(bonuses), *bonuses], k)
    figures = Counter(
        {
            "target_points": k,
            "source_points": math.floor(Fraction(original.source_points * k, n)),
            "value": math.floor(Fraction(original.value * paid, n - sum(bonuses))),
            "value_tax": round(Fraction(original.value_tax * k, n)),
        }
    )
    if fee_part is not None and fee_part.fee_terms.refundable:
        figures["fee"] = round(Fraction(fee_part.fee * k, n))
        figures["tax"] = round(Fraction(fee_part.tax * k, n))
    for each, points in zip(original.promotions, back, strict=True):
        figures[f"bonus of {each.promotion_id}"] = points
        value = math.floor(Fraction(each.value * points, each.bonus_points))
        amounts = dealt([share.amount for share in each.shares], value)
        for share, amount in zip(each.shares, amounts, strict=True):
            figures[f"share of {share.funder} in {each.promotion_id}"] = amount
    return figures


def dealt(parts: Sequence[int], units: int) -> list[int]:
    """Units dealt out to parts, from the last one on."""
    if len(parts) < 2 or not sum(parts):
        return [units, *[0] * (len(parts) - 1)]
    first, *others = parts
    behind = math.floor(Fraction(units * sum(others), first + sum(others)))
    return [units - behind, *dealt(others, behind)]
