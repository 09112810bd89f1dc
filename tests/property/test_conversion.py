"""What a conversion may never give away."""

import itertools
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

from hypothesis import assume, given
from hypothesis import strategies as st

from partners.agreement import (
    BASIS_POINTS,
    BlockRate,
    Fee,
    Funder,
    Price,
    Promotion,
    Segment,
    Terms,
)
from partners.agreement_checks import check_terms
from partners.conversion import (
    Conversion,
    convert,
    half_even,
    most_points_per_point,
    shares_of,
    target_points,
)
from partners.errors import Refused
from partners.points import POINTS_MAX
from tests import factories as make

UNITS = st.integers(1, 50)
TAX_RATES = st.integers(0, BASIS_POINTS)
BLOCKS = st.integers(1, 10**6)


@st.composite
def shares(draw: st.DrawFn) -> tuple[int, ...]:
    """One to four shares of the whole."""
    cuts = draw(st.sets(st.integers(1, BASIS_POINTS - 1), max_size=3))
    edges = [0, *sorted(cuts), BASIS_POINTS]
    return tuple(b - a for a, b in itertools.pairwise(edges))


@st.composite
def fees(draw: st.DrawFn) -> Fee:
    """A fee of every part."""
    least, most = draw(st.integers(0, 10**7)), draw(st.integers(0, 10**8))
    return Fee(
        draw(st.integers(0, BASIS_POINTS)),
        "vat6",
        per_target_point=draw(st.integers(0, 100)),
        fixed=draw(st.integers(0, 10**6)),
        minimum=min(least, most) if most else least,
        maximum=most,
    )


@st.composite
def some_terms(draw: st.DrawFn) -> Terms:
    """Terms that pass the check, of any rate, price and fee, with a segment and two promotions."""
    source = draw(UNITS)
    plain = make.terms(
        rate=(source, draw(UNITS)),
        minimum_source_points=source,
        maximum_source_points=10**9,
        increment_source_points=source * draw(st.integers(1, 5)),
        price_per_target_point=draw(st.integers(1, 10**6)),
    )
    denominator = draw(st.integers(1, 100))
    segment = Segment("gold", denominator + draw(st.integers(0, 300)), denominator)
    promotions = tuple(
        Promotion(
            name,
            draw(st.integers(1, 20_000)),
            make.NOW,
            make.NOW + timedelta(days=1),
            10**9,
            tuple(Funder(f"f{at}", share) for at, share in enumerate(draw(shares()))),
        )
        for name in ("spring", "summer")[: draw(st.integers(0, 2))]
    )
    return replace(plain, fee=draw(fees()), segments=(segment,), promotions=promotions)


SEGMENTS = st.sampled_from(["", "gold"])


def made(terms: Terms, increments: int, tax_rate: int, segment: str) -> Conversion:
    """What so many increments come to with all promotions."""
    return convert(
        terms,
        increments * terms.increment_source_points,
        tax_rate,
        tax_rate,
        segment_id=segment,
        promotions=terms.promotions,
    )


@given(some_terms(), st.lists(BLOCKS, min_size=1, max_size=6), TAX_RATES, SEGMENTS)
def test_t12_splitting_gains_no_point_and_pays_no_lower_fee_for_what_it_gets(
    terms: Terms, parts: list[int], tax_rate: int, segment: str
) -> None:
    whole = made(terms, sum(parts), tax_rate, segment)
    split = [made(terms, part, tax_rate, segment) for part in parts]
    assert sum(part.base_points for part in split) == whole.base_points
    assert sum(part.uplift_points for part in split) <= whole.uplift_points
    assert sum(part.bonus_points for part in split) <= whole.bonus_points
    points, value = sum(part.paid_points for part in split), sum(part.value for part in split)
    assert value * whole.paid_points == whole.value * points
    if points == whole.paid_points:
        assert sum(part.fee for part in split) >= whole.fee


@given(some_terms(), st.lists(BLOCKS, min_size=1, max_size=6), TAX_RATES)
def test_t12_splitting_moves_the_tax_by_roundings_of_half_a_unit_only(
    terms: Terms, parts: list[int], tax_rate: int
) -> None:
    # Tax is half-even on each fee and value, so it may come out lower when split: by half a unit
    # for each part and for the whole, and no more.
    whole = made(terms, sum(parts), tax_rate, "")
    split = [made(terms, part, tax_rate, "") for part in parts]
    assert 2 * (whole.tax - sum(part.tax for part in split)) <= len(parts) + 1
    assert 2 * abs(whole.value_tax - sum(part.value_tax for part in split)) <= len(parts) + 1


