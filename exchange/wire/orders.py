"""Orders in: from the wire's message to the value, when they come and when they are read again."""

import hashlib

from exchange.commands import Order, SourceLot
from partners.envelope import TRANSFER_ORDER, Envelope, Signature
from partners.errors import Reason, Refused
from partners.points import POINTS_MAX, check_id, check_reference
from partners.wire import parse_strictly, time_from_proto, uuid7
from pointclear.exchange.v1 import transfer_pb2

LOTS_MAX = 16
"""Lots of source points in one order."""


def parse_order(envelope: Envelope) -> transfer_pb2.TransferOrder:
    """The order that a verified envelope holds, parsed strictly."""
    return parse_strictly(transfer_pb2.TransferOrder(), envelope.payload)


def order_from_proto(message: transfer_pb2.TransferOrder, envelope: Envelope) -> Order:
    """The order as a value; raises Refused(FIELD_INVALID) naming the first field that breaks its
    rule.
    """
    transfer_id = uuid7(message.transfer_id, "transfer_id")
    linked = bool(message.link_id)
    check_id(message.source_program, "source_program")
    check_id(message.target_program, "target_program")
    for field in ("source_member", "target_member"):
        check_reference(getattr(message, field), field, required=not linked)
        if linked and getattr(message, field):
            raise Refused(Reason.FIELD_INVALID, field, "an order that names a link names no member")
    for field in ("source_points", "target_points"):
        if not 0 < getattr(message, field) <= POINTS_MAX:
            raise Refused(Reason.FIELD_INVALID, field, "an amount is 1 to 2^62 points")
    check_agreement_named(message)
    issued_at = time_from_proto(message.issued_at, "issued_at")
    expires_at = time_from_proto(message.expires_at, "expires_at")
    if expires_at <= issued_at:
        raise Refused(Reason.FIELD_INVALID, "expires_at", "the expiry is after the issue")
    check_reference(message.partner_reference, "partner_reference", required=False)
    link_id = uuid7(message.link_id, "link_id") if linked else None
    if message.segment:
        check_id(message.segment, "segment")
    source_lots = lots_from_proto(message)
    quote_id = uuid7(message.quote_id, "quote_id") if message.quote_id else None
    signature = envelope.signatures[0]
    return Order(
        transfer_id,
        message.partner_id,
        message.source_program,
        message.target_program,
        message.source_member,
        message.target_member,
        message.source_points,
        message.target_points,
        message.agreement_id,
        message.agreement_version,
        issued_at,
        expires_at,
        message.partner_reference,
        signature.key_id,
        envelope.payload,
        hashlib.sha256(envelope.payload).digest(),
        signature.signature,
        link_id,
        message.segment,
        source_lots,
        quote_id,
    )


def check_agreement_named(message: transfer_pb2.TransferOrder) -> None:
    """Raise Refused(FIELD_INVALID) unless an order names an agreement version, or a quote in its
    place.
    """
    if message.quote_id:
        for field in ("agreement_id", "agreement_version"):
            if getattr(message, field):
                text = "an order that names a quote names no agreement"
                raise Refused(Reason.FIELD_INVALID, field, text)
        return
    check_id(message.agreement_id, "agreement_id")
    if message.agreement_version < 1:
        raise Refused(Reason.FIELD_INVALID, "agreement_version", "versions count from 1")


def lots_from_proto(message: transfer_pb2.TransferOrder) -> tuple[SourceLot, ...]:
    """The lots of an order's source points; raises Refused(FIELD_INVALID) unless they sum to
    these.
    """
    if len(message.source_lots) > LOTS_MAX:
        raise Refused(Reason.FIELD_INVALID, "source_lots", f"an order has at most {LOTS_MAX} lots")
    lots = tuple(
        SourceLot(each.points, time_from_proto(each.expires_at, f"source_lots[{at}].expires_at"))
        for at, each in enumerate(message.source_lots)
    )
    if lots and (
        min(each.points for each in lots) < 1
        or sum(each.points for each in lots) != message.source_points
    ):
        raise Refused(
            Reason.FIELD_INVALID,
            "source_lots",
            "each lot is at least 1 point, and the lots sum to the source points",
        )
    return lots


def stored_order(payload: bytes, key_id: str, signature: bytes) -> Order | None:
    """An order that was admitted before, from what is stored of it; None where today's rules would
    no longer admit it, or where it was emptied since a person was to be forgotten.
    """
    envelope = Envelope(TRANSFER_ORDER, payload, (Signature(key_id, signature),))
    try:
        return order_from_proto(parse_order(envelope), envelope)
    except Refused:
        return None


def order_bytes_naming(member: str) -> tuple[bytes, bytes]:
    """What is in the bytes of every order that names the reference as its source's member, and as
    its target's.
    """
    return (
        transfer_pb2.TransferOrder(source_member=member).SerializeToString(),
        transfer_pb2.TransferOrder(target_member=member).SerializeToString(),
    )


def names_member(payload: bytes, program: str, member: str) -> bool:
    """Whether an order that was admitted names a program's member."""
    order = transfer_pb2.TransferOrder.FromString(payload)
    return (program, member) in (
        (order.source_program, order.source_member),
        (order.target_program, order.target_member),
    )
