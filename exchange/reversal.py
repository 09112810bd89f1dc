"""What a reversal gives back of a transfer: every rounding of one, in one place. Pure.

The target says how many of the n points that it credited, bonuses among them, it has taken back: k
in all so far. To date

    source points = ⌊source points × k / n⌋
    points        = k, dealt out to what the source paid for and to each bonus: see `dealt`
    value         = ⌊value × points taken back / points⌋, of what was paid for and of each bonus;
                    for whole prices that is the points times the original price
    shares        = of a bonus's value to date, dealt out to its funders' original shares
    value tax     = half-even(value tax × k / n)
    fee, its tax  = half-even(x × k / n) where the terms give them back, else 0

A reversal books the difference between two such portions. No figure falls as k grows, so that no
difference is negative; at k = 0 all are 0 and at k = n they are the transfer's own, so that parts
add up to the whole exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from partners.conversion import Bonus, Conversion, half_even


@dataclass(frozen=True, slots=True)
class Portion:
    """A transfer's figures, or a part of each: points surrendered, and what they came to."""

    source_points: int
    conversion: Conversion

    @property
    def target_points(self) -> int:
        """All points that were credited, bonuses among them."""
        return self.conversion.target_points


def portion_of(whole: Portion, taken_back: int, *, fee_refundable: bool) -> Portion:
    """What `taken_back` of a transfer's target points come to: 0 gives nothing, all give the whole,
    less the fee and its tax where the terms do not give them back.
    """
    made, n = whole.conversion, whole.target_points
    assert 0 <= taken_back <= n, "no more is taken back than was credited"
    paid, *bonuses = dealt((made.paid_points, *(each.points for each in made.bonuses)), taken_back)
    returned = taken_back if fee_refundable else 0
    return Portion(
        whole.source_points * taken_back // n,
        replace(
            made,
            base_points=paid,
            uplift_points=0,
            bonuses=tuple(map(bonus_portion, made.bonuses, bonuses)),
            value=made.value * paid // made.paid_points,
            value_tax=half_even(made.value_tax * taken_back, n),
            fee=half_even(made.fee * returned, n),
            tax=half_even(made.tax * returned, n),
        ),
    )


def bonus_portion(bonus: Bonus, points: int) -> Bonus:
    """What some of a bonus's points come to."""
    value = bonus.value * points // bonus.points
    return replace(bonus, points=points, value=value, shares=dealt(bonus.shares, value))


def between(before: Portion, after: Portion) -> Portion:
    """What a reversal books: a later portion of a transfer less an earlier one."""
    was, made = before.conversion, after.conversion
    return Portion(
        after.source_points - before.source_points,
        replace(
            made,
            base_points=made.paid_points - was.paid_points,
            uplift_points=0,
            bonuses=tuple(map(bonus_between, was.bonuses, made.bonuses)),
            value=made.value - was.value,
            value_tax=made.value_tax - was.value_tax,
            fee=made.fee - was.fee,
            tax=made.tax - was.tax,
        ),
    )


def bonus_between(before: Bonus, after: Bonus) -> Bonus:
    """A later portion of a bonus less an earlier one."""
    return replace(
        after,
        points=after.points - before.points,
        value=after.value - before.value,
        shares=tuple(b - a for a, b in zip(before.shares, after.shares, strict=True)),
    )


def dealt(parts: Sequence[int], units: int) -> tuple[int, ...]:
    """`units` of a sum dealt out to its parts, which are not negative.

    All units give the parts themselves, and no part's figure falls as the units grow, which largest
    remainders would not keep: of the parts from one on, those behind it get their share rounded
    down, and it gets the rest.
    """
    figures = []
    for at, part in enumerate(parts):
        behind = sum(parts[at + 1 :])
        later = units * behind // (part + behind) if behind else 0
        figures.append(units - later)
        units = later
    return tuple(figures)
