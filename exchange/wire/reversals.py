"""Reversals on the wire: orders in, records and notices out, and what is read from them again."""

import hashlib

from exchange.commands import Reverse
from exchange.outcomes import Original, Reversed, TransferState
from exchange.parts import Part
from exchange.reversal import Portion
from exchange.wire.records import bonus_to_proto
from exchange.wire.refusals import reason_to_proto
from partners.agreement import Bearer, Terms
from partners.conversion import Bonus, Conversion
from partners.envelope import REVERSAL_ORDER, Envelope, Signature
from partners.errors import Reason, Refused
from partners.points import POINTS_MAX, check_reference
from partners.registry import Registry
from partners.wire import (
    parse_strictly,
    segment_to_proto,
    time_from_proto,
    time_to_proto,
    uuid7,
)
from pointclear.common.v1 import refusal_pb2
from pointclear.exchange.v1 import transfer_pb2


def parse_reversal(envelope: Envelope) -> transfer_pb2.ReversalOrder:
    """The reversal order that a verified envelope holds, parsed strictly."""
    return parse_strictly(transfer_pb2.ReversalOrder(), envelope.payload)


def reversal_from_proto(message: transfer_pb2.ReversalOrder, envelope: Envelope) -> Reverse:
    """The reversal order as a value; raises Refused(FIELD_INVALID) naming the first field that
    breaks its rule.
    """
    reversal_id = uuid7(message.reversal_id, "reversal_id")
    transfer_id = uuid7(message.transfer_id, "transfer_id")
    if not 0 < message.target_points <= POINTS_MAX:
        raise Refused(Reason.FIELD_INVALID, "target_points", "an amount is 1 to 2^62 points")
    issued_at = time_from_proto(message.issued_at, "issued_at")
    expires_at = time_from_proto(message.expires_at, "expires_at")
    if expires_at <= issued_at:
        raise Refused(Reason.FIELD_INVALID, "expires_at", "the expiry is after the issue")
    check_reference(message.partner_reference, "partner_reference", required=False)
    signature = envelope.signatures[0]
    return Reverse(
        reversal_id,
        message.partner_id,
        transfer_id,
        message.target_points,
        issued_at,
        expires_at,
        message.partner_reference,
        signature.key_id,
        envelope.payload,
        hashlib.sha256(envelope.payload).digest(),
        signature.signature,
    )


def stored_reversal(payload: bytes, key_id: str, signature: bytes) -> Reverse | None:
    """A reversal order that was admitted before, from what is stored of it; None where today's
    rules would no longer admit it.
    """
    envelope = Envelope(REVERSAL_ORDER, payload, (Signature(key_id, signature),))
    try:
        return reversal_from_proto(parse_reversal(envelope), envelope)
    except Refused:
        return None


def stored_original(
    registry: Registry,
    record: bytes,
    fee: int,
    tax: int,
    reversed_points: int,
    asked_points: int = 0,
) -> Original:
    """A transfer as a reversal of it finds it, from its newest record; `fee` and `tax` are what was
    posted of these. Without terms where those that it names are not what the registry holds.
    """
    parsed = transfer_pb2.TransferRecord.FromString(record)
    name = transfer_pb2.TransferState.Name(parsed.state).removeprefix("TRANSFER_STATE_")
    state = TransferState(name)
    parties = parsed.source_partner, parsed.target_partner
    if state is not TransferState.COMMITTED:
        return Original(parsed.log_index, state, *parties)
    force = registry.agreements.get((parsed.agreement_id, parsed.agreement_version))
    if force is None or force.terms.sha256 != parsed.agreement_sha256:
        return Original(parsed.log_index, state, *parties, reversed_points=reversed_points)
    whole = Portion(parsed.source_points, recorded_conversion(parsed, force.terms, fee, tax))
    return Original(
        parsed.log_index, state, *parties, force.terms, whole, reversed_points, asked_points
    )


def recorded_conversion(
    record: transfer_pb2.TransferRecord, terms: Terms, fee: int, tax: int
) -> Conversion:
    """What a committed transfer came to, base and uplift together."""
    promotions = {each.promotion_id: each for each in terms.promotions}
    segments = {each.segment_id: each for each in terms.segments}
    bonuses = tuple(
        Bonus(
            promotions[each.promotion_id],
            each.bonus_points,
            each.value,
            tuple(share.amount for share in each.shares),
        )
        for each in record.promotions
    )
    return Conversion(
        record.target_points - sum(each.points for each in bonuses),
        0,
        bonuses,
        record.value,
        fee,
        tax,
        0,
        record.value_tax,
        record.value_tax_basis_points,
        segments[record.segment.segment_id] if record.HasField("segment") else None,
    )


