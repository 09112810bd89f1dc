"""The baseline of a call: `python -m tests.bench.echo DATA_DIR ANSWER_BYTES`.

A bare `grpc.aio` server on asyncio's own event loop that answers whatever comes with the same
bytes. Everything below the handler is the exchange's own: the certificates, mutual TLS, the
options.
"""

import asyncio
import json
import sys
from pathlib import Path

import grpc

from exchange.grpc_listener import listening
from exchange.host_keys import load_host_keys
from exchange.server import stop_request

SERVICE, METHOD = "bench.Echo", "Echo"
PATH = f"/{SERVICE}/{METHOD}"


async def serve(data_dir: Path, answer_bytes: int) -> None:
    """Serve until told to stop."""
    answer = bytes(answer_bytes)

    async def echo(_request: bytes, _context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        return answer

    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(echo)
    methods = {METHOD: handler}
    services = (grpc.method_handlers_generic_handler(SERVICE, methods),)
    told = stop_request()
    async with listening(services, load_host_keys(data_dir), "127.0.0.1:0") as address:
        print(json.dumps({"address": address}), flush=True)
        await told.wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
