"""The gRPC listener: mutual TLS, bounds on connections, health, reflection, and a graceful stop.

Every caller needs a certificate, also one that only asks for health; see `http_listener` for what
can be asked without.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from exchange.edge import RECEIVE_BYTES_MAX, UnderWay
from exchange.errors import CannotStart
from exchange.host_keys import HostKeys

STATES = health_pb2.HealthCheckResponse

KEEPALIVE_S = 20
"""How often a connection with calls under way is asked whether its other end lives."""
KEEPALIVE_ANSWER_S = 10
"""How long that may take: a watch whose client lost its network is over within half a minute."""
CLIENT_PINGS_S = 10
"""How often a client may ask the same."""
QUIET_S = 0.1
"""A stop waits until no call came for this long, lest one is just coming."""
POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class ChannelLimits:
    """What bounds connections and calls below the edge."""

    receive_bytes_max: int = RECEIVE_BYTES_MAX
    metadata_bytes_max: int = 16 * 1024
    concurrent_streams_max: int = 1024
    """Calls under way on one connection."""
    connection_age_s: int = 1800
    """When a connection is asked to make itself anew, so that idle streams do not stay for ever."""
    connection_age_grace_s: int = 60
    grace_s: float = 10
    """How long a graceful stop waits for calls under way."""


class Health:
    """The standard health service: of the server as a whole, and of each service."""

    def __init__(self, services: tuple[str, ...]) -> None:
        self._services = ("", *services)
        self.servicer = health.aio.HealthServicer()

    async def turn(self, up: bool) -> None:
        """Say whether the services can be used. After `stop` it changes nothing."""
        status = STATES.SERVING if up else STATES.NOT_SERVING
        for service in self._services:
            await self.servicer.set(service, status)

    async def stop(self) -> None:
        """Say, for good, that the services can no longer be used."""
        await self.servicer.enter_graceful_shutdown()


@asynccontextmanager
async def listening(
    handlers: tuple[grpc.GenericRpcHandler, ...],
    keys: HostKeys,
    listen: str,
    limits: ChannelLimits = ChannelLimits(),
    under_way: UnderWay | None = None,
    health_service: Health | None = None,
) -> AsyncIterator[str]:
    """Serve on `listen` with mutual TLS, health and reflection; gives the address with its port. On
    leaving, health says so first, then calls under way may finish.

    Raises CannotStart when the port is taken.
    """
    server = grpc.aio.server(handlers=handlers, options=channel_options(limits))
    names = tuple(
        each.service_name() for each in handlers if isinstance(each, grpc.ServiceRpcHandler)
    )
    reflected = list(names)
    if health_service is not None:
        health_pb2_grpc.add_HealthServicer_to_server(health_service.servicer, server)
        reflected.append(health.SERVICE_NAME)
        reflection.enable_server_reflection((*reflected, reflection.SERVICE_NAME), server)
        await health_service.turn(up=True)
    credentials = grpc.ssl_server_credentials(
        [(keys.tls_key, keys.tls_certificate)], keys.ca_certificate, require_client_auth=True
    )
    try:
        port = server.add_secure_port(listen, credentials)
    except RuntimeError as error:
        raise CannotStart(
            f"cannot listen on {listen}",
            "the port is in use or not this host's; choose another --listen",
        ) from error
    await server.start()
    try:
        yield f"{listen.rpartition(':')[0]}:{port}"
    finally:
        if health_service is not None:
            await health_service.stop()
        await drain(server, limits.grace_s, under_way)


def channel_options(limits: ChannelLimits) -> tuple[tuple[str, int], ...]:
    """What gRPC itself is told."""
    return (
        ("grpc.max_receive_message_length", limits.receive_bytes_max),
        ("grpc.max_metadata_size", limits.metadata_bytes_max),
        ("grpc.absolute_max_metadata_size", limits.metadata_bytes_max),
        ("grpc.max_concurrent_streams", limits.concurrent_streams_max),
        ("grpc.max_connection_age_ms", limits.connection_age_s * 1000),
        ("grpc.max_connection_age_grace_ms", limits.connection_age_grace_s * 1000),
        ("grpc.keepalive_time_ms", KEEPALIVE_S * 1000),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_ANSWER_S * 1000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", CLIENT_PINGS_S * 1000),
        ("grpc.so_reuseport", 0),
    )


async def drain(server: grpc.aio.Server, grace_s: float, under_way: UnderWay | None) -> None:
    """Let the calls under way finish within the grace, and take no new ones.

    gRPC drops a call that has arrived and was not yet taken when the server closes: its caller sees
    CANCELLED and no reason. So new calls are first answered with TRY_LATER, and the server closes
    when none is left and none is just coming. Streams that hold nothing under way, health watches
    and those whose request never came, do not hold it up: they end with UNAVAILABLE then, as does
    whatever is left after the grace.
    """
    if under_way is not None:
        under_way.close()
        until = time.monotonic() + grace_s
        while (now := time.monotonic()) < until:
            if not under_way.calls and now - under_way.taken_at > QUIET_S:
                break
            await asyncio.sleep(POLL_S)
        grace_s = 0
    await server.stop(grace_s)
