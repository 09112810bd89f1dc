"""What an operator's action looks like to machines and in a trail. Pure.

The request is shown as Protobuf's own JSON form of it.
"""

import json
from typing import Any
from uuid import UUID

from google.protobuf.descriptor_pool import Default
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from exchange.cli.documents import instant
from exchange.cli.output import envelope_document
from exchange.cli.signed_actions import stated
from partners.wire import envelope_from_proto
from pointclear.common.v1 import refusal_pb2
from pointclear.partners.v1 import (  # noqa: F401  (their descriptors are looked up by name)
    action_service_pb2,
    operator_service_pb2,
    partners_service_pb2,
)
from pointclear.settlement.v1 import settlement_service_pb2  # noqa: F401

COLUMNS = (
    *("action_id", "log_index", "recorded_at", "method", "maker", "reason", "state"),
    *("two_person", "checker", "approval_log_index", "approved_at", "ended_at", "refusal"),
    *("request_sha256", "request"),
)
"""Of a trail in CSV."""
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "'")


def action_document(action: action_service_pb2.Action) -> dict[str, Any]:
    """An action with everything about it."""
    envelope = envelope_from_proto(action.envelope)
    payload = stated(envelope.payload)
    refusal = refusal_pb2.Reason.Name(action.refusal).removeprefix("REASON_")
    return {
        "action_id": str(UUID(bytes=action.action_id)),
        "log_index": action.log_index,
        "recorded_at": instant(action.recorded_at),
        "method": payload.method,
        "maker": payload.operator,
        "reason": payload.reason,
        "state": action_service_pb2.ActionState.Name(action.state).removeprefix("ACTION_STATE_"),
        "two_person": action.two_person,
        "checker": action.checker,
        "approval_log_index": action.approval_log_index or None,
        "approved_at": instant(action.approved_at),
        "ended_at": instant(action.ended_at),
        "refusal": refusal if action.refusal else "",
        "issued_at": instant(payload.issued_at),
        "expires_at": instant(payload.expires_at),
        "request_sha256": payload.request_sha256.hex(),
        "request": request_document(payload.method, action.request),
        "envelope": envelope_document(envelope),
    }


def request_document(method: str, raw: bytes) -> Any:
    """The request of a call, as far as it can be read here."""
    try:
        return MessageToDict(request_of(method, raw))
    except (KeyError, DecodeError):
        return {"bytes": raw.hex()}


def request_of(method: str, raw: bytes, *, answer: bool = False) -> Message:
    """The request, or the answer, of a call by its full name. Raises KeyError for a call that is
    not known here, and DecodeError.
    """
    service, _, name = method.rpartition("/")
    descriptor = Default().FindServiceByName(service).methods_by_name[name]
    kind = descriptor.output_type if answer else descriptor.input_type
    message: Message = GetMessageClass(kind).FromString(raw)
    return message


def row_of(document: dict[str, Any]) -> list[str]:
    """An action as a row of a trail in CSV."""
    return [_cell(document[name]) for name in COLUMNS]


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        value = json.dumps(value, sort_keys=True, ensure_ascii=False)
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
