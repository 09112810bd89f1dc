"""Lines from the entries of a partner's stream."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from exchange.fold import InvariantBroken
from exchange.seal import PayloadKind
from pointclear.exchange.v1 import transfer_pb2
from settlement.lines.line import REVERSED, Line, Role, Share

Fee = transfer_pb2.SourcePart | transfer_pb2.TargetPart
Record = transfer_pb2.TransferRecord | transfer_pb2.ReversalRecord

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def line_of(window_id: str, payload_kind: int, payload: bytes, order: bytes | None) -> Line | None:
    """The line of one stream entry, or None for a refused order.

    `order` is the payload of the partner's own order, while it is stored. Raises InvariantBroken
    for a transfer or reversal that another window counts.
    """
    if payload_kind == PayloadKind.REVERSAL:
        return _reversal_line(window_id, payload, order)
    role, partner_id, record, fee = _read_entry(payload_kind, payload)
    if not _counts(window_id, record):
        return None
    reference = ""
    if role is Role.SOURCE and order is not None:
        reference = transfer_pb2.TransferOrder.FromString(order).partner_reference
    shares = _shares(role, partner_id, record)
    return _line(
        record,
        # What the source pays for points comes to the target; a funder has no part in it.
        sign={Role.SOURCE: -1, Role.TARGET: 1, Role.FUNDER: 0}[role],
        role=role,
        own_reference=reference,
        promotion=_promotion(role, partner_id, shares),
        promotions=shares,
        fee=-fee.fee,
        tax=-fee.tax,
        tax_code=fee.tax_code,
        state="COMMITTED",
    )


def _reversal_line(window_id: str, payload: bytes, order: bytes | None) -> Line | None:
    notice = transfer_pb2.ReversalNotice.FromString(payload)
    record = transfer_pb2.ReversalRecord.FromString(notice.record)
    part = transfer_pb2.ReversalPart.FromString(notice.part)
    if not _counts(window_id, record):
        return None
    brands = {record.source_partner: Role.SOURCE, record.target_partner: Role.TARGET}
    role = brands.get(notice.partner_id, Role.FUNDER)
    shares = _shares(role, notice.partner_id, record)
    return _line(
        record,
        # What the source had paid for points comes back from the target.
        sign={Role.SOURCE: 1, Role.TARGET: -1, Role.FUNDER: 0}[role],
        role=REVERSED[role],
        own_reference=transfer_pb2.ReversalOrder.FromString(order or b"").partner_reference,
        promotion=-_promotion(role, notice.partner_id, shares),
        promotions=shares,
        fee=part.fee,
        tax=part.tax,
        tax_code=part.tax_code,
        state="REVERSED",
    )


def _counts(window_id: str, record: Record) -> bool:
    if record.state != transfer_pb2.TRANSFER_STATE_COMMITTED:
        return False
    if record.window_id != window_id:
        raise InvariantBroken(
            f"entry {record.log_index} is {record.window_id}'s, not {window_id}'s"
        )
    return True


def _line(record: Record, *, sign: int, **of_partner: Any) -> Line:
    """What both brands' lines say, with `sign` before the value, and what is the partner's own."""
    return Line(
        transfer_id=UUID(bytes=record.transfer_id),
        source_program=record.source_program,
        target_program=record.target_program,
        source_points=record.source_points,
        target_points=record.target_points,
        bonus_points=sum(each.bonus_points for each in record.promotions),
        agreement_id=record.agreement_id,
        segment=record.segment.segment_id,
        rate_source_units=record.block_rate.source_units,
        rate_target_units=record.block_rate.target_units,
        price_per_target_point=record.price_per_target_point,
        price_per_thousand=record.price_per_thousand_target_points,
        value=sign * record.value,
        value_tax=sign * record.value_tax,
        value_tax_code=record.value_tax_code if sign else "",
        currency=record.settlement_currency,
        # Its own ToDatetime gives a naive value; the log's time has whole microseconds.
        recorded_at=_EPOCH + timedelta(microseconds=record.recorded_at.ToMicroseconds()),
        log_index=record.log_index,
        **of_partner,
    )


def _read_entry(
    payload_kind: int, payload: bytes
) -> tuple[Role, str, transfer_pb2.TransferRecord, Fee]:
    """Which side the partner is, its id, the record, and the part that may hold a fee."""
    fee: Fee = transfer_pb2.SourcePart()
    entry: transfer_pb2.TransferReceipt | transfer_pb2.CreditNotice | transfer_pb2.FundingNotice
    if payload_kind == PayloadKind.RECEIPT:
        role, entry = Role.SOURCE, transfer_pb2.TransferReceipt.FromString(payload)
        fee = transfer_pb2.SourcePart.FromString(entry.source_part)
    elif payload_kind == PayloadKind.NOTICE:
        role, entry = Role.TARGET, transfer_pb2.CreditNotice.FromString(payload)
        fee = transfer_pb2.TargetPart.FromString(entry.target_part)
    else:
        role, entry = Role.FUNDER, transfer_pb2.FundingNotice.FromString(payload)
    return role, entry.partner_id, transfer_pb2.TransferRecord.FromString(entry.record), fee


def _shares(role: Role, partner_id: str, record: Record) -> tuple[Share, ...]:
    """The shares that are the partner's business: the target's all, others' their own."""
    return tuple(
        Share(promotion.promotion_id, share.funder, share.amount)
        for promotion in record.promotions
        for share in promotion.shares
        if share.amount and (role is Role.TARGET or share.funder == partner_id)
    )


def _promotion(role: Role, partner_id: str, shares: tuple[Share, ...]) -> int:
    """What moved for bonuses, from the partner's view; what a target bears itself does not."""
    if role is Role.TARGET:
        return sum(each.amount for each in shares if each.funder != partner_id)
    return -sum(each.amount for each in shares)
