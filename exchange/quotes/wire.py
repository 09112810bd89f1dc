"""Between quotes as values and as the bytes that are signed and stored."""

import hashlib
from datetime import timedelta
from uuid import UUID

from exchange import wire
from exchange.commands import AskQuote
from exchange.quotes.quote import VALID_FOR, VALID_FOR_MAX, Quote, converted
from partners.agreement import Bearer
from partners.errors import Reason, Refused
from partners.points import POINTS_MAX, check_id
from partners.registry import Registry
from partners.wire import time_from_proto, time_to_proto, uuid7
from pointclear.exchange.v1 import exchange_service_pb2, quote_pb2
from pointclear.partners.v1 import agreement_pb2


def ask_from_proto(request: exchange_service_pb2.CreateQuoteRequest, partner_id: str) -> AskQuote:
    """What is asked for; raises Refused(FIELD_INVALID) naming the first field that breaks its
    rule.
    """
    quote_id = uuid7(request.quote_id, "quote_id")
    check_id(request.source_program, "source_program")
    check_id(request.target_program, "target_program")
    fixed = request.WhichOneof("amount")
    if fixed is None:
        raise Refused(
            Reason.FIELD_INVALID, "source_points", "fix either the source or the target points"
        )
    if not 0 < getattr(request, fixed) <= POINTS_MAX:
        raise Refused(Reason.FIELD_INVALID, fixed, "an amount is 1 to 2^62 points")
    if request.segment:
        check_id(request.segment, "segment")
    valid_for = timedelta(seconds=request.valid_seconds) if request.valid_seconds else VALID_FOR
    if not timedelta(0) < valid_for <= VALID_FOR_MAX:
        most = VALID_FOR_MAX // timedelta(seconds=1)
        raise Refused(
            Reason.FIELD_INVALID, "valid_seconds", f"a quote is good for 1 to {most} seconds"
        )
    return AskQuote(
        quote_id,
        partner_id,
        request.source_program,
        request.target_program,
        request.source_points,
        request.target_points,
        request.segment,
        valid_for,
        hashlib.sha256(request.SerializeToString(deterministic=True)).digest(),
    )


def quote_payload(quote: Quote, audience: str, key_id: str) -> bytes:
    """The offer, serialised once: these bytes are stored and signed."""
    terms, conversion = quote.terms, quote.conversion
    bearer = "BEARER_SOURCE" if terms.fee.bearer is Bearer.SOURCE else "BEARER_TARGET"
    return quote_pb2.Quote(
        audience=audience,
        quote_id=quote.quote_id.bytes,
        partner_id=quote.partner_id,
        source_program=terms.source_program,
        target_program=terms.target_program,
        source_points=quote.source_points,
        target_points=conversion.target_points,
        segment=quote.segment_id,
        agreement_id=terms.agreement_id,
        agreement_version=terms.version,
        agreement_sha256=terms.sha256,
        block_rate=agreement_pb2.BlockRate(
            source_units=terms.rate.source_units, target_units=terms.rate.target_units
        ),
        settlement_currency=terms.currency,
        value=conversion.value,
        value_tax=quote_pb2.QuotedTax(
            tax_code=terms.value_tax_code,
            basis_points=conversion.value_tax_basis_points,
            amount=conversion.value_tax,
        ),
        fee=conversion.fee,
        fee_bearer=agreement_pb2.Bearer.Value(bearer),
        fee_tax=quote_pb2.QuotedTax(
            tax_code=terms.fee.tax_code,
            basis_points=conversion.tax_basis_points,
            amount=conversion.tax,
        ),
        promotions=map(wire.bonus_to_proto, conversion.bonuses),
        issued_at=time_to_proto(quote.issued_at),
        expires_at=time_to_proto(quote.expires_at),
        signing_key_id=key_id,
    ).SerializeToString(deterministic=True)


def quote_from_payload(
    payload: bytes,
    registry: Registry,
    request_sha256: bytes,
    used_by: UUID | None,
    *,
    reserves: bool,
) -> Quote:
    """A stored offer. Its figures are worked out again from what it froze."""
    message = quote_pb2.Quote.FromString(payload)
    terms = registry.agreements[message.agreement_id, message.agreement_version].terms
    return Quote(
        UUID(bytes=message.quote_id),
        message.partner_id,
        request_sha256,
        terms,
        message.source_points,
        converted(
            terms,
            message.source_points,
            message.segment,
            message.fee_tax.basis_points,
            message.value_tax.basis_points,
            [each.promotion_id for each in message.promotions],
        ),
        time_from_proto(message.issued_at, "issued_at"),
        time_from_proto(message.expires_at, "expires_at"),
        used_by,
        reserves,
        payload,
    )


def quote_key_id(payload: bytes) -> str:
    """The key that an offer names as its signer."""
    return quote_pb2.Quote.FromString(payload).signing_key_id
