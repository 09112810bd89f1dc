"""Between the wire's messages and instructions."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from exchange.delivery.saga import Claimed, Step
from partners.confirmations.wire import kind_to_proto
from partners.program_port import Credit, InstructionKind
from partners.wire import time_to_proto
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from pointclear.exchange.v1 import transfer_pb2
from pointclear.partners.v1 import program_service_pb2 as program_pb


def target_member(order_payload: bytes) -> str:
    """The target's member of a stored order, empty where it was emptied or names a link."""
    return transfer_pb2.TransferOrder.FromString(order_payload).target_member


def pulled(claimed: Claimed, audience: str, lease_until: Timestamp) -> pb.PulledInstruction:
    """An instruction as its brand fetches it."""
    handed = pb.PulledInstruction(lease_until=lease_until, attempts=claimed.attempts)
    instruction = claimed.instruction
    if claimed.step is Step.ASK:
        handed.look_up.CopyFrom(
            program_pb.LookUpRequest(
                audience=audience,
                program=instruction.program,
                instruction_id=instruction.instruction_id.bytes,
                kind=kind_to_proto(claimed.kind),
            )
        )
    elif isinstance(instruction, Credit):
        handed.credit.CopyFrom(
            program_pb.CreditRequest(
                audience=audience,
                instruction_id=instruction.instruction_id.bytes,
                program=instruction.program,
                member=instruction.member,
                points=instruction.points,
                expiry_lots=[
                    program_pb.ExpiryLot(
                        points=each.points,
                        expires_at=time_to_proto(each.expires_at) if each.expires_at else None,
                    )
                    for each in instruction.expiry_lots
                ],
                committed=instruction.committed,
                order_sha256=instruction.order_sha256,
                source_key=instruction.source_key,
            )
        )
    else:
        handed.reverse.CopyFrom(
            program_pb.ReverseRequest(
                audience=audience,
                instruction_id=instruction.instruction_id.bytes,
                transfer_id=instruction.transfer_id.bytes,
                program=instruction.program,
                member=instruction.member,
                points=instruction.points,
            )
        )
    return handed


@dataclass(frozen=True, slots=True)
class Waiting:
    """An instruction on its way, without its member."""

    instruction_id: UUID
    kind: InstructionKind
    transfer_id: UUID
    program: str
    points: int
    committed: bool
    state: str
    attempts: int
    fault: str
    sent_at: datetime | None
    next_at: datetime
    answer_by: datetime | None
    log_index: int


def delivery_to_proto(waiting: Waiting) -> pb.Delivery:
    """An instruction on its way as operators see it."""
    return pb.Delivery(
        instruction_id=waiting.instruction_id.bytes,
        kind=kind_to_proto(waiting.kind),
        transfer_id=waiting.transfer_id.bytes,
        program=waiting.program,
        points=waiting.points,
        committed=waiting.committed,
        state=pb.DeliveryState.Value(f"DELIVERY_STATE_{waiting.state}"),
        attempts=waiting.attempts,
        fault=waiting.fault,
        sent_at=time_to_proto(waiting.sent_at) if waiting.sent_at else None,
        next_at=time_to_proto(waiting.next_at),
        answer_by=time_to_proto(waiting.answer_by) if waiting.answer_by else None,
        log_index=waiting.log_index,
    )
