"""A program whose brand serves `ProgramService`: called over mutual TLS, answered with signatures.

The rules kept here:

- The server must prove to be the brand, wherever it stands: its certificate comes from the
  authority that is trusted for brands, is in its time, and has the brand's name in its DNS form,
  since gRPC compares no other: see `partners.caller.partner_host`. The host's own name does not
  matter. We show `pointclear://exchange/<audience>`.
- Every call has a deadline. No call is made again by this module.
- A status of gRPC is no answer, whichever it is and whoever made it: the brand may have acted. So
  is a response that does not parse, is too large, or whose confirmation is not right in everything.
- What the other side says in a status is not repeated: it may name a member.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import grpc
from google.protobuf.message import DecodeError, Message

from partners.caller import partner_host
from partners.confirmations.confirmation import Asked, NoAnswer
from partners.confirmations.verification import KeyOf, verified_answer
from partners.confirmations.wire import kind_to_proto
from partners.program_port import (
    Credit,
    Eligibility,
    ExpiryLot,
    Fault,
    InstructionKind,
    ProgramAnswer,
    ProgramUnavailable,
    Reversal,
)
from partners.wire import envelope_from_proto, time_to_proto
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.partners.v1 import program_service_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["ProgramService"].full_name
RESPONSE_BYTES_MAX = 16 * 1024
"""A confirmation of 4 KiB and a fulfilment of 1 KiB, with room."""
DEADLINE_S = 5.0

_Response = TypeVar("_Response", bound=Message)

_FAULTS = {
    grpc.StatusCode.UNAVAILABLE: Fault.UNREACHABLE,
    grpc.StatusCode.CANCELLED: Fault.UNREACHABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: Fault.LATE,
}
"""What a status amounts to; every other is the program's own failure."""


# gRPC tells these from others of their status by its text alone.
_DISTRUST = ("handshake", "certificate", "verification", "ssl")
_TOO_LARGE = "received message larger than max"


@dataclass(frozen=True, slots=True)
class GrpcEndpoint:
    """Where a brand serves one program, and what both sides show each other."""

    address: str
    """`host:port`."""
    partner_id: str
    program: str
    audience: str
    """Of the exchange that calls."""
    authority: bytes
    """PEM of the authority that the brand's certificate must come from."""
    certificate: bytes
    """PEM of the exchange's own, for calls."""
    tls_key: bytes = field(repr=False)
    deadline_s: float = DEADLINE_S


class GrpcProgram:
    """Implements `ProgramPort`. Made in the event loop that uses it; `close` ends it."""

    def __init__(self, endpoint: GrpcEndpoint, key_of: KeyOf, now: Callable[[], datetime]) -> None:
        """Nothing is sent before the first call."""
        self._endpoint = endpoint
        self._key_of = key_of
        self._now = now
        self._channel = open_channel(endpoint)

    async def close(self) -> None:
        """End calls under way, as if the connection were lost."""
        await self._channel.close()

    async def validate_member(self, member: str) -> Eligibility:
        """What the program says of a member; unsigned."""
        request = pb.ProgramServiceValidateMemberRequest(
            program=self._endpoint.program, member=member
        )
        response = await self._call(
            "ValidateMember", request, pb.ProgramServiceValidateMemberResponse
        )
        return eligibility_from_proto(response.eligibility)

    async def balance(self, member: str) -> int:
        """Points that a member may spend; unsigned."""
        request = pb.GetBalanceRequest(program=self._endpoint.program, member=member)
        response = await self._call("GetBalance", request, pb.GetBalanceResponse)
        if response.points < 0:
            raise NoAnswer(Fault.FIELD_INVALID, "points", "a balance is never below 0")
        return response.points

    async def credit(self, credit: Credit) -> ProgramAnswer:
        """Give points; see the port."""
        request = credit_to_proto(credit, self._endpoint.audience)
        response = await self._call("Credit", request, pb.CreditResponse)
        asked = self._asked(credit.instruction_id, InstructionKind.CREDIT, credit.points)
        return self._answer(response.confirmation, asked, response.fulfilment)

    async def reverse(self, reversal: Reversal) -> ProgramAnswer:
        """Take points back; see the port."""
        request = reversal_to_proto(reversal, self._endpoint.audience)
        response = await self._call("Reverse", request, pb.ReverseResponse)
        asked = self._asked(reversal.instruction_id, InstructionKind.REVERSE, reversal.points)
        return self._answer(response.confirmation, asked)

    async def look_up(self, instruction_id: UUID, kind: InstructionKind) -> ProgramAnswer | None:
        """What became of an instruction. Whoever knows how many points were asked for must hold the
        answer's against them with `check_points`.
        """
        request = pb.LookUpRequest(
            audience=self._endpoint.audience,
            program=self._endpoint.program,
            instruction_id=instruction_id.bytes,
            kind=kind_to_proto(kind),
        )
        response = await self._call("LookUp", request, pb.LookUpResponse)
        if not response.HasField("confirmation"):
            return None
        asked = self._asked(instruction_id, kind, None, looked_up=True)
        return self._answer(response.confirmation, asked, response.fulfilment)

    def _asked(
        self,
        instruction_id: UUID,
        kind: InstructionKind,
        points: int | None,
        *,
        looked_up: bool = False,
    ) -> Asked:
        here = self._endpoint
        return Asked(
            here.audience, here.partner_id, here.program, instruction_id, kind, points, looked_up
        )

    def _answer(
        self, confirmation: SignedEnvelope, asked: Asked, fulfilment: bytes = b""
    ) -> ProgramAnswer:
        envelope = envelope_from_proto(confirmation)
        return verified_answer(envelope, asked, self._key_of, self._now(), fulfilment)

    async def _call(self, method: str, request: Message, response: type[_Response]) -> _Response:
        # Bytes in and bytes out: gRPC would swallow what does not parse.
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(
            f"/{SERVICE}/{method}"
        )
        try:
            raw = await call(request.SerializeToString(), timeout=self._endpoint.deadline_s)
        except grpc.aio.AioRpcError as error:
            raise no_answer(error) from None
        except grpc.aio.UsageError:
            raise ProgramUnavailable("the connection was closed", Fault.UNREACHABLE) from None
        try:
            return response.FromString(raw)
        except DecodeError:
            raise NoAnswer(Fault.MALFORMED, method, "the response does not parse") from None


