"""Between the wire's messages and payments between partners as values."""

from dataclasses import dataclass

from partners.errors import Reason, Refused
from partners.points import check_id, currency_scale
from partners.wire import parse_strictly, time_from_proto
from pointclear.settlement.v1 import pair_pb2 as pb
from settlement.pairs.leg import PairPayment, Side

_SIDES = {
    pb.PAYMENT_SIDE_PAID: Side.PAID,
    pb.PAYMENT_SIDE_RECEIVED: Side.RECEIVED,
}


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What a partner signed of a payment."""

    partner_id: str
    window_id: str
    reference: str
    side: Side
    currency: str
    amount: int
    """Units of the currency's scale."""


def confirmed_from(payload: bytes, audience: str) -> Confirmed:
    """What a `payment-confirmation` payload says; raises Refused for a malformed one, or one for
    another exchange.
    """
    message = parse_strictly(pb.PaymentConfirmation(), payload)
    if message.audience != audience:
        raise Refused(Reason.AUDIENCE_WRONG, "audience", f"this exchange is {audience}")
    check_id(message.partner_id, "partner_id")
    check_id(message.window_id, "window_id")
    time_from_proto(message.issued_at, "issued_at")
    side = _SIDES.get(message.side)
    if side is None:
        raise Refused(Reason.FIELD_INVALID, "side", "say whether you have paid or received it")
    return Confirmed(
        message.partner_id,
        message.window_id,
        message.reference,
        side,
        currency_scale(message.currency).code,
        message.amount,
    )


def leg_message(leg: PairPayment, due_date: str) -> pb.PairLeg:
    """A payment between partners as the wire shows it."""
    return pb.PairLeg(
        window_id=leg.window.window_id,
        reference=leg.asked.reference,
        payer=leg.asked.payer,
        payee=leg.asked.payee,
        currency=leg.window.currency.code,
        amount=leg.asked.payment,
        state=pb.PairLegState.Value(f"PAIR_LEG_STATE_{leg.state}"),
        paid_index=leg.paid_index or 0,
        received_index=leg.received_index or 0,
        due_date=due_date,
    )
