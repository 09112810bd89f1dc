"""What a household's brand orders for a conversion. Pure.

A brand counts on a bonus for as long as the promotion's budget covers it, by what was granted up to
the day before. Budgets only shrink, so a brand that goes without a bonus is never wrong. One that
counts on it may be: the order that comes too late is refused, and its points are given back.
"""

from collections.abc import Iterable, Mapping

from exchange.cli.demo.brand_client import Wish
from exchange.cli.demo.coalition import Corridor
from exchange.cli.demo.households import Conversion
from exchange.cli.demo.linked import LinkedMember
from exchange.cli.demo.offers import OFFERS, Extra, extra_of
from exchange.cli.demo.totals import Day


def budgets_left(days: Iterable[Day]) -> dict[str, int]:
    """Bonus points that promotions may still grant after these days, by promotion."""
    left = {offer.promotion_id: offer.budget_points for offer in OFFERS}
    for day in days:
        for promotion_id, points in day.bonus_points.items():
            left[promotion_id] -= points
    return left


def wish_of(
    conversion: Conversion,
    agreed: Mapping[tuple[str, str], Corridor],
    left: Mapping[str, int],
    linked: LinkedMember | None = None,
) -> Wish:
    """What a household's brand orders for it, with what is `left` of the budgets; by its link where
    it is the `linked` member.
    """
    corridor = agreed[conversion.source, conversion.target]
    base = corridor.target_points(conversion.source_points)
    household = conversion.household_id
    extra = extra_of(corridor.offer, household, base, left) if corridor.offer else Extra()
    wish = Wish(
        source=conversion.source,
        target=conversion.target,
        member=household,
        source_points=conversion.source_points,
        target_points=base + extra.uplift_points + extra.bonus_points,
        agreement_id=corridor.agreement_id,
        reference=f"basket {conversion.purchase.basket_id}",
        segment=extra.segment,
        uplift_points=extra.uplift_points,
        promotion_id=extra.promotion_id,
        bonus_points=extra.bonus_points,
        asks=corridor.offer is not None and corridor.offer.is_asked_for,
    )
    return linked.ordered(wish) if linked else wish
