"""Orders as a partner makes them, to transfer and to reverse: payload and envelope. Pure.

Made to be cheap, since a client that sends thousands a second runs it once for each: the payload is
serialised once, and only the signature costs anything.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from partners.envelope import REVERSAL_ORDER, TRANSFER_ORDER, pae
from partners.keys import Signer
from partners.wire import time_to_proto
from pointclear.client.values import Order, TakenBack
from pointclear.common.v1.envelope_pb2 import Signature, SignedEnvelope
from pointclear.exchange.v1 import transfer_pb2


def build_order(
    *,
    audience: str,
    partner_id: str,
    transfer_id: bytes,
    source_program: str,
    target_program: str,
    source_member: str,
    target_member: str,
    source_points: int,
    target_points: int,
    agreement_id: str,
    agreement_version: int,
    issued_at: datetime | Timestamp,
    expires_at: datetime | Timestamp,
    partner_reference: str = "",
    link_id: bytes = b"",
    segment: str = "",
    quote_id: bytes = b"",
    source_lots: Iterable[transfer_pb2.SourceLot] = (),
) -> bytes:
    """The payload of an order, in the one encoding that the exchange takes.

    `transfer_id` is a UUID version 7 of 16 bytes; times are aware; a link's id stands in place of
    both members, a quote's in place of the agreement. Nothing is judged here: that is the
    exchange's. Raises ValueError for a figure that 64 bits do not hold.
    """
    return transfer_pb2.TransferOrder(
        audience=audience,
        partner_id=partner_id,
        transfer_id=transfer_id,
        source_program=source_program,
        target_program=target_program,
        source_member=source_member,
        target_member=target_member,
        source_points=source_points,
        target_points=target_points,
        agreement_id=agreement_id,
        agreement_version=agreement_version,
        issued_at=time_to_proto(issued_at) if isinstance(issued_at, datetime) else issued_at,
        expires_at=time_to_proto(expires_at) if isinstance(expires_at, datetime) else expires_at,
        partner_reference=partner_reference,
        link_id=link_id,
        segment=segment,
        quote_id=quote_id,
        source_lots=source_lots,
    ).SerializeToString(deterministic=True)


def order_payload(
    order: Order, audience: str, partner_id: str, transfer_id: UUID, now: datetime
) -> bytes:
    """The payload of an order that is made now. Raises ValueError like `build_order`."""
    lots = [
        transfer_pb2.SourceLot(points=each.points, expires_at=time_to_proto(each.expires_at))
        for each in order.source_lots
    ]
    return build_order(
        audience=audience,
        partner_id=partner_id,
        transfer_id=transfer_id.bytes,
        source_program=order.source_program,
        target_program=order.target_program,
        source_member=order.source_member,
        target_member=order.target_member,
        source_points=order.source_points,
        target_points=order.target_points,
        agreement_id=order.agreement_id,
        agreement_version=order.agreement_version,
        issued_at=now,
        expires_at=now + order.valid_for,
        partner_reference=order.reference,
        link_id=order.link_id.bytes if order.link_id else b"",
        segment=order.segment,
        quote_id=order.quote_id.bytes if order.quote_id else b"",
        source_lots=lots,
    )


def sign_order(signer: Signer, payload: bytes) -> SignedEnvelope:
    """The order under the signature of the partner's key for orders."""
    return _signed(signer, TRANSFER_ORDER, payload)


def build_reversal(
    *,
    audience: str,
    partner_id: str,
    reversal_id: bytes,
    transfer_id: bytes,
    target_points: int,
    issued_at: datetime,
    expires_at: datetime,
    partner_reference: str = "",
) -> bytes:
    """The payload of a reversal order, in the one encoding that the exchange takes.

    Both ids are UUIDs version 7 of 16 bytes; times are aware. Raises ValueError for a figure that
    64 bits do not hold.
    """
    return transfer_pb2.ReversalOrder(
        audience=audience,
        partner_id=partner_id,
        reversal_id=reversal_id,
        transfer_id=transfer_id,
        target_points=target_points,
        issued_at=time_to_proto(issued_at),
        expires_at=time_to_proto(expires_at),
        partner_reference=partner_reference,
    ).SerializeToString(deterministic=True)


def reversal_payload(
    taken: TakenBack, audience: str, partner_id: str, reversal_id: UUID, now: datetime
) -> bytes:
    """The payload of a reversal order that is made now. Raises ValueError like `build_reversal`."""
    return build_reversal(
        audience=audience,
        partner_id=partner_id,
        reversal_id=reversal_id.bytes,
        transfer_id=taken.transfer_id.bytes,
        target_points=taken.target_points,
        issued_at=now,
        expires_at=now + taken.valid_for,
        partner_reference=taken.reference,
    )


def sign_reversal(signer: Signer, payload: bytes) -> SignedEnvelope:
    """The reversal order under the signature of the partner's key for orders."""
    return _signed(signer, REVERSAL_ORDER, payload)


def _signed(signer: Signer, payload_type: str, payload: bytes) -> SignedEnvelope:
    signature = signer.sign(pae(payload_type, payload))
    return SignedEnvelope(
        payload_type=payload_type,
        payload=payload,
        signatures=[Signature(key_id=signer.key_id, signature=signature)],
    )


def digest(order: Order | TakenBack) -> str:
    """What an order asks for, in short. Fields that say nothing are left out, so that a field of a
    later version changes no digest; nor does the time that it is valid for.
    """
    said = {
        each.name: str(getattr(order, each.name))
        for each in fields(order)
        if each.name != "valid_for" and getattr(order, each.name) != each.default
    }
    if isinstance(order, TakenBack):
        said["order"] = "reversal"
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
