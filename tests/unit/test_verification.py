"""The offline verifier: an untouched archive holds, and each way to tamper with one is named."""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from exchange.cli.checks.archive import Report, check_archive
from exchange.cli.checks.document import check_document, check_pem
from exchange.cli.checks.line_file import COLUMNS
from exchange.cli.checks.verification import Broken, KeySet, KnownKey, read_keys
from exchange.cli.output import Command
from exchange.cli.verify import verify
from partners.envelope import SETTLEMENT_STATEMENT, TRANSFER_ORDER, from_json, pae, sign, to_json
from partners.key_files import public_key_pem
from partners.keys import Purpose, SeedSigner, VerifyKey
from pointclear.exchange.v1 import transfer_pb2 as pb
from pointclear.settlement.v1.statement_pb2 import SettlementStatement
from settlement.lines import line_file
from settlement.lines.line import Line, LineFile
from tests.archives import (
    AUDIENCE,
    KEYS,
    RECEIPTS,
    SIGNERS,
    STATEMENTS,
    Archive,
    digest,
    keys_json,
    resigned,
    week,
)

FIRST, SECOND = "cny-2017-01-01", "cny-2017-01-02"


def report_of(archive: Archive, keys: KeySet = KEYS, start_seq: int = 1) -> Report:
    return check_archive([f.files() for f in archive.folders.values()], keys, start_seq)


def faults_of(archive: Archive, keys: KeySet = KEYS) -> list[str]:
    return [str(fault) for fault in report_of(archive, keys).faults]


def document_faults(text: str, keys: KeySet = KEYS) -> list[str]:
    return [str(fault) for fault in check_document("a.json", text, keys).faults]


def changed_receipt(archive: Archive, change: Callable[[pb.TransferReceipt], object]) -> str:
    """The grocery brand's first receipt as a lying exchange would sign it."""
    return resigned(archive.grocery.stream[0], pb.TransferReceipt, change, RECEIPTS)


def changed_record(archive: Archive, change: Callable[[pb.TransferRecord], object]) -> str:
    def rewrite(receipt: pb.TransferReceipt) -> None:
        record = pb.TransferRecord.FromString(receipt.record)
        change(record)
        receipt.record = record.SerializeToString()

    return changed_receipt(archive, rewrite)


def restate(
    archive: Archive,
    change: Callable[[SettlementStatement], object],
    window: str = SECOND,
    partner: str = "grocery",
) -> None:
    """Sign a partner's statement anew, changed: what only the exchange itself could do."""
    statements = archive.folders[partner].statements
    statements[window] = resigned(statements[window], SettlementStatement, change, STATEMENTS)


def flipped(text: str, at: int) -> str:
    """The envelope with one bit of its payload changed."""
    document = json.loads(text)
    envelope = from_json(text)
    payload = bytearray(envelope.payload)
    payload[at % len(payload)] ^= 1
    other = json.loads(
        to_json(type(envelope)(envelope.payload_type, bytes(payload), envelope.signatures))
    )
    return json.dumps(document | {"payload": other["payload"]})


def test_an_untouched_archive_holds() -> None:
    report = report_of(week())
    assert report.faults == ()
    assert report.not_checked == ()
    assert report.checked == {
        "partners": 2,
        "receipts": 8,
        "credit notices": 6,
        "funding notices": 0,
        "reversal notices": 0,
        "statements": 4,
        "lines": 12,
        "windows": 2,
    }


def test_the_verifier_reads_the_columns_that_settlement_writes() -> None:
    assert COLUMNS == line_file.COLUMNS


# Keys and envelopes


def test_keys_are_read_as_an_archive_holds_them() -> None:
    assert read_keys("keys.json", keys_json()) == KEYS


def with_indexes(purpose: Purpose, **indexes: Any) -> KeySet:
    """The key set with the log indexes of one key."""
    key_id = SIGNERS[purpose].key_id
    return {**KEYS, key_id: replace(KEYS[key_id], **indexes)}