@given(some_terms(), BLOCKS, TAX_RATES)
def test_t12_a_fee_of_basis_points_is_its_share_and_less_than_a_unit_above_it(
    terms: Terms, blocks: int, tax_rate: int
) -> None:
    plain = replace(terms, fee=Fee(terms.fee.basis_points, "vat6"))
    conversion = made(plain, blocks, tax_rate, "gold")
    share = conversion.value * plain.fee.basis_points
    assert share <= conversion.fee * BASIS_POINTS < share + BASIS_POINTS
    assert conversion.fee <= conversion.value
    assert conversion.tax <= conversion.fee


@given(some_terms(), BLOCKS, BLOCKS, SEGMENTS)
def test_more_points_never_give_fewer_points_nor_a_lower_value_or_fee(
    terms: Terms, fewer: int, more: int, segment: str
) -> None:
    less, greater = made(terms, fewer, 0, segment), made(terms, fewer + more, 0, segment)
    assert less.target_points <= greater.target_points
    assert less.value <= greater.value
    assert less.fee <= greater.fee


@given(some_terms(), BLOCKS, SEGMENTS)
def test_t13_no_amount_gives_more_points_for_a_point_than_the_bound(
    terms: Terms, blocks: int, segment: str
) -> None:
    conversion = made(terms, blocks, 0, segment)
    points = blocks * terms.increment_source_points
    assert conversion.target_points <= points * most_points_per_point(terms, make.NOW)
    assert conversion.target_points == target_points(terms, points, segment, terms.promotions)


@given(some_terms(), BLOCKS)
def test_t12_the_shares_of_a_bonus_sum_to_its_value_and_are_within_a_unit_of_their_part(
    terms: Terms, blocks: int
) -> None:
    for bonus in made(terms, blocks, 0, "").bonuses:
        assert sum(bonus.shares) == bonus.value
        for funder, share in zip(bonus.promotion.funders, bonus.shares, strict=True):
            exact = Fraction(bonus.value * funder.share_basis_points, BASIS_POINTS)
            assert abs(share - exact) < 1


@given(st.integers(0, POINTS_MAX), shares())
def test_shares_of_any_value_sum_to_it(value: int, parts: tuple[int, ...]) -> None:
    funders = tuple(Funder(f"f{at}", share) for at, share in enumerate(parts))
    assert sum(shares_of(value, funders)) == value


@st.composite
def priced_by_the_thousand(draw: st.DrawFn) -> Terms:
    """Terms with a small range of amounts, so that all of them can be looked at."""
    step, least = draw(st.integers(1, 60)), draw(st.integers(1, 300))
    denominator = draw(st.integers(1, 40))
    return replace(
        make.TERMS,
        rate=BlockRate(1, draw(st.integers(1, 50))),
        increment_source_points=step,
        minimum_source_points=least,
        maximum_source_points=least + draw(st.integers(step, 60 * step)),
        price=Price(draw(st.sampled_from([1, 8, 20, 25, 50, 125, 250, 500, 1_500])), 1_000),
        segments=(Segment("gold", denominator * 2 + draw(st.integers(0, 40)), denominator),),
    )


@given(priced_by_the_thousand())
def test_a_price_per_thousand_is_accepted_exactly_where_every_legal_amount_is_whole(
    terms: Terms,
) -> None:
    step = terms.increment_source_points
    first = -(-terms.minimum_source_points // step) * step
    is_whole = all(
        target_points(terms, amount, segment) * terms.price.units % 1_000 == 0
        for amount in range(first, terms.maximum_source_points + 1, step)
        for segment in ("", "gold")
    )
    try:
        check_terms(terms)
        accepted = True
    except Refused:
        accepted = False
    assert accepted == is_whole


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
    assert conversion.value == conversion.target_points * terms.price.units


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
            "price": Price(price),
            "fee": Fee(BASIS_POINTS, "vat20"),
        }
    )
    assume(largest * units * price <= POINTS_MAX)
    check_terms(terms)
    conversion = convert(terms, largest, BASIS_POINTS)
    assert max(conversion.value, conversion.fee, conversion.tax) <= POINTS_MAX
    assert conversion.target_points <= POINTS_MAX
