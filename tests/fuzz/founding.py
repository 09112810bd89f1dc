"""Founds the exchange that is fuzzed: the composition root's own handlers over a real sequencer and
a real database, with mutual TLS beside. The clock stands still.
"""

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog

from adapters.memory import MemoryProgram
from exchange import reads, server
from exchange.calls import Call
from exchange.cli.deployment.initialise import initialise, load_authority
from exchange.cli.partners.onboarding import make_partner_profile
from exchange.cli.profile import load_profile
from exchange.commands import Command
from exchange.delivery.service import Delivering
from exchange.delivery.sql_store import SqlDeliveryStore
from exchange.delivery.watcher import Watcher
from exchange.edge import Door
from exchange.fold import Limits
from exchange.grpc_listener import listening
from exchange.host_keys import HostKey, HostKeys, load_host_keys
from exchange.logs import log_call, mask_secrets, tell_exception
from exchange.metrics import Metrics
from exchange.serving import services
from exchange.serving.delivery import courier_of
from exchange.watching.service import Watching
from partners.caller import Caller
from partners.keys import Purpose
from partners.limits.values import CorridorLimits
from partners.links.service import LookUps
from partners.operators.commands import ChangeRoles
from partners.operators.roles import ALL_ROLES
from partners.routes.route import Route, RouteKind
from partners.signers import Signers
from pointclear.partners.v1 import agreement_pb2
from tests import factories as make
from tests.database import Database, databases
from tests.fuzz.house import House
from tests.fuzz.requests import (
    CREDITED,
    HELD_ORDERS,
    OPERATOR,
    PROPOSED,
    RESERVED,
    TO_REVERSE,
)
from tests.fuzz.witness import Witness
from tests.processes import folder

STATEMENTS = make.signer("exchange", Purpose.STATEMENTS)
LOG = make.signer("exchange", Purpose.LOG)
LINKS = (
    make.start_link(1),
    make.confirm_link(1),
    make.start_link(2, "fuel", "grocery"),
    make.start_link(4, "grocery", "deli"),
)
"""One that is active, one that waits for the partner, and one that anything may become of."""
CONFIRMED = make.agreement_payload(
    "deli", "grocery", version=3, credit_mode=agreement_pb2.CREDIT_MODE_CONFIRMED
)
REVIEWED = CorridorLimits("grocery", "fuel", review_above_points=1)
HELD: tuple[Command, ...] = (
    make.set_limits(801, REVIEWED),
    *map(make.an_order, HELD_ORDERS),
    make.set_limits(802, CorridorLimits("grocery", "fuel")),
)
"""Transfers that wait for an operator, of a corridor in which no more are held."""
TOLD: tuple[Command, ...] = (
    *make.in_force(CONFIRMED),
    make.set_route(803, Route("grocery", RouteKind.PULL)),
    make.an_order(CREDITED, make.terms("fuel", "grocery")),
    make.an_order(RESERVED, make.terms_of(CONFIRMED)),
)
"""A credit that grocery is to be told of, and a transfer that waits for its answer."""
LOOK_UPS = LookUps(dict.fromkeys(make.BRANDS, MemoryProgram()).get, 10_000, 0.001)
HOST_KEYS = (
    HostKey("exchange", Purpose.RECEIPTS, make.RECEIPTS.public_key),
    HostKey("exchange", Purpose.STATEMENTS, STATEMENTS.public_key),
    HostKey("exchange", Purpose.LOG, LOG.public_key),
    HostKey("operator/operator", Purpose.OPERATOR, OPERATOR.public_key),
)
UNBOUNDED = 10**9


