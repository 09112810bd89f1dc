"""Calls to the exchange: one channel with mutual TLS, a deadline for each call, and the patience to
ask again.

Effects: the network. An attempt gives a response, the exchange's refusal, or no answer: nobody
knows then whether the call was carried out. Pauses between attempts grow, with jitter, so that
clients that lost their server do not come back all at once.
"""

import logging
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Self, TypeVar

import grpc
from google.protobuf.message import Message

from partners.keys import Purpose, Signer
from pointclear.client.channel import open_channel
from pointclear.client.errors import Unavailable
from pointclear.client.profile import Profile
from pointclear.client.refusals import Refusal, refusal_of_call
from pointclear.exchange.v1.exchange_service_pb2_grpc import ExchangeServiceStub
from pointclear.partners.v1.partners_service_pb2_grpc import PartnersServiceStub

RECONNECT = (
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
)

log = logging.getLogger("pointclear.client")

_POINTLESS = (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.RESOURCE_EXHAUSTED)
"""What gRPC itself answers again and again."""

_Response = TypeVar("_Response")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who speaks, to whom, and with what."""

    partner_id: str
    server: str
    """`host:port`."""
    audience: str
    """The exchange and environment that orders are addressed to."""
    authority: bytes
    """PEM of the authority that the server's certificate must come from."""
    certificate: bytes
    """PEM of the partner's certificate."""
    tls_key: bytes = field(repr=False)
    """PEM of its private key."""
    signer: Signer = field(repr=False)
    """Holds the partner's key for orders: a file, a token, a cloud service."""

    @classmethod
    def of(cls, profile: Profile) -> Self:
        """A profile's. Raises KeyFileError, and ValueError for an operator's profile."""
        if profile.caller.is_operator:
            raise ValueError(f"{profile.directory}: an operator orders no transfers")
        return cls(
            profile.caller.name,
            profile.server,
            profile.audience,
            profile.authority,
            profile.certificate,
            profile.tls_key,
            profile.signer(Purpose.ORDERS),
        )


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an answer is waited for. All in seconds."""

    total_s: float = 60.0
    """From the first attempt until the last one may begin."""
    call_s: float = 15.0
    """The deadline of one attempt."""
    pause_s: float = 0.2
    """Before the second attempt; it doubles with each."""
    pause_max_s: float = 5.0


PATIENCE = Patience()


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """A call that nobody answered: it may have been carried out or not."""

    text: str
    may_be_repeated: bool = True

    @property
    def delay_s(self) -> float:
        """Nobody said how long to wait."""
        return 0.0


class Tries:
    """The attempts at one thing."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._until = time.monotonic() + patience.total_s
        self._count = 0

    def again(self, answer: Refusal | NoAnswer) -> bool:
        """Pause before the next attempt; False, without a pause, where there is none."""
        if not answer.may_be_repeated or time.monotonic() >= self._until:
            return False
        log.info("asking again: %s", answer.text)
        time.sleep(self.pause(answer.delay_s))
        return True

    def pause(self, at_least_s: float = 0.0) -> float:
        """How long to wait this time: half of it for certain, half by chance."""
        longest = min(self._patience.pause_max_s, self._patience.pause_s * 2.0**self._count)
        self._count = min(self._count + 1, 32)
        return at_least_s + longest * (0.5 + random.random() / 2)


class Line:
    """The channel, with the stubs that a client needs."""

    def __init__(self, identity: Identity, patience: Patience) -> None:
        """Nothing is sent yet."""
        self.patience = patience
        self.server = identity.server
        self._channel = open_channel(
            identity.server, identity.authority, identity.certificate, identity.tls_key, RECONNECT
        )
        self.exchange = ExchangeServiceStub(self._channel)
        self.partners = PartnersServiceStub(self._channel)

    def close(self) -> None:
        """Close the channel; calls under way end."""
        self._channel.close()

    def tries(self) -> Tries:
        """Attempts within the patience, from now."""
        return Tries(self.patience)

    def tries_for(self, total_s: float | None) -> Tries:
        """The same within another time; None is for ever."""
        return Tries(replace(self.patience, total_s=math.inf if total_s is None else total_s))

    def attempt(
        self, method: Callable[..., _Response], request: Message
    ) -> _Response | Refusal | NoAnswer:
        """One call."""
        try:
            return method(request, timeout=self.patience.call_s)
        except grpc.RpcError as error:
            return answer_of(error)

    def ask(self, method: Callable[..., _Response], request: Message) -> _Response:
        """The response of a call that may be repeated. Raises RequestRefused and Unavailable."""
        tries = self.tries()
        while True:
            answer = self.attempt(method, request)
            if not isinstance(answer, Refusal | NoAnswer):
                return answer
            if tries.again(answer):
                continue
            if isinstance(answer, Refusal) and not answer.may_be_repeated:
                raise answer.error()
            raise Unavailable(f"{self.server}: {answer.text}")


def answer_of(error: object) -> Refusal | NoAnswer:
    """What a failed call means."""
    if not isinstance(error, grpc.Call):
        return NoAnswer(f"no answer ({error})")
    refusal = refusal_of_call(error)
    if refusal is not None:
        return refusal
    code = error.code()
    return NoAnswer(f"{code.name}: {error.details() or ''}".strip(), code not in _POINTLESS)
