"""The composition root: it wires the parts, and nothing imports it. `pointclear` and `python -m
exchange` start here.

Server libraries are imported when a server starts, so that a partner's installation without them
has all other commands.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from exchange.cli.app import MigrateOptions, ServeOptions, Wiring, build_app
from exchange.cli.demo.coalition import CURRENCY
from exchange.cli.wiring import Fault, FsckOptions, Told

if TYPE_CHECKING:
    import grpc
    from google.protobuf.descriptor import ServiceDescriptor

    from adapters.by_route import ProgramsByRoute
    from exchange.cli.conformance_command import Checked, ConformanceOrder
    from exchange.cli.demo.settlement_day import Payment
    from exchange.cli.sample_commands import SampleOrder, SamplePapers
    from exchange.cli.sandbox_commands import BankOrder
    from exchange.database import Database
    from exchange.delivery.courier import Courier
    from exchange.delivery.service import Delivering
    from exchange.delivery.sql_store import SqlDeliveryStore
    from exchange.delivery.visits import Answered, Visits
    from exchange.delivery.watcher import Watcher
    from exchange.edge import Door
    from exchange.grpc_listener import ChannelLimits
    from exchange.host_keys import HostKeys
    from exchange.logs import Logger
    from exchange.metrics import Metrics
    from exchange.outbound.guards import Guards
    from exchange.outbound.watch import CallWatcher
    from exchange.registry_view import RegistryView
    from exchange.server import Exchange
    from exchange.settings import Settings
    from exchange.watching.service import Watching
    from partners.environment import Environment
    from partners.links.service import LookUps
    from partners.operators.roles import Role
    from partners.program_port import ProgramPort
    from partners.routes.route import Route


def main() -> None:
    """Run the command line."""
    app = build_app(Wiring(serve=serve, migrate=migrate, config=config, fsck=fsck))
    # These import gRPC, which `build_app` has told how to behave.
    from exchange.cli.demo.command import add_demo_command
    from exchange.cli.sandbox_commands import add_sandbox_commands

    add_demo_command(app, simulated_bank)
    add_sandbox_commands(app, sandbox_bank, sandbox_papers)
    from exchange.cli.conformance_command import add_conformance_command

    add_conformance_command(app, conform)
    app()


def conform(order: "ConformanceOrder") -> "list[Checked]":
    """Check a brand's own system as the exchange would call it; raises PointclearError when that
    cannot begin.
    """
    from adapters.trial import Trial, keys_for_orders, tried
    from exchange import host_keys, server
    from exchange.cli.conformance_command import Checked
    from exchange.errors import CannotStart
    from partners.keys import Purpose

    audience, _ = server.load_deployment(order.data_dir)
    folder = order.data_dir / "keys"
    if host_keys.load_calling_tls(order.data_dir) is None:
        raise CannotStart(
            f"{folder / 'calling-tls.pem'} is missing",
            "put a certificate with the URI pointclear://exchange/<audience> there, and its key",
        )
    trial = Trial(
        order.address,
        order.partner_id,
        order.program,
        audience,
        keys_for_orders(order.partner_id, order.orders_keys),
        order.authority or folder / "ca.pem",
        folder / "calling-tls.pem",
        folder / "calling-tls-key.pem",
        host_keys.load_signers(folder)[Purpose.RECEIPTS][0],
        order.member,
        order.unknown_member,
        order.points,
        order.codes,
        order.reversals,
        order.timeout_s,
        order.attempts,
    )
    return [Checked(each.name, each.fault) for each in asyncio.run(tried(trial))]


def simulated_bank(
    statement_id: str, booking_date: date, opening: Decimal, payments: "Sequence[Payment]"
) -> tuple[bytes, Decimal]:
    """The bank that the demo settles through: it books whatever it is asked to."""
    from settlement.bank_simulator import PaymentRequest, bank_day

    requests = [
        PaymentRequest(each.direction, each.amount, each.reference, each.partner)
        for each in payments
    ]
    day = bank_day(statement_id, CURRENCY, booking_date, opening, requests)
    return day.content, day.closing


def sandbox_bank(order: "BankOrder") -> tuple[bytes, Decimal]:
    """The bank of a sandbox: its file, and the balance with which that closes; raises ValueError
    for an earlier file that is none of the bank's.
    """
    from settlement.bank_simulator import (
        Payer,
        PaymentRequest,
        bank_day,
        booked_on,
        closing_of,
        paid_by,
    )

    seen = []
    for each in order.payments:
        request = PaymentRequest(each.direction, each.amount, each.reference, each.partner)
        punctual = order.partner not in ("", each.partner)
        seen.append(paid_by(request, Payer.ON_TIME if punctual else Payer(order.mode)))
    opening = closing_of(order.after) if order.after else Decimal("0.00")
    day = bank_day(
        order.statement_id,
        order.currency,
        booked_on(order.booking_date, Payer(order.mode)),
        opening,
        [each for each in seen if each is not None],
    )
    return day.content, day.closing


def sandbox_papers(order: "SampleOrder") -> "SamplePapers":
    """Sample papers for a partner of a sandbox; raises Failed where the server's libraries, by
    which they are stated, are not installed.
    """
    from exchange.cli.demo.archive import PublicKey
    from exchange.cli.failure import unavailable
    from exchange.cli.sample_commands import SamplePapers
    from partners.key_events import EXCHANGE

    try:
        from settlement.sample.folder import sample
        from settlement.sample.wire import Brand
    except ImportError as error:
        raise unavailable(
            f"stating needs {error.name}", "Install it: pip install 'pointclear[server]'."
        ) from None

    own = Brand(order.partner_id, order.legal_name, order.program)
    made = sample(order.audience, own, order.currency, order.seed)
    return SamplePapers(
        made.files,
        tuple(PublicKey(key, EXCHANGE, purpose) for purpose, key in made.keys.items()),
        tuple((each.kind, str(each.transfer_id), each.what) for each in made.planted),
    )


def serve(options: ServeOptions) -> None:
    """Run a server until it is told to stop; raises PointclearError, with one line, when it cannot
    start.
    """
    from exchange import database, host_keys, logs, server, settings

    server.leave_when_told()
    loaded = settings.load(dict(options.settings), options.data_dir, options.config).settings
    log = logs.start_logging(loaded.log_format, loaded.log_level, sys.stderr)
    # First what only `init` makes: a directory that it never made has no keys either.
    audience, environment = server.load_deployment(options.data_dir)
    server.check_four_eyes(loaded.four_eyes == "on", environment)
    keys = host_keys.load_host_keys(options.data_dir, loaded.token_uris())
    with database.service_database(
        options.data_dir, loaded.database_url, loaded.pool_size, log.info
    ) as opened:
        stored_from = database.claim(opened.engine, audience, environment)
        deployment = Deployment(
            loaded,
            options.data_dir,
            keys,
            audience,
            environment,
            stored_from,
            opened,
            log,
            options.json,
        )
        with asyncio.Runner(loop_factory=server.loop_factory()) as runner:
            runner.run(serve_until_told(deployment))
    log.info("stopped")


@dataclass(frozen=True, slots=True)
class Deployment:
    """What one server process serves with."""

    settings: "Settings"
    data_dir: Path
    keys: "HostKeys"
    audience: str
    environment: "Environment"
    stored_from: datetime
    database: "Database"
    log: "Logger"
    as_json: bool


async def serve_until_told(deployment: Deployment) -> None:
    """Start everything, innermost last, and stop it the other way round."""
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


def vouched_roles(environment: "Environment") -> "frozenset[Role]":
    """What the host's own operators may do: in production only what makes others able to."""
    from partners.environment import Environment
    from partners.operators.roles import ALL_ROLES, Role

    return frozenset((Role.OPERATOR,)) if environment is Environment.PRODUCTION else ALL_ROLES