def test_the_log_indexes_of_keys_are_read_and_must_be_integers() -> None:
    rows = json.loads(keys_json())
    rows[0] |= {"registered_index": 3, "revoked_index": None}
    keys = read_keys("keys.json", json.dumps(rows).encode())
    key = keys[rows[0]["key_id"]]
    assert (key.registered_index, key.revoked_index) == (3, None)
    for wrong in ("3", True, 3.0):
        rows[0]["revoked_index"] = wrong
        with pytest.raises(Broken, match="no list of public keys"):
            read_keys("keys.json", json.dumps(rows).encode())


def test_t05_receipts_before_the_revocation_hold_and_those_from_it_on_do_not() -> None:
    archive = week()
    indexes = [
        pb.TransferRecord.FromString(
            pb.TransferReceipt.FromString(from_json(each).payload).record
        ).log_index
        for each in archive.grocery.stream
    ]
    last = max(indexes)
    after = with_indexes(Purpose.RECEIPTS, revoked_index=last + 1, registered_index=0)
    assert not [f for f in faults_of(archive, after) if "revoked" in f or "registered" in f]
    faults = faults_of(archive, with_indexes(Purpose.RECEIPTS, revoked_index=last))
    assert any(f"being revoked at {last}: expected less than {last}" in f for f in faults)
    faults = faults_of(archive, with_indexes(Purpose.RECEIPTS, registered_index=last))
    assert any(f"being registered at {last}: expected more than {last}" in f for f in faults)


def test_t05_a_statement_whose_key_was_revoked_within_its_window_does_not_hold() -> None:
    archive = week()
    statement = SettlementStatement.FromString(
        from_json(archive.grocery.statements[SECOND]).payload
    )
    end = statement.closing_tree.size
    faults = faults_of(archive, with_indexes(Purpose.STATEMENTS, revoked_index=end))
    assert any(f"being revoked at {end}" in f for f in faults)
    report = report_of(archive, with_indexes(Purpose.STATEMENTS, revoked_index=end + 1))
    assert report.faults == ()
    assert len(report.not_checked) == len(archive.folders) * 2
    assert all("before its key was revoked" in each for each in report.not_checked)


def test_an_order_under_a_revoked_key_holds_as_far_as_its_receipt_says() -> None:
    order = sign(SIGNERS[Purpose.ORDERS], TRANSFER_ORDER, an_order())
    keys = with_indexes(Purpose.ORDERS, revoked_index=7)
    report = check_document("a.json", to_json(order), keys)
    assert report.faults == ()
    (unseen,) = report.not_checked
    assert unseen.startswith("whether a.json came before its key was revoked at 7")


def an_order() -> bytes:
    return pb.TransferOrder(partner_id="grocery").SerializeToString()


def test_a_key_under_another_keys_id_is_refused() -> None:
    rows = json.loads(keys_json())
    rows[0]["public_key_pem"] = rows[1]["public_key_pem"]
    with pytest.raises(Exception, match="does not name the public key beside it"):
        read_keys("keys.json", json.dumps(rows).encode())


@pytest.mark.parametrize("content", [b"", b"{}}", b"[1]", b'[{"key_id": "00"}]', b"[" * 10**5])
def test_what_is_no_key_list_is_one_fault(content: bytes) -> None:
    with pytest.raises(Exception, match="is no list of public keys"):
        read_keys("keys.json", content)


@given(st.integers(min_value=0))
def test_t01_no_bit_of_a_receipt_can_change(at: int) -> None:
    text = flipped(week(1).grocery.stream[0], at)
    assert document_faults(text) == [
        "a.json: SIGNATURE_INVALID (signatures): the signature does not fit the key and message"
    ]


def test_t02_a_receipt_signed_by_a_key_for_statements_is_refused() -> None:
    text = resigned(
        week(1).grocery.stream[0],
        pb.TransferReceipt,
        lambda receipt: setattr(receipt, "signing_key_id", STATEMENTS.key_id),
        STATEMENTS,
    )
    assert document_faults(text) == [
        f"a.json: purpose of key {STATEMENTS.key_id}: expected RECEIPTS, found STATEMENTS"
    ]


