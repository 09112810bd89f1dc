"""What terms make of an amount, to the last point and unit."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from partners.agreement import HUB, Fee, Funder, Price, Promotion, Segment
from partners.conversion import convert, half_even, shares_of, target_points
from partners.errors import Reason, Refused
from tests import factories as make

GOLD = Segment("gold", 4, 3)
SPRING = Promotion(
    "spring",
    1_500,
    make.NOW,
    make.NOW + timedelta(days=1),
    10**6,
    (Funder("grocery", 3_334), Funder("fuel", 3_333), Funder(HUB, 3_333)),
)


def money_of(terms: Any, points: int, tax: int) -> tuple[int, int, int, int]:
    """Target points, value, fee and tax."""
    made = convert(terms, points, tax)
    return made.target_points, made.value, made.fee, made.tax


def test_the_worked_examples_convert_to_the_unit() -> None:
    assert money_of(make.TERMS, 1_000, 600) == (500, 9_800_000, 98_000, 5_880)
    assert money_of(make.terms("fuel", "grocery"), 200, 600) == (380, 3_610_000, 36_100, 2_166)


@pytest.mark.parametrize("points", [1, 3, 999])
def test_what_is_no_whole_number_of_increments_does_not_convert(points: int) -> None:
    with pytest.raises(Refused) as refused:
        convert(make.TERMS, points, 600)
    assert (refused.value.reason, refused.value.field) == (Reason.INCREMENT, "source_points")
    assert dict(refused.value.metadata) == {"incrementPoints": "2"}


def test_a_segment_that_the_terms_do_not_have_does_not_convert() -> None:
    with pytest.raises(Refused) as refused:
        convert(replace(make.TERMS, segments=(GOLD,)), 1_000, 600, segment_id="platinum")
    assert (refused.value.reason, refused.value.field) == (Reason.SEGMENT_UNKNOWN, "segment")


def test_a_segment_lifts_points_and_value_rounded_down_and_a_bonus_only_points() -> None:
    terms = replace(make.TERMS, segments=(GOLD,), promotions=(SPRING,))
    made = convert(terms, 1_000, 600, 900, segment_id="gold", promotions=(SPRING,))
    # 500 / 3 is 166.7, and the promotion is of the 500, not of the 666.
    assert (made.base_points, made.uplift_points, made.bonus_points) == (500, 166, 75)
    assert made.target_points == 741 == target_points(terms, 1_000, "gold", (SPRING,))
    assert made.value == 666 * 19_600
    assert made.fee == 130_536
    assert made.tax == 7_832
    assert made.value_tax == 1_174_824
    (bonus,) = made.bonuses
    assert bonus.value == 75 * 19_600
    assert bonus.shares == (490_098, 489_951, 489_951)


def test_a_promotion_that_adds_no_point_to_an_amount_is_no_bonus() -> None:
    assert convert(make.TERMS, 12, 600, promotions=(SPRING,)).bonuses == ()
    assert convert(make.TERMS, 14, 600, promotions=(SPRING,)).bonus_points == 1


def test_a_price_per_thousand_is_exact() -> None:
    terms = replace(make.TERMS, price=Price(19_600, 1_000))
    assert convert(terms, 1_000, 600).value == 9_800


@pytest.mark.parametrize(
    ("price", "basis_points", "fee"), [(1, 1, 1), (10_000, 1, 1), (10_001, 1, 2), (1, 0, 0)]
)
def test_a_fee_rounds_up_to_the_next_unit(price: int, basis_points: int, fee: int) -> None:
    terms = make.terms(price_per_target_point=price, fee_basis_points=basis_points)
    assert convert(terms, 2, 0).fee == fee


@pytest.mark.parametrize(
    ("fee", "charged"),
    [
        (Fee(100, "none"), 9_800),
        (Fee(100, "none", per_target_point=7), 9_800 + 350),
        (Fee(100, "none", per_target_point=7, fixed=50), 9_800 + 350 + 50),
        (Fee(0, "none", fixed=50), 50),
        (Fee(100, "none", minimum=9_801), 9_801),
        (Fee(100, "none", minimum=9_799), 9_800),
        (Fee(100, "none", maximum=9_799), 9_799),
        (Fee(100, "none", fixed=50, maximum=9_810), 9_810),
        (Fee(0, "none", minimum=3, maximum=3), 3),
        (Fee(0, "none"), 0),
    ],
)
def test_a_fee_is_its_parts_together_between_minimum_and_maximum(fee: Fee, charged: int) -> None:
    terms = replace(make.TERMS, fee=fee)
    assert convert(terms, 100, 0).fee == charged


@pytest.mark.parametrize(
    ("fee", "tax"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 2), (6, 3), (7, 4), (10, 5)]
)
def test_a_tax_of_half_a_unit_goes_to_the_even_one(fee: int, tax: int) -> None:
    terms = make.terms(price_per_target_point=fee, fee_basis_points=10_000)
    # The tax is half of the fee; 1.5 becomes 2 and 2.5 becomes 2.
    assert money_of(terms, 2, 5_000) == (1, fee, fee, tax)


@pytest.mark.parametrize(
    ("value", "shares", "parts"),
    [
        (1, (5_000, 5_000), (1, 0)),
        (3, (5_000, 5_000), (2, 1)),
        (1, (4_999, 5_001), (0, 1)),
        (2, (3_334, 3_333, 3_333), (1, 1, 0)),
        (0, (1, 9_999), (0, 0)),
        (10_001, (1, 9_999), (1, 10_000)),
        (7, (10_000,), (7,)),
        (5, (2_500, 2_500, 2_500, 2_500), (2, 1, 1, 1)),
    ],
)
def test_shares_go_to_the_largest_remainders_the_earlier_funder_first(
    value: int, shares: tuple[int, ...], parts: tuple[int, ...]
) -> None:
    funders = tuple(Funder(f"f{at}", share) for at, share in enumerate(shares))
    assert shares_of(value, funders) == parts


@pytest.mark.parametrize(
    ("numerator", "rounded"), [(0, 0), (5, 0), (6, 1), (14, 1), (15, 2), (25, 2), (26, 3), (35, 4)]
)
def test_half_even_of_tenths(numerator: int, rounded: int) -> None:
    assert half_even(numerator, 10) == rounded