@contextmanager
def house(patch: pytest.MonkeyPatch) -> Iterator[House]:
    """An exchange with a coalition that has transferred, closed a window and settled it."""
    patch.setattr(server, "now", lambda: make.NOW)
    with databases() as postgres, folder() as home, asyncio.Runner() as runner:
        database = postgres.migrated()
        data_dir = home / "data"
        initialise(data_dir, make.AUDIENCE, "localhost:0", datetime.now(UTC))
        keys = replace(
            load_host_keys(data_dir),
            signers=Signers(
                {
                    Purpose.RECEIPTS: (make.RECEIPTS,),
                    Purpose.STATEMENTS: (STATEMENTS,),
                    Purpose.LOG: (LOG,),
                }
            ),
            public_keys=HOST_KEYS,
        )
        ended: list[Call] = []
        stack = AsyncExitStack()
        exchange = runner.run(stack.enter_async_context(opened(database, keys)))
        try:
            runner.run(found(exchange, database))
            door = a_door(ended, exchange.registry.require)
            watching = Watching(exchange.engine, keys.signers, UNBOUNDED)
            store = SqlDeliveryStore(exchange.engine)
            courier = courier_of(exchange, store, Watcher())
            delivering = Delivering(
                store, courier, exchange.registry, make.AUDIENCE, lambda: make.NOW
            )
            handlers = services.handlers(
                exchange, door, LOOK_UPS, watching, delivering, four_eyes=False
            )
            listener = listening(handlers, keys, "127.0.0.1:0")
            address = runner.run(stack.enter_async_context(listener))
            channels = runner.run(connected(stack, data_dir, address))
            with database.connection() as watching:
                yield House(runner, handlers, channels, Witness(watching), ended)
        finally:
            runner.run(stack.aclose())
            database.close()


def opened(database: Database, keys: HostKeys) -> Any:
    """The exchange over a database that serves it from yesterday on."""
    with database.connection() as connection:
        reads.QUERIES.claim_audience(connection, audience=make.AUDIENCE)
        reads.QUERIES.ensure_request_partitions(connection, now=make.NOW)
    yesterday = make.NOW - timedelta(days=1)
    # All refusals fall into the one minute that there is.
    limits = Limits(refusals_per_minute=UNBOUNDED)
    return server.exchange(database.engine(), keys, make.AUDIENCE, yesterday, limits)


async def found(exchange: server.Exchange, database: Database) -> None:
    """Partners, keys and agreements; every version of these is signed, the first is in force."""
    # The exchange's own key is the host's to register.
    for command in (*make.founding()[1:], *LINKS):
        await exchange.carry_out(command)
    for each in (*HELD, *TOLD, TO_REVERSE):
        await exchange.carry_out(each)
    for payload in PROPOSED:
        await exchange.carry_out(make.propose(payload))
    await exchange.carry_out(ChangeRoles("li-na", "found", grant=ALL_ROLES, new=True))


async def connected(
    stack: AsyncExitStack, data_dir: Path, address: str
) -> dict[str, grpc.aio.Channel]:
    """Channels of the operator and a partner, closed with the stack."""
    authority = load_authority(data_dir)
    directories = {"operator": data_dir / "operator", "grocery": data_dir / "grocery"}
    make_partner_profile(
        directories["grocery"], authority, "grocery", address, make.AUDIENCE, datetime.now(UTC)
    )
    target = f"localhost:{address.rpartition(':')[2]}"
    channels = {}
    for name, directory in directories.items():
        profile = load_profile(directory)
        credentials = grpc.ssl_channel_credentials(
            profile.authority, profile.tls_key, profile.certificate
        )
        channel = grpc.aio.secure_channel(target, credentials)
        channels[name] = await stack.enter_async_context(channel)
    return channels


def a_door(ended: list[Call], require: Callable[[Caller, str], Awaitable[None]]) -> Door:
    """A door with no rate in anybody's way, that has what a server's metrics and logs have."""
    log = structlog.wrap_logger(
        structlog.PrintLogger(io.StringIO()),
        processors=[
            structlog.stdlib.add_log_level,
            tell_exception,
            mask_secrets,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.BoundLogger,
    )
    metrics = Metrics()

    def tell(call: Call) -> None:
        ended.append(call)
        metrics.ended(call)
        log_call(log, call)

    return Door(require=require, ended=tell)