def test_t02_a_statement_in_a_stream_is_refused() -> None:
    archive = week(1)
    archive.grocery.stream[0] = archive.grocery.statements[FIRST]
    assert "grocery/receipts.jsonl:1: wrong payload type" in faults_of(archive)[0]


def test_a_key_that_somebody_else_holds_signs_no_receipt() -> None:
    key = KEYS[RECEIPTS.key_id]
    keys = dict(KEYS) | {RECEIPTS.key_id: KnownKey(key.verify_key, "partner/fuel", key.purpose)}
    assert document_faults(week(1).grocery.stream[0], keys) == [
        f"a.json: holder of key {RECEIPTS.key_id}: expected exchange, found partner/fuel"
    ]


def test_an_unknown_key_verifies_nothing() -> None:
    text = resigned(
        week(1).grocery.stream[0], pb.TransferReceipt, lambda _: None, SeedSigner(b"x" * 32)
    )
    assert "KEY_UNKNOWN" in document_faults(text)[0]


def test_a_payload_names_the_key_that_signs_it() -> None:
    other = changed_receipt(week(1), lambda r: setattr(r, "signing_key_id", STATEMENTS.key_id))
    assert "signing_key_id" in document_faults(other)[0]


def test_t06_a_field_that_this_version_does_not_know_is_a_fault() -> None:
    def smuggle(receipt: pb.TransferReceipt) -> None:
        receipt.record += b"\xfa\x06\x01x"  # Field 111, one byte.

    assert document_faults(changed_receipt(week(1), smuggle)) == [
        "a.json: the record holds a field that this version does not know"
    ]


# Receipts and credit notices


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("salt", b"short", "bytes of salt: expected 32, found 5"),
        ("partner_id", "fuel", "the partner that this may be for: expected grocery, found fuel"),
        ("source_part_salt", bytes(32), "source_part_sha256: expected"),
        ("source_part", b"", "source_part_sha256: expected"),
        ("record", b"\xff", "the record is no TransferRecord"),
    ],
)
def test_a_receipt_with_a_wrong_field_is_refused(field: str, value: object, fault: str) -> None:
    text = changed_receipt(week(1), lambda receipt: setattr(receipt, field, value))
    assert any(line.startswith(f"a.json: {fault}") for line in document_faults(text))


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("target_points", 501, "target_points by the block rate: expected 500, found 501"),
        ("source_points", 1001, "source points beyond whole blocks: expected 0, found 1"),
        ("value", 9_800_001, "value by the price: expected 9800000, found 9800001"),
        ("transfer_id", b"", "bytes of transfer_id: expected 16, found 0"),
        ("state", 0, "the record states no outcome"),
        ("state", 2, "whether the record states a reason: expected True, found False"),
        ("source_part_sha256", bytes(32), "source_part_sha256: expected"),
        ("source_part_sha256", b"", "source_part that the record does not commit to: expected"),
    ],
)
def test_t10_an_altered_record_is_refused(field: str, value: object, fault: str) -> None:
    text = changed_record(week(1), lambda record: setattr(record, field, value))
    assert any(line.startswith(f"a.json: {fault}") for line in document_faults(text))


def test_the_tax_follows_from_the_fee_and_its_rate() -> None:
    def dearer(receipt: pb.TransferReceipt) -> None:
        part = pb.SourcePart.FromString(receipt.source_part)
        part.tax += 1
        receipt.source_part = part.SerializeToString()
        record = pb.TransferRecord.FromString(receipt.record)
        record.source_part_sha256 = digest(receipt.source_part_salt, receipt.source_part)
        receipt.record = record.SerializeToString()

    assert document_faults(changed_receipt(week(1), dearer)) == [
        "a.json: tax on the fee: expected 5880, found 5881"
    ]


# Streams


def test_t10_an_omitted_entry_is_named() -> None:
    archive = week()
    del archive.grocery.stream[2]
    assert faults_of(archive) == [
        "grocery/receipts.jsonl:3: an omitted entry before this one: expected stream_seq 3, found 4"
    ]


