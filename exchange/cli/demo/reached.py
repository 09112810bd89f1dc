"""The brands of the demo by how instructions come to their programs, and what came of these."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from exchange.cli.demo.coalition import BRANDS
from exchange.cli.demo.deliveries import Deliveries, Told
from partners.routes.route import RouteKind


@dataclass(frozen=True, slots=True)
class Reached:
    """What became of all that one brand's program was told."""

    brand: str
    kind: str
    """Of its route."""
    confirms: bool
    """Whether transfers to it commit by its answers."""
    instructions: int
    """Transfers to it that were committed or reserved."""
    answered: int
    attempts: int
    """Calls that were made; of a brand that fetches, how often it was handed an instruction."""
    declined: int
    longest_wait_s: float
    """From an order to when its instruction was last seen to wait, as far as looks are frequent."""


def reached_by_kind(instructions: Mapping[str, int], deliveries: Deliveries) -> Iterator[Reached]:
    """Every brand with a program that is told. Raises Failed."""
    told = deliveries.told()
    for brand in BRANDS:
        if brand.reached_by is not RouteKind.STREAM:
            name = brand.partner_id
            own = told.get(name, Told())
            yield Reached(
                name,
                str(brand.reached_by),
                brand.confirms,
                instructions.get(name, 0),
                own.answered,
                own.attempts,
                own.declined,
                round(deliveries.longest_s.get(name, 0.0), 1),
            )
