"""Wires what calls brands' systems, and what brings them what they are to be told."""

import random
from datetime import timedelta

from adapters.by_route import CallingFiles, FileBatches, ProgramsByRoute, Simulating
from adapters.file_program.program import Rhythm
from exchange import server
from exchange.delivery.courier import Courier
from exchange.delivery.sql_store import SqlDeliveryStore, answer_digest
from exchange.delivery.visits import Answered, Visits
from exchange.delivery.watcher import Watcher
from exchange.outbound.backoff import pause_after
from exchange.outbound.guards import Guards
from exchange.outbound.watch import CallWatcher
from exchange.registry_view import RegistryView
from exchange.server import Exchange
from exchange.serving.deployment import Deployment
from exchange.settings import Settings
from exchange.simulated_keys import SimulatedKeys
from partners.environment import Environment
from partners.keys import Purpose
from partners.links.service import LookUps
from partners.program_port import ProgramPort
from partners.routes.route import Route, RouteKind


def programs_of(deployment: Deployment, exchange: Exchange) -> ProgramsByRoute:
    """What calls brands' systems."""

    folder = deployment.data_dir / "keys"
    settings = deployment.settings
    rhythm = Rhythm(
        age=timedelta(seconds=settings.file_batch_seconds),
        settled_after=timedelta(seconds=settings.file_settled_seconds),
    )
    simulating = Simulating(
        deployment.environment is Environment.SANDBOX, SimulatedKeys(deployment.data_dir).of
    )
    return ProgramsByRoute(
        deployment.audience,
        CallingFiles(folder / "ca.pem", folder / "calling-tls.pem", folder / "calling-tls-key.pem"),
        lambda: deployment.keys.signers[Purpose.RECEIPTS],
        lambda program: exchange.registry.current.programs[program],
        lambda key_id: exchange.registry.current.keys.get(key_id),
        server.now,
        FileBatches(deployment.data_dir / "deliveries", rhythm),
        None if deployment.environment is Environment.PRODUCTION else simulating,
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


def courier_of(exchange: Exchange, store: SqlDeliveryStore, watcher: Watcher) -> Courier:
    """What tells programs, and has the books say what they answered."""

    def pause(attempts: int) -> timedelta:
        return pause_after(attempts, random.random())

    return Courier(
        store,
        exchange.submit,
        answer_digest,
        lambda program: exchange.registry.current.programs[program],
        server.now,
        pause,
        watcher,
    )


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
