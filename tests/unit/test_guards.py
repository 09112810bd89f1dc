"""Every program that one process calls, behind its own policy; none is held back by another."""

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from adapters.memory import MemoryProgram
from exchange.delivery.courier import Courier
from exchange.delivery.engine import Engine
from exchange.outbound.guards import Guards
from exchange.outbound.watch import UNWATCHED
from partners.program_port import ProgramPort
from partners.routes.route import Route, RouteKind

ROUTE = Route("fuel", RouteKind.SIMULATED, calls_max=3)


def test_a_program_keeps_its_guard_as_long_as_its_route_stays() -> None:
    guards = Guards(lambda _: MemoryProgram(), UNWATCHED)
    first = guards.of(ROUTE)
    assert first is not None
    assert guards.of(replace(ROUTE)) is first
    changed = guards.of(replace(ROUTE, calls_max=5))
    assert changed is not first
    assert changed is not None
    assert changed.instructions_max == 4


def test_a_program_that_nothing_calls_has_no_guard() -> None:
    assert Guards(lambda _: None, UNWATCHED).of(ROUTE) is None


def test_a_route_that_cannot_be_used_is_said_once_and_is_nobodys_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def port_of(route: Route) -> ProgramPort:
        raise FileNotFoundError("ca.pem")

    guards = Guards(port_of, UNWATCHED)
    with caplog.at_level(logging.ERROR):
        assert guards.of(ROUTE) is None
        assert guards.of(ROUTE) is None
    assert len(caplog.records) == 1
    assert "fuel" in caplog.text


def test_one_programs_route_that_breaks_leaves_no_other_waiting() -> None:
    begun: list[str] = []

    async def due() -> list[str]:
        return ["broken", "well"]

    async def claim(program: str, most: int, lease: timedelta, *, in_turn: bool) -> list[Any]:
        begun.append(f"{program} {most}")
        return []

    def route_of(program: str) -> Route:
        if program == "broken":
            raise KeyError(program)
        return replace(ROUTE, program=program)

    courier = cast(Courier, SimpleNamespace(store=SimpleNamespace(due=due, claim=claim)))

    async def look() -> None:
        guards = Guards(lambda _: MemoryProgram(), UNWATCHED)
        await Engine(courier, route_of, guards.of, asyncio.Event()).begin_due()

    asyncio.run(look())
    assert begun == ["well 2"]
