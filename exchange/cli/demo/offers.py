"""What some targets of the coalition ask for beyond a flat rate: tiers of members, and a bonus for
a time that two pay for. Pure.

A bonus and a tier add up, and no way back may gain by both: whoever offers them gives a lower rate.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from partners.agreement import BASIS_POINTS, HUB, Funder, Promotion, Segment
from partners.conversion import uplift_points

SPREAD_PERCENT = 6
"""Instead of the coalition's own, on a corridor with an offer."""
SILVER = Segment("silver", 41, 40)
GOLD = Segment("gold", 26, 25)
TIERS = (SILVER, GOLD)
RUNS_FOR = timedelta(days=1)
"""By the log's time, which is the time of the replay and not of the purchases."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A bonus for whoever converts points of `source` into points of `target`."""

    source: str
    target: str
    promotion_id: str
    bonus_basis_points: int
    budget_points: int
    funders: tuple[Funder, ...]
    is_asked_for: bool = False
    """Whether the source asks for a quote before it orders: the quote holds the bonus."""

    @property
    def other_funder(self) -> str:
        """The partner that pays a share and is not of this corridor; empty where there is none."""
        own = {HUB, self.source, self.target}
        return next((each.name for each in self.funders if each.name not in own), "")

    def bonus_points(self, base: int) -> int:
        """What the bonus adds to `base` points, rounded down as the exchange does."""
        return base * self.bonus_basis_points // BASIS_POINTS

    def promotion(self, begins: datetime) -> Promotion:
        """The promotion, as it stands in the terms."""
        return Promotion(
            self.promotion_id,
            self.bonus_basis_points,
            begins,
            begins + RUNS_FOR,
            self.budget_points,
            self.funders,
        )


ROAST = Offer(
    source="grocery",
    target="meat",
    promotion_id="sunday-roast",
    bonus_basis_points=600,
    budget_points=400,
    funders=(Funder("meat", 6_000), Funder("deli", 4_000)),
)
"""Its budget is used up within the week."""
GREENS = Offer(
    source="grocery",
    target="produce",
    promotion_id="five-a-day",
    bonus_basis_points=600,
    budget_points=50_000,
    funders=(Funder("produce", 5_000), Funder(HUB, 5_000)),
    is_asked_for=True,
)
OFFERS = (ROAST, GREENS)


@dataclass(frozen=True, slots=True)
class Extra:
    """What a conversion gets beyond the rate."""

    segment: str = ""
    uplift_points: int = 0
    promotion_id: str = ""
    bonus_points: int = 0


def tier_of(household_id: str) -> Segment | None:
    """The tier of a household: one in ten is gold, three are silver. It never changes."""
    place = zlib.crc32(household_id.encode()) % 10
    return GOLD if place == 0 else SILVER if place <= 3 else None


def extra_of(offer: Offer, household_id: str, base: int, left: Mapping[str, int]) -> Extra:
    """What `base` points get on top; `left` is what is left of the budgets, by promotion.

    A bonus that the budget does not cover is not granted in part.
    """
    tier = tier_of(household_id)
    bonus = offer.bonus_points(base)
    granted = bonus if bonus <= left[offer.promotion_id] else 0
    return Extra(
        tier.segment_id if tier else "",
        uplift_points(base, tier),
        offer.promotion_id if granted else "",
        granted,
    )
