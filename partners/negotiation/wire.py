"""Between the wire's messages and what is negotiated."""

from dataclasses import dataclass
from datetime import datetime

from google.protobuf.message import DecodeError

from partners.envelope import Envelope
from partners.errors import Reason, Refused
from partners.negotiation.store import Round, Version
from partners.points import check_id
from partners.wire import (
    envelope_to_proto,
    parse_strictly,
    time_from_proto,
    time_to_proto,
)
from pointclear.partners.v1 import agreement_life_pb2, partners_service_pb2

DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What a proposer signs to take its proposal back."""

    agreement_id: str
    version: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Termination:
    """What a brand signs to end a version."""

    agreement_id: str
    version: int
    sha256: bytes
    effective_until: datetime


def withdrawal_from_payload(payload: bytes, audience: str) -> Withdrawal:
    """The withdrawal that a verified payload states; raises Refused for one that is malformed or
    for another exchange.
    """
    message = parse_strictly(agreement_life_pb2.AgreementWithdrawal(), payload)
    _check_named(message, audience)
    return Withdrawal(message.agreement_id, message.version, message.agreement_sha256)


def termination_from_payload(payload: bytes, audience: str) -> Termination:
    """The notice that a verified payload states; raises Refused for one that is malformed or for
    another exchange.
    """
    message = parse_strictly(agreement_life_pb2.AgreementTermination(), payload)
    _check_named(message, audience)
    until = time_from_proto(message.effective_until, "effective_until")
    return Termination(message.agreement_id, message.version, message.agreement_sha256, until)


def _check_named(
    message: agreement_life_pb2.AgreementWithdrawal | agreement_life_pb2.AgreementTermination,
    audience: str,
) -> None:
    if message.audience != audience:
        raise Refused(Reason.AUDIENCE_WRONG, "audience", f"this exchange is {audience}")
    check_version(message.agreement_id, message.version)
    if len(message.agreement_sha256) != DIGEST_BYTES:
        raise Refused(Reason.FIELD_INVALID, "agreement_sha256", "a SHA-256 has 32 bytes")
    time_from_proto(message.issued_at, "issued_at")


def check_version(agreement_id: str, version: int) -> None:
    """Raise Refused(FIELD_INVALID) unless this may name an agreement version."""
    check_id(agreement_id, "agreement_id")
    if version < 1:
        raise Refused(Reason.FIELD_INVALID, "version", "versions count from 1")


def activation_body(
    agreement: Envelope, effective_from: datetime | None, effective_until: datetime | None
) -> bytes:
    """The body of an activation's leaf."""
    message = agreement_life_pb2.AgreementActivation(agreement=envelope_to_proto(agreement))
    if effective_from is not None:
        message.effective_from.CopyFrom(time_to_proto(effective_from))
    if effective_until is not None:
        message.effective_until.CopyFrom(time_to_proto(effective_until))
    return message.SerializeToString(deterministic=True)


@dataclass(frozen=True, slots=True)
class LoggedActivation:
    """What the leaf of an activation holds."""

    payload: bytes
    """The agreement's."""
    effective_from: datetime | None
    """None means the leaf's own time."""


def activation_from_body(body: bytes) -> LoggedActivation:
    """What the body of an activation's leaf states; before schema revision 9 it was the agreement's
    payload alone.
    """
    message = agreement_life_pb2.AgreementActivation()
    try:
        message.ParseFromString(body)
    except DecodeError:
        return LoggedActivation(body, None)
    if message.SerializeToString(deterministic=True) != body or not message.agreement.payload:
        return LoggedActivation(body, None)
    begins = (
        time_from_proto(message.effective_from, "effective_from")
        if message.HasField("effective_from")
        else None
    )
    return LoggedActivation(message.agreement.payload, begins)


def version_to_proto(version: Version) -> partners_service_pb2.Agreement:
    """A version as the wire shows it."""
    proposal = version.newest.proposal
    shown = partners_service_pb2.Agreement(
        agreement_id=version.agreement_id,
        version=version.version,
        state=partners_service_pb2.AgreementState.Value(f"AGREEMENT_STATE_{version.state}"),
        envelope=envelope_to_proto(version.newest.envelope),
        proposer=proposal.proposer,
        round=proposal.round,
    )
    if version.life is not None:
        shown.effective_from.CopyFrom(time_to_proto(version.life.effective_from))
        if version.life.effective_until is not None:
            shown.effective_until.CopyFrom(time_to_proto(version.life.effective_until))
    return shown


def round_to_proto(each: Round) -> partners_service_pb2.Proposal:
    """A round of a negotiation as the wire shows it."""
    return partners_service_pb2.Proposal(
        round=each.proposal.round,
        proposer=each.proposal.proposer,
        is_counter=each.proposal.is_counter,
        withdrawn=each.proposal.withdrawn,
        envelope=envelope_to_proto(each.envelope),
    )