def test_t10_an_omitted_first_entry_is_named() -> None:
    archive = week()
    del archive.grocery.stream[0]
    assert "grocery/receipts.jsonl:1: an omitted entry" in faults_of(archive)[0]


def test_t10_an_omitted_last_entry_is_named_by_the_statement() -> None:
    archive = week()
    del archive.grocery.stream[-1]
    assert faults_of(archive) == [
        f"grocery/{SECOND}.statement.json: last_stream_seq by the stream: expected 7, found 8",
        f"grocery/{SECOND}.lines.csv:4: log index 14 is not in the window of the stream",
    ]


def test_t10_a_lost_stream_is_named_by_the_statements() -> None:
    archive = week(1)
    archive.grocery.stream.clear()
    assert faults_of(archive)[0] == (
        f"grocery/{FIRST}.statement.json: first_stream_seq by the stream: expected 0, found 1"
    )


def test_t10_swapped_entries_are_named() -> None:
    archive = week()
    stream = archive.grocery.stream
    stream[2], stream[3] = stream[3], stream[2]
    assert faults_of(archive) == [
        "grocery/receipts.jsonl:3: a swapped entry: expected stream_seq 3, found 4"
    ]


def test_t10_a_doubled_entry_is_named() -> None:
    archive = week()
    archive.grocery.stream.insert(3, archive.grocery.stream[2])
    assert faults_of(archive) == [
        "grocery/receipts.jsonl:4: a doubled entry: expected stream_seq 4, found 3"
    ]


def test_t10_an_inserted_entry_is_named_though_the_exchange_signed_it() -> None:
    archive = week()
    inserted = resigned(
        archive.grocery.stream[2],
        pb.CreditNotice,
        lambda notice: setattr(notice, "salt", bytes(32)),
        RECEIPTS,
    )
    archive.grocery.stream.insert(3, inserted)
    assert faults_of(archive) == [
        "grocery/receipts.jsonl:4: an inserted entry: expected stream_seq 4, found 3"
    ]


def test_t10_an_entry_that_the_exchange_rewrote_breaks_the_next_link() -> None:
    archive = week()
    archive.grocery.stream[1] = resigned(
        archive.grocery.stream[1],
        pb.TransferReceipt,
        lambda receipt: setattr(receipt, "salt", bytes(32)),
        RECEIPTS,
    )
    (fault,) = faults_of(archive)
    assert fault.startswith("grocery/receipts.jsonl:3: a broken link, previous_sha256: expected ")


def test_t10_one_altered_entry_is_one_fault_and_says_what_was_not_checked() -> None:
    archive = week()
    archive.grocery.stream[5] = flipped(archive.grocery.stream[5], 100)
    report = report_of(archive)
    assert [str(fault) for fault in report.faults] == [
        "grocery/receipts.jsonl:6: SIGNATURE_INVALID (signatures):"
        " the signature does not fit the key and message"
    ]
    assert report.not_checked == (
        f"grocery/{SECOND}.statement.json against grocery/receipts.jsonl,"
        " which is not whole so far",
        f"sum of window {SECOND}: who took part is not known",
    )


def test_another_partners_stream_is_refused() -> None:
    archive = week(1)
    archive.grocery.stream = archive.fuel.stream
    assert faults_of(archive)[0] == (
        "grocery/receipts.jsonl:1: whose stream this is: expected grocery, found fuel"
    )


def test_a_stream_may_begin_where_it_is_said_to() -> None:
    archive = week()
    for folder, kept in ((archive.grocery, 4), (archive.fuel, 3)):
        del folder.stream[:kept]
    assert "an omitted entry" in faults_of(archive)[0]
    del archive.folders["fuel"]
    report = report_of(archive, start_seq=5)
    assert report.faults == ()
    assert "which is not whole so far" in report.not_checked[0]


def test_both_parties_hold_one_record() -> None:
    archive = week(1)
    archive.fuel.stream[-1] = resigned(
        archive.fuel.stream[-1],
        pb.CreditNotice,
        lambda notice: setattr(notice, "salt", bytes(32)),
        RECEIPTS,
    )
    assert "log index 6 holds another leaf at grocery/receipts.jsonl:4" in faults_of(archive)[0]


