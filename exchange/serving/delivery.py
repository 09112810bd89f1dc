"""Wires what brings brands' systems what they are to be told."""

import random
from dataclasses import dataclass
from datetime import timedelta

from adapters.by_route import ProgramsByRoute
from exchange import server
from exchange.delivery.courier import Courier
from exchange.delivery.engine import Engine
from exchange.delivery.service import Delivering
from exchange.delivery.sql_store import SqlDeliveryStore, answer_digest
from exchange.delivery.visits import Answered, Visits
from exchange.delivery.watcher import Watcher
from exchange.outbound.backoff import pause_after
from exchange.outbound.guards import Guards
from exchange.outbound.watch import CallWatcher, ProgramMetrics
from exchange.registry_view import RegistryView
from exchange.server import Exchange
from exchange.serving.signs import Signs
from exchange.settings import Settings
from partners.links.service import LookUps
from partners.program_port import ProgramPort
from partners.routes.route import Route, RouteKind


@dataclass(frozen=True, slots=True)
class Delivery:
    """The parts that deliver, for one process."""

    engine: Engine
    visits: Visits
    calls: Delivering
    """Those of brands that fetch what they are to be told."""
    look_ups: LookUps


def delivery_of(
    settings: Settings,
    exchange: Exchange,
    programs: ProgramsByRoute,
    instructions: SqlDeliveryStore,
    signs: Signs,
) -> Delivery:
    """One guard stands before each program, whoever calls it."""
    registry = exchange.registry
    watcher = ProgramMetrics(signs.metrics.registry)
    guards = Guards(programs.of, watcher, settings.circuit_open_seconds)
    courier = courier_of(exchange, instructions, signs.delivery_metrics)

    async def answered(program: str) -> None:
        await instructions.worked_at(program)
        signs.hurry.set()

    return Delivery(
        Engine(courier, lambda program: registry.current.route_of(program), guards.of, signs.hurry),
        visits_of(settings, registry, programs, guards, watcher, answered),
        Delivering(instructions, courier, registry, exchange.audience, server.now),
        look_ups_of(settings, registry, programs, guards),
    )


def courier_of(exchange: Exchange, instructions: SqlDeliveryStore, watcher: Watcher) -> Courier:
    """What tells programs, and has the books say what they answered."""

    def pause(attempts: int) -> timedelta:
        return pause_after(attempts, random.random())

    return Courier(
        instructions,
        exchange.submit,
        answer_digest,
        lambda program: exchange.registry.current.programs[program],
        server.now,
        pause,
        watcher,
    )


def visits_of(
    settings: Settings,
    registry: RegistryView,
    programs: ProgramsByRoute,
    guards: Guards,
    watcher: CallWatcher,
    answered: Answered,
) -> Visits:
    """What looks after programs that take files."""

    def routes() -> list[Route]:
        known = registry.current.routes.values()
        return [each for each in known if each.kind is RouteKind.FILE]

    def closed(route: Route) -> bool:
        guarded = guards.of(route)
        return guarded is None or guarded.closed_until() is not None

    every_s = settings.file_visit_seconds
    return Visits(routes, programs.visit, closed, every_s, watcher, answered)


def look_ups_of(
    settings: Settings, registry: RegistryView, programs: ProgramsByRoute, guards: Guards
) -> LookUps:
    """How members are looked up: in the programs that are called, and in those that are simulated
    by the settings.
    """
    simulated = {name.strip() for name in (settings.simulated_programs or "").split(",")}

    def port_of(program: str) -> ProgramPort | None:
        if program in simulated:
            return programs.simulated(program)
        return guards.of(registry.current.route_of(program))

    return LookUps(port_of, settings.look_ups_per_day, settings.look_up_seconds)
