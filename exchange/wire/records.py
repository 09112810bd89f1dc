"""Records out: the canonical account of an outcome, serialised once, and what is read from it."""

from uuid import UUID

from exchange.commands import Order, SourceLot
from exchange.ledger.postings import Phase
from exchange.outcomes import Booked, Recorded
from exchange.transfer import VOIDS, refused_by
from exchange.wire.refusals import reason_to_proto
from partners.agreement import ExpiryRule, Terms
from partners.conversion import Bonus, Conversion
from partners.errors import Reason, Refused
from partners.wire import segment_to_proto, time_from_proto, time_to_proto
from pointclear.common.v1 import refusal_pb2
from pointclear.exchange.v1 import record_pb2, transfer_pb2
from pointclear.partners.v1 import agreement_pb2

PHASE_NAMES = {
    Phase.POSTED: "posted",
    Phase.PENDING: "pending",
    Phase.CONFIRMS: "confirms",
    Phase.VOIDS: "voids",
}


def transfer_record(
    recorded: Recorded, source_part_sha256: bytes, target_part_sha256: bytes = b""
) -> bytes:
    """The canonical account of an order's outcome, serialised once."""
    order = recorded.order
    record = transfer_pb2.TransferRecord(
        log_index=recorded.log_index,
        recorded_at=time_to_proto(recorded.recorded_at),
        transfer_id=order.transfer_id.bytes,
        order_sha256=order.payload_sha256,
        state=transfer_pb2.TransferState.Value(f"TRANSFER_STATE_{recorded.state}"),
        source_partner=recorded.source_partner,
        target_partner=recorded.target_partner,
        source_program=order.source_program,
        target_program=order.target_program,
        source_points=order.source_points,
        target_points=order.target_points,
        agreement_id=order.agreement_id,
        agreement_version=order.agreement_version,
        quote_id=order.quote_id.bytes if order.quote_id else b"",
        source_part_sha256=source_part_sha256,
        target_part_sha256=target_part_sha256,
    )
    if recorded.reason is not None:
        record.reason = reason_to_proto(recorded.reason)
    if recorded.proof is not None:
        record.proof_sha256 = recorded.proof.sha256
        record.proof_key_id = recorded.proof.key_id
    terms, conversion, window = recorded.terms, recorded.conversion, recorded.window
    if terms is not None and conversion is not None and window is not None:
        record.window_id = window.window_id
        state_terms(record, terms)
        state_conversion(record, conversion)
    return record.SerializeToString(deterministic=True)


def state_terms(record: transfer_pb2.TransferRecord, terms: Terms) -> None:
    """Write into a record what of the terms was applied."""
    record.agreement_id, record.agreement_version = terms.name
    record.agreement_sha256 = terms.sha256
    record.block_rate.source_units = terms.rate.source_units
    record.block_rate.target_units = terms.rate.target_units
    record.settlement_currency = terms.currency
    if terms.price.points == 1:
        record.price_per_target_point = terms.price.units
    else:
        record.price_per_thousand_target_points = terms.price.units
    record.value_tax_code = terms.value_tax_code
    if terms.expiry.rule is not ExpiryRule.FRESH:
        record.expiry_rule = agreement_pb2.ExpiryRule.Value(f"EXPIRY_RULE_{terms.expiry.rule}")
        record.expiry_days = terms.expiry.days


def state_conversion(record: transfer_pb2.TransferRecord, conversion: Conversion) -> None:
    """Write into a record what the transfer came to, but for what concerns one side alone."""
    record.value = conversion.value
    record.value_tax_basis_points = conversion.value_tax_basis_points
    record.value_tax = conversion.value_tax
    if conversion.segment is not None:
        record.segment.CopyFrom(segment_to_proto(conversion.segment))
    record.promotions.extend(map(bonus_to_proto, conversion.bonuses))


def bonus_to_proto(bonus: Bonus) -> transfer_pb2.AppliedPromotion:
    """A promotion that applied, as records carry it."""
    promotion = bonus.promotion
    return transfer_pb2.AppliedPromotion(
        promotion_id=promotion.promotion_id,
        bonus_basis_points=promotion.bonus_basis_points,
        bonus_points=bonus.points,
        value=bonus.value,
        shares=[
            transfer_pb2.FunderShare(
                funder=funder.name, share_basis_points=funder.share_basis_points, amount=amount
            )
            for funder, amount in zip(promotion.funders, bonus.shares, strict=True)
        ],
    )


def refused_record(record: bytes, field: str, text: str) -> Refused | None:
    """The refusal that a stored transfer record states, in the words of the first answer; None when
    it was committed or reserved.
    """
    parsed = transfer_pb2.TransferRecord.FromString(record)
    if parsed.state in (
        transfer_pb2.TRANSFER_STATE_COMMITTED,
        transfer_pb2.TRANSFER_STATE_RESERVED,
    ):
        return None
    name = refusal_pb2.Reason.Name(parsed.reason).removeprefix("REASON_")
    if parsed.state == transfer_pb2.TRANSFER_STATE_ABORTED:
        # The words stored with the request are those of the hold.
        return refused_by(VOIDS[Reason[name]])
    return Refused(Reason[name], field, text)


def held_order(record: bytes, segment: str, lots: tuple[SourceLot, ...] = ()) -> Order:
    """The order behind a held transfer, as far as its record tells: what it was for and between
    whom, without members, reference and signature.
    """
    parsed = transfer_pb2.TransferRecord.FromString(record)
    recorded_at = time_from_proto(parsed.recorded_at, "recorded_at")
    return Order(
        UUID(bytes=parsed.transfer_id),
        parsed.source_partner,
        parsed.source_program,
        parsed.target_program,
        "",
        "",
        parsed.source_points,
        parsed.target_points,
        parsed.agreement_id,
        parsed.agreement_version,
        recorded_at,
        recorded_at,
        "",
        "",
        b"",
        parsed.order_sha256,
        b"",
        segment=segment,
        source_lots=lots,
        quote_id=UUID(bytes=parsed.quote_id) if parsed.quote_id else None,
    )


def entry_record(booked: Booked, account_names: dict[int, str]) -> bytes:
    """The record of an entry that is no transfer, serialised once."""
    return record_pb2.EntryRecord(
        log_index=booked.log_index,
        recorded_at=time_to_proto(booked.recorded_at),
        entry_key=booked.entry_key,
        body_type=booked.body_type,
        body=booked.body,
        postings=[
            record_pb2.RecordedPosting(
                code=posting.code.name,
                phase=PHASE_NAMES[posting.phase],
                debit_account=account_names[posting.debit],
                credit_account=account_names[posting.credit],
                amount=posting.amount,
            )
            for posting in booked.postings
        ],
    ).SerializeToString(deterministic=True)


def entry_body(record: bytes) -> bytes:
    """The body of a stored entry."""
    return record_pb2.EntryRecord.FromString(record).body