def test_a_receipt_without_its_credit_notice_is_named() -> None:
    archive, told_less = week(1), Archive()
    told_less.size = 5
    told_less.transfer("fuel", "grocery", 200, (10, 19), 9_500, FIRST)
    told_less.transfer("grocery", "fuel", 2, (2, 1), 19_600, FIRST)
    archive.fuel.stream = told_less.fuel.stream
    archive.fuel.statements.clear()
    archive.fuel.line_files.clear()
    assert faults_of(archive) == [
        "grocery/receipts.jsonl:1: fuel holds no credit notice of log index 3"
    ]


def test_t11_an_order_is_verified_by_the_key_of_the_brand_that_it_names() -> None:
    signer = SIGNERS[Purpose.ORDERS]
    order = pb.TransferOrder(audience=AUDIENCE, partner_id="grocery", source_points=1000)
    text = to_json(sign(signer, TRANSFER_ORDER, order.SerializeToString()))
    assert check_document("order.json", text, KEYS).checked == {"orders": 1}
    order.partner_id = "fuel"
    text = to_json(sign(signer, TRANSFER_ORDER, order.SerializeToString()))
    assert document_faults(text) == [
        "a.json: holder of the order's key: expected partner/fuel, found partner/grocery"
    ]


# Statements


@pytest.mark.parametrize(
    ("field", "by", "fault"),
    [
        ("net", 1, "net, outgoing + incoming + fees + taxes"),
        ("due", 1, "due, brought_forward + restated + net - withheld"),
        ("carried_forward", 1, "carried_forward, brought_forward + restated + net - payment"),
        ("payment", 1, "carried_forward, brought_forward + restated + net - payment"),
        ("scale", -2, "scale of the currency"),
    ],
)
def test_a_statement_that_does_not_add_up_is_refused(field: str, by: int, fault: str) -> None:
    archive = week()
    restate(archive, lambda s: setattr(s, field, getattr(s, field) + by))
    assert faults_of(archive)[0].startswith(f"grocery/{SECOND}.statement.json: {fault}: expected")


def test_a_statement_signed_by_the_receipts_key_is_refused() -> None:
    archive = week(1)
    statements = archive.grocery.statements
    statements[FIRST] = resigned(
        statements[FIRST],
        SettlementStatement,
        lambda s: setattr(s, "signing_key_id", RECEIPTS.key_id),
        RECEIPTS,
    )
    assert faults_of(archive) == [
        f"grocery/{FIRST}.statement.json: purpose of key {RECEIPTS.key_id}:"
        " expected STATEMENTS, found RECEIPTS"
    ]


def move(name: str, by: int) -> Callable[[SettlementStatement], None]:
    def change(statement: SettlementStatement) -> None:
        getattr(statement, name).size += by

    return change


@pytest.mark.parametrize(
    ("name", "by", "fault"),
    [
        ("opening_tree", 1, "size of the opening tree: expected 7, found 8"),
        ("opening_tree", -1, "size of the opening tree: expected 7, found 6"),
        ("closing_tree", 1, "size of the closing tree: expected 15, found 16"),
        ("closing_tree", -1, "size of the closing tree: expected 15, found 14"),
    ],
)
def test_t25_a_range_that_is_off_by_one_is_named(name: str, by: int, fault: str) -> None:
    archive = week()
    restate(archive, move(name, by), partner="fuel")
    assert any(line.endswith(fault) for line in faults_of(archive))


@pytest.mark.parametrize(
    ("name", "by", "fault"),
    [
        ("opening_tree", 5, "first_stream_seq by the stream: expected 6, found 5"),
        ("opening_tree", -1, "first_stream_seq by the stream: expected 4, found 5"),
        ("closing_tree", -1, "last_stream_seq by the stream: expected 7, found 8"),
    ],
)
def test_t25_one_partner_alone_sees_that_its_range_is_wrong(name: str, by: int, fault: str) -> None:
    archive = week()
    del archive.folders["fuel"]
    restate(archive, move(name, by))
    assert f"grocery/{SECOND}.statement.json: {fault}" in faults_of(archive)


