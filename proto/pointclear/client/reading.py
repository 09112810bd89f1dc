"""From verified proofs to the client's values. Pure."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from partners.envelope import CREDIT_NOTICE, FUNDING_NOTICE, TRANSFER_RECEIPT, Envelope
from pointclear.client.errors import ProofInvalid
from pointclear.client.proofs import Proof
from pointclear.client.values import Bookmark, Entry, Event, Quote, Reversal, Role, State, Transfer
from pointclear.common.v1 import refusal_pb2
from pointclear.exchange.v1 import quote_pb2, transfer_pb2

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ROLES = {
    TRANSFER_RECEIPT: Role.SOURCE,
    CREDIT_NOTICE: Role.TARGET,
    FUNDING_NOTICE: Role.FUNDER,
}


def transfer_of(proof: Proof) -> Transfer:
    """The transfer that a proof is about. Raises ProofInvalid for a state that this version does
    not know.
    """
    record = proof.transfer
    return Transfer(
        _id(record.transfer_id),
        state_of(record.state),
        reason_of(record.reason),
        record.source_program,
        record.target_program,
        record.source_points,
        record.target_points,
        moment(record.recorded_at),
        record.log_index,
        proof.body.stream_seq,
        record,
        proof.source_part,
        proof.target_part,
        proof.envelope,
    )


def entry_of(proof: Proof, member: str) -> Entry:
    """The entry of the stream that a proof is. Raises ProofInvalid."""
    bookmark = Bookmark(proof.body.stream_seq, proof.sha256)
    role = _ROLES.get(proof.envelope.payload_type) or _role_in(proof)
    return Entry(bookmark, role, member, event_of(proof))


def event_of(proof: Proof) -> Event:
    """What a proof is about. Raises ProofInvalid."""
    if isinstance(proof.record, transfer_pb2.ReversalRecord):
        return reversal_of(proof, proof.record)
    return transfer_of(proof)


def reversal_of(proof: Proof, record: transfer_pb2.ReversalRecord) -> Reversal:
    """The reversal that a proof is about. Raises ProofInvalid."""
    return Reversal(
        _id(record.reversal_id),
        _id(record.transfer_id),
        state_of(record.state),
        reason_of(record.reason),
        record.source_points,
        record.target_points,
        record.reversed_points,
        moment(record.recorded_at),
        record.log_index,
        proof.body.stream_seq,
        record,
        proof.reversal_part,
        proof.envelope,
    )


def _role_in(proof: Proof) -> Role:
    """What the reader is to a reversal."""
    record, reader = proof.record, proof.body.partner_id
    if reader == record.source_partner:
        return Role.SOURCE
    return Role.TARGET if reader == record.target_partner else Role.FUNDER


def quote_of(terms: quote_pb2.Quote, envelope: Envelope) -> Quote:
    """The offer that was verified. Raises ProofInvalid."""
    return Quote(
        _id(terms.quote_id),
        terms.source_program,
        terms.target_program,
        terms.source_points,
        terms.target_points,
        terms.segment,
        moment(terms.expires_at),
        terms,
        envelope,
    )


def state_of(state: int) -> State:
    """The state that the wire names."""
    known = transfer_pb2.TransferState.values()
    name = transfer_pb2.TransferState.Name(state) if state in known else ""  # type: ignore[arg-type]
    name = name.removeprefix("TRANSFER_STATE_")
    if name not in State.__members__:
        raise ProofInvalid("the record is in a state that this version does not know", "state")
    return State[name]


def reason_of(reason: int) -> str:
    """A reason's name, empty for none; one that this version does not know by its number."""
    if not reason:
        return ""
    known = refusal_pb2.Reason.values()
    name = refusal_pb2.Reason.Name(reason) if reason in known else str(reason)  # type: ignore[arg-type]
    return name.removeprefix("REASON_")


def moment(stamp: Timestamp) -> datetime:
    """The instant, to the microsecond. Raises ProofInvalid for one that no calendar has."""
    try:
        return _EPOCH + timedelta(seconds=stamp.seconds, microseconds=stamp.nanos // 1000)
    except OverflowError:
        raise ProofInvalid("a time is beyond the calendar", "recorded_at") from None


def _id(raw: bytes) -> UUID:
    if len(raw) != 16:
        raise ProofInvalid("an id has not 16 bytes", "transfer_id")
    return UUID(bytes=raw)