def reversal_record(reversed_: Reversed, source_part: Part, target_part: Part) -> bytes:
    """The canonical account of a reversal order's outcome, serialised once."""
    order, original = reversed_.order, reversed_.original
    record = transfer_pb2.ReversalRecord(
        log_index=reversed_.log_index,
        recorded_at=time_to_proto(reversed_.recorded_at),
        reversal_id=order.reversal_id.bytes,
        order_sha256=order.payload_sha256,
        state=transfer_pb2.TransferState.Value(f"TRANSFER_STATE_{reversed_.state}"),
        sender=order.partner_id,
        transfer_id=order.transfer_id.bytes,
        target_points=order.target_points,
        source_part_sha256=source_part.sha256,
        target_part_sha256=target_part.sha256,
    )
    if reversed_.reason is not None:
        record.reason = reason_to_proto(reversed_.reason)
    if reversed_.proof is not None:
        record.proof_sha256 = reversed_.proof.sha256
        record.proof_key_id = reversed_.proof.key_id
    if original is not None:
        record.transfer_log_index = original.log_index
        record.source_partner = original.source_partner
        record.target_partner = original.target_partner
        record.reversed_points = reversed_.reversed_points
    if original is not None and reversed_.portion is not None and reversed_.window is not None:
        record.window_id = reversed_.window.window_id
        state_original(record, original)
        state_portion(record, reversed_.portion)
    return record.SerializeToString(deterministic=True)


def state_original(record: transfer_pb2.ReversalRecord, original: Original) -> None:
    """Write into a record what of the transfer a reversal of it follows from."""
    terms, whole = original.terms, original.whole
    assert terms is not None, "what is reversed was committed"
    assert whole is not None, "what was committed has figures"
    record.source_program, record.target_program = terms.corridor
    record.transfer_source_points = whole.source_points
    record.transfer_target_points = whole.target_points
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
    if whole.conversion.segment is not None:
        record.segment.CopyFrom(segment_to_proto(whole.conversion.segment))


def state_portion(record: transfer_pb2.ReversalRecord, portion: Portion) -> None:
    """Write into a record what is given back, but for what concerns one side alone."""
    record.target_points = portion.target_points
    record.source_points = portion.source_points
    record.value = portion.conversion.value
    record.value_tax = portion.conversion.value_tax
    given_back = (each for each in portion.conversion.bonuses if each.points)
    record.promotions.extend(map(bonus_to_proto, given_back))


def reversal_part(reversed_: Reversed, bearer: Bearer) -> bytes:
    """What a reversal gives back of the operator's fee to the side that bore it, serialised; empty
    for the other side, for a refusal, and where the fee is not refundable.
    """
    original, portion = reversed_.original, reversed_.portion
    if original is None or original.terms is None or portion is None:
        return b""
    fee = original.terms.fee
    if not fee.refundable or fee.bearer is not bearer:
        return b""
    return transfer_pb2.ReversalPart(
        fee=portion.conversion.fee, tax_code=fee.tax_code, tax=portion.conversion.tax
    ).SerializeToString(deterministic=True)


def reversal_notice(
    audience: str,
    partner_id: str,
    stream_seq: int,
    previous_sha256: bytes,
    key_id: str,
    record: bytes,
    salt: bytes,
    part: Part,
) -> bytes:
    """A party's proof of a reversal, serialised once: these bytes are stored and signed."""
    return transfer_pb2.ReversalNotice(
        audience=audience,
        partner_id=partner_id,
        stream_seq=stream_seq,
        previous_sha256=previous_sha256,
        signing_key_id=key_id,
        record=record,
        salt=salt,
        part=part.content,
        part_salt=part.salt,
    ).SerializeToString(deterministic=True)


def reversal_key_id(payload: bytes) -> str:
    """The key that a reversal notice's payload names."""
    return transfer_pb2.ReversalNotice.FromString(payload).signing_key_id


def refused_reversal(record: bytes, field: str, text: str) -> Refused | None:
    """The refusal that a stored reversal record states, in the words of the first answer; None when
    it was booked, or asked for.
    """
    parsed = transfer_pb2.ReversalRecord.FromString(record)
    if not parsed.reason:
        return None
    name = refusal_pb2.Reason.Name(parsed.reason).removeprefix("REASON_")
    return Refused(Reason[name], field, text)