def test_t25_a_wrong_stream_position_is_named() -> None:
    archive = week()
    restate(archive, lambda s: setattr(s, "first_stream_seq", s.first_stream_seq + 1))
    assert faults_of(archive) == [
        f"grocery/{SECOND}.statement.json: first_stream_seq by the stream: expected 5, found 6"
    ]


def test_t25_a_statement_of_the_other_partner_is_named() -> None:
    archive = week()
    archive.grocery.statements[SECOND] = archive.fuel.statements[SECOND]
    assert faults_of(archive)[0] == (
        f"grocery/{SECOND}.statement.json: partner by its folder: expected grocery, found fuel"
    )


def test_t25_a_statement_of_another_window_is_named() -> None:
    archive = week()
    archive.grocery.statements[SECOND] = archive.grocery.statements[FIRST]
    assert faults_of(archive)[0] == (
        f"grocery/{SECOND}.statement.json: window by its file name:"
        f" expected {SECOND}, found {FIRST}"
    )


def test_t25_a_stale_tree_head_is_named() -> None:
    archive = week()
    restate(archive, lambda s: setattr(s.opening_tree, "root", digest(b"stale")))
    assert any("root of the opening tree" in fault for fault in faults_of(archive))


def test_t25_a_window_left_out_is_named() -> None:
    archive = week(3)
    for folder in archive.folders.values():
        del folder.statements[SECOND], folder.line_files[SECOND]
    report = report_of(archive)
    assert (
        "grocery/cny-2017-01-03.statement.json: size of the opening tree: expected 7, found 15"
    ) in [str(fault) for fault in report.faults]
    assert f"windows {SECOND} of grocery: no good statement of them is here" in report.not_checked


def test_the_balance_carried_is_the_balance_brought() -> None:
    archive = week()

    def forget(statement: SettlementStatement) -> None:
        statement.carried_forward -= statement.brought_forward
        statement.due -= statement.brought_forward
        statement.brought_forward = 0
        statement.payment = statement.due - statement.due % 10_000
        statement.carried_forward = statement.due - statement.payment

    restate(archive, forget)
    assert "brought_forward: expected" in faults_of(archive)[0]


# Line files


def test_t25_an_altered_line_is_named_with_its_cell() -> None:
    archive = week()
    files = archive.grocery.line_files
    files[SECOND] = files[SECOND].replace(b",380,", b",381,", 1)
    faults = faults_of(archive)
    assert faults[0].startswith(
        f"grocery/{SECOND}.lines.csv: SHA-256 that the statement states: expected"
    )
    assert (
        f"grocery/{SECOND}.lines.csv:3: target_points by grocery/receipts.jsonl:7:"
        " expected 380, found 381"
    ) in faults


def rewrite_lines(archive: Archive, change: Callable[[list[Line]], object]) -> None:
    """Another line file that is whole and that the statement names, made by a lying exchange."""
    folder = archive.grocery
    file = line_file.read_line_file(folder.line_files[SECOND])
    lines = list(file.lines)
    change(lines)
    content = line_file.write_line_file(
        LineFile(file.window_id, file.partner_id, file.scale, tuple(lines))
    )
    folder.line_files[SECOND] = content
    restate(archive, lambda s: setattr(s, "line_file_sha256", digest(content)))


def test_t25_a_missing_line_is_named() -> None:
    archive = week()
    rewrite_lines(archive, lambda lines: lines.pop(1))
    faults = faults_of(archive)
    assert (
        f"grocery/{SECOND}.lines.csv: line_count of the statement and of the lines:"
        " expected 3, found 2"
    ) in faults
    assert any(
        "log index 13 (grocery/receipts.jsonl:7) is not in the line file" in f for f in faults
    )


