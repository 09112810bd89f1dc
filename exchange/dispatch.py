"""Carries out, for an operator whose signed action was approved, the very call that it names.

A handler takes the same request and gives the same response as one that a client calls; only who
calls is told by the action instead of the channel. Nothing here decides.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from exchange.edge import LARGE_METHODS, Handler, snake_case
from partners.caller import Caller
from partners.errors import Reason, Refused


@dataclass(frozen=True, slots=True)
class _Method:
    descriptor: MethodDescriptor
    handler: Handler

    async def __call__(self, raw: bytes, caller: Caller) -> bytes:
        """Parse, call, serialise."""
        request_class: type[Message] = GetMessageClass(self.descriptor.input_type)
        try:
            request = request_class.FromString(raw)
        except DecodeError:
            raise Refused(
                Reason.ENVELOPE_MALFORMED, "request", "the request does not parse"
            ) from None
        response: Message = await self.handler(request, caller)
        return response.SerializeToString()


def dispatch_to(
    services: Iterable[tuple[ServiceDescriptor, Any]], message_bytes_max: int
) -> Callable[[str, bytes, Caller], Awaitable[bytes]]:
    """What carries out a call of these services by its full name (`pkg.Service/Method`).

    `message_bytes_max` is for requests of methods that take no large ones.
    """
    methods = {
        f"{service.full_name}/{method.name}": _Method(
            method, getattr(implementation, snake_case(method.name))
        )
        for service, implementation in services
        for method in service.methods
        if not method.server_streaming
    }

    async def dispatch(method: str, request: bytes, caller: Caller) -> bytes:
        if method.rpartition("/")[2] not in LARGE_METHODS and len(request) > message_bytes_max:
            raise Refused(
                Reason.MESSAGE_TOO_LARGE, "request", f"{method} takes {message_bytes_max} bytes"
            )
        return await methods[method](request, caller)

    return dispatch
