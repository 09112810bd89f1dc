"""Between the wire's messages and collateral as values."""

from uuid import UUID

from partners.errors import Reason, Refused
from partners.points import check_id, currency_scale
from partners.wire import parse_strictly, time_from_proto, time_to_proto
from pointclear.settlement.v1 import collateral_pb2 as pb
from settlement.collateral.movements import Depositor
from settlement.collateral.store import Movement, Standing
from settlement.collateral.withdrawal import Request, Withdrawal, check_amount
from settlement.references import collateral_reference


def request_from_payload(payload: bytes, audience: str) -> Request:
    """What a `collateral-withdrawal` payload states; raises Refused for one that is malformed, for
    another exchange, or of an amount that no bank pays.
    """
    message = parse_strictly(pb.CollateralWithdrawal(), payload)
    if message.audience != audience:
        raise Refused(Reason.AUDIENCE_WRONG, "audience", f"this exchange is {audience}")
    check_id(message.partner_id, "partner_id")
    currency = currency_scale(message.currency)
    time_from_proto(message.issued_at, "issued_at")
    return Request(
        str(withdrawal_id_of(message.withdrawal_id)),
        message.partner_id,
        currency.code,
        check_amount(message.amount, currency),
    )


def withdrawal_id_of(raw: bytes) -> UUID:
    """A withdrawal's id; raises Refused(FIELD_INVALID) unless it is a UUID version 7."""
    if len(raw) == 16:
        value = UUID(bytes=raw)
        if value.version == 7:
            return value
    raise Refused(
        Reason.FIELD_INVALID, "withdrawal_id", "a withdrawal's id is 16 bytes of a UUID version 7"
    )


def withdrawal_message(withdrawal: Withdrawal) -> pb.Withdrawal:
    """A withdrawal as the wire shows it."""
    request = withdrawal.request
    return pb.Withdrawal(
        partner_id=request.partner_id,
        withdrawal_id=UUID(request.withdrawal_id).bytes,
        currency=request.currency,
        amount=request.amount,
        state=pb.WithdrawalState.Value(f"WITHDRAWAL_STATE_{withdrawal.state}"),
        reference=withdrawal.reference,
        sha256=withdrawal.sha256,
        requested_at=time_to_proto(withdrawal.requested_at),
        log_index=withdrawal.requested_index,
    )


def collateral_message(
    of: Depositor,
    standing: Standing,
    movements: tuple[Movement, ...],
    withdrawals: tuple[Withdrawal, ...],
) -> pb.Collateral:
    """A partner's collateral as the wire shows it."""
    return pb.Collateral(
        partner_id=of.partner_id,
        currency=of.currency,
        balance=standing.balance,
        on_its_way=standing.on_its_way,
        free=standing.free,
        top_up_reference=collateral_reference(of.number),
        movements=[
            pb.CollateralMovement(
                kind=pb.CollateralMovementKind.Value(f"COLLATERAL_MOVEMENT_KIND_{each.kind}"),
                amount=each.amount,
                reference=each.reference,
                confirmed=each.is_confirmed,
                log_index=each.log_index,
                recorded_at=time_to_proto(each.recorded_at),
            )
            for each in movements
        ],
        withdrawals=map(withdrawal_message, withdrawals),
    )
