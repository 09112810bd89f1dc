"""What the exchange signed for a partner: checked against its keys, and read.

Pure. A receipt, a notice or a quote is good when it has one signature, the exchange's, by the key
that it names, of the right purpose; when it is addressed by this exchange's audience to this
partner; and when the part that is shown to this side alone is the one that the record commits to.
`pointclear verify` checks more, from files alone.

Source: docs/protocol.md, "Verifying one".
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import Message

from partners.envelope import (
    CREDIT_NOTICE,
    FUNDING_NOTICE,
    QUOTE,
    REVERSAL_NOTICE,
    TRANSFER_RECEIPT,
    Envelope,
    verify,
)
from partners.errors import Refused
from partners.keys import VerifyKey
from partners.wire import parse_strictly
from pointclear.client.errors import ProofInvalid
from pointclear.exchange.v1.quote_pb2 import Quote
from pointclear.exchange.v1.transfer_pb2 import (
    CreditNotice,
    FundingNotice,
    ReversalNotice,
    ReversalPart,
    ReversalRecord,
    SourcePart,
    TargetPart,
    TransferReceipt,
    TransferRecord,
)

FIRST_PREVIOUS = bytes(32)
"""What the first payload of a stream names as the one before it."""

PAPERS: Mapping[str, type[TransferReceipt | CreditNotice | FundingNotice | ReversalNotice]] = {
    TRANSFER_RECEIPT: TransferReceipt,
    CREDIT_NOTICE: CreditNotice,
    FUNDING_NOTICE: FundingNotice,
    REVERSAL_NOTICE: ReversalNotice,
}
"""What a stream holds, by payload type."""

_M = TypeVar("_M", bound=Message)


@dataclass(frozen=True, slots=True)
class Proof:
    """A receipt or a notice that verified."""

    envelope: Envelope
    body: TransferReceipt | CreditNotice | FundingNotice | ReversalNotice
    record: TransferRecord | ReversalRecord
    source_part: SourcePart | None
    """On a committed transfer's receipt only, where the source bears the fee."""
    target_part: TargetPart | None = None
    """On a credit notice only, where it bears the fee or inherits expiry."""
    reversal_part: ReversalPart | None = None
    """On a reversal notice only, where this partner gets something back of the fee."""

    @property
    def transfer(self) -> TransferRecord:
        """The record of a transfer. Raises ProofInvalid where it is a reversal's."""
        if isinstance(self.record, TransferRecord):
            return self.record
        raise ProofInvalid("it is about a reversal, not about a transfer", "payload_type")

    @property
    def sha256(self) -> bytes:
        """What the next payload of the stream names."""
        return hashlib.sha256(self.envelope.payload).digest()


def read_proof(
    envelope: Envelope, keys: Mapping[str, VerifyKey], audience: str, partner_id: str
) -> Proof:
    """Verify a receipt or a notice and read it. Raises ProofInvalid."""
    _check_signature(envelope, keys)
    proof = parse_proof(envelope)
    _check_address(proof.body.audience, proof.body.partner_id, audience, partner_id)
    return proof


def parse_proof(envelope: Envelope) -> Proof:
    """Read a receipt or a notice whose signature was verified before. Raises ProofInvalid."""
    if envelope.payload_type not in PAPERS:
        raise ProofInvalid(f"{envelope.payload_type} is neither receipt nor notice", "payload_type")
    body = _parsed(PAPERS[envelope.payload_type](), envelope.payload)
    _check_signer(envelope, body.signing_key_id)
    if isinstance(body, ReversalNotice):
        return _parsed_reversal(envelope, body)
    record = _parsed(TransferRecord(), body.record)
    source_part = target_part = None
    if isinstance(body, TransferReceipt):
        _check_part(
            "source_part", body.source_part, body.source_part_salt, record.source_part_sha256
        )
        source_part = _parsed(SourcePart(), body.source_part) if body.source_part else None
    elif isinstance(body, CreditNotice):
        _check_part(
            "target_part", body.target_part, body.target_part_salt, record.target_part_sha256
        )
        target_part = _parsed(TargetPart(), body.target_part) if body.target_part else None
    return Proof(envelope, body, record, source_part, target_part)


