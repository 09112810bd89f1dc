"""What terms make of an amount: every rounding of a transfer, in one place. Pure.

The order of roundings, with what each does to splitting a transfer in two:

    base points = source points / source units × target units    whole blocks: nothing is rounded
    uplift      = ⌊base × (multiplier − 1)⌋                       of the order's segment
    bonus       = ⌊base × bonus basis points / 10,000⌋            of each promotion
    value       = (base + uplift) × price                         exact, or the terms are refused
    fee         = ⌈value × basis points / 10,000⌉ + points × fee per point + fixed fee, then at
                  least the minimum and at most the maximum       floored, it would reward splitting
    tax         = half-even(fee × rate), half-even(value × rate)  once per transfer
    promotion   = bonus × price, split by the funders' shares: floors first, then one unit each to
                  the largest remainders, the earlier funder first

So a transfer that is split gets no more points, and pays no lower fee on the value that it has.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from partners.agreement import BASIS_POINTS, Fee, Funder, Price, Promotion, Segment, Terms
from partners.errors import Reason, Refused


@dataclass(frozen=True, slots=True)
class Bonus:
    """What one promotion adds to a transfer."""

    promotion: Promotion
    points: int
    value: int
    """Of the points, in units of the currency's scale."""
    shares: tuple[int, ...]
    """The funders' parts of the value, in their order; they sum to it."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What one transfer comes to under its terms. Money is in units of the currency's scale."""

    base_points: int
    uplift_points: int
    bonuses: tuple[Bonus, ...]
    """Of the promotions that add at least a point."""
    value: int
    """Of base and uplift."""
    fee: int
    tax: int
    """On the fee."""
    tax_basis_points: int
    value_tax: int = 0
    value_tax_basis_points: int = 0
    segment: Segment | None = None

    @property
    def paid_points(self) -> int:
        """What the source pays for: all but the bonuses."""
        return self.base_points + self.uplift_points

    @property
    def bonus_points(self) -> int:
        """What the funders pay for."""
        return sum(each.points for each in self.bonuses)

    @property
    def target_points(self) -> int:
        """All that is granted."""
        return self.paid_points + self.bonus_points


def convert(
    terms: Terms,
    source_points: int,
    tax_basis_points: int,
    value_tax_basis_points: int = 0,
    *,
    segment_id: str = "",
    promotions: Iterable[Promotion] = (),
) -> Conversion:
    """What `source_points` become under `terms`, with the tax rates in force now.

    `promotions` are those that apply: they run, and their budgets cover the bonus. Raises
    Refused(SEGMENT_UNKNOWN), or Refused(INCREMENT) when the points are no whole number of
    increments. Limits are judged elsewhere.
    """
    segment = segment_named(terms, segment_id)
    base = base_points(terms, source_points)
    uplift = uplift_points(base, segment)
    value = value_of(terms.price, base + uplift)
    fee = fee_of(terms.fee, value, base + uplift)
    return Conversion(
        base,
        uplift,
        tuple(bonus_of(each, base, terms.price) for each in promotions if bonus_points(each, base)),
        value,
        fee,
        half_even(fee * tax_basis_points, BASIS_POINTS),
        tax_basis_points,
        half_even(value * value_tax_basis_points, BASIS_POINTS),
        value_tax_basis_points,
        segment,
    )


def target_points(
    terms: Terms, source_points: int, segment_id: str = "", promotions: Iterable[Promotion] = ()
) -> int:
    """All points that `source_points` give, the bonuses of these promotions among them.

    Raises Refused(SEGMENT_UNKNOWN or INCREMENT).
    """
    base = base_points(terms, source_points)
    uplift = uplift_points(base, segment_named(terms, segment_id))
    return base + uplift + sum(bonus_points(each, base) for each in promotions)


def most_points_per_point(terms: Terms, time: datetime) -> Fraction:
    """No transfer at `time` gives more target points for a source point than this, whatever its
    segment, and however much of the budgets is left. It changes only at `instants_of_change`.
    """
    best = max((Fraction(s.numerator, s.denominator) for s in terms.segments), default=Fraction(1))
    bonus = sum(each.bonus_basis_points for each in terms.promotions_at(time))
    rate = Fraction(terms.rate.target_units, terms.rate.source_units)
    return rate * (best + Fraction(bonus, BASIS_POINTS))


def instants_of_change(terms: Terms) -> tuple[datetime, ...]:
    """When promotions begin or end, in order."""
    edges = {edge for p in terms.promotions for edge in (p.effective_from, p.effective_until)}
    return tuple(sorted(edges))


def segment_named(terms: Terms, segment_id: str) -> Segment | None:
    """The segment that an order names, None where it names none; raises Refused(SEGMENT_UNKNOWN)
    for one that the terms do not have.
    """
    if not segment_id:
        return None
    for segment in terms.segments:
        if segment.segment_id == segment_id:
            return segment
    raise Refused(
        Reason.SEGMENT_UNKNOWN,
        "segment",
        f"version {terms.version} of {terms.agreement_id} has no segment {segment_id}",
    )


def base_points(terms: Terms, source_points: int) -> int:
    """What whole blocks give; raises Refused(INCREMENT) when the points are no whole number of
    increments.
    """
    if source_points % terms.increment_source_points:
        raise Refused(
            Reason.INCREMENT,
            "source_points",
            f"{source_points} is not a multiple of {terms.increment_source_points}",
            {"incrementPoints": str(terms.increment_source_points)},
        )
    return source_points // terms.rate.source_units * terms.rate.target_units


def uplift_points(base: int, segment: Segment | None) -> int:
    """What a segment adds to base points."""
    if segment is None:
        return 0
    return base * (segment.numerator - segment.denominator) // segment.denominator


def bonus_points(promotion: Promotion, base: int) -> int:
    """What a promotion adds to base points."""
    return base * promotion.bonus_basis_points // BASIS_POINTS


def bonus_of(promotion: Promotion, base: int, price: Price) -> Bonus:
    """What a promotion adds to base points, and who pays for it."""
    points = bonus_points(promotion, base)
    value = value_of(price, points)
    return Bonus(promotion, points, value, shares_of(value, promotion.funders))


def value_of(price: Price, points: int) -> int:
    """Points times price. Terms were checked to make it whole for every amount that they allow."""
    return points * price.units // price.points


def fee_of(fee: Fee, value: int, points: int) -> int:
    """The fee on a value and its points, bonuses left out of both."""
    rounded_up = -(-value * fee.basis_points // BASIS_POINTS)
    asked = max(rounded_up + points * fee.per_target_point + fee.fixed, fee.minimum)
    return min(asked, fee.maximum) if fee.maximum else asked


def shares_of(value: int, funders: tuple[Funder, ...]) -> tuple[int, ...]:
    """A value split by shares that sum to the whole, so that the parts sum to the value."""
    parts = [divmod(value * each.share_basis_points, BASIS_POINTS) for each in funders]
    left = value - sum(floor for floor, _ in parts)
    by_remainder = sorted(range(len(parts)), key=lambda at: (-parts[at][1], at))
    raised = set(by_remainder[:left])
    return tuple(floor + (at in raised) for at, (floor, _) in enumerate(parts))


def half_even(numerator: int, denominator: int) -> int:
    """`numerator / denominator` (the latter positive), rounded to the nearest integer, ties to the
    even one.
    """
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    return quotient + (1 if twice > denominator or (twice == denominator and quotient % 2) else 0)