def door_of(
    settings: "Settings", registry: "RegistryView", metrics: "Metrics", log: "Logger"
) -> "Door":
    """The edge's rates, limits and watchers."""
    from exchange.calls import Call
    from exchange.edge import Door
    from exchange.logs import log_call
    from exchange.rate_limit import CallerRates, Rate
    from partners.caller import Caller

    rates = CallerRates(Rate(settings.orders_per_second, settings.orders_burst))

    def spend(caller: Caller, cost: int) -> None:
        if not caller.is_operator:
            rates.spend(caller.holder, cost, time.monotonic_ns())

    def ended(call: Call) -> None:
        metrics.ended(call)
        log_call(log, call)

    return Door(
        settings.message_bytes_max,
        settings.large_message_bytes_max,
        registry.require,
        spend,
        ended,
        metrics.database_lost,
    )


def channel_limits(settings: "Settings") -> "ChannelLimits":
    """What gRPC itself is told."""
    from exchange.edge import RECEIVE_SPARE_BYTES
    from exchange.grpc_listener import ChannelLimits

    largest = max(settings.message_bytes_max, settings.large_message_bytes_max)
    return ChannelLimits(
        largest + RECEIVE_SPARE_BYTES,
        settings.metadata_bytes_max,
        settings.concurrent_streams_max,
        settings.connection_age_seconds,
        settings.connection_age_grace_seconds,
        settings.grace_seconds,
    )


