"""Whether a brand that answers slowly slows another's credits down.

Orders come at a rate that the exchange carries easily. Measured is the time from sending an order
to its credit's arrival at a brand that answers at once, while another brand takes two seconds for
each answer, and while that one answers at once too.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uuid_utils

from exchange.cli.connection import connect
from exchange.cli.profile import load_profile
from pointclear.partners.v1 import route_pb2
from tests.bench.load import SERVICE
from tests.bench.measures import Pair
from tests.bench.processes import Child, child

SLOW_S = 2.0
ORDERS_PER_S = 60
"""To all brands together; a third of the corridors lead to each of the two."""


@dataclass(frozen=True, slots=True)
class Brands:
    """The two that are watched: each the program of its own name."""

    fast: Child
    slow: Child
    fast_name: str
    slow_name: str


@contextmanager
def called(data_dir: Path, address: str, profiles: list[Path], log: Path) -> Iterator[Brands]:
    """Two brands' own programs, which the exchange calls for the length of the block."""
    fast, slow = profiles[:2]
    with child(command(fast), log) as one, child(command(slow), log) as other:
        brands = Brands(one, other, fast.name, slow.name)
        for name, each in ((fast.name, one), (slow.name, other)):
            set_route(data_dir, address, name, route_pb2.ROUTE_KIND_GRPC, each.answer()["address"])
        try:
            yield brands
        finally:
            for name in (fast.name, slow.name):
                set_route(data_dir, address, name, route_pb2.ROUTE_KIND_STREAM)


def command(profile: Path) -> list[str]:
    """The command line of a brand's program."""
    return [sys.executable, "-m", "tests.bench.brand", str(profile)]


def set_route(
    data_dir: Path, address: str, program: str, kind: route_pb2.RouteKind.ValueType, at: str = ""
) -> None:
    """Set a program's route."""
    with connect(load_profile(data_dir / "operator", address)) as operator:
        route = route_pb2.Route(program_id=program, kind=kind, address=at)
        request = route_pb2.SetRouteRequest(change_id=uuid_utils.uuid7().bytes, route=route)
        operator.call(operator.partners.SetRoute, request)


def pair(client: Child, address: str, brands: Brands, seconds: float) -> Pair:
    """The 99th of a hundred of the times to the fast brand, in milliseconds: with the other brand
    slow, and right after that with both fast.
    """
    return Pair(*(p99_ms(client, address, brands, seconds, delay_s) for delay_s in (SLOW_S, 0.0)))


def p99_ms(client: Child, address: str, brands: Brands, seconds: float, delay_s: float) -> float:
    """Of the times from an order to its credit's arrival at the fast brand."""
    brands.slow.ask(delay_s=delay_s)
    brands.fast.ask(delay_s=0)
    client.ask(do="sign", per_call=1, orders=round(2 * ORDERS_PER_S * seconds))
    sent = client.ask(
        do="pace",
        address=address,
        path=f"{SERVICE}/CreateTransfer",
        per_s=ORDERS_PER_S,
        seconds=seconds,
    )
    came_in = brands.fast.ask(delay_s=0)
    took = sorted(at - sent[name] for name, at in came_in.items() if name in sent)
    at: float = took[len(took) * 99 // 100]
    return 1000 * at
