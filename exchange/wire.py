"""Between the wire's messages and the exchange's values: orders in, records, receipts and notices
out.
"""

import hashlib
from uuid import UUID

from exchange.commands import Booked, Order, Recorded, SourceLot, Verdict
from exchange.ledger.postings import Phase
from exchange.parts import Part
from exchange.transfer import refused_by
from partners.agreement import Bearer, ExpiryRule, Fee, Terms
from partners.conversion import Bonus, Conversion
from partners.envelope import TRANSFER_ORDER, Envelope, Signature
from partners.errors import Reason, Refused
from partners.points import POINTS_MAX, check_id, check_reference
from partners.wire import (
    envelope_to_proto,
    parse_strictly,
    segment_to_proto,
    time_from_proto,
    time_to_proto,
    uuid7,
)
from pointclear.common.v1 import refusal_pb2
from pointclear.exchange.v1 import record_pb2, transfer_pb2
from pointclear.partners.v1 import agreement_pb2

MESSAGE_MAX = 1024
"""Bytes of a message for people, in UTF-8: a client takes no more than 8 KiB of trailers, in which
gRPC writes a message more than once and at up to three times its size.
"""

LOTS_MAX = 16
"""Lots of source points in one order."""

PHASE_NAMES = {
    Phase.POSTED: "posted",
    Phase.PENDING: "pending",
    Phase.CONFIRMS: "confirms",
    Phase.VOIDS: "voids",
}


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


def source_part(recorded: Recorded) -> bytes:
    """What concerns the source alone, serialised; empty for a refusal, and where the target bears
    the fee.
    """
    terms, conversion = recorded.terms, recorded.conversion
    if terms is None or conversion is None or terms.fee.bearer is not Bearer.SOURCE:
        return b""
    return transfer_pb2.SourcePart(
        fee=conversion.fee,
        tax_code=terms.fee.tax_code,
        tax_basis_points=conversion.tax_basis_points,
        tax=conversion.tax,
        fee_terms=fee_terms(terms.fee),
    ).SerializeToString(deterministic=True)


def target_part(recorded: Recorded) -> bytes:
    """What concerns the target alone, serialised; empty for a refusal, and where it bears no fee
    and the points inherit no expiry.
    """
    terms, conversion = recorded.terms, recorded.conversion
    if terms is None or conversion is None:
        return b""
    part = transfer_pb2.TargetPart(
        source_lots=[
            transfer_pb2.SourceLot(points=each.points, expires_at=time_to_proto(each.expires_at))
            for each in recorded.order.source_lots
        ]
    )
    if terms.fee.bearer is Bearer.TARGET:
        part.fee, part.tax = conversion.fee, conversion.tax
        part.tax_code, part.tax_basis_points = terms.fee.tax_code, conversion.tax_basis_points
        part.fee_terms.CopyFrom(fee_terms(terms.fee))
    return part.SerializeToString(deterministic=True)


def fee_terms(fee: Fee) -> transfer_pb2.FeeTerms:
    """By what a fee was worked out."""
    return transfer_pb2.FeeTerms(
        basis_points=fee.basis_points,
        per_target_point=fee.per_target_point,
        fixed=fee.fixed,
        minimum=fee.minimum,
        maximum=fee.maximum,
        refundable=fee.refundable,
    )


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


def transfer_receipt(
    audience: str,
    partner_id: str,
    stream_seq: int,
    previous_sha256: bytes,
    key_id: str,
    record: bytes,
    salt: bytes,
    part: Part,
) -> bytes:
    """The source's proof, serialised once: these bytes are stored and signed."""
    return transfer_pb2.TransferReceipt(
        audience=audience,
        partner_id=partner_id,
        stream_seq=stream_seq,
        previous_sha256=previous_sha256,
        signing_key_id=key_id,
        record=record,
        salt=salt,
        source_part=part.content,
        source_part_salt=part.salt,
    ).SerializeToString(deterministic=True)


def credit_notice(
    audience: str,
    partner_id: str,
    stream_seq: int,
    previous_sha256: bytes,
    key_id: str,
    record: bytes,
    salt: bytes,
    part: Part,
) -> bytes:
    """The target's proof, serialised once: these bytes are stored and signed."""
    return transfer_pb2.CreditNotice(
        audience=audience,
        partner_id=partner_id,
        stream_seq=stream_seq,
        previous_sha256=previous_sha256,
        signing_key_id=key_id,
        record=record,
        salt=salt,
        target_part=part.content,
        target_part_salt=part.salt,
    ).SerializeToString(deterministic=True)


def funding_notice(
    audience: str,
    partner_id: str,
    stream_seq: int,
    previous_sha256: bytes,
    key_id: str,
    record: bytes,
    salt: bytes,
    _part: Part,
) -> bytes:
    """The proof of a partner that pays for a bonus, serialised once: these bytes are stored and
    signed. No part of a record is a funder's alone.
    """
    return transfer_pb2.FundingNotice(
        audience=audience,
        partner_id=partner_id,
        stream_seq=stream_seq,
        previous_sha256=previous_sha256,
        signing_key_id=key_id,
        record=record,
        salt=salt,
    ).SerializeToString(deterministic=True)


def receipt_key_id(payload: bytes) -> str:
    """The key that a receipt's payload names."""
    return transfer_pb2.TransferReceipt.FromString(payload).signing_key_id


def notice_key_id(payload: bytes) -> str:
    """The key that a credit notice's payload names."""
    return transfer_pb2.CreditNotice.FromString(payload).signing_key_id


def funding_key_id(payload: bytes) -> str:
    """The key that a funding notice's payload names."""
    return transfer_pb2.FundingNotice.FromString(payload).signing_key_id


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


def refused_record(record: bytes, field: str, text: str) -> Refused | None:
    """The refusal that a stored transfer record states, in the words of the first answer; None when
    it was committed.
    """
    parsed = transfer_pb2.TransferRecord.FromString(record)
    if parsed.state == transfer_pb2.TRANSFER_STATE_COMMITTED:
        return None
    name = refusal_pb2.Reason.Name(parsed.reason).removeprefix("REASON_")
    if parsed.state == transfer_pb2.TRANSFER_STATE_ABORTED:
        # The words stored with the request are those of the hold.
        cancelled = name == Reason.TRANSFER_CANCELLED
        return refused_by(Verdict.CANCELLED if cancelled else Verdict.REFUSED)
    return Refused(Reason[name], field, text)


def held_order(record: bytes, segment: str) -> Order:
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
        quote_id=UUID(bytes=parsed.quote_id) if parsed.quote_id else None,
    )


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
