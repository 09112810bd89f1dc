"""Between the wire's messages and actions as values."""

from datetime import datetime
from uuid import UUID

from partners.actions.commands import Action
from partners.actions.store import StoredAction
from partners.errors import Reason, Refused
from partners.points import check_id
from partners.wire import envelope_to_proto, parse_strictly, time_from_proto, time_to_proto
from pointclear.common.v1 import refusal_pb2
from pointclear.partners.v1 import action_service_pb2 as pb
from pointclear.partners.v1.operator_action_pb2 import OperatorAction

LISTED_REQUEST_BYTES_MAX = 8 * 1024
"""A larger request is left out of lists, so that a page stays small."""


def action_from_payload(payload: bytes) -> tuple[str, bytes, Action]:
    """Audience, digest of the request, and the action that an `operator-action` payload states;
    raises Refused for one that is malformed.
    """
    message = parse_strictly(OperatorAction(), payload)
    action = Action(
        action_id_from(message.action_id),
        check_id(message.operator, "operator"),
        message.method,
        message.reason,
        time_from_proto(message.issued_at, "issued_at"),
        time_from_proto(message.expires_at, "expires_at"),
        payload,
    )
    return message.audience, message.request_sha256, action


def action_id_from(raw: bytes) -> UUID:
    """An id of 16 bytes; raises Refused(FIELD_INVALID)."""
    try:
        return UUID(bytes=raw)
    except ValueError:
        raise Refused(Reason.FIELD_INVALID, "action_id", "an id has 16 bytes") from None


def state_of(stored: StoredAction, now: datetime) -> pb.ActionState.ValueType:
    """How far an action has come."""
    if stored.ended_at is not None:
        refused = stored.refusal is not None
        return pb.ACTION_STATE_REFUSED if refused else pb.ACTION_STATE_CARRIED_OUT
    if stored.is_approved:
        return pb.ACTION_STATE_APPROVED
    lapsed = action_from_payload(stored.envelope.payload)[2].expires_at <= now
    return pb.ACTION_STATE_LAPSED if lapsed else pb.ACTION_STATE_PENDING


def action_to_proto(
    stored: StoredAction, now: datetime, request_bytes_max: int | None
) -> pb.Action:
    """An action as the wire shows it, with its request unless that is larger."""
    request = stored.request or b""
    shown = pb.Action(
        action_id=stored.action_id.bytes,
        envelope=envelope_to_proto(stored.envelope),
        state=state_of(stored, now),
        two_person=stored.two_person,
        checker=stored.checker,
        log_index=stored.log_index,
        recorded_at=time_to_proto(stored.recorded_at),
    )
    if request_bytes_max is None or len(request) <= request_bytes_max:
        shown.request = request
    if stored.approved_at is not None:
        shown.approval_log_index = stored.approval_log_index
        shown.approved_at.CopyFrom(time_to_proto(stored.approved_at))
    if stored.ended_at is not None:
        shown.ended_at.CopyFrom(time_to_proto(stored.ended_at))
    if stored.refusal is not None:
        shown.refusal = refusal_pb2.Reason.Value(f"REASON_{stored.refusal.reason}")
    return shown
