"""What a corridor makes of a point at best, and when: what the search for free lunches looks at.
Pure.

A multiplier is an upper bound, exact and rational, of target points per source point over all
amounts, segments and states of budgets that the terms allow. Every rounding of a conversion goes
down and an amount is a whole number of blocks, so the nominal ratio is such a bound: no legal
amount gives more. Where minimum, maximum and increment keep the floors from ever giving the whole
of it, the bound is a little above what can be had; a set of terms may then be refused that nobody
could farm, never the other way round.
"""

from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from itertools import pairwise

from partners.agreement import Terms
from partners.conversion import instants_of_change, most_points_per_point


@dataclass(frozen=True, slots=True)
class Multiplier:
    """At best one point of the source becomes `factor` points of the target, for a time."""

    source: str
    """Program id, as is the target."""
    target: str
    factor: Fraction
    """Target points per source point; positive."""
    begins: datetime
    ends: datetime | None
    """Exclusive; None while the end is open."""
    label: str
    """The terms that it comes from, for people: `grocery-fuel version 2, segment gold`."""


def multipliers_of(terms: Terms, begins: datetime, ends: datetime | None) -> tuple[Multiplier, ...]:
    """The multipliers of one agreement version while it is in force, one after the other: a new one
    where a promotion begins or ends.
    """
    changes = (
        each
        for each in instants_of_change(terms)
        if begins < each and (ends is None or each < ends)
    )
    return tuple(
        Multiplier(
            terms.source_program,
            terms.target_program,
            most_points_per_point(terms, start),
            start,
            end,
            label_of(terms, start),
        )
        for start, end in pairwise((begins, *changes, ends))
        if start is not None
    )


def label_of(terms: Terms, time: datetime) -> str:
    """The version, with the segment and the promotions that make its multiplier at `time`."""
    parts = [f"{terms.agreement_id} version {terms.version}"]
    best = max(
        terms.segments, key=lambda each: Fraction(each.numerator, each.denominator), default=None
    )
    if best is not None and best.numerator > best.denominator:
        parts.append(f"segment {best.segment_id}")
    parts += [f"promotion {each.promotion_id}" for each in terms.promotions_at(time)]
    return ", ".join(parts)
