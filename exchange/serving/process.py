"""One server process from its start to its stop: what is started, in which order, around what."""

import asyncio
import json
from contextlib import suppress

from exchange import server
from exchange.database import CONNECTION_ERRORS
from exchange.database_watch import DatabaseWatch, watching
from exchange.delivery.engine import Engine, delivering
from exchange.delivery.metrics import DeliveryMetrics
from exchange.delivery.service import Delivering
from exchange.delivery.sql_store import SqlDeliveryStore
from exchange.delivery.visits import visiting
from exchange.fold import Limits
from exchange.grpc_listener import Health, listening
from exchange.http_listener import http_listening, pages
from exchange.metrics import Metrics
from exchange.outbound.guards import Guards
from exchange.outbound.watch import ProgramMetrics
from exchange.readiness import Readiness
from exchange.serving.deployment import Deployment
from exchange.serving.programs import courier_of, look_ups_of, programs_of, visits_of
from exchange.serving.services import (
    channel_limits,
    course_of,
    descriptors,
    door_of,
    handlers,
    watching_of,
)
from partners.environment import Environment
from partners.operators.roles import ALL_ROLES, Role
from settlement.approval.silence import Silence, awaiting_silence
from settlement.calendar.metrics import WindowMetrics
from settlement.calendar.scheduler import Scheduler, scheduling
from settlement.overdue.reminding import OverdueMetrics, Reminding, reminding


async def serve_until_told(deployment: Deployment) -> None:
    """Start everything, innermost last, and stop it the other way round."""

    settings, log, database = deployment.settings, deployment.log, deployment.database
    loop = asyncio.get_running_loop()
    told = server.stop_request()

    def lost() -> None:
        loop.call_soon_threadsafe(watch.lost)

    def instructed() -> None:
        loop.call_soon_threadsafe(hurry.set)

    hurry = asyncio.Event()
    metrics = Metrics(lost, instructed)
    health = Health(tuple(each.full_name for each in descriptors()))
    watch = DatabaseWatch(database, metrics, log, health.turn)
    readiness = Readiness(database, watch, metrics)
    delivery_metrics = DeliveryMetrics(metrics.registry)
    window_metrics = WindowMetrics(metrics.registry)
    store = SqlDeliveryStore(database.engine)

    async def measure() -> None:
        await readiness.measure_windows()
        with suppress(*CONNECTION_ERRORS):
            delivery_metrics.waits(await store.backlog())

    page = pages(metrics.registry, readiness.reasons, measure)
    limits = Limits(settings.refusals_per_minute)
    async with (
        watching(watch),
        http_listening(page, settings.http) as http_address,
        server.exchange(
            database.engine,
            deployment.keys,
            deployment.audience,
            deployment.stored_from,
            limits,
            metrics,
            settings.queue_max,
            settings.batch_max,
            vouched_roles(deployment.environment),
        ) as exchange,
    ):
        door = door_of(settings, exchange.registry, metrics, log)
        watches = watching_of(exchange, settings, metrics)
        door.under_way.at_close(watches.stop)
        programs = programs_of(deployment, exchange)
        program_metrics = ProgramMetrics(metrics.registry)
        guards = Guards(programs.of, program_metrics, settings.circuit_open_seconds)

        async def answered(program: str) -> None:
            await store.worked_at(program)
            hurry.set()

        visits = visits_of(settings, exchange.registry, programs, guards, program_metrics, answered)
        courier = courier_of(exchange, store, delivery_metrics)
        delivering_service = Delivering(
            store, courier, exchange.registry, deployment.audience, server.now
        )
        engine = Engine(
            courier, lambda program: exchange.registry.current.route_of(program), guards.of, hurry
        )
        async with (
            programs,
            delivering(engine),
            scheduling(Scheduler(exchange.engine, exchange.submit, window_metrics)),
            awaiting_silence(Silence(course_of(exchange))),
            reminding(Reminding(course_of(exchange), server.now, OverdueMetrics(metrics.registry))),
            visiting(visits),
            listening(
                handlers(
                    exchange,
                    door,
                    look_ups_of(settings, exchange.registry, programs, guards),
                    watches,
                    delivering_service,
                    four_eyes=settings.four_eyes == "on",
                    simulates=programs.simulating is not None,
                ),
                deployment.keys,
                settings.listen,
                channel_limits(settings),
                door.under_way,
                health,
            ) as address,
        ):
            if settings.four_eyes == "off":
                log.warning("four_eyes is off: one operator may do what takes two")
            server.spare_the_collector()
            readiness.serves(exchange.sequencer)
            log.info("started", address=address, http=http_address, audience=deployment.audience)
            announce(address, deployment.audience, http_address, as_json=deployment.as_json)
            await told.wait()
            readiness.stops()
            log.info("stopping", calls=door.under_way.calls)
    server.leave_to_the_collector()


def vouched_roles(environment: Environment) -> frozenset[Role]:
    """What the host's own operators may do: in production only what makes others able to."""

    return frozenset((Role.OPERATOR,)) if environment is Environment.PRODUCTION else ALL_ROLES


def announce(address: str, audience: str, http_address: str, *, as_json: bool) -> None:
    """Say on standard output that calls are taken, in one line that a program can wait for."""
    if as_json:
        ready = {"event": "ready", "address": address, "audience": audience, "http": http_address}
        print(json.dumps(ready), flush=True)
    else:
        print(f"pointclear {audience} is ready on {address} (stop with Ctrl-C)", flush=True)