def descriptors() -> "tuple[ServiceDescriptor, ...]":
    """The services of the wire."""
    from pointclear.exchange.v1 import exchange_service_pb2
    from pointclear.partners.v1 import (
        action_service_pb2,
        link_service_pb2,
        operator_service_pb2,
        partners_service_pb2,
    )
    from pointclear.settlement.v1 import settlement_service_pb2

    return (
        exchange_service_pb2.DESCRIPTOR.services_by_name["ExchangeService"],
        partners_service_pb2.DESCRIPTOR.services_by_name["PartnersService"],
        link_service_pb2.DESCRIPTOR.services_by_name["LinkService"],
        operator_service_pb2.DESCRIPTOR.services_by_name["OperatorService"],
        action_service_pb2.DESCRIPTOR.services_by_name["ActionService"],
        settlement_service_pb2.DESCRIPTOR.services_by_name["SettlementService"],
    )


def new_id() -> UUID:
    """A UUID version 7 of this moment."""
    import uuid_utils

    return UUID(bytes=uuid_utils.uuid7().bytes)


def programs_of(deployment: "Deployment", exchange: "Exchange") -> "ProgramsByRoute":
    """What calls brands' systems."""
    from adapters.by_route import CallingFiles, FileBatches, ProgramsByRoute, Simulating
    from adapters.file_program.program import Rhythm
    from exchange.server import now
    from exchange.simulated_keys import SimulatedKeys
    from partners.environment import Environment
    from partners.keys import Purpose

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
        now,
        FileBatches(deployment.data_dir / "deliveries", rhythm),
        None if deployment.environment is Environment.PRODUCTION else simulating,
    )


def visits_of(
    settings: "Settings",
    registry: "RegistryView",
    programs: "ProgramsByRoute",
    guards: "Guards",
    watcher: "CallWatcher",
    answered: "Answered",
) -> "Visits":
    """What looks after programs that take files."""
    from exchange.delivery.visits import Visits
    from partners.routes.route import RouteKind

    def routes() -> "list[Route]":
        known = registry.current.routes.values()
        return [each for each in known if each.kind is RouteKind.FILE]

    def closed(route: "Route") -> bool:
        guarded = guards.of(route)
        return guarded is None or guarded.closed_until() is not None

    every_s = settings.file_visit_seconds
    return Visits(routes, programs.visit, closed, every_s, watcher, answered)


def courier_of(exchange: "Exchange", store: "SqlDeliveryStore", watcher: "Watcher") -> "Courier":
    """What tells programs, and has the books say what they answered."""
    from exchange.delivery.courier import Courier
    from exchange.delivery.sql_store import answer_digest
    from exchange.outbound.backoff import pause_after
    from exchange.server import now

    def pause(attempts: int) -> timedelta:
        return pause_after(attempts, random.random())

    return Courier(
        store,
        exchange.submit,
        answer_digest,
        lambda program: exchange.registry.current.programs[program],
        now,
        pause,
        watcher,
    )


def look_ups_of(
    settings: "Settings", registry: "RegistryView", programs: "ProgramsByRoute", guards: "Guards"
) -> "LookUps":
    """How members are looked up: in the programs that are called, and in those that are simulated
    by the settings.
    """
    from partners.links.service import LookUps

    simulated = {name.strip() for name in (settings.simulated_programs or "").split(",")}

    def port_of(program: str) -> "ProgramPort | None":
        if program in simulated:
            return programs.simulated(program)
        return guards.of(registry.current.route_of(program))

    return LookUps(port_of, settings.look_ups_per_day, settings.look_up_seconds)