def test_t25_a_doubled_line_is_named() -> None:
    archive = week()
    rewrite_lines(archive, lambda lines: lines.insert(1, lines[0]))
    assert f"grocery/{SECOND}.lines.csv:3: log_index: expected more than 11, found 11" in faults_of(
        archive
    )


def test_t26_a_line_file_that_was_cut_short_is_named() -> None:
    archive = week()
    files = archive.grocery.line_files
    files[SECOND] = files[SECOND].rpartition(b"END")[0]
    assert any(
        "last rows: expected TOTAL, TOTAL, TOTAL, END" in fault for fault in faults_of(archive)
    )


def test_a_missing_line_file_is_named() -> None:
    archive = week()
    del archive.grocery.line_files[SECOND]
    assert faults_of(archive) == [f"grocery/{SECOND}.lines.csv: is missing"]


def test_a_line_file_without_a_statement_is_named() -> None:
    archive = week(1)
    archive.grocery.line_files["cny-2017-01-09"] = b""
    assert faults_of(archive) == ["grocery/cny-2017-01-09.lines.csv: has no statement beside it"]


# Windows over all partners


def test_the_values_of_a_window_sum_to_zero() -> None:
    archive = week()

    def more(statement: SettlementStatement) -> None:
        for field in ("incoming_value", "net", "due", "payment"):
            setattr(statement, field, getattr(statement, field) + 10_000)

    restate(archive, more)
    assert (
        f"grocery/{SECOND}.statement.json: values of all partners in window {SECOND} together:"
        " expected 0, found 10000"
    ) in faults_of(archive)


def test_a_window_without_all_its_partners_is_said_to_be_unchecked() -> None:
    archive = week(1)
    del archive.folders["fuel"]
    report = report_of(archive)
    assert report.faults == ()
    assert report.not_checked == (f"sum of window {FIRST}: no good statement of fuel is here",)


# The command

APP = typer.Typer()
APP.command(cls=Command)(verify)


