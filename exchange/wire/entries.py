"""Entries of a partner's stream out."""

from exchange.reads import OwnEntry
from exchange.seal import PayloadKind
from partners.envelope import Envelope
from partners.wire import envelope_to_proto
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from pointclear.exchange.v1 import transfer_pb2


def entry_to_proto(entry: OwnEntry, envelope: Envelope) -> pb.StreamEntry:
    """An entry under its signature, with the caller's own member beside it."""
    return pb.StreamEntry(
        stream_seq=entry.stream_seq,
        envelope=envelope_to_proto(envelope),
        member=entry.linked_member or own_member(entry),
    )


def own_member(entry: OwnEntry) -> str:
    """The caller's own member in a transfer, as long as the order is stored. One that it only funds
    has none, and a reversal names none.
    """
    if entry.kind not in (PayloadKind.RECEIPT, PayloadKind.NOTICE):
        return ""
    order = transfer_pb2.TransferOrder.FromString(entry.order_payload or b"")
    return order.source_member if entry.kind is PayloadKind.RECEIPT else order.target_member
