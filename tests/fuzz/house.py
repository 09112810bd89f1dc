"""A whole exchange in this process, called with bytes: the composition root's own handlers, a real
sequencer, a real database. The clock stands still, so that bytes signed once are good for ever.

Every call is judged by what it changed: the database itself says whether anything was written.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.rpc import status_pb2

from exchange.calls import CANCELLED, Call
from exchange.serving.services import descriptors
from exchange.wire.refusals import MESSAGE_MAX
from partners.actions.rules import needs_action
from pointclear.partners.v1.action_service_pb2 import ActResponse
from tests.fuzz.requests import acting
from tests.fuzz.witness import Witness

PARTNER, OTHER, AN_OPERATOR = "partner/grocery", "partner/fuel", "operator/operator"
CALLERS = (PARTNER, OTHER, AN_OPERATOR)
TIMEOUT_S = 60
WATCH = "WatchTransfers"
"""The method that ends only when its caller goes away: here after the first response."""
ACTIONS = 1 << 55
"""The actions that wrap an operator's calls have numbers above all others."""
TRAIL = ("operator_action", "action_request", "action_outcome")
METHODS: Mapping[str, MethodDescriptor] = {
    method.name: method for service in descriptors() for method in service.methods
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one call."""

    method: MethodDescriptor
    code: str
    text: str = ""
    status: status_pb2.Status | None = None
    """Of a refusal, from the trailers."""
    responses: tuple[bytes, ...] = ()
    bug: Exception | None = None
    written: Mapping[str, int] | None = None
    """Rows that came, by table that changed; None where no transaction began to write."""
    indexes: range = range(0)
    """Log indexes that came."""


def path_of(method: MethodDescriptor) -> str:
    """The method's name on the wire."""
    return f"/{method.containing_service.full_name}/{method.name}"


def without_trail(written: Mapping[str, int] | None) -> Mapping[str, int] | None:
    """What came besides the record of the action itself; None where that was all."""
    if written is None:
        return None
    recorded = written.get("operator_action", 0)
    rest = {name: came for name, came in written.items() if name not in TRAIL}
    rest["record"] = rest.get("record", 0) - recorded
    if not rest["record"]:
        del rest["record"]
        if rest.keys() == {"head"}:
            return None
    return rest


async def all_of(method: MethodDescriptor, responses: AsyncIterator[bytes]) -> tuple[bytes, ...]:
    """What a method streams; of one without end the first response."""
    if method.name == WATCH:
        return (await anext(responses),)
    return tuple([each async for each in responses])


class Ended(Exception):
    """What `abort` raises in place of gRPC's own."""

    def __init__(self, code: grpc.StatusCode, text: str, trailers: Sequence[tuple[str, bytes]]):
        super().__init__(code, text)
        self.code = code
        self.text = text
        self.trailers = dict(trailers)


class Context:
    """As much of gRPC's context as the edge uses."""

    def __init__(self, uris: Sequence[bytes]) -> None:
        self._uris = uris

    def auth_context(self) -> Mapping[str, Sequence[bytes]]:
        """The names in the client's certificate."""
        return {"peer_uri": self._uris}

    async def abort(
        self, code: grpc.StatusCode, text: str = "", trailers: Sequence[tuple[str, bytes]] = ()
    ) -> None:
        """End the call."""
        raise Ended(code, text, trailers)


@dataclass(frozen=True, slots=True)
class Details(grpc.HandlerCallDetails):
    """Which method is called."""

    method: str
    invocation_metadata: tuple[tuple[str, str | bytes], ...] = ()


class House:
    """The exchange, and whoever calls it."""

    def __init__(
        self,
        runner: asyncio.Runner,
        handlers: tuple[grpc.GenericRpcHandler, ...],
        channels: Mapping[str, grpc.aio.Channel],
        witness: Witness,
        ended: list[Call],
    ) -> None:
        self.runner = runner
        self.handlers = handlers
        self.channels = channels
        self.witness = witness
        self._numbers = count(3)
        self._actions = count()
        self._ended = ended

    def call(self, name: str, caller: str, raw: bytes) -> Answer:
        """Call a method as somebody (`partner/grocery`), and see what that changed."""
        method, before = METHODS[name], self.witness.next_index
        uris = [f"pointclear://{caller}".encode()]
        acts = caller == AN_OPERATOR and needs_action(path_of(method)[1:])
        if acts:
            # As an operator does it; what a bare call is answered with has a test of its own.
            sent = acting(path_of(method)[1:], raw, ACTIONS + next(self._actions))
            answer = self.runner.run(self._call(METHODS["Act"], uris, sent))
            answer = replace(
                answer,
                method=method,
                responses=tuple(ActResponse.FromString(each).response for each in answer.responses),
            )
        else:
            answer = self.runner.run(self._call(method, uris, raw))
        written = self.witness.written()
        (ended,) = self._ended
        self._ended.clear()
        went_away = name == WATCH and answer.code == "OK"
        assert ended.code == (CANCELLED if went_away else answer.code)
        assert len(ended.text.encode()) <= MESSAGE_MAX
        if acts or name == "Act":
            written = without_trail(written)
        came = range(before, self.witness.next_index)
        return replace(answer, bug=ended.bug, written=written, indexes=came)

    def call_through_a_channel(self, name: str, who: str, raw: bytes) -> Answer:
        """The same over real mutual TLS, as the partner or operator of this name."""
        before = self.witness.next_index
        answer = self.runner.run(self._through(METHODS[name], self.channels[who], raw))
        written = self.witness.written()
        bugs = [each.bug for each in self._ended if each.bug]
        self._ended.clear()
        came = range(before, self.witness.next_index)
        return replace(answer, bug=next(iter(bugs), None), written=written, indexes=came)

    async def _through(
        self, method: MethodDescriptor, channel: grpc.aio.Channel, raw: bytes
    ) -> Answer:
        path = path_of(method)
        try:
            if method.server_streaming:
                stream: Any = channel.unary_stream(path)
                call = stream(raw, timeout=TIMEOUT_S)
                chunks = await all_of(method, aiter(call))
                call.cancel()
                while not self._ended:
                    await asyncio.sleep(0.01)
                return Answer(method, "OK", responses=chunks)
            unary: Any = channel.unary_unary(path)
            return Answer(method, "OK", responses=(await unary(raw, timeout=TIMEOUT_S),))
        except grpc.aio.AioRpcError as error:
            packed = dict(error.trailing_metadata()).get("grpc-status-details-bin")
            status = None
            if isinstance(packed, bytes):
                status = status_pb2.Status.FromString(packed)
            return Answer(method, error.code().name, error.details() or "", status)

    def bank_balance(self, currency: str) -> int:
        """What our books say that the bank holds, in units."""
        return self.witness.bank_balance(currency)

    def next_number(self) -> int:
        """One that was not given before, above the versions of the coalition's agreements."""
        return next(self._numbers)

    async def _call(self, method: MethodDescriptor, uris: list[bytes], raw: bytes) -> Answer:
        details = Details(path_of(method))
        found: Any = next(filter(None, (each.service(details) for each in self.handlers)))
        context = Context(uris)
        try:
            if method.server_streaming:
                stream = found.unary_stream(raw, context)
                chunks = await all_of(method, stream)
                await stream.aclose()
            else:
                chunks = (await found.unary_unary(raw, context),)
        except Ended as end:
            packed = end.trailers.get("grpc-status-details-bin")
            status = None if packed is None else status_pb2.Status.FromString(packed)
            return Answer(method, end.code.name, end.text, status)
        return Answer(method, "OK", responses=chunks)
