"""What the exchange signed for this client: checked against its keys, and read.

Pure. A receipt, a notice or a statement is good when its signature is the exchange's, by a
key of the right purpose, and when it is addressed to this exchange's audience and to this partner.
`pointclear verify` checks more, from files alone.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from exchange.cli.failure import proof_invalid
from partners.envelope import (
    CREDIT_NOTICE,
    FUNDING_NOTICE,
    QUOTE,
    SETTLEMENT_STATEMENT,
    TRANSFER_RECEIPT,
    Envelope,
    verify,
)
from partners.errors import Refused
from partners.keys import VerifyKey
from partners.wire import parse_strictly
from pointclear.exchange.v1.quote_pb2 import Quote
from pointclear.exchange.v1.transfer_pb2 import (
    CreditNotice,
    FundingNotice,
    SourcePart,
    TargetPart,
    TransferReceipt,
    TransferRecord,
)
from pointclear.settlement.v1.statement_pb2 import SettlementStatement

FIRST_PREVIOUS = bytes(32)
"""What the first payload of a stream names as the one before it."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A receipt or a credit notice that verified."""

    envelope: Envelope
    body: TransferReceipt | CreditNotice | FundingNotice
    record: TransferRecord
    source_part: SourcePart | None
    """On a committed transfer's receipt only, where the source bears the fee."""
    target_part: TargetPart | None = None
    """On a credit notice only, where it bears the fee or inherits expiry."""

    @property
    def sha256(self) -> bytes:
        """What the next payload of the stream names."""
        return hashlib.sha256(self.envelope.payload).digest()


def read_proof(
    envelope: Envelope, keys: Mapping[str, VerifyKey], audience: str, partner_id: str
) -> Proof:
    """Verify a receipt or credit notice and read it. Raises Failed(PROOF_INVALID)."""
    _check_signature(envelope, keys)
    body: TransferReceipt | CreditNotice | FundingNotice
    try:
        if envelope.payload_type == TRANSFER_RECEIPT:
            body = parse_strictly(TransferReceipt(), envelope.payload)
        elif envelope.payload_type == CREDIT_NOTICE:
            body = parse_strictly(CreditNotice(), envelope.payload)
        elif envelope.payload_type == FUNDING_NOTICE:
            body = parse_strictly(FundingNotice(), envelope.payload)
        else:
            raise proof_invalid(
                f"{envelope.payload_type} is neither receipt nor notice", "payload_type"
            )
        record = parse_strictly(TransferRecord(), body.record)
        part = (
            parse_strictly(SourcePart(), body.source_part)
            if isinstance(body, TransferReceipt) and body.source_part
            else None
        )
        target_part = (
            parse_strictly(TargetPart(), body.target_part)
            if isinstance(body, CreditNotice) and body.target_part
            else None
        )
    except Refused as refusal:
        raise proof_invalid(refusal.text, refusal.field) from None
    _check_address(body.audience, body.partner_id, audience, partner_id)
    return Proof(envelope, body, record, part, target_part)


def check_answers(proof: Proof, order_payload: bytes, transfer_id: bytes) -> None:
    """That a receipt is about this very order. Raises Failed(PROOF_INVALID)."""
    if proof.record.transfer_id != transfer_id:
        raise proof_invalid("the receipt is about another transfer", "transfer_id")
    if proof.record.order_sha256 != hashlib.sha256(order_payload).digest():
        raise proof_invalid("the receipt is about an order with other content", "order_sha256")


def check_follows(proof: Proof, seq: int, previous_sha256: bytes | None) -> None:
    """That a proof stands at `seq` of its stream, after the payload of that digest.

    Raises Failed(PROOF_INVALID).
    """
    if proof.body.stream_seq != seq:
        raise proof_invalid(
            f"entry {seq} is missing from the stream: {proof.body.stream_seq} came", "stream_seq"
        )
    if previous_sha256 is not None and proof.body.previous_sha256 != previous_sha256:
        raise proof_invalid(f"entry {seq} does not continue the entry before it", "previous_sha256")


def read_quote(
    envelope: Envelope, keys: Mapping[str, VerifyKey], audience: str, partner_id: str
) -> Quote:
    """Verify a quote and read it. Raises Failed(PROOF_INVALID)."""
    _check_signature(envelope, keys)
    if envelope.payload_type != QUOTE:
        raise proof_invalid(f"{envelope.payload_type} is no quote", "payload_type")
    try:
        quote = parse_strictly(Quote(), envelope.payload)
    except Refused as refusal:
        raise proof_invalid(refusal.text, refusal.field) from None
    _check_address(quote.audience, quote.partner_id, audience, partner_id)
    return quote


def read_statement(
    envelope: Envelope, keys: Mapping[str, VerifyKey], audience: str, partner_id: str
) -> SettlementStatement:
    """Verify a settlement statement and read it. Raises Failed(PROOF_INVALID)."""
    _check_signature(envelope, keys)
    if envelope.payload_type != SETTLEMENT_STATEMENT:
        raise proof_invalid(f"{envelope.payload_type} is no statement", "payload_type")
    try:
        statement = parse_strictly(SettlementStatement(), envelope.payload)
    except Refused as refusal:
        raise proof_invalid(refusal.text, refusal.field) from None
    _check_address(statement.audience, statement.partner_id, audience, partner_id)
    return statement


def check_line_file(statement: SettlementStatement, lines: bytes) -> None:
    """That a line file is the one that the statement was made from.

    Raises Failed(PROOF_INVALID).
    """
    if hashlib.sha256(lines).digest() != statement.line_file_sha256:
        raise proof_invalid("the line file is not the one that was stated", "line_file_sha256")


def _check_signature(envelope: Envelope, keys: Mapping[str, VerifyKey]) -> None:
    try:
        verify(envelope, keys)
    except Refused as refusal:
        raise proof_invalid(refusal.text, refusal.field) from None


def _check_address(
    audience: str, partner_id: str, expected_audience: str, expected_partner: str
) -> None:
    if audience != expected_audience:
        raise proof_invalid(f"it was issued by {audience}", "audience")
    if partner_id != expected_partner:
        raise proof_invalid(f"it is addressed to {partner_id}", "partner_id")
