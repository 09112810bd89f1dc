"""Terms that can be honoured exactly, and conversion by them."""

from dataclasses import replace

import pytest

from partners.agreement import BlockRate, Conversion, Terms, check_terms, convert, half_even
from partners.errors import Reason, Refused
from tests import factories as make


def refusal_of(terms: Terms) -> tuple[Reason, str]:
    with pytest.raises(Refused) as refused:
        check_terms(terms)
    return refused.value.reason, refused.value.field


def test_the_factorys_terms_can_be_honoured() -> None:
    check_terms(make.TERMS)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"version": 0}, "version"),
        ({"target_partner": "grocery"}, "target_partner"),
        ({"rate": BlockRate(0, 1)}, "block_rate"),
        ({"rate": BlockRate(2, 0)}, "block_rate"),
        ({"rate": BlockRate(-2, -1)}, "block_rate"),
        ({"increment_source_points": 0}, "increment_source_points"),
        ({"increment_source_points": 3}, "increment_source_points"),
        ({"increment_source_points": -2}, "increment_source_points"),
        ({"minimum_source_points": 0}, "minimum_source_points"),
        ({"minimum_source_points": 1_000_001}, "maximum_source_points"),
        ({"maximum_source_points": 2**62 + 1}, "maximum_source_points"),
        ({"price_per_target_point": 0}, "price_per_target_point"),
        ({"fee_basis_points": -1}, "fee_basis_points"),
        ({"fee_basis_points": 10_001}, "fee_basis_points"),
    ],
)
def test_terms_that_cannot_be_honoured_are_refused_at_their_field(
    changes: dict[str, object], field: str
) -> None:
    assert refusal_of(replace(make.TERMS, **changes)) == (Reason.TERMS_INVALID, field)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "field",
    [
        "agreement_id",
        "source_partner",
        "target_partner",
        "source_program",
        "target_program",
        "tax_code",
    ],
)
@pytest.mark.parametrize("name", ["", "-a", "A", "a b", "a\n", "a" * 65, "é"])
def test_names_in_terms_are_ids(field: str, name: str) -> None:
    terms = replace(make.TERMS, **{field: name})  # type: ignore[arg-type]
    assert refusal_of(terms) == (Reason.FIELD_INVALID, field)


@pytest.mark.parametrize("currency", ["", "cny", "ABC", "XXX", "XAU"])
def test_terms_settle_in_a_currency_that_banks_pay(currency: str) -> None:
    terms = replace(make.TERMS, currency=currency)
    assert refusal_of(terms) == (Reason.FIELD_INVALID, "settlement_currency")


def test_the_largest_transfer_fits_2_to_the_62_and_not_one_more() -> None:
    terms = replace(
        make.TERMS,
        rate=BlockRate(1, 1),
        increment_source_points=1,
        minimum_source_points=1,
        maximum_source_points=2**31,
        price_per_target_point=2**31,
    )
    check_terms(terms)
    over = replace(terms, price_per_target_point=2**31 + 1)
    assert refusal_of(over) == (Reason.TERMS_INVALID, "maximum_source_points")
    more_points = replace(terms, rate=BlockRate(1, 2**31 + 1), price_per_target_point=1)
    assert refusal_of(more_points) == (Reason.TERMS_INVALID, "maximum_source_points")


def test_the_worked_examples_convert_to_the_unit() -> None:
    assert convert(make.TERMS, 1_000, 600) == Conversion(500, 9_800_000, 98_000, 5_880)
    assert convert(make.terms("fuel", "grocery"), 200, 600) == Conversion(
        380, 3_610_000, 36_100, 2_166
    )


@pytest.mark.parametrize("points", [1, 3, 999])
def test_what_is_no_whole_number_of_increments_does_not_convert(points: int) -> None:
    with pytest.raises(Refused) as refused:
        convert(make.TERMS, points, 600)
    assert (refused.value.reason, refused.value.field) == (Reason.INCREMENT, "source_points")
    assert dict(refused.value.metadata) == {"incrementPoints": "2"}


@pytest.mark.parametrize(
    ("price", "basis_points", "fee"), [(1, 1, 1), (10_000, 1, 1), (10_001, 1, 2), (1, 0, 0)]
)
def test_a_fee_rounds_up_to_the_next_unit(price: int, basis_points: int, fee: int) -> None:
    terms = make.terms(price_per_target_point=price, fee_basis_points=basis_points)
    assert convert(terms, 2, 0).fee == fee


@pytest.mark.parametrize(
    ("fee", "tax"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 2), (6, 3), (7, 4), (10, 5)]
)
def test_a_tax_of_half_a_unit_goes_to_the_even_one(fee: int, tax: int) -> None:
    terms = make.terms(price_per_target_point=fee, fee_basis_points=10_000)
    # The tax is half of the fee; 1.5 becomes 2 and 2.5 becomes 2.
    assert convert(terms, 2, 5_000) == Conversion(1, fee, fee, tax)


@pytest.mark.parametrize(
    ("numerator", "rounded"), [(0, 0), (5, 0), (6, 1), (14, 1), (15, 2), (25, 2), (26, 3), (35, 4)]
)
def test_half_even_of_tenths(numerator: int, rounded: int) -> None:
    assert half_even(numerator, 10) == rounded
