"""A channel to the exchange from a profile, and what its errors mean.

Effects: the network. The rules kept here:

- Mutual TLS always: the profile's authority is the only one that is trusted, its certificate says
  who calls.
- Every call has a deadline. Nothing is sent again by itself: what may be repeated, and how, is the
  caller's to know.
- A refusal is read from `google.rpc.Status` in the trailers: ErrorInfo of domain `pointclear`,
  BadRequest, RetryInfo and the receipt. Errors that gRPC makes itself carry none of these: nobody
  refused, so they mean that the exchange is unavailable.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from exchange.cli.failure import (
    ExitCode,
    Failed,
    Failure,
    exit_code_of,
    unavailable,
)
from exchange.cli.profile import Profile
from exchange.cli.signed_actions import ActingChannel, Desk
from partners.keys import Purpose, VerifyKey
from partners.wire import envelope_from_proto, purpose_from_proto
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.exchange.v1.exchange_service_pb2_grpc import ExchangeServiceStub
from pointclear.partners.v1.action_service_pb2_grpc import ActionServiceStub
from pointclear.partners.v1.key_pb2 import Key
from pointclear.partners.v1.link_service_pb2_grpc import LinkServiceStub
from pointclear.partners.v1.operator_service_pb2_grpc import OperatorServiceStub
from pointclear.partners.v1.partners_service_pb2 import ListKeysRequest
from pointclear.partners.v1.partners_service_pb2_grpc import PartnersServiceStub
from pointclear.settlement.v1.settlement_service_pb2_grpc import SettlementServiceStub

CALL_TIMEOUT_S = 60.0
PAGE_SIZE = 500
"""As many as one page holds."""
ERROR_DOMAIN = "pointclear"
EXCHANGE = "exchange"
"""The holder of the exchange's own keys."""

CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # The exchange's answers are the only large messages: 500 receipts of at most 6 KiB.
    ("grpc.max_receive_message_length", 8 * 1024 * 1024),
)

