"""Which promotions apply to a transfer, as far as their budgets go. Pure.

Rules kept here:

- A budget is of bonus points, per agreement version and promotion. What was granted is counted in
  the order of the log, amounts on hold too, and never passes it.
- A bonus is granted whole or not at all: what is left of a budget may still cover a smaller one.
- Who ordered with a bonus that is used up is told so. Who ordered without it is served.
"""

from collections.abc import Iterable, Mapping
from itertools import combinations

from partners.agreement import Promotion, Terms
from partners.conversion import Conversion, base_points, bonus_points
from partners.errors import Reason, Refused

PromotionKey = tuple[str, int, str]
"""Agreement id, version and promotion id."""
PromotionPoints = Mapping[PromotionKey, int]
"""Bonus points granted so far."""


def key_of(terms: Terms, promotion: Promotion) -> PromotionKey:
    """Under what a promotion's points are counted."""
    return (*terms.name, promotion.promotion_id)


def points_left(terms: Terms, promotion: Promotion, granted: PromotionPoints) -> int:
    """What a promotion may still grant."""
    return promotion.budget_points - granted[key_of(terms, promotion)]


def covered(
    terms: Terms, running: Iterable[Promotion], base: int, granted: PromotionPoints
) -> tuple[Promotion, ...]:
    """Those of the running promotions whose budgets cover their bonus on `base` points."""
    return tuple(
        each for each in running if bonus_points(each, base) <= points_left(terms, each, granted)
    )


def grants(terms: Terms, conversion: Conversion) -> dict[PromotionKey, int]:
    """What a transfer takes of each budget."""
    return {key_of(terms, each.promotion): each.points for each in conversion.bonuses}


def check_amount(
    terms: Terms,
    running: tuple[Promotion, ...],
    source_points: int,
    expected_points: int,
    conversion: Conversion,
) -> None:
    """Raise Refused unless an order expects the points that it gets: PROMOTION_EXHAUSTED where
    bonuses of running promotions make the difference, AMOUNT_MISMATCH otherwise.
    """
    given = conversion.target_points
    if expected_points == given:
        return
    base = base_points(terms, source_points)
    applied = {each.promotion.promotion_id for each in conversion.bonuses}
    missing = [each for each in running if each.promotion_id not in applied]
    facts = {"targetPoints": str(given)}
    for some in _subsets(missing):
        if expected_points == given + sum(bonus_points(each, base) for each in some):
            names = " ".join(each.promotion_id for each in some)
            raise Refused(
                Reason.PROMOTION_EXHAUSTED,
                "target_points",
                f"what is left of {names} does not cover the bonus; without it the points become "
                f"{given}",
                facts | {"promotions": names},
            )
    raise Refused(
        Reason.AMOUNT_MISMATCH,
        "target_points",
        f"the points become {given}, not {expected_points}",
        facts,
    )


def _subsets(promotions: list[Promotion]) -> Iterable[tuple[Promotion, ...]]:
    """Every choice of at least one: 15 at most, since 4 promotions run at one time."""
    for size in range(1, len(promotions) + 1):
        yield from combinations(promotions, size)