def open_channel(endpoint: GrpcEndpoint) -> grpc.aio.Channel:
    """A channel on which nobody but the brand can answer."""
    credentials = grpc.ssl_channel_credentials(
        endpoint.authority, endpoint.tls_key, endpoint.certificate
    )
    return grpc.aio.secure_channel(
        endpoint.address,
        credentials,
        options=(
            ("grpc.ssl_target_name_override", partner_host(endpoint.partner_id)),
            # Otherwise that name would stand where HTTP/2 wants the host that was called.
            ("grpc.default_authority", endpoint.address),
            ("grpc.max_receive_message_length", RESPONSE_BYTES_MAX),
            # What the environment says of proxies is for other programs.
            ("grpc.enable_http_proxy", 0),
            # A request that left may have been carried out: whether to send it again is decided
            # above this module.
            ("grpc.enable_retries", 0),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            # A brand that comes back is noticed soon, though it was away for long.
            ("grpc.max_reconnect_backoff_ms", 5_000),
        ),
    )


def no_answer(error: grpc.aio.AioRpcError) -> ProgramUnavailable:
    """What a status amounts to: nothing is known, and why."""
    code = error.code()
    fault = _FAULTS.get(code, Fault.FAILED)
    details = (error.details() or "").lower()
    if code is grpc.StatusCode.UNAVAILABLE and any(word in details for word in _DISTRUST):
        fault = Fault.NOT_TRUSTED
    elif code is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE in details:
        fault = Fault.MALFORMED
    return ProgramUnavailable(f"{fault}: the call ended with {code.name}", fault)


def eligibility_from_proto(eligibility: pb.Eligibility.ValueType) -> Eligibility:
    """What a program says of a member; raises NoAnswer where it says nothing that is known."""
    known = eligibility in pb.Eligibility.values()
    name = pb.Eligibility.Name(eligibility).removeprefix("ELIGIBILITY_") if known else ""
    if name not in Eligibility.__members__:
        raise NoAnswer(Fault.OUTCOME_UNKNOWN, "eligibility", "it is not stated")
    return Eligibility[name]


def credit_to_proto(credit: Credit, audience: str) -> pb.CreditRequest:
    """The instruction as the wire carries it."""
    return pb.CreditRequest(
        audience=audience,
        instruction_id=credit.instruction_id.bytes,
        program=credit.program,
        member=credit.member,
        points=credit.points,
        expiry_lots=[_lot_to_proto(each) for each in credit.expiry_lots],
        committed=credit.committed,
        order_sha256=credit.order_sha256,
        source_key=credit.source_key,
    )


def reversal_to_proto(reversal: Reversal, audience: str) -> pb.ReverseRequest:
    """The instruction as the wire carries it."""
    return pb.ReverseRequest(
        audience=audience,
        instruction_id=reversal.instruction_id.bytes,
        transfer_id=reversal.transfer_id.bytes,
        program=reversal.program,
        member=reversal.member,
        points=reversal.points,
    )


def _lot_to_proto(lot: ExpiryLot) -> pb.ExpiryLot:
    expires_at = time_to_proto(lot.expires_at) if lot.expires_at else None
    return pb.ExpiryLot(points=lot.points, expires_at=expires_at)
