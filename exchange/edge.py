"""Between gRPC and the handlers: bytes in, bytes out, and the one mapping of errors.

Handlers are registered with bytes on both sides, because an exception in a request deserialiser
would pass every interceptor and show its text to the client. The edge checks the size, reads the
caller from the channel, asks for the caller's rate, parses, calls, and maps what is raised. A
Refused leaves as its status. Anything else is a bug: the client sees a fixed text and an id to
quote, and the log has the rest. Whoever watches is told of every call outside the mapping, so that
it sees what the client saw.
"""

import logging
import re
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from exchange.calls import CANCELLED, Call
from exchange.database import CONNECTION_ERRORS
from exchange.logs import named
from exchange.replies import status_code, status_of
from exchange.wire.refusals import message_of
from partners.caller import Caller
from partners.errors import Reason, Refused
from pointclear.common.v1 import refusal_pb2
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from pointclear.exchange.v1.transfer_pb2 import ReversalOrder, TransferOrder

log = logging.getLogger(__name__)

MESSAGE_BYTES_MAX = 64 * 1024
"""Of a request, unless the method is in `LARGE_METHODS`."""
LARGE_MESSAGE_BYTES_MAX = 1024 * 1024
LARGE_METHODS = frozenset({"BatchCreateTransfers", "ImportBankFile", "Act", "UploadReconciliation"})
"""Methods that take larger requests."""
RECEIVE_SPARE_BYTES = 1024
"""How much more gRPC itself lets in, so that our own refusal is what a caller normally sees."""
RECEIVE_BYTES_MAX = LARGE_MESSAGE_BYTES_MAX + RECEIVE_SPARE_BYTES
"""What gRPC itself lets in, for all methods, unless set otherwise."""

Context = grpc.aio.ServicerContext[bytes, bytes]
Handler = Callable[[Any, Caller], Awaitable[Message]]
StreamHandler = Callable[[Any, Caller], AsyncIterator[Message]]


class UnderWay:
    """The calls that were taken and have not ended; touched on the loop's thread alone."""

    def __init__(self) -> None:
        self.calls = 0
        self.taken_at = 0.0
        """When the newest came, of the monotonic clock."""
        self.closed = False
        """Whether calls that come now are answered with TRY_LATER."""
        self._at_close: list[Callable[[], None]] = []

    def at_close(self, told: Callable[[], None]) -> None:
        """Have those told who must end calls that would not end by themselves."""
        self._at_close.append(told)

    def close(self) -> None:
        """Take no new calls."""
        self.closed = True
        for told in self._at_close:
            told()


async def _nobody_is_unknown(_caller: Caller, _method: str) -> None:
    """Takes the certificate's word."""


@dataclass(frozen=True, slots=True)
class Door:
    """What the edge asks before a call and tells after it."""

    message_bytes_max: int = MESSAGE_BYTES_MAX
    large_message_bytes_max: int = LARGE_MESSAGE_BYTES_MAX
    require: Callable[[Caller, str], Awaitable[None]] = _nobody_is_unknown
    """Raises Refused(CALLER_UNKNOWN) for a caller whom the registry does not know, and
    Refused(ACTION_REQUIRED) for an operator who must sign for the method of this full name."""
    spend: Callable[[Caller, int], None] = lambda _caller, _cost: None
    """Takes a call's cost from its caller's rate; raises Refused(RATE_LIMITED)."""
    ended: Callable[[Call], None] = lambda _call: None
    """Is told of every call at its end."""
    database_lost: Callable[[], None] = lambda: None
    """Is told when a call lost the database."""
    under_way: UnderWay = field(default_factory=UnderWay)


def service_handler(
    service: ServiceDescriptor, implementation: object, door: Door
) -> grpc.GenericRpcHandler:
    """All methods of a service, each carried out by the implementation's method of that name in
    snake_case.
    """
    methods = {
        method.name: _method_handler(method, getattr(implementation, snake_case(method.name)), door)
        for method in service.methods
    }
    return grpc.method_handlers_generic_handler(service.full_name, methods)


