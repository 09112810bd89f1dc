"""What stored records and the entries of streams say of themselves, for whoever checks them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from exchange.delivery.booking import undo_id
from exchange.seal import LeafKind, PayloadKind
from partners.program_port import CreditOutcome, InstructionKind
from pointclear.common.v1 import refusal_pb2
from pointclear.exchange.v1 import record_pb2, transfer_pb2
from pointclear.partners.v1 import partners_service_pb2

Record = transfer_pb2.TransferRecord | transfer_pb2.ReversalRecord
Paper = (
    transfer_pb2.TransferReceipt
    | transfer_pb2.CreditNotice
    | transfer_pb2.FundingNotice
    | transfer_pb2.ReversalNotice
)
PAPERS: Mapping[int, type[Paper]] = {
    PayloadKind.RECEIPT: transfer_pb2.TransferReceipt,
    PayloadKind.NOTICE: transfer_pb2.CreditNotice,
    PayloadKind.FUNDING: transfer_pb2.FundingNotice,
    PayloadKind.REVERSAL: transfer_pb2.ReversalNotice,
}
"""What each is, serialised."""


@dataclass(frozen=True, slots=True)
class Chained:
    """What an entry of a stream says of its place, and the record that it carries."""

    partner_id: str
    stream_seq: int
    previous_sha256: bytes
    record: bytes


def chained(kind: int, payload: bytes) -> Chained:
    """The place of a stream's payload, by its kind."""
    message = PAPERS[kind].FromString(payload)
    return Chained(message.partner_id, message.stream_seq, message.previous_sha256, message.record)


def recorded_index(record: bytes, kind: int) -> int:
    """The log index that a record states, by its leaf's kind."""
    if kind == LeafKind.ENTRY:
        return record_pb2.EntryRecord.FromString(record).log_index
    if kind in (LeafKind.REVERSAL, LeafKind.REVERSAL_REFUSAL, LeafKind.REVERSAL_REQUEST):
        return transfer_pb2.ReversalRecord.FromString(record).log_index
    return transfer_pb2.TransferRecord.FromString(record).log_index


def recorded_agreement(record: bytes, kind: int) -> tuple[tuple[str, int], bytes]:
    """The agreement version that the record of a transfer or reversal names, and its digest."""
    message: Record
    if kind == LeafKind.REVERSAL:
        message = transfer_pb2.ReversalRecord.FromString(record)
    else:
        message = transfer_pb2.TransferRecord.FromString(record)
    return (message.agreement_id, message.agreement_version), message.agreement_sha256


@dataclass(frozen=True, slots=True)
class Ended:
    """How a record says that a transfer or a reversal ended, and by which answer."""

    log_index: int
    recorded_at: datetime
    name: UUID
    """The transfer's or reversal's own id."""
    instruction: tuple[UUID, InstructionKind]
    """What was answered."""
    outcomes: tuple[CreditOutcome, ...]
    """With which such an end may come."""
    points: int
    """Target points that were moved."""
    target_partner: str
    sha256: bytes
    """Of the answer; empty where nothing was answered."""
    key_id: str
    """That signed it; empty for the operators' evidence."""

    @property
    def subject(self) -> str:
        """The row that says so."""
        return f"record {self.log_index} ({self.name})"


def recorded_end(record: bytes, kind: int) -> Ended | None:
    """What the record of a transfer or reversal, or of a refusal of one, says of its end; None
    where it was refused at once.
    """
    if kind in (LeafKind.TRANSFER, LeafKind.REFUSAL):
        return _transfer_end(transfer_pb2.TransferRecord.FromString(record))
    return _reversal_end(transfer_pb2.ReversalRecord.FromString(record))


def _transfer_end(record: transfer_pb2.TransferRecord) -> Ended | None:
    if record.state == transfer_pb2.TRANSFER_STATE_COMMITTED:
        outcome, points = CreditOutcome.DONE, record.target_points
    elif record.state == transfer_pb2.TRANSFER_STATE_ABORTED:
        lapsed = record.reason == refusal_pb2.REASON_TRANSFER_LAPSED
        outcome, points = CreditOutcome.NEVER if lapsed else CreditOutcome.DECLINED, 0
    else:
        return None
    name = UUID(bytes=record.transfer_id)
    return _ended(record, name, (name, InstructionKind.CREDIT), (outcome,), points)


def _reversal_end(record: transfer_pb2.ReversalRecord) -> Ended | None:
    committed = record.state == transfer_pb2.TRANSFER_STATE_COMMITTED
    if not committed and record.state != transfer_pb2.TRANSFER_STATE_ABORTED:
        return None
    name, transfer_id = UUID(bytes=record.reversal_id), UUID(bytes=record.transfer_id)
    nothing = (CreditOutcome.DECLINED, CreditOutcome.NEVER)
    if name == undo_id(transfer_id):
        # A committed credit that was declined: all of it is booked back, and nothing was moved.
        return _ended(record, name, (transfer_id, InstructionKind.CREDIT), nothing, 0)
    outcomes = (CreditOutcome.DONE,) if committed else nothing
    points = record.target_points if committed else 0
    return _ended(record, name, (name, InstructionKind.REVERSE), outcomes, points)


def _ended(
    record: Record,
    name: UUID,
    instruction: tuple[UUID, InstructionKind],
    outcomes: tuple[CreditOutcome, ...],
    points: int,
) -> Ended:
    return Ended(
        record.log_index,
        record.recorded_at.ToDatetime(UTC),
        name,
        instruction,
        outcomes,
        points,
        record.target_partner,
        record.proof_sha256,
        record.proof_key_id,
    )


def rate_of_body(body: bytes) -> tuple[str, datetime, int]:
    """Code, instant and basis points of the rate that an entry's body states."""
    rate = partners_service_pb2.TaxRate.FromString(body)
    return rate.tax_code, rate.effective_from.ToDatetime(UTC), rate.basis_points
