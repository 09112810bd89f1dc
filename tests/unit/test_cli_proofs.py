"""What the exchange signed: believed only when it is the exchange's, for us, and about what we
sent.
"""

import hashlib
from dataclasses import replace

import pytest

from exchange.cli.failure import ExitCode, Failed
from exchange.cli.proofs import (
    FIRST_PREVIOUS,
    check_answers,
    check_follows,
    check_line_file,
    read_proof,
    read_statement,
)
from partners.envelope import SETTLEMENT_STATEMENT, TRANSFER_RECEIPT, Envelope, sign
from partners.keys import SeedSigner, VerifyKey
from pointclear.exchange.v1.transfer_pb2 import SourcePart, TransferReceipt, TransferRecord
from pointclear.settlement.v1.statement_pb2 import SettlementStatement

AUDIENCE = "pointclear.test/unit"
EXCHANGE = SeedSigner(bytes(range(32)))
KEYS = {EXCHANGE.key_id: VerifyKey.of(EXCHANGE.public_key)}
ORDER = b"an order"
ID = bytes(16)
LINES = b"lines\r\n"


def receipt(audience: str = AUDIENCE, partner_id: str = "grocery", seq: int = 1) -> Envelope:
    part, salt = SourcePart(fee=7).SerializeToString(), bytes(32)
    record = TransferRecord(
        transfer_id=ID,
        order_sha256=hashlib.sha256(ORDER).digest(),
        source_part_sha256=hashlib.sha256(salt + part).digest(),
    )
    body = TransferReceipt(
        audience=audience,
        partner_id=partner_id,
        stream_seq=seq,
        previous_sha256=FIRST_PREVIOUS,
        signing_key_id=EXCHANGE.key_id,
        record=record.SerializeToString(),
        source_part=part,
        source_part_salt=salt,
    )
    return sign(EXCHANGE, TRANSFER_RECEIPT, body.SerializeToString(deterministic=True))


def statement() -> Envelope:
    body = SettlementStatement(
        audience=AUDIENCE, partner_id="grocery", line_file_sha256=hashlib.sha256(LINES).digest()
    )
    return sign(EXCHANGE, SETTLEMENT_STATEMENT, body.SerializeToString(deterministic=True))


def test_a_good_receipt_is_read() -> None:
    proof = read_proof(receipt(), KEYS, AUDIENCE, "grocery")
    check_answers(proof, ORDER, ID)
    check_follows(proof, 1, FIRST_PREVIOUS)
    assert proof.source_part is not None
    assert proof.source_part.fee == 7


@pytest.mark.parametrize(
    ("envelope", "field"),
    [
        (receipt(audience="pointclear.test/other"), "audience"),
        (receipt(partner_id="fuel"), "partner_id"),
        (statement(), "payload_type"),
        (replace(receipt(), payload=receipt().payload + b"\x00"), "signatures"),
        (sign(SeedSigner(bytes(32)), TRANSFER_RECEIPT, receipt().payload), "signatures[0].key_id"),
        (sign(EXCHANGE, TRANSFER_RECEIPT, b"\xff"), "payload"),
    ],
)
def test_anything_else_is_disproved_and_named(envelope: Envelope, field: str) -> None:
    with pytest.raises(Failed) as failed:
        read_proof(envelope, KEYS, AUDIENCE, "grocery")
    failure = failed.value.failure
    assert (failure.exit_code, failure.reason) == (ExitCode.REFUSED, "PROOF_INVALID")
    assert failure.field == field


@pytest.mark.parametrize(
    ("order", "transfer_id", "field"),
    [(b"another order", ID, "order_sha256"), (ORDER, b"x" * 16, "transfer_id")],
)
def test_a_receipt_about_something_else_does_not_answer_an_order(
    order: bytes, transfer_id: bytes, field: str
) -> None:
    with pytest.raises(Failed) as failed:
        check_answers(read_proof(receipt(), KEYS, AUDIENCE, "grocery"), order, transfer_id)
    assert failed.value.failure.field == field


@pytest.mark.parametrize(
    ("seq", "previous", "field"),
    [(2, FIRST_PREVIOUS, "stream_seq"), (1, b"x" * 32, "previous_sha256")],
)
def test_a_gap_or_a_change_in_a_stream_is_found(seq: int, previous: bytes, field: str) -> None:
    with pytest.raises(Failed) as failed:
        check_follows(read_proof(receipt(), KEYS, AUDIENCE, "grocery"), seq, previous)
    assert failed.value.failure.field == field


def test_a_statement_is_good_with_its_own_line_file_alone() -> None:
    stated = read_statement(statement(), KEYS, AUDIENCE, "grocery")
    check_line_file(stated, LINES)
    with pytest.raises(Failed) as failed:
        check_line_file(stated, LINES + b"\r\n")
    assert failed.value.failure.field == "line_file_sha256"


def test_a_receipt_is_no_statement_and_another_brands_statement_is_not_ours() -> None:
    with pytest.raises(Failed):
        read_statement(receipt(), KEYS, AUDIENCE, "grocery")
    with pytest.raises(Failed):
        read_statement(statement(), KEYS, AUDIENCE, "fuel")