def written(archive: Archive, home: Path) -> Path:
    """The archive as a folder."""
    (home / "keys").mkdir()
    (home / "keys.json").write_bytes(keys_json())
    for key_id, key in KEYS.items():
        pem = public_key_pem(key.verify_key.public_key)
        (home / "keys" / f"{key_id}.pem").write_bytes(pem)
    for folder in archive.folders.values():
        own = home / folder.partner_id
        own.mkdir()
        (own / "receipts.jsonl").write_text("".join(f"{text}\n" for text in folder.stream))
        for window, text in folder.statements.items():
            (own / f"{window}.statement.json").write_text(text)
        for window, content in folder.line_files.items():
            (own / f"{window}.lines.csv").write_bytes(content)
    return home


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(APP, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout


def test_the_command_says_that_everything_holds(tmp_path: Path) -> None:
    code, output = run(written(week(), tmp_path))
    assert code == 0
    assert "everything here holds" in output


def test_the_command_gives_one_line_for_each_fault_and_exit_code_1(tmp_path: Path) -> None:
    archive = week()
    del archive.grocery.stream[2]
    code, output = run(written(archive, tmp_path))
    assert code == 1
    assert output.splitlines()[0] == (
        f"{tmp_path}/grocery/receipts.jsonl:3: an omitted entry before this one:"
        " expected stream_seq 3, found 4"
    )


def test_the_command_prints_one_document_for_machines(tmp_path: Path) -> None:
    archive = week()
    del archive.grocery.stream[2]
    code, output = run("--json", written(archive, tmp_path))
    document = json.loads(output)
    assert code == 1
    assert document["verified"] is False
    assert [fault["expected"] for fault in document["faults"]] == ["stream_seq 3"]


def test_single_files_are_checked_with_the_keys_that_are_named(tmp_path: Path) -> None:
    home = written(week(), tmp_path)
    receipt = home / "receipt.json"
    receipt.write_text(week().grocery.stream[0])
    for path, counted in (
        (receipt, {"receipts": 1}),
        (
            home / "grocery" / "receipts.jsonl",
            {
                "receipts": 6,
                "credit notices": 2,
                "funding notices": 0,
                "reversal notices": 0,
            },
        ),
        (home / "grocery" / f"{FIRST}.statement.json", {"statements": 1, "lines": 3}),
    ):
        code, output = run("--json", "--keys", home / "keys.json", path)
        assert code == 0, output
        assert json.loads(output)["checked"] == counted


def test_one_partners_own_folder_is_checked_by_itself(tmp_path: Path) -> None:
    home = written(week(), tmp_path)
    code, output = run("--json", "--keys", home / "keys.json", home / "grocery")
    assert code == 0
    assert json.loads(output)["checked"]["partners"] == 1


def test_a_path_that_cannot_be_meant_is_a_usage_error(tmp_path: Path) -> None:
    home = written(week(1), tmp_path)
    for arguments in (
        [tmp_path / "nowhere"],
        [home / "grocery"],
        [home / "grocery" / "receipts.jsonl"],
        ["--keys", home / "keys.json", home / "grocery" / f"{FIRST}.lines.csv"],
        ["--keys", home / "keys.json", home / "keys"],
        [],
    ):
        assert run(*arguments)[0] == 2


def test_a_pem_file_holds_the_key_that_its_name_says() -> None:
    mine, other = SIGNERS[Purpose.LOG], SIGNERS[Purpose.RECEIPTS]
    assert check_pem("a.pem", mine.key_id, public_key_pem(mine.public_key), KEYS) == ()
    (fault,) = check_pem("a.pem", mine.key_id, public_key_pem(other.public_key), KEYS)
    assert fault.found == other.key_id
    assert check_pem("a.pem", mine.key_id, b"", KEYS)
    assert check_pem("a.pem", "f" * 32, public_key_pem(other.public_key), KEYS)


def test_a_fault_is_one_line_whatever_it_quotes(tmp_path: Path) -> None:
    archive = week(1)
    home = written(archive, tmp_path)
    text = changed_receipt(archive, lambda r: setattr(r, "partner_id", "a\n\x1b[2Jb"))
    (home / "one.json").write_text(text)
    code, output = run("--keys", home / "keys.json", home / "one.json")
    assert code == 1
    assert "expected grocery, found a ?[2Jb" in output.splitlines()[0]


def test_what_is_verified_is_the_pre_authentication_encoding() -> None:
    envelope = from_json(week(1).grocery.stream[0])
    message = pae(envelope.payload_type, envelope.payload)
    assert message.startswith(b"DSSEv1 55 application/vnd.pointclear.transfer-receipt.v1+protobuf ")
    assert VerifyKey.of(RECEIPTS.public_key).key_id == envelope.signatures[0].key_id


# Versions


def next_version(archive: Archive, **changes: object) -> None:
    """Put a second version of grocery's first statement into the archive."""
    first = json.loads(archive.folders["grocery"].statements[FIRST])
    payload = base64.b64decode(first["payload"])
    message = SettlementStatement.FromString(payload)
    message.version = 2
    message.supersedes_sha256 = hashlib.sha256(payload).digest()
    message.reason = "a line is in dispute"
    message.withheld, standing = -10_000, message.brought_forward + message.net
    message.due = standing + 10_000
    message.payment = message.due - message.due % 10_000
    message.carried_forward = standing - message.payment
    for name, value in changes.items():
        setattr(message, name, value)
    signed = sign(STATEMENTS, SETTLEMENT_STATEMENT, message.SerializeToString(deterministic=True))
    archive.folders["grocery"].statements[f"{FIRST}.v2"] = to_json(signed)


def test_versions_of_a_statement_follow_each_other_and_the_next_statement_either_of_them() -> None:
    archive = week()
    next_version(archive)
    assert faults_of(archive) == []


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("supersedes_sha256", bytes(32), "supersedes_sha256"),
        ("net_debit_cap", 7, "net_debit_cap by"),
        ("withheld", -9_000, "due, brought_forward"),
    ],
)
def test_a_version_that_does_not_follow_is_refused(field: str, value: object, fault: str) -> None:
    archive = week()
    next_version(archive, **{field: value})
    assert fault in faults_of(archive)[0]