_LOOPBACK = ("localhost:", "127.0.0.1:", "[::1]:")
_NOT_SERVED = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
    }
)

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Connection:
    """An open channel with the stubs of every service."""

    profile: Profile
    exchange: ExchangeServiceStub
    partners: PartnersServiceStub
    links: LinkServiceStub
    operators: OperatorServiceStub
    actions: ActionServiceStub
    settlement: SettlementServiceStub

    def call(
        self, method: Callable[..., _Item], request: Message, timeout_s: float = CALL_TIMEOUT_S
    ) -> _Item:
        """The method's answer. Raises Failed."""
        try:
            return method(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise Failed(failure_of_call(error, self.profile.server)) from None

    def stream(
        self,
        method: Callable[..., Iterable[_Item]],
        request: Message,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> Iterator[_Item]:
        """The answers of a method that streams them. Raises Failed."""
        try:
            yield from method(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise Failed(failure_of_call(error, self.profile.server)) from None

    def pages(self, method: Callable[..., Any], request: Any) -> Iterator[Any]:
        """Every page of a list, from the first; `request` is one that has a size and a token.
        Raises Failed.
        """
        wanted = type(request)()
        wanted.CopyFrom(request)
        wanted.page_size = PAGE_SIZE
        while True:
            page = self.call(method, wanted)
            yield page
            wanted.page_token = page.next_page_token
            if not wanted.page_token:
                return

    def keys(self, holder: str = "") -> tuple[Key, ...]:
        """The registered keys of a holder; the caller's own when it is empty. Raises Failed."""
        pages = self.pages(self.partners.ListKeys, ListKeysRequest(holder=holder))
        return tuple(key for page in pages for key in page.keys)

    def exchange_keys(self, purpose: Purpose) -> dict[str, VerifyKey]:
        """The exchange's keys of one purpose by id, as the exchange names them over the
        authenticated channel.
        """
        return {
            key.key_id: VerifyKey.of(key.public_key)
            for key in self.keys(EXCHANGE)
            if purpose_from_proto(key.purpose, "purpose") is purpose
        }


@contextmanager
def connect(profile: Profile, reason: str = "") -> Iterator[Connection]:
    """A channel that closes at the end, with every service's stub.

    What an operator changes on it is signed with the profile's key, for `reason`.
    """
    with open_channel(profile) as opened:
        acts = profile.caller.is_operator
        yield connection_over(
            profile, ActingChannel(opened, Desk(profile, reason)) if acts else opened
        )


def connection_over(profile: Profile, channel: grpc.Channel) -> Connection:
    """Every service's stub on a channel that is open."""
    return Connection(
        profile,
        ExchangeServiceStub(channel),
        PartnersServiceStub(channel),
        LinkServiceStub(channel),
        OperatorServiceStub(channel),
        ActionServiceStub(channel),
        SettlementServiceStub(channel),
    )


def open_channel(profile: Profile) -> grpc.Channel:
    """A mutual TLS channel. Nothing is sent before the first call."""
    options: list[tuple[str, int]] = list(CHANNEL_OPTIONS)
    if profile.server.startswith(_LOOPBACK):
        # A proxy that the environment names cannot reach this machine.
        options.append(("grpc.enable_http_proxy", 0))
    credentials = grpc.ssl_channel_credentials(
        profile.authority, profile.tls_key, profile.certificate
    )
    return grpc.secure_channel(profile.server, credentials, options=options)


def failure_of_call(error: object, server: str) -> Failure:
    """What a failed call means: the refusal in its details, or that the exchange is unavailable."""
    if not isinstance(error, grpc.Call):
        return unavailable(f"no answer from {server}", "Try again.").failure
    code, text = error.code(), error.details() or ""
    details = _details(error)
    info = next((each for each in details if isinstance(each, error_details_pb2.ErrorInfo)), None)
    if info is None:
        return _without_details(code, text, server)
    metadata = dict(info.metadata)
    return Failure(
        ExitCode.UNAVAILABLE if code in _NOT_SERVED else exit_code_of(info.reason),
        info.reason,
        text.removeprefix(f"{info.reason}: "),
        metadata.pop("remedy", ""),
        next((name for each in details for name in _violations(each)), ""),
        metadata.pop("retry", ""),
        next((seconds for each in details for seconds in _retry_delay(each)), None),
        metadata,
        next(
            (envelope_from_proto(each) for each in details if isinstance(each, SignedEnvelope)),
            None,
        ),
    )


def _details(error: grpc.Call) -> list[Message]:
    try:
        status = rpc_status.from_call(error)
    except ValueError:  # The details contradict the call's own status.
        status = None
    known = (
        error_details_pb2.ErrorInfo,
        error_details_pb2.BadRequest,
        error_details_pb2.RetryInfo,
        SignedEnvelope,
    )
    found: list[Message] = []
    for packed in status.details if status else ():
        for kind in known:
            message = kind()
            if packed.Unpack(message):
                found.append(message)
    return [
        each
        for each in found
        if not isinstance(each, error_details_pb2.ErrorInfo) or each.domain == ERROR_DOMAIN
    ]


def _violations(detail: Message) -> tuple[str, ...]:
    if isinstance(detail, error_details_pb2.BadRequest):
        return tuple(each.field for each in detail.field_violations)
    return ()


def _retry_delay(detail: Message) -> tuple[float, ...]:
    if isinstance(detail, error_details_pb2.RetryInfo):
        return (detail.retry_delay.ToTimedelta().total_seconds(),)
    return ()


def _without_details(code: grpc.StatusCode, text: str, server: str) -> Failure:
    lowered = text.lower()
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return unavailable(
            f"{server} did not answer in time",
            "Whether it acted is not known: look before you repeat what moves points.",
        ).failure
    if code is not grpc.StatusCode.UNAVAILABLE:
        return unavailable(
            f"{server} answered {code.name}: {text}",
            "Check that an exchange of this version is served there.",
        ).failure
    if "connection refused" in lowered:
        return unavailable(
            f"no exchange answers at {server}",
            "Start it with `pointclear serve`, or name another with --server.",
        ).failure
    if any(word in lowered for word in ("ssl", "handshake", "certificate", "peer name")):
        return unavailable(
            f"the TLS handshake with {server} failed",
            "Use a profile whose certificates come from this exchange's authority.",
        ).failure
    return unavailable(
        f"{server} is unavailable: {text}",
        "Check the address and that the exchange is served there, then try again.",
    ).failure
