"""What a conversion may never give away."""

from hypothesis import assume, given
from hypothesis import strategies as st

from partners.agreement import BASIS_POINTS, BlockRate, Terms, check_terms, convert, half_even
from partners.points import POINTS_MAX
from tests import factories as make

UNITS = st.integers(1, 50)
TAX_RATES = st.integers(0, BASIS_POINTS)


@st.composite
def some_terms(draw: st.DrawFn) -> Terms:
    """Terms that pass the check, of any rate, price and fee."""
    source = draw(UNITS)
    return make.terms(
        rate=(source, draw(UNITS)),
        minimum_source_points=source,
        maximum_source_points=10**9,
        increment_source_points=source * draw(st.integers(1, 5)),
        price_per_target_point=draw(st.integers(1, 10**6)),
        fee_basis_points=draw(st.integers(0, BASIS_POINTS)),
    )


BLOCKS = st.integers(1, 10**6)


@given(some_terms(), st.lists(BLOCKS, min_size=1, max_size=6), TAX_RATES)
def test_t12_splitting_gives_the_same_points_and_value_and_never_a_lower_fee(
    terms: Terms, parts: list[int], tax_rate: int
) -> None:
    whole = convert(terms, sum(parts) * terms.increment_source_points, tax_rate)
    split = [convert(terms, part * terms.increment_source_points, tax_rate) for part in parts]
    assert sum(part.target_points for part in split) == whole.target_points
    assert sum(part.value for part in split) == whole.value
    assert sum(part.fee for part in split) >= whole.fee


@given(some_terms(), st.lists(BLOCKS, min_size=1, max_size=6), TAX_RATES)
def test_t12_splitting_moves_the_tax_by_roundings_of_half_a_unit_only(
    terms: Terms, parts: list[int], tax_rate: int
) -> None:
    # Tax is half-even on each fee, so it may come out lower when split: by half a unit for each
    # part and for the whole, and no more.
    whole = convert(terms, sum(parts) * terms.increment_source_points, tax_rate)
    split = [convert(terms, part * terms.increment_source_points, tax_rate) for part in parts]
    assert 2 * (whole.tax - sum(part.tax for part in split)) <= len(parts) + 1


@given(some_terms(), BLOCKS, TAX_RATES)
def test_t12_a_fee_is_at_least_its_share_and_less_than_a_unit_above_it(
    terms: Terms, blocks: int, tax_rate: int
) -> None:
    conversion = convert(terms, blocks * terms.increment_source_points, tax_rate)
    share = conversion.value * terms.fee_basis_points
    assert share <= conversion.fee * BASIS_POINTS < share + BASIS_POINTS
    assert conversion.fee <= conversion.value
    assert conversion.tax <= conversion.fee


@given(UNITS, UNITS, UNITS, UNITS, st.integers(1, 5), BLOCKS)
def test_t12_there_and_back_never_gains_where_the_rates_multiply_to_at_most_one(
    out: int, into: int, back_out: int, back_in: int, step: int, blocks: int
) -> None:
    assume(into * back_in <= out * back_out)
    there = make.terms("grocery", "fuel", rate=(out, into), increment_source_points=out)
    back = make.terms(
        "fuel", "grocery", rate=(back_out, back_in), increment_source_points=back_out * step
    )
    points = blocks * out
    received = convert(there, points, 0).target_points
    convertible = received - received % back.increment_source_points
    kept = received - convertible
    returned = convert(back, convertible, 0).target_points if convertible else 0
    assert returned <= points
    assert returned * out * back_out <= (received - kept) * out * back_in
    assert returned * back_out * out <= points * into * back_in


@given(some_terms(), BLOCKS)
def test_conversion_is_exact_at_the_agreements_rate(terms: Terms, blocks: int) -> None:
    points = blocks * terms.increment_source_points
    conversion = convert(terms, points, 0)
    assert conversion.target_points * terms.rate.source_units == points * terms.rate.target_units
    assert conversion.value == conversion.target_points * terms.price_per_target_point


@given(st.integers(0, 10**12), st.integers(1, 10**5))
def test_half_even_is_the_nearest_integer_and_ties_are_even(
    numerator: int, denominator: int
) -> None:
    rounded = half_even(numerator, denominator)
    distance = abs(2 * (rounded * denominator - numerator))
    assert distance <= denominator
    assert distance < denominator or rounded % 2 == 0


@given(st.data())
def test_the_largest_transfer_of_checked_terms_fits_every_posting(data: st.DataObject) -> None:
    units, price = data.draw(st.integers(1, 2**62)), data.draw(st.integers(1, 2**62))
    largest = data.draw(st.integers(1, 2**62))
    terms = Terms(
        **{name: getattr(make.TERMS, name) for name in make.TERMS.__slots__}
        | {
            "rate": BlockRate(1, units),
            "minimum_source_points": 1,
            "increment_source_points": 1,
            "maximum_source_points": largest,
            "price_per_target_point": price,
            "fee_basis_points": BASIS_POINTS,
        }
    )
    assume(largest * units * price <= POINTS_MAX)
    check_terms(terms)
    conversion = convert(terms, largest, BASIS_POINTS)
    assert max(conversion.value, conversion.fee, conversion.tax) <= POINTS_MAX
    assert conversion.target_points <= POINTS_MAX
