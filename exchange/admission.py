"""What an order, to transfer or to reverse, must pass before it is queued. Pure.

It needs nothing that changes, writes nothing and gives no receipt. The order of the checks is part
of the protocol: envelope shape, payload type, key registered, signature, strict parse, signer is
the caller, audience, field rules. Size and channel identity were checked by the edge.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from exchange.commands import Order, Reverse
from exchange.wire.orders import order_from_proto, parse_order
from exchange.wire.reversals import parse_reversal, reversal_from_proto
from partners.envelope import REVERSAL_ORDER, TRANSFER_ORDER, Envelope
from partners.errors import Reason, Refused
from partners.keys import Purpose
from partners.registry import RegisteredKey, Registry
from partners.signing import verified_signer

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

ID_SKEW = timedelta(minutes=10)
"""How far the time inside a transfer id may lie ahead of ours."""


def admit(
    envelope: Envelope,
    partner_id: str,
    registry: Registry,
    audience: str,
    stored_from: datetime,
    now: datetime,
) -> Order:
    """The order in a verified envelope; raises the Refused of the first check that fails.

    `stored_from` is the first moment whose ids are still stored.
    """
    key = verified_signer(envelope, TRANSFER_ORDER, Purpose.ORDERS, registry)
    message = parse_order(envelope)
    check_sender(key, message.partner_id, partner_id)
    check_audience(message.audience, audience)
    order = order_from_proto(message, envelope)
    check_id_time(order.transfer_id, "transfer_id", stored_from, now)
    return order


def admit_reversal(
    envelope: Envelope,
    partner_id: str,
    registry: Registry,
    audience: str,
    stored_from: datetime,
    now: datetime,
) -> Reverse:
    """The reversal order in a verified envelope; raises the Refused of the first check that
    fails.
    """
    key = verified_signer(envelope, REVERSAL_ORDER, Purpose.ORDERS, registry)
    message = parse_reversal(envelope)
    check_sender(key, message.partner_id, partner_id)
    check_audience(message.audience, audience)
    order = reversal_from_proto(message, envelope)
    check_id_time(order.reversal_id, "reversal_id", stored_from, now)
    return order


def check_sender(key: RegisteredKey, named: str, partner_id: str) -> None:
    """Raise Refused(SIGNER_NOT_CALLER) unless the caller is who signs and who is named."""
    if key.holder != f"partner/{partner_id}" or named != partner_id:
        raise Refused(
            Reason.SIGNER_NOT_CALLER, "signatures", "the order is signed by another partner's key"
        )


def check_audience(named: str, audience: str) -> None:
    """Raise Refused(AUDIENCE_WRONG) for what is meant for another exchange."""
    if named != audience:
        raise Refused(Reason.AUDIENCE_WRONG, "audience", f"this exchange is {audience}")


def check_id_time(made: UUID, field: str, stored_from: datetime, now: datetime) -> None:
    """Raise Refused(FIELD_INVALID) for an id whose day is not stored."""
    made_at_ms = made.int >> 80
    if not since_1970_ms(stored_from) <= made_at_ms <= since_1970_ms(now + ID_SKEW):
        raise Refused(
            Reason.FIELD_INVALID,
            field,
            "the id's time lies ahead, or so far back that its day is no longer stored",
        )


def since_1970_ms(moment: datetime) -> int:
    """Milliseconds as an id counts them; an id's own may lie past the last year of `datetime`."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)