def _parsed_reversal(envelope: Envelope, body: ReversalNotice) -> Proof:
    record = _parsed(ReversalRecord(), body.record)
    committed = {
        record.source_partner: record.source_part_sha256,
        record.target_partner: record.target_part_sha256,
    }.get(body.partner_id, b"")
    _check_part("part", body.part, body.part_salt, committed)
    part = _parsed(ReversalPart(), body.part) if body.part else None
    return Proof(envelope, body, record, None, reversal_part=part)


def check_answers(proof: Proof, order_payload: bytes, own_id: bytes) -> None:
    """That a receipt or notice is about this very order, to transfer or to reverse, by its own id.
    Raises ProofInvalid.
    """
    record = proof.record
    if isinstance(record, ReversalRecord):
        if record.reversal_id != own_id:
            raise ProofInvalid("the notice is about another reversal", "reversal_id")
    elif record.transfer_id != own_id:
        raise ProofInvalid("the receipt is about another transfer", "transfer_id")
    if proof.record.order_sha256 != hashlib.sha256(order_payload).digest():
        raise ProofInvalid("the receipt is about an order with other content", "order_sha256")


def check_follows(proof: Proof, seq: int, previous_sha256: bytes | None) -> None:
    """That a proof stands at `seq` of its stream, after the payload of that digest.

    Raises ProofInvalid.
    """
    if proof.body.stream_seq != seq:
        raise ProofInvalid(
            f"entry {seq} is missing from the stream: {proof.body.stream_seq} came", "stream_seq"
        )
    if previous_sha256 is not None and proof.body.previous_sha256 != previous_sha256:
        raise ProofInvalid(f"entry {seq} does not continue the entry before it", "previous_sha256")


def read_quote(
    envelope: Envelope, keys: Mapping[str, VerifyKey], audience: str, partner_id: str
) -> Quote:
    """Verify a quote and read it. Raises ProofInvalid."""
    _check_signature(envelope, keys)
    if envelope.payload_type != QUOTE:
        raise ProofInvalid(f"{envelope.payload_type} is no quote", "payload_type")
    quote = _parsed(Quote(), envelope.payload)
    _check_signer(envelope, quote.signing_key_id)
    _check_address(quote.audience, quote.partner_id, audience, partner_id)
    return quote


def _check_signature(envelope: Envelope, keys: Mapping[str, VerifyKey]) -> None:
    try:
        verify(envelope, keys)
    except Refused as refusal:
        raise ProofInvalid(refusal.text, refusal.field) from None


def _check_signer(envelope: Envelope, named: str) -> None:
    if [each.key_id for each in envelope.signatures] != [named]:
        raise ProofInvalid("it is not signed by the one key that it names", "signing_key_id")


def _check_part(name: str, content: bytes, salt: bytes, committed: bytes) -> None:
    """That a part is the one that the record commits to; where it commits to none, there is none.
    The target's part is not shown to the source, nor the other way round.
    """
    opened = hashlib.sha256(salt + content).digest() if content or salt else b""
    if opened != committed:
        raise ProofInvalid(f"the {name.replace('_', ' ')} is not what the record commits to", name)


def _parsed(message: _M, payload: bytes) -> _M:
    try:
        return parse_strictly(message, payload)
    except Refused as refusal:
        raise ProofInvalid(refusal.text, refusal.field) from None


def _check_address(
    audience: str, partner_id: str, expected_audience: str, expected_partner: str
) -> None:
    if audience != expected_audience:
        raise ProofInvalid(f"it was issued by {audience}", "audience")
    if partner_id != expected_partner:
        raise ProofInvalid(f"it is addressed to {partner_id}", "partner_id")
