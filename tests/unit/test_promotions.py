"""Promotions, segments and fees in the fold: what is granted, to the last point and unit."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from exchange.commands import Command, Order
from exchange.fold import State, fold
from exchange.ledger.names import account_names
from exchange.ledger.postings import Code, MoneyCell
from exchange.outcomes import Recorded
from partners.agreement import HUB, Terms
from partners.errors import Reason, Refused
from partners.wire import time_to_proto
from pointclear.exchange.v1.transfer_pb2 import SourceLot
from pointclear.partners.v1 import agreement_pb2
from tests import factories as make

DAY = timedelta(days=1)


def promotion(
    name: str = "spring",
    bonus: int = 2_000,
    budget: int = 100,
    begins: datetime = make.NOW,
    **shares: int,
) -> agreement_pb2.Promotion:
    """A fifth more for a day."""
    return agreement_pb2.Promotion(
        promotion_id=name,
        bonus_basis_points=bonus,
        effective_from=time_to_proto(begins),
        effective_until=time_to_proto(begins + DAY),
        budget_points=budget,
        funders=[
            agreement_pb2.Funder(funder=funder, share_basis_points=share)
            for funder, share in (shares or {"grocery": 10_000}).items()
        ],
    )


def coalition(*promotions: agreement_pb2.Promotion, cap: int = make.CAP, **changes: Any) -> State:
    """A coalition in which grocery's points become fuel's under these terms."""
    payload = make.agreement_payload(promotions=promotions, **changes)
    return make.a_state(*make.founding(cap, [payload]))


def terms_of(state: State) -> Terms:
    return state.registry.agreements["grocery-fuel", 1].terms


def order(state: State, number: int = 1, points: int = 100, **changes: Any) -> Order:
    """An order that expects every promotion that runs."""
    return make.an_order(number, terms_of(state), source_points=points, **changes)


def carry_out(state: State, *orders: Command) -> tuple[State, list[Recorded]]:
    folded = fold(state, orders, make.NOW)
    return folded.state, [each for each in folded.results if isinstance(each, Recorded)]


def refusal_of(state: State, wanted: Order, now: datetime = make.NOW) -> Refused:
    (result,) = make.fold_one(state, wanted, now).results
    assert isinstance(result, Recorded)
    assert result.refusal is not None
    return result.refusal


def shown(recorded: Recorded, state: State) -> list[tuple[str, str, str, int]]:
    names = account_names(state.registry, recorded.postings)
    return [
        (each.code.name, names[each.debit], names[each.credit], each.amount)
        for each in recorded.postings
    ]


def test_four_funders_pay_the_target_straight_and_its_own_share_is_a_memo() -> None:
    state = coalition(promotion(grocery=4_000, fuel=3_000, hub=2_000, deli=1_000))
    after, (done,) = carry_out(state, order(state))
    # 50 points at 0.0196, and a bonus of 10 points worth 0.196.
    assert shown(done, state) == [
        ("OUT", "grocery.members", "grocery.redeemed", 100),
        ("IN", "fuel.granted", "fuel.members", 50),
        ("BONUS_IN", "fuel.granted", "fuel.members", 10),
        ("VALUE", "grocery.position", "fuel.position", 980_000),
        ("PROMO", "grocery.position", "fuel.position", 78_400),
        ("PROMO", "hub.promotions", "fuel.position", 39_200),
        ("PROMO", "deli.position", "fuel.position", 19_600),
        ("FEE", "grocery.position", "hub.fees", 9_800),
        ("TAX", "grocery.position", "hub.tax.vat6", 588),
    ]
    assert done.funders == ("deli",)
    assert after.promotion_points == {("grocery-fuel", 1, "spring"): 10}
    number = {name: each.number for name, each in after.registry.partners.items()} | {HUB: 0}
    promoted = {
        cell.party: amount
        for (_, cell), amount in after.window_sums.items()
        if isinstance(cell, MoneyCell) and cell.code is Code.PROMO
        if cell.counterparty == number["fuel"]
    }
    assert promoted == {
        number["grocery"]: -78_400,
        number[HUB]: -39_200,
        number["deli"]: -19_600,
    }


def test_the_target_bears_its_fee_out_of_its_value() -> None:
    state = coalition(fee_bearer=agreement_pb2.BEARER_TARGET)
    _, (done,) = carry_out(state, order(state))
    assert shown(done, state)[2:] == [
        ("VALUE", "grocery.position", "fuel.position", 980_000),
        ("FEE", "fuel.position", "hub.fees", 9_800),
        ("TAX", "fuel.position", "hub.tax.vat6", 588),
    ]


def test_the_tax_on_the_value_goes_to_the_target() -> None:
    state = coalition(value_tax_code="vat13")
    _, (done,) = carry_out(state, order(state))
    assert shown(done, state)[3] == ("VALUE_TAX", "grocery.position", "fuel.position", 127_400)


def test_a_price_per_thousand_is_posted_exactly() -> None:
    state = coalition(price_per_target_point=0, price_per_thousand_target_points=19_000)
    _, (done,) = carry_out(state, order(state))
    assert shown(done, state)[2][3] == 950


def test_a_segment_that_the_agreement_has_lifts_the_points() -> None:
    gold = agreement_pb2.Segment(
        segment_id="gold", multiplier_numerator=5, multiplier_denominator=4
    )
    state = coalition(segments=[gold])
    _, (done,) = carry_out(state, order(state, segment="gold"))
    assert [posting.amount for posting in done.postings if posting.code is Code.IN] == [62]
    unknown = refusal_of(state, order(state, segment="silver"))
    assert (unknown.reason, unknown.field) == (Reason.SEGMENT_UNKNOWN, "segment")


# Budgets


def test_an_order_with_a_bonus_that_is_used_up_is_refused_and_one_without_is_served() -> None:
    state = coalition(promotion(budget=15))
    state, (first,) = carry_out(state, order(state))
    assert first.refusal is None
    refused = refusal_of(state, order(state, 2))
    assert (refused.reason, refused.field) == (Reason.PROMOTION_EXHAUSTED, "target_points")
    assert dict(refused.metadata) == {"targetPoints": "50", "promotions": "spring"}
    state, (without,) = carry_out(state, order(state, 3, target_points=50))
    assert without.refusal is None
    assert state.promotion_points == {("grocery-fuel", 1, "spring"): 10}


def test_what_is_left_of_a_budget_serves_a_smaller_order() -> None:
    state = coalition(promotion(budget=15))
    state, done = carry_out(
        state, order(state, 1), order(state, 2), order(state, 3, 50), order(state, 4, 10)
    )
    assert [each.reason for each in done] == [
        None,
        Reason.PROMOTION_EXHAUSTED,
        None,
        Reason.PROMOTION_EXHAUSTED,
    ]
    assert state.promotion_points == {("grocery-fuel", 1, "spring"): 15}


def test_an_order_without_a_bonus_that_is_still_to_be_had_is_a_mismatch() -> None:
    state = coalition(promotion())
    refused = refusal_of(state, order(state, target_points=50))
    assert refused.reason is Reason.AMOUNT_MISMATCH
    assert dict(refused.metadata) == {"targetPoints": "60"}


@pytest.mark.parametrize(
    ("expected", "reason"),
    [
        (50 + 5, None),
        (50 + 5 + 10, Reason.PROMOTION_EXHAUSTED),
        (50 + 5 + 15, Reason.PROMOTION_EXHAUSTED),
        (50 + 5 + 10 + 15, Reason.PROMOTION_EXHAUSTED),
        (50, Reason.AMOUNT_MISMATCH),
        (50 + 10, Reason.AMOUNT_MISMATCH),
        (50 + 5 + 11, Reason.AMOUNT_MISMATCH),
    ],
)
def test_of_several_promotions_those_that_are_used_up_are_named(
    expected: int, reason: Reason | None
) -> None:
    state = coalition(
        promotion("a", 2_000, 9), promotion("b", 3_000, 14), promotion("c", 1_000, 100)
    )
    _, (done,) = carry_out(state, order(state, target_points=expected))
    assert done.reason is reason


def test_a_refusal_for_another_reason_uses_no_budget() -> None:
    state = coalition(promotion(), cap=0)
    state, (done,) = carry_out(state, order(state))
    assert done.reason is Reason.NET_DEBIT_CAP_EXCEEDED
    assert state.promotion_points == {("grocery-fuel", 1, "spring"): 0}


def test_a_promotion_gives_only_while_it_runs() -> None:
    state = coalition(promotion(begins=make.NOW + DAY))
    _, (before,) = carry_out(state, order(state, target_points=50))
    assert before.refusal is None
    early = refusal_of(state, order(state, 2, target_points=60))
    assert early.reason is Reason.AMOUNT_MISMATCH


def test_a_new_version_has_budgets_of_its_own() -> None:
    state = coalition(promotion(budget=10))
    state, (first,) = carry_out(state, order(state))
    assert first.refusal is None
    second = make.agreement_payload(version=2, promotions=[promotion(budget=10)])
    state = fold(state, make.in_force(second), make.NOW).state
    wanted = make.an_order(2, make.terms_of(second))
    folded = make.fold_one(state, wanted, state.recorded_at)
    (done,) = folded.results
    assert isinstance(done, Recorded)
    assert done.refusal is None
    assert folded.state.promotion_points == {
        ("grocery-fuel", 1, "spring"): 10,
        ("grocery-fuel", 2, "spring"): 10,
    }


def test_terms_and_the_order_that_uses_their_budget_may_be_in_one_batch() -> None:
    state = make.a_state(*make.founding(agreements=[]))
    payload = make.agreement_payload(promotions=[promotion()])
    folded = fold(
        state, [*make.in_force(payload), make.an_order(1, make.terms_of(payload))], make.NOW
    )
    done = folded.results[-1]
    assert isinstance(done, Recorded)
    assert done.refusal is None


# Caps of others


def test_a_funder_without_room_is_a_counterparty_limit_that_names_nobody() -> None:
    payload = make.agreement_payload(promotions=[promotion(deli=10_000)])
    for cap, reason in ((196_000, None), (195_999, Reason.COUNTERPARTY_LIMIT)):
        commands = [
            make.add_partner("deli", cap) if each == make.add_partner("deli") else each
            for each in make.founding(agreements=[payload])
        ]
        state = make.a_state(*commands)
        _, (done,) = carry_out(state, order(state))
        assert done.reason is reason
        if done.refusal is not None:
            assert (done.refusal.field, dict(done.refusal.metadata)) == ("", {})
            assert "deli" not in str(done.refusal)


def test_a_target_whose_fee_is_beyond_its_room_is_a_counterparty_limit() -> None:
    borne = make.agreement_payload(
        fee_bearer=agreement_pb2.BEARER_TARGET, fee_fixed=10 * make.CAP, fee_basis_points=0
    )
    state = make.a_state(*make.founding(agreements=[borne]))
    assert refusal_of(state, order(state)).reason is Reason.COUNTERPARTY_LIMIT


def test_where_both_have_no_room_the_senders_own_cap_answers() -> None:
    state = coalition(promotion(deli=10_000), cap=0)
    assert refusal_of(state, order(state)).reason is Reason.NET_DEBIT_CAP_EXCEEDED


# Lots


def lots(*points: int) -> list[SourceLot]:
    return [SourceLot(points=each, expires_at=time_to_proto(make.NOW + DAY)) for each in points]


def test_lots_are_stated_exactly_where_the_agreement_inherits_expiry() -> None:
    inherits = coalition(expiry_rule=agreement_pb2.EXPIRY_RULE_INHERIT)
    _, (done,) = carry_out(inherits, order(inherits, source_lots=lots(40, 60)))
    assert done.refusal is None
    assert [each.points for each in done.order.source_lots] == [40, 60]
    missing = refusal_of(inherits, order(inherits))
    assert (missing.reason, missing.field) == (Reason.LOTS_MISMATCH, "source_lots")
    fresh = coalition()
    needless = refusal_of(fresh, order(fresh, source_lots=lots(40, 60)))
    assert (needless.reason, needless.field) == (Reason.LOTS_MISMATCH, "source_lots")


@pytest.mark.parametrize("points", [(40, 61), (100, 0), (101, -1), (1,) * 17])
def test_lots_that_are_not_the_source_points_are_refused_at_the_door(
    points: tuple[int, ...],
) -> None:
    with pytest.raises(Refused) as refused:
        make.an_order(source_lots=lots(*points))
    assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, "source_lots")
