"""Between gRPC and the handlers: bytes in, bytes out, and the one mapping of errors.

Handlers are registered with bytes on both sides, because an exception in a request deserialiser
would pass every interceptor and show its text to the client. The edge checks the size, reads the
caller from the channel, parses, calls, and maps what is raised. A Refused leaves as its status.
Anything else is a bug: the client sees a fixed text and an id to quote, and the log has the rest.
"""

import logging
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from exchange.database import CONNECTION_ERRORS
from exchange.replies import status_code, status_of
from partners.caller import Caller
from partners.errors import Reason, Refused

log = logging.getLogger(__name__)

MESSAGE_BYTES_MAX = 64 * 1024
"""Of a request, unless the method is in `LARGE_METHODS`."""
LARGE_METHODS = {"BatchCreateTransfers": 1024 * 1024, "ImportBankFile": 1024 * 1024}
"""Methods that take larger requests, with their limits in bytes."""
RECEIVE_BYTES_MAX = max(LARGE_METHODS.values()) + 1024
"""What gRPC itself lets in, for all methods."""

Context = grpc.aio.ServicerContext[bytes, bytes]
Handler = Callable[[Any, Caller], Awaitable[Message]]
StreamHandler = Callable[[Any, Caller], AsyncIterator[Message]]


def service_handler(service: ServiceDescriptor, implementation: object) -> grpc.GenericRpcHandler:
    """All methods of a service, each carried out by the implementation's method of that name in
    snake_case.
    """
    methods = {
        method.name: _method_handler(method, getattr(implementation, snake_case(method.name)))
        for method in service.methods
    }
    return grpc.method_handlers_generic_handler(service.full_name, methods)


def snake_case(name: str) -> str:
    """`CreateTransfer` as `create_transfer`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _method_handler(
    method: MethodDescriptor, handler: Any
) -> "grpc.RpcMethodHandler[bytes, bytes]":
    request_class = GetMessageClass(method.input_type)
    limit = LARGE_METHODS.get(method.name, MESSAGE_BYTES_MAX)

    def read(raw: bytes, context: Context) -> tuple[Message, Caller]:
        if len(raw) > limit:
            raise Refused(Reason.MESSAGE_TOO_LARGE, "", f"{method.name} takes {limit} bytes")
        caller = caller_of(context)
        try:
            return request_class.FromString(raw), caller
        except DecodeError as error:
            raise Refused(Reason.ENVELOPE_MALFORMED, "", "the request does not parse") from error

    async def unary(raw: bytes, context: Context) -> bytes:
        try:
            request, caller = read(raw, context)
            response: Message = await handler(request, caller)
            return response.SerializeToString()
        except Exception as error:
            return await abort(context, error, method.full_name)

    async def streaming(raw: bytes, context: Context) -> AsyncIterator[bytes]:
        try:
            request, caller = read(raw, context)
            async for response in handler(request, caller):
                yield response.SerializeToString()
        except Exception as error:
            await abort(context, error, method.full_name)

    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(streaming)
    return grpc.unary_unary_rpc_method_handler(unary)


def caller_of(context: Context) -> Caller:
    """The channel's identity: the certificate's URI names and nothing else."""
    uris = context.auth_context().get("peer_uri") or ()
    return Caller.from_uris([uri.decode("utf-8", "replace") for uri in uris])


async def abort(context: Context, error: Exception, method: str) -> bytes:
    """End the call with the error's status."""
    if isinstance(error, NotImplementedError | grpc.aio.AbortError | grpc.aio.BaseError):
        raise error
    if isinstance(error, Refused):
        status = status_of(error)
        details = ("grpc-status-details-bin", status.SerializeToString())
        await context.abort(status_code(error), status.message, (details,))
    if isinstance(error, CONNECTION_ERRORS):
        log.warning("%s lost the database: %s", method, error)
        return await abort(
            context, Refused(Reason.TRY_LATER, "", "the database is not reachable"), method
        )
    incident = secrets.token_hex(8)
    log.error("incident %s in %s", incident, method, exc_info=error)
    await context.abort(grpc.StatusCode.INTERNAL, f"internal error; quote {incident}")
    raise AssertionError("abort returns never")
