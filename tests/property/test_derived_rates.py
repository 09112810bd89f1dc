"""Rates from values can never be farmed."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from partners.derived_rates import derived_rate, numeraire_rates
from partners.errors import Refused
from partners.free_lunch import Loop, find_loop, worths_of
from partners.multipliers import Multiplier
from tests import factories as make

VALUES = st.dictionaries(
    st.sampled_from([f"program-{number}" for number in range(12)]),
    st.integers(1, 10**12),
    min_size=2,
)
SPREADS = st.one_of(st.just(0), st.integers(0, 9_999))


def multipliers(
    values: dict[str, int], spread: int, block: int | None = None
) -> tuple[Multiplier, ...]:
    """The corridors of a set of values."""
    return tuple(
        Multiplier(
            source, target, Fraction(rate.target_units, rate.source_units), make.NOW, None, "it"
        )
        for (source, target), rate in numeraire_rates(values, spread, block).items()
    )


@given(VALUES, SPREADS)
def test_t13_a_set_from_one_value_per_program_is_free_of_loops_at_any_spread(
    values: dict[str, int], spread: int
) -> None:
    assert find_loop(multipliers(values, spread), make.NOW) is None


@given(VALUES, SPREADS, st.integers(1, 10**6))
def test_t13_rounding_to_a_block_makes_no_loop(
    values: dict[str, int], spread: int, block: int
) -> None:
    try:
        steps = multipliers(values, spread, block)
    except Refused:
        return
    assert find_loop(steps, make.NOW) is None


@given(VALUES)
def test_without_a_spread_every_round_trip_gives_back_exactly_what_went_in(
    values: dict[str, int],
) -> None:
    steps = multipliers(values, 0)
    factors = {(each.source, each.target): each.factor for each in steps}
    assert all(factors[a, b] * factors[b, a] == 1 for a, b in factors)
    worths = worths_of(steps)
    assert not isinstance(worths, Loop)
    # What the search finds is the values themselves, but for the unit.
    units = {Fraction(values[name]) / worth for name, worth in worths.items()}
    assert len(units) == 1


@given(st.integers(1, 10**12), st.integers(1, 10**12), SPREADS, st.integers(1, 10**6))
def test_a_rate_is_reduced_and_exact_or_rounded_down_to_its_block(
    source: int, target: int, spread: int, block: int
) -> None:
    exact = Fraction(source * (10_000 - spread), target * 10_000)
    rate = derived_rate(source, target, spread)
    assert (rate.target_units, rate.source_units) == (exact.numerator, exact.denominator)
    try:
        rounded = derived_rate(source, target, spread, block)
    except Refused:
        assert exact * block < 1
        return
    assert rounded.source_units == block
    assert rounded.target_units <= exact * block < rounded.target_units + 1
