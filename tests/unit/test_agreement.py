"""Terms that can be honoured exactly, and who is bound by them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest

from partners.agreement import (
    HUB,
    Bearer,
    BlockRate,
    Expiry,
    ExpiryRule,
    Funder,
    MemberLimits,
    Price,
    Promotion,
    Segment,
    Terms,
)
from partners.agreement_checks import check_terms
from partners.conversion import convert, instants_of_change, most_points_per_point
from partners.errors import Reason, Refused
from tests import factories as make

DAY = timedelta(days=1)
HALVES = (Funder("grocery", 5_000), Funder("fuel", 5_000))


def promotion(name: str = "spring", **changes: Any) -> Promotion:
    """Ten per cent more for a day, paid by both brands."""
    fields: dict[str, Any] = {
        "promotion_id": name,
        "bonus_basis_points": 1_000,
        "effective_from": make.NOW,
        "effective_until": make.NOW + DAY,
        "budget_points": 10_000,
        "funders": HALVES,
    }
    return Promotion(**fields | changes)


def promoted(*promotions: Promotion) -> Terms:
    return replace(make.TERMS, promotions=promotions)


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
        ({"price": Price(0)}, "price_per_target_point"),
        ({"price": Price(0, 1_000)}, "price_per_thousand_target_points"),
        ({"price": Price(-1, 1_000)}, "price_per_thousand_target_points"),
        ({"member_limits": MemberLimits(-1, 0)}, "member_limits.transfers_per_day"),
        ({"member_limits": MemberLimits(0, -1)}, "member_limits.source_points_per_day"),
        ({"member_limits": MemberLimits(0, 1)}, "member_limits.source_points_per_day"),
        ({"expiry": Expiry(ExpiryRule.FIXED_DAYS, 0)}, "expiry_days"),
        ({"expiry": Expiry(ExpiryRule.FIXED_DAYS, 36_501)}, "expiry_days"),
        ({"expiry": Expiry(ExpiryRule.INHERIT, 1)}, "expiry_days"),
        ({"notice_days": -1}, "notice_days"),
    ],
)
def test_terms_that_cannot_be_honoured_are_refused_at_their_field(
    changes: dict[str, Any], field: str
) -> None:
    assert refusal_of(replace(make.TERMS, **changes)) == (Reason.TERMS_INVALID, field)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"basis_points": -1}, "fee_basis_points"),
        ({"basis_points": 10_001}, "fee_basis_points"),
        ({"per_target_point": -1}, "fee_per_target_point"),
        ({"fixed": -1}, "fee_fixed"),
        ({"minimum": -1}, "fee_minimum"),
        ({"maximum": -1}, "fee_maximum"),
        ({"minimum": 2, "maximum": 1}, "fee_maximum"),
        ({"fixed": 2**62 + 1}, "fee_fixed"),
        ({"per_target_point": 2**62}, "maximum_source_points"),
    ],
)
def test_a_fee_that_cannot_be_booked_is_refused_at_its_field(
    changes: dict[str, Any], field: str
) -> None:
    terms = replace(make.TERMS, fee=replace(make.TERMS.fee, **changes))
    assert refusal_of(terms) == (Reason.TERMS_INVALID, field)


@pytest.mark.parametrize(
    "field",
    ["agreement_id", "source_partner", "target_partner", "source_program", "target_program"],
)
@pytest.mark.parametrize("name", ["", "-a", "A", "a b", "a\n", "a" * 65, "é"])
def test_names_in_terms_are_ids(field: str, name: str) -> None:
    terms = replace(make.TERMS, **{field: name})  # type: ignore[arg-type]
    assert refusal_of(terms) == (Reason.FIELD_INVALID, field)


@pytest.mark.parametrize("code", ["-a", "A", "a b", "a" * 65])
def test_names_of_taxes_segments_promotions_and_funders_are_ids(code: str) -> None:
    named = Segment(code, 1, 1)
    by_field = {
        "tax_code": replace(make.TERMS, fee=replace(make.TERMS.fee, tax_code=code)),
        "value_tax_code": replace(make.TERMS, value_tax_code=code),
        "segments[0].segment_id": replace(make.TERMS, segments=(named,)),
        "promotions[0].promotion_id": promoted(promotion(code)),
        "promotions[0].funders[0].funder": promoted(promotion(funders=(Funder(code, 10_000),))),
    }
    for field, terms in by_field.items():
        assert refusal_of(terms) == (Reason.FIELD_INVALID, field)


def test_a_fee_has_a_tax_code_and_a_value_need_not() -> None:
    check_terms(replace(make.TERMS, value_tax_code=""))
    without = replace(make.TERMS, fee=replace(make.TERMS.fee, tax_code=""))
    assert refusal_of(without) == (Reason.FIELD_INVALID, "tax_code")


@pytest.mark.parametrize("currency", ["", "cny", "ABC", "XXX", "XAU"])
def test_terms_settle_in_a_currency_that_banks_pay(currency: str) -> None:
    terms = replace(make.TERMS, currency=currency)
    assert refusal_of(terms) == (Reason.FIELD_INVALID, "settlement_currency")


def test_a_rate_that_rounds_every_legal_amount_to_zero_is_refused() -> None:
    # Points convert in whole blocks, so such a rate is one whose block no legal amount fills.
    terms = replace(
        make.TERMS,
        rate=BlockRate(1_000, 1),
        increment_source_points=1_000,
        minimum_source_points=1,
        maximum_source_points=999,
    )
    assert refusal_of(terms) == (Reason.TERMS_INVALID, "maximum_source_points")


# Amounts that fit


def test_the_largest_transfer_fits_2_to_the_62_and_not_one_more() -> None:
    terms = replace(
        make.TERMS,
        rate=BlockRate(1, 1),
        increment_source_points=1,
        minimum_source_points=1,
        maximum_source_points=2**31,
        price=Price(2**31),
    )
    check_terms(terms)
    over = replace(terms, price=Price(2**31 + 1))
    assert refusal_of(over) == (Reason.TERMS_INVALID, "maximum_source_points")
    more_points = replace(terms, rate=BlockRate(1, 2**31 + 1), price=Price(1))
    assert refusal_of(more_points) == (Reason.TERMS_INVALID, "maximum_source_points")


def test_the_best_segment_and_the_promotions_that_run_at_once_count_for_the_largest() -> None:
    terms = replace(
        make.TERMS,
        rate=BlockRate(1, 1),
        increment_source_points=1,
        minimum_source_points=1,
        maximum_source_points=2**31,
        price=Price(2**30),
    )
    gold = Segment("gold", 2, 1)
    doubled = promotion(bonus_basis_points=20_000)
    check_terms(replace(terms, segments=(gold,)))
    check_terms(replace(terms, promotions=(doubled,)))
    too_much = replace(terms, segments=(Segment("gold", 3, 1),))
    assert refusal_of(too_much) == (Reason.TERMS_INVALID, "maximum_source_points")
    one_more = promotion("more", bonus_basis_points=10_000)
    both = replace(terms, promotions=(doubled, one_more))
    assert refusal_of(both) == (Reason.TERMS_INVALID, "maximum_source_points")
    later = replace(one_more, effective_from=make.NOW + DAY, effective_until=make.NOW + 2 * DAY)
    check_terms(replace(terms, promotions=(doubled, later)))


# Price per thousand


@pytest.mark.parametrize(
    ("units", "step", "least", "most", "is_whole"),
    [
        (1_000, 1, 1, 10**6, True),
        (2_500, 2, 2, 10**6, True),
        (2_500, 1, 1, 10**6, False),
        (1, 1_000, 1_000, 10**6, True),
        (1, 1_000, 500, 1_500, True),
        (500, 1, 2, 2, True),
        (500, 1, 2, 3, False),
        (999, 1_000, 1_000, 10**6, True),
        (999, 500, 1_000, 1_000, True),
        (999, 500, 1_000, 1_500, False),
    ],
)
def test_a_price_per_thousand_comes_to_whole_units_for_every_legal_amount(
    units: int, step: int, least: int, most: int, is_whole: bool
) -> None:
    terms = replace(
        make.TERMS,
        rate=BlockRate(1, 1),
        price=Price(units, 1_000),
        increment_source_points=step,
        minimum_source_points=least,
        maximum_source_points=most,
    )
    if is_whole:
        check_terms(terms)
    else:
        refused = (Reason.TERMS_INVALID, "price_per_thousand_target_points")
        assert refusal_of(terms) == refused


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"segments": (Segment("silver", 5, 4),)}, None),
        ({"segments": (Segment("silver", 5, 4), Segment("gold", 11, 10))}, None),
        ({"segments": (Segment("silver", 5, 4), Segment("gold", 4, 3))}, "segments[1]"),
        ({"segments": (Segment("silver", 1_001, 1_000),)}, "segments[0]"),
        ({"promotions": (promotion(bonus_basis_points=1_000),)}, None),
        ({"promotions": (promotion(bonus_basis_points=333),)}, "promotions[0]"),
    ],
)
def test_a_price_per_thousand_is_whole_for_every_segment_and_promotion_too(
    changes: dict[str, Any], field: str | None
) -> None:
    terms = replace(
        make.TERMS,
        rate=BlockRate(1, 1),
        price=Price(50, 1_000),
        increment_source_points=400,
        minimum_source_points=400,
        **changes,
    )
    if field is None:
        check_terms(terms)
    else:
        assert refusal_of(terms) == (Reason.TERMS_INVALID, field)


# Segments


@pytest.mark.parametrize(
    ("segments", "field"),
    [
        ([Segment("gold", 9, 10)], "segments[0].multiplier_numerator"),
        ([Segment("gold", 1, 0)], "segments[0].multiplier_denominator"),
        ([Segment("gold", -1, -1)], "segments[0].multiplier_denominator"),
        ([Segment("gold", 10_001, 10_001)], "segments[0].multiplier_denominator"),
        ([Segment("gold", 101, 1)], "segments[0].multiplier_numerator"),
        ([Segment("gold", 1, 1), Segment("gold", 2, 1)], "segments"),
        ([Segment(f"s{n}", 1, 1) for n in range(17)], "segments"),
    ],
)
def test_segments_multiply_by_at_least_one_and_are_at_most_16(
    segments: Sequence[Segment], field: str
) -> None:
    terms = replace(make.TERMS, segments=tuple(segments))
    assert refusal_of(terms) == (Reason.TERMS_INVALID, field)


def test_a_segment_that_adds_no_point_to_any_amount_is_refused() -> None:
    small = replace(make.TERMS, maximum_source_points=18)
    check_terms(replace(small, segments=(Segment("gold", 10, 9),)))
    refused = refusal_of(replace(small, segments=(Segment("gold", 11, 10),)))
    assert refused == (Reason.TERMS_INVALID, "segments[0].multiplier_numerator")


# Promotions


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"bonus_basis_points": 0}, "bonus_basis_points"),
        ({"bonus_basis_points": 100_001}, "bonus_basis_points"),
        ({"effective_until": make.NOW}, "effective_until"),
        ({"effective_until": make.NOW - DAY}, "effective_until"),
        ({"budget_points": 0}, "budget_points"),
        ({"budget_points": 2**62 + 1}, "budget_points"),
        ({"funders": ()}, "funders"),
        ({"funders": (Funder("grocery", 9_999),)}, "funders"),
        ({"funders": (Funder("grocery", 5_000), Funder("fuel", 5_001))}, "funders"),
        ({"funders": (Funder("grocery", 5_000), Funder("grocery", 5_000))}, "funders"),
        (
            {"funders": (Funder("grocery", 10_000), Funder("fuel", 0))},
            "funders[1].share_basis_points",
        ),
        (
            {"funders": tuple(Funder(name, 2_000) for name in ("a", "b", "c", "d", "e"))},
            "funders",
        ),
    ],
)
def test_promotions_that_cannot_be_kept_are_refused_at_their_field(
    changes: dict[str, Any], field: str
) -> None:
    terms = promoted(promotion("first"), promotion("second", **changes))
    assert refusal_of(terms) == (Reason.TERMS_INVALID, f"promotions[1].{field}")


def test_a_bonus_that_adds_no_point_to_any_amount_is_refused() -> None:
    small = replace(make.TERMS, maximum_source_points=18)
    check_terms(replace(small, promotions=(promotion(bonus_basis_points=1_112),)))
    refused = refusal_of(replace(small, promotions=(promotion(bonus_basis_points=1_111),)))
    assert refused == (Reason.TERMS_INVALID, "promotions[0].bonus_basis_points")


def test_at_most_16_promotions_each_named_once() -> None:
    days = [
        promotion(
            f"p{n}", effective_from=make.NOW + n * DAY, effective_until=make.NOW + n * DAY + DAY
        )
        for n in range(17)
    ]
    check_terms(promoted(*days[:16]))
    assert refusal_of(promoted(*days)) == (Reason.TERMS_INVALID, "promotions")
    assert refusal_of(promoted(days[0], days[0])) == (Reason.TERMS_INVALID, "promotions")


def test_at_most_4_promotions_run_at_one_time() -> None:
    four = [promotion(f"p{n}") for n in range(4)]
    check_terms(promoted(*four))
    after = promotion("after", effective_from=make.NOW + DAY, effective_until=make.NOW + 2 * DAY)
    check_terms(promoted(*four, after))
    touching = replace(after, effective_from=make.NOW + DAY - timedelta(microseconds=1))
    assert refusal_of(promoted(*four, touching)) == (Reason.TERMS_INVALID, "promotions")


def test_all_that_pay_are_signatories_and_an_envelope_has_room_for_two_others() -> None:
    def paid_by(*names: str) -> Promotion:
        return promotion(
            "-".join(names), funders=tuple(Funder(name, 10_000 // len(names)) for name in names)
        )

    assert make.TERMS.signatories == ("grocery", "fuel")
    terms = promoted(paid_by("deli", "grocery"), paid_by(HUB, "bakery"), paid_by("deli", "fuel"))
    check_terms(terms)
    assert terms.other_funders == ("bakery", "deli")
    assert terms.signatories == ("grocery", "fuel", "bakery", "deli")
    third = replace(terms, promotions=(*terms.promotions, paid_by("cinema", "grocery")))
    assert refusal_of(third) == (Reason.TERMS_INVALID, "promotions")


def test_a_promotion_runs_from_its_first_instant_until_before_its_last() -> None:
    instant = timedelta(microseconds=1)
    terms = promoted(promotion())
    assert terms.promotions_at(make.NOW) == terms.promotions
    assert terms.promotions_at(make.NOW + DAY - instant) == terms.promotions
    assert terms.promotions_at(make.NOW - instant) == ()
    assert terms.promotions_at(make.NOW + DAY) == ()


# The most that a point becomes


def test_the_most_points_per_point_counts_the_best_segment_and_what_runs() -> None:
    terms = replace(
        make.TERMS,
        segments=(Segment("silver", 11, 10), Segment("gold", 3, 2)),
        promotions=(promotion("a"), promotion("b", effective_from=make.NOW + DAY / 2)),
    )
    assert instants_of_change(terms) == (make.NOW, make.NOW + DAY / 2, make.NOW + DAY)
    bounds = [most_points_per_point(terms, at) for at in instants_of_change(terms)]
    assert bounds == [Fraction(16, 20), Fraction(17, 20), Fraction(15, 20)]
    assert most_points_per_point(make.TERMS, make.NOW) == Fraction(1, 2)


def test_a_fees_bearer_and_refundability_change_no_figure() -> None:
    borne = replace(make.TERMS, fee=replace(make.TERMS.fee, bearer=Bearer.TARGET, refundable=True))
    check_terms(borne)
    assert convert(borne, 1_000, 600) == convert(make.TERMS, 1_000, 600)
