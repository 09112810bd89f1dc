"""The HTTP listener: `/healthz`, `/readyz` and `/metrics`, without TLS and without identity.

Nothing of a partner's or a member's is served here, and nothing can be changed. It should listen
where only the operator's own machines reach it.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from exchange.errors import CannotStart

CLOSE_TIMEOUT_S = 2
CONNECTIONS_MAX = 64

Unready = Callable[[], Awaitable[list[str]]]
"""Why the server is not ready; nothing when it is."""
Refresh = Callable[[], Awaitable[None]]
"""Brings up to date what is measured only when somebody looks."""


def pages(registry: CollectorRegistry, unready: Unready, refresh: Refresh) -> Starlette:
    """The three pages."""

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def readyz(_request: Request) -> Response:
        reasons = await unready()
        body = {"ready": not reasons, "reasons": reasons}
        return JSONResponse(body, status_code=503 if reasons else 200)

    async def metrics(request: Request) -> Response:
        await refresh()
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type})

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
        ]
    )


class _Server(uvicorn.Server):
    """One that leaves the signals to us: they stop calls first, and this listener last."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def http_listening(app: Starlette, listen: str | None) -> AsyncIterator[str]:
    """Serve on `listen` for the length of the block; gives the address, empty where it is None.

    Raises CannotStart when the port is taken.
    """
    if listen is None:
        yield ""
        return
    bound = _bind(listen)
    server = _Server(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=CONNECTIONS_MAX,
            timeout_graceful_shutdown=CLOSE_TIMEOUT_S,
        )
    )
    task = asyncio.create_task(server.serve(sockets=[bound]), name="http-listener")
    try:
        yield f"{listen.rpartition(':')[0]}:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


def _bind(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    try:
        found = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, _protocol, _name, address = found[0]
        bound = socket.socket(family, kind)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except BaseException:
            bound.close()
            raise
    except OSError as error:
        raise CannotStart(
            f"cannot listen on {listen}",
            "the port is in use or not this host's; choose another --http",
        ) from error
    return bound
