"""How a household earns points and when it converts them. Pure.

Rules:

- A household earns one point per whole dollar of each purchase, at the brand of the purchase;
  the cents beyond the last whole dollar earn nothing.
- Before a purchase it converts, from every other brand where it holds at least one block, all
  whole blocks into points of the brand of the purchase: one conversion per brand it leaves, the
  brands in the order of their ids. It then pays with those points in that same purchase.
- So it only ever converts points it earned by buying, never points it converted before. No
  conversion waits for another or depends on a rate: one day's orders may be sent in any order
  and all at once.
- A plan assumes that every order commits. What was refused is given back afterwards with
  `give_back`, and the household tries again at a later purchase. No point can be spent twice
  that way: a refusal only ever leaves a household with more points than the plan assumed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

CENTS_PER_POINT = 100
BLOCK_POINTS = 50


@dataclass(frozen=True, slots=True)
class Purchase:
    """What one basket of one household spent at one brand."""

    purchased_at: datetime
    """Aware, UTC, to the second."""
    household_id: str
    basket_id: str
    brand: str
    cents: int
    """More than zero."""

    @property
    def business_date(self) -> date:
        """The date of the window that the purchase's conversions belong to."""
        return self.purchased_at.date()


@dataclass(frozen=True, slots=True)
class Conversion:
    """A household's wish, at one purchase, to turn points of one brand into another's."""

    purchase: Purchase
    """What the points will pay for; its brand is the target."""
    source: str
    source_points: int
    """Whole blocks, at least one."""

    @property
    def household_id(self) -> str:
        """The member reference in both programs."""
        return self.purchase.household_id

    @property
    def target(self) -> str:
        """The brand of the purchase."""
        return self.purchase.brand


Wallet = Mapping[str, int]
"""Brand → points that one household earned there and has not converted."""

Holdings = Mapping[str, Wallet]
"""Household → wallet. A household that never earned has no entry."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What households do over a run of purchases, were every order to commit."""

    conversions: tuple[Conversion, ...]
    """In the order of the purchases; within one purchase, by source."""
    holdings: Holdings
    """After the last purchase, all conversions debited."""


def points_earned(purchase: Purchase) -> int:
    """Points for the whole dollars of one purchase."""
    return purchase.cents // CENTS_PER_POINT


def conversions(
    wallet: Wallet, purchase: Purchase, block_points: int = BLOCK_POINTS
) -> tuple[Conversion, ...]:
    """What the owner of `wallet` converts before `purchase`: all whole blocks held elsewhere."""
    return tuple(
        Conversion(purchase, source, points - points % block_points)
        for source, points in sorted(wallet.items())
        if source != purchase.brand and points >= block_points
    )


def plan(
    holdings: Holdings, purchases: Iterable[Purchase], block_points: int = BLOCK_POINTS
) -> Plan:
    """Convert before each purchase and earn by it, in the order given.

    `holdings` stays as it was. Raises ValueError for a block of less than one point.
    """
    if block_points < 1:
        raise ValueError(f"a block is {block_points} points; it must be at least 1")
    planned: list[Conversion] = []
    wallets = {household: dict(wallet) for household, wallet in holdings.items()}
    for purchase in purchases:
        wallet = wallets.setdefault(purchase.household_id, {})
        for conversion in conversions(wallet, purchase, block_points):
            wallet[conversion.source] -= conversion.source_points
            planned.append(conversion)
        wallet[purchase.brand] = wallet.get(purchase.brand, 0) + points_earned(purchase)
    return Plan(tuple(planned), wallets)


def opening_holdings(earlier: Iterable[Purchase], block_points: int = BLOCK_POINTS) -> Holdings:
    """What households hold when a replay starts after `earlier` purchases.

    They lived by the same policy before; only their orders were never sent. Were they to hoard
    until the first day instead, that day would see several times the orders of any real one.
    """
    return plan({}, earlier, block_points).holdings


def give_back(holdings: Holdings, refused: Iterable[Conversion]) -> Holdings:
    """`holdings` with the points of refused conversions back at their sources."""
    wallets = {household: dict(wallet) for household, wallet in holdings.items()}
    for conversion in refused:
        wallet = wallets.setdefault(conversion.household_id, {})
        wallet[conversion.source] = wallet.get(conversion.source, 0) + conversion.source_points
    return wallets
