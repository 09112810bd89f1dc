"""What the demo counts of a day: orders, refusals, points by corridor, nets and legs."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from exchange.cli.demo.brand_client import COMMITTED, Outcome, Wish
from exchange.cli.demo.settlement_day import SettledDay
from exchange.cli.demo.totals import HUB, Day, Totals, day_of
from pointclear.settlement.v1 import settlement_service_pb2 as pb


def wish(source: str, target: str, source_points: int, target_points: int) -> Wish:
    return Wish(source, target, "7", source_points, target_points, f"{source}-{target}", "basket 1")


def a_day() -> Day:
    window = pb.Window(
        business_date="2017-01-02",
        net_positions=[
            pb.NetPosition(partner_id="fuel", net=-500_007),
            pb.NetPosition(partner_id="meat", net=500_000),
            pb.NetPosition(partner_id=HUB, net=7),
        ],
    )
    legs = (
        pb.Leg(partner_id="fuel", direction=pb.LEG_DIRECTION_PAY_IN, amount=510_000),
        pb.Leg(partner_id="meat", direction=pb.LEG_DIRECTION_PAY_OUT, amount=500_000),
    )
    wishes = [
        wish("fuel", "meat", 50, 60),
        wish("fuel", "meat", 100, 120),
        wish("meat", "fuel", 50, 40),
        wish("deli", "fuel", 50, 30),
    ]
    outcomes = [Outcome("id", each) for each in (COMMITTED, COMMITTED, COMMITTED, "TRY_LATER")]
    return day_of(wishes, outcomes, SettledDay(window, legs, Decimal("0.01")), 0.5)


def test_only_committed_orders_move_points() -> None:
    day = a_day()
    assert day.business_date == date(2017, 1, 2)
    assert day.orders == 4
    assert day.refused == {"TRY_LATER": 1}
    assert day.source_points == {("fuel", "meat"): 150, ("meat", "fuel"): 50}
    assert day.target_points == {("fuel", "meat"): 180, ("meat", "fuel"): 40}


def test_a_leg_is_signed_as_a_net_is() -> None:
    day = a_day()
    assert day.nets == {"fuel": -500_007, "meat": 500_000, HUB: 7}
    assert day.paid == {"fuel": -510_000, "meat": 500_000}


def test_only_committed_orders_use_up_a_budget() -> None:
    extra: dict[str, Any] = {
        "segment": "gold",
        "uplift_points": 3,
        "promotion_id": "spring",
        "bonus_points": 5,
    }
    wishes = [replace(wish("fuel", "meat", 50, 60), **extra) for _ in range(2)]
    outcomes = [Outcome("id", COMMITTED, quoted=True), Outcome("id", "PROMOTION_EXHAUSTED")]
    window = pb.Window(business_date="2017-01-02")
    day = day_of(wishes, outcomes, SettledDay(window, (), Decimal("0.01")), 0.5)
    assert day.bonus_points == {"spring": 5}
    assert day.uplift_points == {"gold": 3}
    assert day.quoted == 1
    assert Totals((day, day)).bonus_points == {"spring": 10}
    assert Totals((day, day)).uplift_points == {"gold": 6}


def test_totals_are_the_sums_of_their_days() -> None:
    totals = Totals((a_day(), a_day()))
    assert (totals.days, totals.orders, totals.committed) == (2, 8, 6)
    assert totals.refused == {"TRY_LATER": 2}
    assert totals.points_out == {"fuel": 300, "meat": 100}
    assert totals.points_in == {"meat": 360, "fuel": 80}
    assert totals.nets == {"fuel": -1_000_014, "meat": 1_000_000, HUB: 14}
    assert totals.nets.total() == 0
    assert totals.orders_per_second == 8.0


def test_totals_without_an_order_have_no_rate() -> None:
    assert Totals(()).orders_per_second == 0.0
