"""What an order must pass before it is queued. Pure.

It needs nothing that changes, writes nothing and gives no receipt. The order of the checks is part
of the protocol: envelope shape, payload type, key registered, signature, strict parse, signer is
the caller, audience, field rules. Size and channel identity were checked by the edge.
"""

from datetime import UTC, datetime, timedelta

from exchange.commands import Order
from exchange.wire.orders import order_from_proto, parse_order
from partners.envelope import TRANSFER_ORDER, Envelope
from partners.errors import Reason, Refused
from partners.keys import Purpose
from partners.registry import Registry
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
    if key.holder != f"partner/{partner_id}" or message.partner_id != partner_id:
        raise Refused(
            Reason.SIGNER_NOT_CALLER, "signatures", "the order is signed by another partner's key"
        )
    if message.audience != audience:
        raise Refused(Reason.AUDIENCE_WRONG, "audience", f"this exchange is {audience}")
    order = order_from_proto(message, envelope)
    made_at_ms = order.transfer_id.int >> 80
    if not since_1970_ms(stored_from) <= made_at_ms <= since_1970_ms(now + ID_SKEW):
        raise Refused(
            Reason.FIELD_INVALID,
            "transfer_id",
            "the id's time lies ahead, or so far back that its day is no longer stored",
        )
    return order


def since_1970_ms(moment: datetime) -> int:
    """Milliseconds as an id counts them; an id's own may lie past the last year of `datetime`."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)
