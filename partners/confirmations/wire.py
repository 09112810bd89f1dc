"""Between the wire's `CreditConfirmation` and its value."""

from typing import Any
from uuid import UUID

from partners.confirmations.confirmation import Confirmation, NoAnswer
from partners.errors import Refused
from partners.program_port import CreditOutcome, DeclineReason, Fault, InstructionKind
from partners.wire import parse_strictly, time_from_proto, time_to_proto
from pointclear.partners.v1 import program_service_pb2 as pb


def kind_to_proto(kind: InstructionKind) -> pb.InstructionKind.ValueType:
    """The kind as the wire names it."""
    return pb.InstructionKind.Value(f"INSTRUCTION_KIND_{kind.name}")


def kind_from_proto(kind: pb.InstructionKind.ValueType) -> InstructionKind | None:
    """The kind; None where the wire's value names none."""
    return InstructionKind.__members__.get(_name(pb.InstructionKind, kind, "INSTRUCTION_KIND_"))


def confirmation_payload(said: Confirmation) -> bytes:
    """The bytes that a brand signs."""
    reason = said.reason.name if said.reason else "UNSPECIFIED"
    return pb.CreditConfirmation(
        audience=said.audience,
        partner_id=said.partner_id,
        instruction_id=said.instruction_id.bytes,
        kind=kind_to_proto(said.kind),
        program=said.program,
        outcome=pb.CreditOutcome.Value(f"CREDIT_OUTCOME_{said.outcome.name}"),
        points=said.points,
        reason=pb.DeclineReason.Value(f"DECLINE_REASON_{reason}"),
        decided_at=time_to_proto(said.decided_at),
        program_reference=said.program_reference,
        fulfilment_sha256=said.fulfilment_sha256,
    ).SerializeToString(deterministic=True)


def confirmation_from_payload(payload: bytes) -> Confirmation:
    """What verified bytes say; raises NoAnswer for what is not the one encoding of a confirmation
    or leaves open what it is about.
    """
    try:
        message = parse_strictly(pb.CreditConfirmation(), payload)
        decided_at = time_from_proto(message.decided_at, "decided_at")
    except Refused as refusal:
        raise NoAnswer(Fault.MALFORMED, refusal.field, refusal.text) from None
    if len(message.instruction_id) != 16:
        raise NoAnswer(Fault.INSTRUCTION_WRONG, "instruction_id", "an id has 16 bytes")
    kind = kind_from_proto(message.kind)
    if kind is None:
        raise NoAnswer(Fault.INSTRUCTION_WRONG, "kind", "there is no such kind")
    outcome = CreditOutcome.__members__.get(
        _name(pb.CreditOutcome, message.outcome, "CREDIT_OUTCOME_")
    )
    if outcome is None:
        raise NoAnswer(Fault.OUTCOME_UNKNOWN, "outcome", "there is no such outcome")
    reason = DeclineReason.__members__.get(
        _name(pb.DeclineReason, message.reason, "DECLINE_REASON_")
    )
    if reason is None and message.reason:
        raise NoAnswer(Fault.REASON_WRONG, "reason", "there is no such reason")
    return Confirmation(
        message.audience,
        message.partner_id,
        UUID(bytes=message.instruction_id),
        kind,
        message.program,
        outcome,
        decided_at,
        message.points,
        reason,
        message.program_reference,
        message.fulfilment_sha256,
    )


def _name(enum: Any, value: int, prefix: str) -> str:
    # An enum is open: a value that this version does not know is kept, and has no name.
    return str(enum.Name(value)).removeprefix(prefix) if value in enum.values() else ""
