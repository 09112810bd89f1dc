"""A brands' client that never gives up: `python -m tests.retrying_client`, one JSON object on its
standard input (see `Task`).

Its orders follow from their number alone, so that several of these processes send the very same
bytes. Each order goes to either server, and after any answer that does not stand to either again.
One line is written per answer that stands, at once, so that it counts also when all else ends.
"""

import asyncio
import base64
import json
import random
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc

from exchange.cli.demo.brand_client import reason_of
from exchange.cli.profile import load_profile
from partners.errors import RULES, Retry
from partners.keys import Purpose
from pointclear.client.channel import CHANNEL_OPTIONS
from pointclear.client.orders import build_order, sign_order
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.exchange.v1.exchange_service_pb2 import CreateTransferRequest
from pointclear.exchange.v1.exchange_service_pb2_grpc import ExchangeServiceStub

IN_FLIGHT = 16
CALL_TIMEOUT_S = 8.0
PAUSE_S = 0.1
RECONNECT = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


@dataclass(frozen=True, slots=True)
class Task:
    """What a client has to do."""

    profiles: list[str]
    """Profile directories of two brands."""
    servers: list[str]
    base_ms: int
    """When the first order was made, in milliseconds since 1970: the same for all clients."""
    until_s: float
    """No new orders after this moment, in seconds since 1970."""
    seed: int
    """Of this client's choice of servers."""
    points: int
    target_points: int


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that stands."""

    transfer_id: str
    reason: str
    """Empty where there is a receipt."""
    receipt: str
    """The receipt's envelope, base64."""
    attempts: int


def transfer_id(base_ms: int, number: int) -> UUID:
    """The id of an order: version 7, of the moment at which the first was made."""
    return UUID(int=(base_ms << 80) | (7 << 76) | (2 << 62) | number)


class Client:
    """Sends orders until each has an answer that stands."""

    def __init__(self, task: Task) -> None:
        """Nothing is sent yet."""
        self.task = task
        self.profiles = [load_profile(Path(each)) for each in task.profiles]
        self.signers = [each.signer(Purpose.ORDERS) for each in self.profiles]
        self.names = [each.caller.name for each in self.profiles]
        self.random = random.Random(task.seed)
        self.stubs: list[list[Any]] = []
        self.number = 0

    def order(self, number: int) -> tuple[int, SignedEnvelope]:
        """Whose it is, and the order."""
        place, made = number % 2, datetime.fromtimestamp(self.task.base_ms / 1000, UTC)
        source, target = self.names[place], self.names[1 - place]
        payload = build_order(
            audience=self.profiles[place].audience,
            partner_id=source,
            transfer_id=transfer_id(self.task.base_ms, number).bytes,
            source_program=source,
            target_program=target,
            source_member=f"member-{number}",
            target_member=f"member-{number}",
            source_points=self.task.points,
            target_points=self.task.target_points,
            agreement_id=f"{source}-{target}",
            agreement_version=1,
            issued_at=made,
            expires_at=made + timedelta(hours=1),
        )
        return place, sign_order(self.signers[place], payload)

    async def run(self) -> None:
        """Send until the time is over, and then until all that was sent has its answer."""
        async with AsyncExitStack() as stack:
            for profile in self.profiles:
                credentials = grpc.ssl_channel_credentials(
                    profile.authority, profile.tls_key, profile.certificate
                )
                channels = [
                    grpc.aio.secure_channel(server, credentials, [*CHANNEL_OPTIONS, *RECONNECT])
                    for server in self.task.servers
                ]
                for channel in channels:
                    stack.push_async_callback(channel.close)
                self.stubs.append([ExchangeServiceStub(channel) for channel in channels])
            await asyncio.gather(*(self.work() for _ in range(IN_FLIGHT)))

    async def work(self) -> None:
        """One order after the other."""
        while time.time() < self.task.until_s:
            self.number += 1
            answer = await self.send(self.number)
            print(json.dumps(asdict(answer)), flush=True)

    async def send(self, number: int) -> Answer:
        """One order, until there is an answer that stands."""
        place, order = self.order(number)
        name, attempts = str(transfer_id(self.task.base_ms, number)), 0
        while True:
            attempts += 1
            stub = self.random.choice(self.stubs[place])
            try:
                answer = await stub.CreateTransfer(
                    CreateTransferRequest(order=order), timeout=CALL_TIMEOUT_S
                )
                receipt = base64.b64encode(answer.receipt.SerializeToString()).decode()
                return Answer(name, "", receipt, attempts)
            except grpc.aio.AioRpcError as error:
                reason = reason_of(error)
                if reason is not None and RULES[reason].retry is not Retry.SAME_ID:
                    return Answer(name, reason.value, "", attempts)
                await asyncio.sleep(PAUSE_S)


if __name__ == "__main__":
    asyncio.run(Client(Task(**json.load(sys.stdin))).run())
