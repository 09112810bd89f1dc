"""Papers out: receipts and notices, with the part of a record that only their partner sees."""

from exchange.outcomes import Recorded
from exchange.parts import Part
from partners.agreement import Bearer, Fee
from partners.wire import time_to_proto
from pointclear.exchange.v1 import transfer_pb2


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
