"""A channel to the exchange from a profile, and what its errors mean.

Effects: the network. The rules kept here:

- Mutual TLS always: the profile's authority is the only one that is trusted, its certificate says
  who calls.
- Every call has a deadline. Nothing is sent again by itself: what may be repeated, and how, is the
  caller's to know.
- A refusal is read as the client library reads it. Errors that gRPC makes itself are none: nobody
  refused, so they mean that the exchange is unavailable.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

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
from partners.wire import purpose_from_proto
from pointclear.client import channel as channels
from pointclear.client.refusals import refusal_of_call
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
EXCHANGE = "exchange"
"""The holder of the exchange's own keys."""

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
    return channels.open_channel(
        profile.server, profile.authority, profile.certificate, profile.tls_key
    )


def failure_of_call(error: object, server: str) -> Failure:
    """What a failed call means: the refusal in its details, or that the exchange is unavailable."""
    if not isinstance(error, grpc.Call):
        return unavailable(f"no answer from {server}", "Try again.").failure
    code, refusal = error.code(), refusal_of_call(error)
    if refusal is None:
        return _without_details(code, error.details() or "", server)
    return Failure(
        ExitCode.UNAVAILABLE if code in _NOT_SERVED else exit_code_of(refusal.reason),
        refusal.reason,
        refusal.text,
        refusal.remedy,
        refusal.field,
        refusal.retry,
        refusal.delay_s or None,
        refusal.metadata,
        refusal.receipt,
    )


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