def watching_of(exchange: "Exchange", settings: "Settings", metrics: "Metrics") -> "Watching":
    """Partners' streams as they grow."""
    from exchange.watching.service import Watching

    return Watching(
        exchange.engine, exchange.keys.signers, settings.watches_per_partner, metrics.watches_open
    )


def handlers(
    exchange: "Exchange",
    door: "Door",
    look_ups: "LookUps",
    watches: "Watching",
    delivering: "Delivering",
    *,
    four_eyes: bool = True,
    simulates: bool = True,
) -> tuple["grpc.GenericRpcHandler", ...]:
    """Every service, given what it needs and no more."""
    from exchange.dispatch import dispatch_to
    from exchange.edge import service_handler
    from exchange.forgetting import empty_orders
    from exchange.server import now
    from exchange.service import ExchangeService
    from partners.actions.service import ActionService
    from partners.links.service import LinkService
    from partners.operators.service import OperatorService
    from partners.service import PartnersService
    from settlement.service import SettlementService

    engine, audience, signers = exchange.engine, exchange.audience, exchange.keys.signers
    named = {each.name: each for each in descriptors()}
    plain = {
        "ExchangeService": ExchangeService(
            engine,
            exchange.sequencer.submit,
            exchange.registry,
            audience,
            signers,
            exchange.stored_from,
            now,
            watches,
            delivering,
        ),
        "PartnersService": PartnersService(
            engine, exchange.carry_out, exchange.registry, audience, now, simulates=simulates
        ),
        "LinkService": LinkService(
            engine,
            exchange.carry_out,
            exchange.registry,
            audience,
            look_ups,
            empty_orders,
            now,
            new_id,
        ),
        "OperatorService": OperatorService(
            exchange.carry_out, exchange.registry, audience, exchange.keys.certifiers, now
        ),
        "SettlementService": SettlementService(engine, exchange.submit, audience, signers),
    }
    dispatch = dispatch_to(
        ((named[name], each) for name, each in plain.items()), door.message_bytes_max
    )
    acting = ActionService(
        engine,
        exchange.carry_out,
        exchange.registry,
        audience,
        dispatch,
        now,
        four_eyes=four_eyes,
    )
    return tuple(
        service_handler(named[name], each, door)
        for name, each in {**plain, "ActionService": acting}.items()
    )


def config(options: ServeOptions) -> "list[tuple[str, Any, str]]":
    """Every setting with its value and where that came from; raises PointclearError when one is not
    valid.
    """
    from exchange import settings

    return settings.load(dict(options.settings), options.data_dir, options.config).shown()


def migrate(options: MigrateOptions) -> None:
    """Bring the database to this program's revision; raises PointclearError when it cannot."""
    from exchange import database, embedded_postgres

    if options.database_url is not None:
        database.migrate_at(options.database_url, say)
        return
    with embedded_postgres.start(Path(options.data_dir), say=say) as running:
        database.migrate_at(running.url(embedded_postgres.OWNER_ROLE), say)


def fsck(options: FsckOptions, told: Told) -> list[Fault]:
    """Everything in the database that breaks a rule of the books, or is not what was signed and
    logged; raises PointclearError when it cannot look.

    It may run beside a server: it reads one snapshot, and changes nothing.
    """
    from exchange import database, embedded_postgres
    from settlement.evidence import check_evidence, rows_to_check
    from settlement.invariants import check_books

    def look(connection: Any) -> list[Fault]:
        findings = list(check_books(connection))
        done, total = 0, rows_to_check(connection)

        def progress(rows: int) -> None:
            nonlocal done
            done += rows
            told(done, total)

        findings += check_evidence(connection, progress)
        return [Fault(each.rule, each.subject, each.found) for each in findings]

    if options.database_url is not None:
        return database.read_at(options.database_url, look)
    with embedded_postgres.start(Path(options.data_dir), say=say) as running:
        return database.read_at(running.url(embedded_postgres.SERVICE_ROLE), look)


def announce(address: str, audience: str, http_address: str, *, as_json: bool) -> None:
    """Say on standard output that calls are taken, in one line that a program can wait for."""
    if as_json:
        ready = {"event": "ready", "address": address, "audience": audience, "http": http_address}
        print(json.dumps(ready), flush=True)
    else:
        print(f"pointclear {audience} is ready on {address} (stop with Ctrl-C)", flush=True)


def say(text: str) -> None:
    """Tell the operator what is going on."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
