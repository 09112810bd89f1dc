"""The client process: `python -m tests.bench.client PROFILE_DIR...`.

It reads requests as lines of JSON and answers each with a line. `sign` makes orders ready, outside
any measurement; `load` sends them and times it. Messages are handed to gRPC as bytes that were
serialised before, so that the client costs the same whatever it calls.
"""

import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import grpc

from exchange.cli.profile import Profile, load_profile
from exchange.server import loop_factory
from pointclear.client.channel import CHANNEL_OPTIONS
from pointclear.exchange.v1.exchange_service_pb2 import (
    BatchCreateTransfersRequest,
    BatchCreateTransfersResponse,
    CreateTransferRequest,
)
from pointclear.exchange.v1.transfer_pb2 import TransferOrder
from tests.bench.coalition import orders_of

CALL_TIMEOUT_S = 60
REPEATED = 2000
"""Requests that go round where the server does not mind repeats."""

Ready = tuple[str, bytes]
"""A brand and the request that it sends."""
Call = Callable[[bytes], Awaitable[bytes]]


class Client:
    """The brands' side: their profiles, and the requests that are ready."""

    def __init__(self, profiles: list[Profile]) -> None:
        """One brand per profile."""
        self.profiles = {each.caller.name: each for each in profiles}
        self.orders = {name: orders_of(each) for name, each in self.profiles.items()}
        self.ready: dict[int, deque[Ready]] = {}
        """By the number of orders in a request."""

    def sign(self, per_call: int, orders: int) -> dict[str, int]:
        """Have at least this many orders ready, in requests of `per_call`."""
        waiting = self.ready.setdefault(per_call, deque())
        names = cycle(self.orders)
        while len(waiting) * per_call < orders:
            name = next(names)
            envelopes = list(islice(self.orders[name], per_call))
            message = (
                CreateTransferRequest(order=envelopes[0])
                if per_call == 1
                else BatchCreateTransfersRequest(orders=envelopes)
            )
            waiting.append((name, message.SerializeToString()))
        return {"ready": len(waiting)}

    async def load(
        self, address: str, path: str, per_call: int, in_flight: int, seconds: float, *, again: bool
    ) -> dict[str, float]:
        """Send requests for `seconds`, or until none is left; `again` sends the same over and over.

        Raises RuntimeError when an order was refused.
        """
        ready = self.ready[per_call]
        requests = cycle(list(islice(ready, REPEATED))) if again else drain(ready)
        answers: list[bytes] = []
        took_s: list[float] = []

        async def send(calls: dict[str, Call], until: float) -> None:
            now = time.perf_counter()
            while now < until and (request := next(requests, None)):
                answers.append(await calls[request[0]](request[1]))
                ended = time.perf_counter()
                took_s.append(ended - now)
                now = ended

        async with self.calls(address, path) as calls:
            began = time.perf_counter()
            await asyncio.gather(*(send(calls, began + seconds) for _ in range(in_flight)))
            elapsed_s = time.perf_counter() - began
        if per_call > 1:
            check(answers)
        answer_bytes = sum(map(len, answers)) / len(answers)
        took_s.sort()
        return {
            "per_s": per_call * len(answers) / elapsed_s,
            "answer_bytes": round(answer_bytes),
            "p50_ms": 1000 * took_s[len(took_s) // 2],
            "p99_ms": 1000 * took_s[len(took_s) * 99 // 100],
            "calls": len(answers),
        }

    async def pace(self, address: str, path: str, per_s: float, seconds: float) -> dict[str, float]:
        """Send single orders at an even rate, whether the last is answered or not; returns when
        each was sent, in seconds of the wall clock, by its id.
        """
        requests = list(islice(drain(self.ready[1]), round(per_s * seconds)))
        named = [(name_of(request), brand, request) for brand, request in requests]
        sent: dict[str, float] = {}
        async with self.calls(address, path) as calls, asyncio.TaskGroup() as under_way:
            began = time.perf_counter()
            for number, (name, brand, request) in enumerate(named):
                await asyncio.sleep(max(0.0, began + number / per_s - time.perf_counter()))
                sent[name] = time.time()
                under_way.create_task(send_one(calls[brand], request))
        return sent

    @asynccontextmanager
    async def calls(self, address: str, path: str) -> AsyncIterator[dict[str, Call]]:
        """The method at each brand's own channel, bytes in and bytes out."""
        channels = {name: channel_of(each, address) for name, each in self.profiles.items()}
        try:
            for channel in channels.values():
                # Handshakes are not measured.
                await asyncio.wait_for(channel.channel_ready(), CALL_TIMEOUT_S)
            yield {name: call_of(channel, path) for name, channel in channels.items()}
        finally:
            for channel in channels.values():
                await channel.close()


def channel_of(profile: Profile, address: str) -> grpc.aio.Channel:
    """A brand's mutual TLS channel."""
    credentials = grpc.ssl_channel_credentials(
        profile.authority, profile.tls_key, profile.certificate
    )
    options = [*CHANNEL_OPTIONS, ("grpc.enable_http_proxy", 0)]
    return grpc.aio.secure_channel(address, credentials, options=options)


def call_of(channel: grpc.aio.Channel, path: str) -> Call:
    """A unary method whose messages stay bytes."""
    method: Any = channel.unary_unary(path)

    async def call(request: bytes) -> bytes:
        answer: bytes = await method(request, timeout=CALL_TIMEOUT_S)
        return answer

    return call


async def send_one(call: Call, request: bytes) -> None:
    """Send a request whose answer nobody looks at; raises grpc.RpcError when it was refused."""
    await call(request)


def name_of(request: bytes) -> str:
    """The id of a single order."""
    order = CreateTransferRequest.FromString(request).order
    return TransferOrder.FromString(order.payload).transfer_id.hex()


def drain(ready: deque[Ready]) -> Iterator[Ready]:
    """Take what is ready, each once."""
    while ready:
        yield ready.popleft()


def check(answers: list[bytes]) -> None:
    """Raise RuntimeError unless every order of these batches was committed."""
    for answer in answers:
        for result in BatchCreateTransfersResponse.FromString(answer).results:
            if result.WhichOneof("result") != "receipt":
                raise RuntimeError(f"an order was refused: {result.refusal.message}")


async def answer_requests(client: Client) -> None:
    """Answer until standard input ends."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        request = json.loads(line)
        match request.pop("do"):
            case "sign":
                print(json.dumps(client.sign(**request)), flush=True)
            case "pace":
                print(json.dumps(await client.pace(**request)), flush=True)
            case "load":
                print(json.dumps(await client.load(**request)), flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(answer_requests(Client([load_profile(Path(each)) for each in sys.argv[1:]])))
