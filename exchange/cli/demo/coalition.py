"""The demo's coalition: ten brands, what their points are worth, and the terms between them. Pure.

A brand's point is worth a figure near one cent. The block rate of a corridor follows from both
figures less a spread, rounded down, so that no cycle of conversions can gain.
"""

from dataclasses import dataclass, replace

from exchange.cli.demo import offers
from exchange.cli.demo.households import BLOCK_POINTS
from exchange.cli.demo.offers import OFFERS, Offer
from partners.routes.route import RouteKind

CURRENCY = "USD"
SCALE = 6
SPREAD_PERCENT = 3
FEE_BASIS_POINTS = 100
TAX_CODE = "vat6"
MAXIMUM_POINTS = 100_000


@dataclass(frozen=True, slots=True)
class Brand:
    """A brand of the coalition; its program has its name."""

    partner_id: str
    legal_name: str
    price: int
    """Of one of its points, in millionths of a dollar."""
    net_debit_cap: int
    """In millionths of a dollar."""
    reached_by: RouteKind = RouteKind.STREAM
    """How instructions come to its program."""
    confirms: bool = False
    """Whether it agrees to nothing but this: a transfer to it commits by its own signed answer."""


BRANDS = (
    Brand("grocery", "Grocery Department", 10_000, 150_000_000, RouteKind.PULL),
    Brand("fuel", "Fuel Department", 12_500, 40_000_000),
    Brand("drug-gm", "Drug and General Merchandise", 9_000, 40_000_000, RouteKind.FILE),
    Brand("deli", "Delicatessen", 8_000, 20_000_000),
    Brand("produce", "Produce Department", 8_000, 20_000_000, RouteKind.HTTP),
    Brand("meat", "Meat Department", 10_000, 20_000_000, RouteKind.GRPC, confirms=True),
    Brand("pastry", "Pastry Department", 7_000, 10_000_000, RouteKind.SIMULATED),
    Brand("floral", "Floral Department", 6_000, 5_000_000),
    Brand("cosmetics", "Cosmetics Department", 11_000, 5_000_000),
    Brand("seafood-pckgd", "Packaged Seafood", 9_000, 5_000_000),
)


@dataclass(frozen=True, slots=True)
class Corridor:
    """The agreement from one brand to another."""

    source: Brand
    target: Brand
    target_units: int
    """Target points for a block of `BLOCK_POINTS`."""
    offer: Offer | None = None
    """Tiers and a bonus, where they were negotiated."""
    version: int = 1
    """Of the agreement."""
    is_confirmed: bool = False
    """Whether a transfer commits by the target's own signed answer."""

    @property
    def agreement_id(self) -> str:
        """Names the agreement."""
        return f"{self.source.partner_id}-{self.target.partner_id}"

    def target_points(self, source_points: int) -> int:
        """What a whole number of blocks becomes by the rate alone."""
        return source_points // BLOCK_POINTS * self.target_units


def corridors() -> dict[tuple[str, str], Corridor]:
    """Every corridor of the coalition by source and target, as its source proposes it."""
    return {
        (source.partner_id, target.partner_id): Corridor(
            source, target, target_units(source, target, SPREAD_PERCENT)
        )
        for source in BRANDS
        for target in BRANDS
        if source is not target
    }


def agreed_corridors() -> dict[tuple[str, str], Corridor]:
    """Every corridor as both brands agree on it in the end: some targets counter."""
    found = {
        ends: replace(corridor, is_confirmed=corridor.target.confirms)
        for ends, corridor in corridors().items()
    }
    for offer in OFFERS:
        proposed = found[offer.source, offer.target]
        units = target_units(proposed.source, proposed.target, offers.SPREAD_PERCENT)
        found[offer.source, offer.target] = replace(proposed, target_units=units, offer=offer)
    return found


def target_units(source: Brand, target: Brand, spread_percent: int) -> int:
    """What a block is worth at the target, less the spread."""
    return BLOCK_POINTS * source.price * (100 - spread_percent) // (target.price * 100)
