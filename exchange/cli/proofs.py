"""What the exchange signed for this client: checked against its keys, and read.

Pure. Receipts, notices and quotes are the client library's to check; here its verdicts become the
command line's failures. A statement is good when its signature is the exchange's, by a key of the
right purpose, and when it is addressed to this exchange's audience and to this partner. `pointclear
verify` checks more, from files alone.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from exchange.cli.failure import proof_invalid
from partners.envelope import BALANCE_CONFIRMATION, SETTLEMENT_STATEMENT, Envelope, verify
from partners.errors import Refused
from partners.keys import VerifyKey
from partners.wire import parse_strictly
from pointclear.client import proofs
from pointclear.client.errors import ProofInvalid
from pointclear.client.proofs import FIRST_PREVIOUS, Proof
from pointclear.exchange.v1.quote_pb2 import Quote
from pointclear.settlement.v1.month_pb2 import BalanceConfirmation
from pointclear.settlement.v1.statement_pb2 import SettlementStatement

__all__ = [
    "FIRST_PREVIOUS",
    "Proof",
    "check_answers",
    "check_follows",
    "check_line_file",
    "read_balance",
    "read_proof",
    "read_quote",
    "read_statement",
]

Keys = Mapping[str, VerifyKey]


@contextmanager
def _as_failure() -> Iterator[None]:
    try:
        yield
    except ProofInvalid as invalid:
        raise proof_invalid(invalid.text, invalid.field) from None


def read_proof(envelope: Envelope, keys: Keys, audience: str, partner_id: str) -> Proof:
    """Verify a receipt or a notice and read it. Raises Failed(PROOF_INVALID)."""
    with _as_failure():
        return proofs.read_proof(envelope, keys, audience, partner_id)


def check_answers(proof: Proof, order_payload: bytes, own_id: bytes) -> None:
    """That a receipt or notice is about this very order. Raises Failed(PROOF_INVALID)."""
    with _as_failure():
        proofs.check_answers(proof, order_payload, own_id)


def check_follows(proof: Proof, seq: int, previous_sha256: bytes | None) -> None:
    """That a proof stands at `seq` of its stream, after the payload of that digest.

    Raises Failed(PROOF_INVALID).
    """
    with _as_failure():
        proofs.check_follows(proof, seq, previous_sha256)


def read_quote(envelope: Envelope, keys: Keys, audience: str, partner_id: str) -> Quote:
    """Verify a quote and read it. Raises Failed(PROOF_INVALID)."""
    with _as_failure():
        return proofs.read_quote(envelope, keys, audience, partner_id)


def read_statement(
    envelope: Envelope, keys: Keys, audience: str, partner_id: str
) -> SettlementStatement:
    """Verify a settlement statement and read it. Raises Failed(PROOF_INVALID)."""
    if envelope.payload_type != SETTLEMENT_STATEMENT:
        raise proof_invalid(f"{envelope.payload_type} is no statement", "payload_type")
    try:
        verify(envelope, keys)
        statement = parse_strictly(SettlementStatement(), envelope.payload)
    except Refused as refusal:
        raise proof_invalid(refusal.text, refusal.field) from None
    if statement.audience != audience:
        raise proof_invalid(f"it was issued by {statement.audience}", "audience")
    if statement.partner_id != partner_id:
        raise proof_invalid(f"it is addressed to {statement.partner_id}", "partner_id")
    return statement


def read_balance(
    envelope: Envelope, keys: Keys, audience: str, partner_id: str
) -> BalanceConfirmation:
    """Verify a balance confirmation, and its partner's signature where it has one, and read it.

    Raises Failed(PROOF_INVALID).
    """
    if envelope.payload_type != BALANCE_CONFIRMATION:
        raise proof_invalid(f"{envelope.payload_type} is no balance", "payload_type")
    try:
        verify(envelope, keys)
        balance = parse_strictly(BalanceConfirmation(), envelope.payload)
    except Refused as refusal:
        raise proof_invalid(refusal.text, refusal.field) from None
    if balance.audience != audience:
        raise proof_invalid(f"it was issued by {balance.audience}", "audience")
    if balance.partner_id != partner_id:
        raise proof_invalid(f"it is addressed to {balance.partner_id}", "partner_id")
    if envelope.signatures[0].key_id != balance.signing_key_id:
        raise proof_invalid("its first signature is not by the key that it names", "signatures")
    return balance


def check_line_file(statement: SettlementStatement, lines: bytes) -> None:
    """That a line file is the one that the statement was made from.

    Raises Failed(PROOF_INVALID).
    """
    if hashlib.sha256(lines).digest() != statement.line_file_sha256:
        raise proof_invalid("the line file is not the one that was stated", "line_file_sha256")
