"""Refusals out, with their message for people."""

from partners.envelope import Envelope
from partners.errors import Reason, Refused
from partners.wire import envelope_to_proto
from pointclear.common.v1 import refusal_pb2

MESSAGE_MAX = 1024
"""Bytes of a message for people, in UTF-8: a client takes no more than 8 KiB of trailers, in which
gRPC writes a message more than once and at up to three times its size.
"""


def refusal_to_proto(refusal: Refused, receipt: Envelope | None = None) -> refusal_pb2.Refusal:
    """The refusal as an item of a batch carries it."""
    return refusal_pb2.Refusal(
        reason=reason_to_proto(refusal.reason),
        field=refusal.field,
        message=message_of(refusal.text),
        retry=refusal_pb2.RetryClass.Value(f"RETRY_CLASS_{refusal.retry.name}"),
        remedy=refusal.remedy,
        receipt=envelope_to_proto(receipt) if receipt else None,
    )


def message_of(text: str) -> str:
    """A message for people, cut to what is sent of one."""
    return text.encode(errors="replace")[:MESSAGE_MAX].decode(errors="ignore")


def reason_to_proto(reason: Reason) -> refusal_pb2.Reason.ValueType:
    """The reason as the wire names it."""
    return refusal_pb2.Reason.Value(f"REASON_{reason.name}")
