"""The demo's tiers and bonuses: who gets what, until a budget is used up."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

from exchange.cli.demo.coalition import agreed_corridors, corridors
from exchange.cli.demo.households import Conversion, Purchase
from exchange.cli.demo.offers import GOLD, OFFERS, ROAST, SILVER, tier_of
from exchange.cli.demo.totals import Day
from exchange.cli.demo.wishes import budgets_left, wish_of
from partners.agreement import BASIS_POINTS

NOON = datetime(2017, 1, 2, 12, tzinfo=UTC)
FULL = {offer.promotion_id: offer.budget_points for offer in OFFERS}
BASE = 94
"""What two blocks of grocery points give at meat."""
BONUS = 5
NUMBERS = [str(number) for number in range(1_000)]


def household(tier: object) -> str:
    """A household of a tier."""
    return next(each for each in NUMBERS if tier_of(each) is tier)


def conversion(household_id: str, target: str = "meat") -> Conversion:
    return Conversion(Purchase(NOON, household_id, "7", target, 500), "grocery", 100)


def a_day(granted: int) -> Day:
    nothing: dict[str, int] = {}
    none: dict[tuple[str, str], int] = {}
    granting = {ROAST.promotion_id: granted}
    return Day(NOON.date(), 0, nothing, none, none, nothing, nothing, 0.0, granting)


def test_about_one_household_in_ten_is_gold_and_three_are_silver() -> None:
    tiers = Counter(tier_of(each) for each in NUMBERS)
    assert 80 < tiers[GOLD] < 120
    assert 270 < tiers[SILVER] < 330


def test_an_order_names_its_members_tier_and_gets_both_extras() -> None:
    agreed = agreed_corridors()
    plain = wish_of(conversion(household(None)), agreed, FULL)
    assert (plain.segment, plain.uplift_points, plain.bonus_points) == ("", 0, BONUS)
    assert plain.target_points == BASE + BONUS
    gold = wish_of(conversion(household(GOLD)), agreed, FULL)
    assert (gold.segment, gold.uplift_points, gold.promotion_id) == ("gold", 3, "sunday-roast")
    assert gold.target_points == BASE + 3 + BONUS


def test_an_order_does_not_count_on_a_bonus_that_the_budget_does_not_cover() -> None:
    agreed, member = agreed_corridors(), household(SILVER)
    enough = wish_of(conversion(member), agreed, FULL | {ROAST.promotion_id: BONUS})
    short = wish_of(conversion(member), agreed, FULL | {ROAST.promotion_id: BONUS - 1})
    assert enough.target_points - short.target_points == BONUS
    assert (short.promotion_id, short.bonus_points, short.segment) == ("", 0, "silver")


def test_a_corridor_without_an_offer_knows_no_tiers() -> None:
    wish = wish_of(conversion(household(GOLD), "fuel"), agreed_corridors(), FULL)
    assert (wish.segment, wish.promotion_id) == ("", "")
    assert wish.target_points == corridors()["grocery", "fuel"].target_points(100)


def test_what_is_left_of_a_budget_is_what_no_day_has_granted() -> None:
    left = budgets_left((a_day(30), a_day(12)))
    assert left == FULL | {ROAST.promotion_id: ROAST.budget_points - 42}


def test_no_way_back_gains_by_a_tier_and_a_bonus_together() -> None:
    agreed = agreed_corridors()
    for offer in OFFERS:
        there, back = agreed[offer.source, offer.target], agreed[offer.target, offer.source]
        most = Fraction(GOLD.numerator, GOLD.denominator)
        most += Fraction(offer.bonus_basis_points, BASIS_POINTS)
        assert Fraction(there.target_units * back.target_units, 50 * 50) * most < 1


def test_the_shares_of_every_offer_sum_to_the_whole_and_two_pay() -> None:
    for offer in OFFERS:
        assert len(offer.funders) == 2
        assert sum(each.share_basis_points for each in offer.funders) == BASIS_POINTS
    assert ROAST.other_funder == "deli"
    assert replace(ROAST, funders=ROAST.funders[:1]).other_funder == ""