def snake_case(name: str) -> str:
    """`CreateTransfer` as `create_transfer`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _method_handler(
    method: MethodDescriptor, handler: Any, door: Door
) -> "grpc.RpcMethodHandler[bytes, bytes]":
    request_class = GetMessageClass(method.input_type)
    large = method.name in LARGE_METHODS
    limit = door.large_message_bytes_max if large else door.message_bytes_max
    full_name = f"{method.containing_service.full_name}/{method.name}"

    async def read(raw: bytes, context: Context, course: "Course") -> tuple[Message, Caller]:
        if door.under_way.closed:
            raise Refused(Reason.TRY_LATER, "", "this server is stopping")
        if len(raw) > limit:
            raise Refused(Reason.MESSAGE_TOO_LARGE, "", f"{method.name} takes {limit} bytes")
        caller = caller_of(context)
        course.caller = caller.holder
        await door.require(caller, full_name)
        try:
            request: Message | None = request_class.FromString(raw)
        except DecodeError:
            request = None
        # Also what does not parse has its price, or sending it would cost nothing.
        door.spend(caller, cost_of(request))
        if request is None:
            raise Refused(Reason.ENVELOPE_MALFORMED, "", "the request does not parse")
        course.request = request
        return request, caller

    async def unary(raw: bytes, context: Context) -> bytes:
        course = Course(method, door)
        try:
            request, caller = await read(raw, context, course)
            response: Message = await handler(request, caller)
            course.answered(response)
            return response.SerializeToString()
        except Exception as error:
            return await abort(context, error, course)
        finally:
            course.end()

    async def streaming(raw: bytes, context: Context) -> AsyncIterator[bytes]:
        course = Course(method, door)
        try:
            request, caller = await read(raw, context, course)
            # Closed here and now also when the caller goes away in the middle.
            async with aclosing(handler(request, caller)) as responses:
                async for response in responses:
                    yield response.SerializeToString()
            course.answered(None)
        except Exception as error:
            await abort(context, error, course)
        finally:
            course.end()

    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(streaming)
    return grpc.unary_unary_rpc_method_handler(unary)


class Course:
    """What becomes of one call, until it ends."""

    def __init__(self, method: MethodDescriptor, door: Door) -> None:
        self.method = f"{method.containing_service.name}/{method.name}"
        self.door = door
        self.began = time.perf_counter()
        self.caller = ""
        self.request: Message | None = None
        # Whatever ends a call without passing here is its caller's going away.
        self.code, self.reason, self.text, self.incident = CANCELLED, "", "", ""
        self.bug: Exception | None = None
        self.refused: Counter[str] = Counter()
        door.under_way.calls += 1
        door.under_way.taken_at = time.monotonic()

    def answered(self, response: Message | None) -> None:
        """The call has its answer."""
        self.code = "OK"
        if isinstance(response, pb.BatchCreateTransfersResponse):
            self.refused = refusals_in(response)

    def end(self) -> None:
        """The call is over, however it went: tell whoever watches."""
        self.door.under_way.calls -= 1
        # Only a call that goes wrong is worth the second look at its order.
        wrong = self.code != "OK" and self.request is not None
        self.door.ended(
            Call(
                self.method,
                self.caller,
                transfer_id_of(self.request) if wrong else "",
                self.code,
                self.reason,
                self.text,
                time.perf_counter() - self.began,
                self.refused,
                self.incident,
                self.bug,
            )
        )


def cost_of(request: Message | None) -> int:
    """What a call takes from its caller's rate: 1, or 1 for each order of a batch."""
    if isinstance(request, pb.BatchCreateTransfersRequest):
        return max(1, len(request.orders))
    return 1


def refusals_in(response: pb.BatchCreateTransfersResponse) -> Counter[str]:
    """How many orders of a batch were refused, by reason."""
    return Counter(
        refusal_pb2.Reason.Name(each.refusal.reason).removeprefix("REASON_")
        for each in response.results
        if each.HasField("refusal")
    )


def transfer_id_of(request: Message | None) -> str:
    """The transfer id that a request names, if it names one."""
    try:
        if isinstance(request, pb.CreateTransferRequest):
            return str(UUID(bytes=TransferOrder.FromString(request.order.payload).transfer_id))
        if isinstance(request, pb.GetTransferRequest):
            return str(UUID(bytes=request.transfer_id))
        if isinstance(request, pb.ReverseTransferRequest):
            return str(UUID(bytes=ReversalOrder.FromString(request.reversal.payload).transfer_id))
    except (DecodeError, ValueError):
        pass
    return ""


def caller_of(context: Context) -> Caller:
    """The channel's identity: the certificate's URI names and nothing else."""
    uris = context.auth_context().get("peer_uri") or ()
    return Caller.from_uris([uri.decode("utf-8", "replace") for uri in uris])


async def abort(context: Context, error: Exception, course: Course) -> bytes:
    """End the call with the error's status."""
    if isinstance(error, NotImplementedError | grpc.aio.AbortError | grpc.aio.BaseError):
        course.code = "UNIMPLEMENTED" if isinstance(error, NotImplementedError) else "UNKNOWN"
        raise error
    if isinstance(error, CONNECTION_ERRORS):
        course.door.database_lost()
        log.warning("%s lost the database: %s", course.method, named(error))
        error = Refused(Reason.TRY_LATER, "", "the database is not reachable")
    if isinstance(error, Refused):
        status = status_of(error)
        course.code, course.reason = error.code, error.reason.value
        # Cut like what the caller is told: a text that quotes a request may be as long as that, and
        # searching it for secrets would hold up the loop for seconds.
        course.text = message_of(error.text)
        details = ("grpc-status-details-bin", status.SerializeToString())
        await context.abort(status_code(error), status.message, (details,))
    course.code, course.incident, course.bug = "INTERNAL", secrets.token_hex(8), error
    await context.abort(grpc.StatusCode.INTERNAL, f"internal error; quote {course.incident}")
    raise AssertionError("abort returns never")
