"""How the exchange says no: in the details of a failed call, or as an item of a batch. Pure.

A refusal is read from `google.rpc.Status` in the trailers: ErrorInfo of domain `pointclear`,
BadRequest, RetryInfo and last the receipt. An error that gRPC makes itself carries none of these:
nobody refused.

Source: docs/protocol.md, "Errors".
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from types import MappingProxyType
from typing import Self

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from partners.envelope import Envelope
from partners.errors import Retry
from partners.wire import envelope_from_proto
from pointclear.client.errors import RefusedForGood, RefusedForNow, RequestRefused
from pointclear.client.reading import reason_of
from pointclear.client.values import Event
from pointclear.common.v1 import refusal_pb2
from pointclear.common.v1.envelope_pb2 import SignedEnvelope

ERROR_DOMAIN = "pointclear"
_KNOWN = (
    error_details_pb2.ErrorInfo,
    error_details_pb2.BadRequest,
    error_details_pb2.RetryInfo,
    SignedEnvelope,
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the exchange said."""

    reason: str
    text: str
    field: str
    retry: Retry
    remedy: str
    metadata: Mapping[str, str] = dataclass_field(default_factory=lambda: MappingProxyType({}))
    receipt: Envelope | None = None
    """Of an order whose refusal was recorded."""
    delay_s: float = 0.0
    """How long to wait before the same is sent again."""

    @property
    def may_be_repeated(self) -> bool:
        """Whether the very same request may be sent again."""
        return self.retry is Retry.SAME_ID

    def error(self, recorded: Event | None = None) -> RequestRefused:
        """The error that says so; `recorded` is what the receipt proves."""
        kinds = {Retry.NEW_ID: RefusedForNow, Retry.NEVER: RefusedForGood}
        return kinds.get(self.retry, RequestRefused)(
            self.reason, self.text, self.field, self.retry, self.remedy, self.metadata, recorded
        )

    def to_json(self) -> str:
        """What the journal keeps; the receipt is kept beside it."""
        return json.dumps(
            [self.reason, self.text, self.field, self.retry, self.remedy, dict(self.metadata)]
        )

    @classmethod
    def from_json(cls, text: str, receipt: Envelope | None) -> Self:
        """What the journal kept."""
        reason, said, place, retry, remedy, metadata = json.loads(text)
        return cls(reason, said, place, Retry(retry), remedy, metadata, receipt)


def refusal_of_call(error: grpc.Call) -> Refusal | None:
    """What a failed call says; None where nobody refused."""
    details = _details(error)
    info = next((each for each in details if isinstance(each, error_details_pb2.ErrorInfo)), None)
    if info is None:
        return None
    metadata = dict(info.metadata)
    place, delay_s, receipt = "", 0.0, None
    for each in details:
        if isinstance(each, error_details_pb2.BadRequest) and each.field_violations:
            place = each.field_violations[0].field
        elif isinstance(each, error_details_pb2.RetryInfo):
            delay_s = each.retry_delay.ToTimedelta().total_seconds()
        elif isinstance(each, SignedEnvelope):
            receipt = envelope_from_proto(each)
    return Refusal(
        info.reason,
        (error.details() or "").removeprefix(f"{info.reason}: "),
        place,
        _retry(metadata.pop("retry", "")),
        metadata.pop("remedy", ""),
        metadata,
        receipt,
        delay_s,
    )


def refusal_of_item(item: refusal_pb2.Refusal) -> Refusal:
    """What an item of a batch says."""
    known = item.retry in refusal_pb2.RetryClass.values()
    name = refusal_pb2.RetryClass.Name(item.retry) if known else ""
    return Refusal(
        reason_of(item.reason),
        item.message,
        item.field,
        _retry(name.removeprefix("RETRY_CLASS_")),
        item.remedy,
        receipt=envelope_from_proto(item.receipt) if item.HasField("receipt") else None,
    )


def _retry(name: str) -> Retry:
    # A class that this version does not know must not have it send anything twice.
    return Retry(name) if name in Retry.__members__ else Retry.NEVER


def _details(error: grpc.Call) -> list[Message]:
    try:
        status = rpc_status.from_call(error)
    except ValueError:  # The details contradict the call's own status.
        status = None
    found: list[Message] = []
    for packed in status.details if status else ():
        for kind in _KNOWN:
            message = kind()
            if packed.Unpack(message):
                found.append(message)
    return [
        each
        for each in found
        if not isinstance(each, error_details_pb2.ErrorInfo) or each.domain == ERROR_DOMAIN
    ]
