"""How households earn and convert: the rules at the head of `households.py`, one by one."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.cli.demo.households import (
    BLOCK_POINTS,
    Purchase,
    conversions,
    give_back,
    opening_holdings,
    plan,
    points_earned,
)

NOON = datetime(2017, 3, 4, 12, tzinfo=UTC)


def purchase(
    brand: str = "grocery",
    cents: int = 10_000,
    household_id: str = "7",
    purchased_at: datetime = NOON,
) -> Purchase:
    return Purchase(purchased_at, household_id, "basket", brand, cents)


purchases = st.lists(
    st.builds(
        purchase,
        brand=st.sampled_from(["deli", "fuel", "grocery"]),
        cents=st.integers(min_value=1, max_value=20_000),
        household_id=st.sampled_from(["7", "8"]),
    ),
    max_size=40,
)


@pytest.mark.parametrize(("cents", "points"), [(1, 0), (99, 0), (100, 1), (199, 1), (12_345, 123)])
def test_a_purchase_earns_a_point_per_whole_dollar(cents: int, points: int) -> None:
    assert points_earned(purchase(cents=cents)) == points


def test_the_business_date_is_the_date_of_the_purchase() -> None:
    assert purchase().business_date == date(2017, 3, 4)


def test_whole_blocks_of_every_other_brand_are_converted_in_the_order_of_brand_ids() -> None:
    wallet = {"grocery": 149, "deli": 50, "meat": 49, "fuel": 500}
    wishes = conversions(wallet, purchase(brand="fuel"))
    assert [(wish.source, wish.target, wish.source_points) for wish in wishes] == [
        ("deli", "fuel", 50),
        ("grocery", "fuel", 100),
    ]
    assert {wish.household_id for wish in wishes} == {"7"}


def test_points_of_the_brand_of_the_purchase_stay_where_they_are() -> None:
    assert conversions({"grocery": 500}, purchase(brand="grocery")) == ()


def test_a_household_converts_before_it_earns() -> None:
    first, second = purchase(cents=7_000), purchase(brand="fuel", cents=6_000)
    planned = plan({}, [first, second])
    assert [wish.purchase for wish in planned.conversions] == [second]
    assert planned.holdings == {"7": {"grocery": 20, "fuel": 60}}


def test_one_household_never_converts_the_points_of_another() -> None:
    mine = purchase(household_id="7")
    theirs = purchase(household_id="8", brand="fuel")
    assert plan({}, [mine, theirs]).conversions == ()


def test_a_refused_conversion_is_tried_again_at_a_later_purchase() -> None:
    refused = plan({"7": {"grocery": 70}}, [purchase(brand="fuel", cents=100)])
    restored = give_back(refused.holdings, refused.conversions)
    assert restored == {"7": {"grocery": 70, "fuel": 1}}
    again = plan(restored, [purchase(brand="deli", purchased_at=NOON + timedelta(days=1))])
    assert [(wish.source, wish.source_points) for wish in again.conversions] == [("grocery", 50)]


def test_holdings_at_the_start_are_those_after_living_by_the_policy_before() -> None:
    earlier = [purchase(cents=7_000), purchase(brand="fuel", cents=6_000)]
    assert opening_holdings(earlier) == {"7": {"grocery": 20, "fuel": 60}}


def test_a_block_of_no_points_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        plan({}, [], block_points=0)


@given(purchases)
def test_planning_and_giving_back_leave_the_holdings_they_were_given_alone(
    bought: list[Purchase],
) -> None:
    before = {"7": {"grocery": 120}, "8": {"fuel": 49}}
    planned = plan(before, bought)
    give_back(planned.holdings, planned.conversions)
    assert before == {"7": {"grocery": 120}, "8": {"fuel": 49}}


@given(purchases)
def test_every_point_earned_is_either_held_or_was_converted_once(bought: list[Purchase]) -> None:
    planned = plan({}, bought)
    earned: Counter[tuple[str, str]] = Counter()
    for bought_here in bought:
        earned[bought_here.household_id, bought_here.brand] += points_earned(bought_here)
    kept: Counter[tuple[str, str]] = Counter()
    for wish in planned.conversions:
        kept[wish.household_id, wish.source] += wish.source_points
    for household_id, wallet in planned.holdings.items():
        for brand, points in wallet.items():
            assert points >= 0
            kept[household_id, brand] += points
    assert kept == earned


@given(purchases)
def test_every_conversion_is_of_whole_blocks_between_two_brands(bought: list[Purchase]) -> None:
    for wish in plan({}, bought).conversions:
        assert wish.source_points >= BLOCK_POINTS
        assert wish.source_points % BLOCK_POINTS == 0
        assert wish.source != wish.target


@given(purchases, st.integers(min_value=0, max_value=40))
def test_days_planned_one_after_another_equal_the_days_planned_at_once(
    bought: list[Purchase], cut: int
) -> None:
    whole = plan({}, bought)
    morning = plan({}, bought[:cut])
    evening = plan(morning.holdings, bought[cut:])
    assert morning.conversions + evening.conversions == whole.conversions
    assert evening.holdings == whole.holdings
