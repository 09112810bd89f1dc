"""Block rates from prices, or from one value for each program's point in a common unit. Pure.

Rules kept here:

- Values are integers of one unit, however small, so that a rate is exact: a reduced pair.
- Where a block of a given size is asked for, what it gives is rounded down, at the target.
- So a rate is never above the ratio of the values, and no cycle of such rates multiplies points,
  whatever the spread.
"""

from collections.abc import Mapping
from fractions import Fraction
from itertools import permutations

from partners.agreement import BASIS_POINTS, BlockRate
from partners.errors import Reason, Refused


def derived_rate(
    source_value: int, target_value: int, spread_basis_points: int = 0, block: int | None = None
) -> BlockRate:
    """The rate between points of these values, less a spread; of `block` source points, or of as
    few as make it exact.

    Raises Refused(FIELD_INVALID) for a value or spread out of its range, and Refused(TERMS_INVALID)
    for a block that gives nothing.
    """
    for value, field in ((source_value, "source_value"), (target_value, "target_value")):
        if value < 1:
            raise Refused(Reason.FIELD_INVALID, field, "a point's value is more than 0")
    if not 0 <= spread_basis_points < BASIS_POINTS:
        raise Refused(
            Reason.FIELD_INVALID, "spread_basis_points", "a spread is 0 to 9,999 basis points"
        )
    kept = Fraction(BASIS_POINTS - spread_basis_points, BASIS_POINTS)
    rate = Fraction(source_value, target_value) * kept
    if block is None:
        return BlockRate(rate.denominator, rate.numerator)
    if block < 1:
        raise Refused(Reason.FIELD_INVALID, "block", "a block is at least 1 point")
    given = block * rate.numerator // rate.denominator
    if given < 1:
        raise Refused(
            Reason.TERMS_INVALID,
            "block_rate",
            f"a block of {block} points gives none; name a larger one",
        )
    return BlockRate(block, given)


def numeraire_rates(
    values: Mapping[str, int], spread_basis_points: int = 0, block: int | None = None
) -> dict[tuple[str, str], BlockRate]:
    """The rate of every corridor between programs, by source and target, from one value for each.

    Raises Refused as `derived_rate` does.
    """
    return {
        (source, target): derived_rate(values[source], values[target], spread_basis_points, block)
        for source, target in permutations(values, 2)
    }
