"""Instruction and result files: one form out, whole or not at all in."""

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.file_program.faults import REMEDIES, FileFault, FileRefused, refusal_json
from adapters.file_program.instructions import Batch, Inquiry, Instruction, write_batch
from adapters.file_program.results import Signing, is_result_file, parse_results
from adapters.file_program.signature import sign_results
from adapters.file_program.tables import is_finished
from partners.confirmations.confirmation import Confirmation
from partners.confirmations.file_evidence import RESULT_COLUMNS
from partners.envelope import from_json
from partners.merkle import leaf_hash, root_of
from partners.program_port import CreditOutcome, DeclineReason, ExpiryLot, InstructionKind
from tests.factories import NOW, order_signer
from tests.file_program import NAME, credit, done, instruction_id, results, reversal

DECLINED = replace(
    done(2), outcome=CreditOutcome.DECLINED, points=0, reason=DeclineReason.MEMBER_FROZEN
)
TAKEN_BACK = done(3, kind=InstructionKind.REVERSE, points=40)
ANSWERS = (done(1), DECLINED, TAKEN_BACK)
CONTENT = results(*ANSWERS)

answers = st.builds(
    lambda number, kind, outcome, points, reason, reference: done(
        number,
        kind=kind,
        outcome=outcome,
        points=points if outcome is CreditOutcome.DONE else 0,
        reason=reason if outcome is CreditOutcome.DECLINED else None,
        program_reference=reference,
    ),
    st.integers(0, 50),
    st.sampled_from(InstructionKind),
    st.sampled_from(CreditOutcome),
    st.integers(1, 2**40),
    st.sampled_from(DeclineReason),
    st.from_regex(r"([=@'\"!-#][,\"' =;a-z]{0,10})?", fullmatch=True),
)


def refused(content: bytes) -> FileRefused:
    with pytest.raises(FileRefused) as caught:
        parse_results(content)
    return caught.value


def said_in(content: bytes) -> tuple[Confirmation, ...]:
    return tuple(line.said for line in parse_results(content).lines)


def test_a_batch_looks_like_this() -> None:
    lots = (ExpiryLot(60, datetime(2027, 1, 1, tzinfo=UTC)), ExpiryLot(40, None))
    instructions: tuple[Instruction, ...] = (
        credit(1, member="=1+1", expiry_lots=lots),
        credit(2, committed=False),
        reversal(3, of=1),
        Inquiry(instruction_id(4), InstructionKind.CREDIT),
    )
    batch = Batch(NAME, 7, NOW, instructions)
    zeros = "00000000-0000-7000-8000-00000000000"
    assert batch.file_name == "fuel-00000007.instructions.csv"
    assert write_batch(batch).decode().split("\r\n") == [
        "row,batch,kind,instruction_id,transfer_id,program,member,points,committed,expiry_lots,"
        "order_sha256,count,partner,audience,created_at",
        "BATCH,fuel-00000007,,,,fuel,,,,,,,fuel,pointclear.test/unit,2026-07-15T12:00:00.000000Z",
        f"LINE,fuel-00000007,CREDIT,{zeros}1,{zeros}1,fuel,'=1+1,100,true,"
        f"60@2027-01-01T00:00:00.000000Z 40@,{1:064x},,,,",
        f"LINE,fuel-00000007,CREDIT,{zeros}2,{zeros}2,fuel,member-2,100,false,,{2:064x},,,,",
        f"LINE,fuel-00000007,REVERSE,{zeros}3,{zeros}1,fuel,member-1,100,,,,,,,",
        f"LINE,fuel-00000007,LOOK_UP_CREDIT,{zeros}4,,fuel,,,,,,,,,",
        "TOTAL,fuel-00000007,CREDIT,,,,,200,,,,2,,,",
        "TOTAL,fuel-00000007,REVERSE,,,,,100,,,,1,,,",
        "TOTAL,fuel-00000007,LOOK_UP_CREDIT,,,,,0,,,,1,,,",
        "TOTAL,fuel-00000007,LOOK_UP_REVERSE,,,,,0,,,,0,,,",
        "END,fuel-00000007,,,,,,,,,,4,,,",
        "",
    ]


def test_a_result_file_looks_like_this() -> None:
    zeros = "00000000-0000-7000-8000-00000000000"
    assert CONTENT.decode().split("\r\n") == [
        "row,file,kind,instruction_id,outcome,points,reason,reference,decided_at,count,program,"
        "partner,audience,created_at,signature",
        "RESULTS,r-1,,,,,,,,,fuel,fuel,pointclear.test/unit,2026-07-15T12:00:00.000000Z,NONE",
        f"LINE,r-1,CREDIT,{zeros}1,DONE,100,,B-1,2026-07-15T12:00:00.000000Z,,,,,,",
        f"LINE,r-1,CREDIT,{zeros}2,DECLINED,,MEMBER_FROZEN,B-1,2026-07-15T12:00:00.000000Z,,,,,,",
        f"LINE,r-1,REVERSE,{zeros}3,DONE,40,,B-1,2026-07-15T12:00:00.000000Z,,,,,,",
        "TOTAL,r-1,CREDIT,,,100,,,,2,,,,,",
        "TOTAL,r-1,REVERSE,,,40,,,,1,,,,,",
        "END,r-1,,,,,,,,3,,,,,",
        "",
    ]
    lines = parse_results(CONTENT).lines
    assert [line.line for line in lines] == [3, 4, 5]
    assert [line.row for line in lines] == CONTENT.split(b"\r\n")[2:5]


@given(st.lists(answers, max_size=12))
def test_what_is_written_is_read(several: list[Confirmation]) -> None:
    file = parse_results(results(*several))
    assert [line.said for line in file.lines] == several
    assert (file.name, file.file_id, file.created_at) == (NAME, "r-1", NOW)


@given(st.lists(answers, max_size=6), st.data())
def test_no_cell_of_a_file_begins_as_a_formula(several: list[Confirmation], data: Any) -> None:
    start = data.draw(st.sampled_from(["=", "+", "-", "@", "\t", "\r", "'"]))
    batch = Batch(NAME, 1, NOW, (credit(1, member=f"{start}cmd"), reversal(2, 1, member=start)))
    for content in (results(*several), write_batch(batch)):
        for row in csv.reader(io.StringIO(content.decode(), newline="")):
            assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)


def test_a_mark_at_the_start_and_bare_line_feeds_are_read_as_well() -> None:
    for other in (
        b"\xef\xbb\xbf" + CONTENT,
        CONTENT.replace(b"\r\n", b"\n"),
        CONTENT.removesuffix(b"\r\n"),
        b"\r\n".join(
            b",".join(b'"%b"' % cell for cell in row.split(b",")) for row in CONTENT.splitlines()
        ),
    ):
        assert said_in(other) == ANSWERS


def test_no_beginning_of_a_file_is_taken_for_the_file() -> None:
    for size in range(len(CONTENT.rstrip())):
        assert not is_finished(CONTENT[:size], RESULT_COLUMNS)
        assert refused(CONTENT[:size]).fault is FileFault.CUT_SHORT


@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 400))
def test_a_file_with_a_hole_is_refused(start: int, size: int) -> None:
    # What is left where an upload's pieces came in another order than they lie in the file.
    hole = bytes(min(size, len(CONTENT) - start))
    assert refused(CONTENT[:start] + hole + CONTENT[start + len(hole) :])


@given(st.integers(0, len(CONTENT) - 1), st.integers(1, len(CONTENT)))
def test_a_file_without_a_piece_is_refused_or_the_same(start: int, size: int) -> None:
    content = CONTENT[:start] + CONTENT[start + size :]
    try:
        read = parse_results(content)
    except FileRefused:
        return
    # A zero less in a fraction of a second, or a shorter reference: nothing that is counted.
    for line, whole in zip(read.lines, ANSWERS, strict=True):
        assert (line.said.instruction_id, line.said.outcome) == (
            whole.instruction_id,
            whole.outcome,
        )
        assert (line.said.points, line.said.reason) == (whole.points, whole.reason)


def changed(line: int, column: str, value: str) -> bytes:
    rows = list(csv.reader(io.StringIO(CONTENT.decode(), newline="")))
    rows[line - 1][RESULT_COLUMNS.index(column)] = value
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


@pytest.mark.parametrize(
    ("line", "column", "value", "fault"),
    [
        (1, "points", "Points", FileFault.COLUMNS_WRONG),
        (2, "row", "RESULT", FileFault.ROW_WRONG),
        (2, "signature", "", FileFault.FIELD_INVALID),
        (2, "created_at", "2026-07-15 12:00", FileFault.FIELD_INVALID),
        (2, "file", "../r-1", FileFault.FIELD_INVALID),
        (3, "file", "r-2", FileFault.FIELD_INVALID),
        (3, "row", "END", FileFault.ROW_WRONG),
        (3, "kind", "CREDITS", FileFault.FIELD_INVALID),
        (3, "kind", "REVERSE", FileFault.TOTALS_WRONG),
        (3, "instruction_id", "1", FileFault.FIELD_INVALID),
        (3, "instruction_id", "00000000000070008000000000000001", FileFault.FIELD_INVALID),
        (3, "instruction_id", "{00000000-0000-7000-8000-000000000001}", FileFault.FIELD_INVALID),
        (3, "outcome", "", FileFault.FIELD_INVALID),
        (3, "outcome", "done", FileFault.FIELD_INVALID),
        (3, "points", "", FileFault.FIELD_INVALID),
        (3, "points", "0", FileFault.FIELD_INVALID),
        (3, "points", "-100", FileFault.FIELD_INVALID),
        (3, "points", "100.0", FileFault.FIELD_INVALID),
        (3, "points", "1e2", FileFault.FIELD_INVALID),
        (3, "points", "１００", FileFault.FIELD_INVALID),
        (3, "points", "9" * 19, FileFault.FIELD_INVALID),
        (3, "points", "9" * 5000, FileFault.FIELD_INVALID),
        (3, "points", "99", FileFault.TOTALS_WRONG),
        (3, "reason", "SPENT", FileFault.FIELD_INVALID),
        (3, "reference", "x" * 65, FileFault.FIELD_INVALID),
        (3, "reference", "a\nb", FileFault.NOT_CSV),
        (3, "reference", "a\rb", FileFault.FIELD_INVALID),
        (3, "reference", "a\tb", FileFault.FIELD_INVALID),
        (3, "reference", "ann@example.org", FileFault.FIELD_INVALID),
        (3, "decided_at", "yesterday", FileFault.FIELD_INVALID),
        (3, "decided_at", "2026-07-16T12:00:00", FileFault.FIELD_INVALID),
        (3, "decided_at", "0001-01-01T00:00:00+14:00", FileFault.FIELD_INVALID),
        (4, "reason", "", FileFault.FIELD_INVALID),
        (4, "reason", "BECAUSE", FileFault.FIELD_INVALID),
        (4, "points", "1", FileFault.FIELD_INVALID),
        (6, "kind", "REVERSE", FileFault.ROW_WRONG),
        (6, "count", "3", FileFault.TOTALS_WRONG),
        (6, "count", "two", FileFault.TOTALS_WRONG),
        (6, "points", "101", FileFault.TOTALS_WRONG),
        (7, "points", "", FileFault.TOTALS_WRONG),
        (7, "row", "LINE", FileFault.ROW_WRONG),
        (8, "count", "4", FileFault.TOTALS_WRONG),
        (2, "points", "5", FileFault.FIELD_INVALID),
        (3, "count", "1", FileFault.FIELD_INVALID),
        (6, "outcome", "DONE", FileFault.FIELD_INVALID),
        (8, "points", "0", FileFault.FIELD_INVALID),
        (8, "signature", "\0", FileFault.FIELD_INVALID),
        (8, "row", "end", FileFault.CUT_SHORT),
    ],
)
def test_a_wrong_cell_refuses_the_file_and_is_named(
    line: int, column: str, value: str, fault: FileFault
) -> None:
    found = refused(changed(line, column, value))
    assert found.fault is fault
    if fault not in (FileFault.CUT_SHORT, FileFault.TOTALS_WRONG):
        assert found.line == line
    if fault is FileFault.FIELD_INVALID:
        assert found.field == column
        # Nobody knows what stands in a cell that is wrong, and texts are logged.
        assert len(value) < 3 or value not in str(found)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda text: text.encode("utf-16"), FileFault.CUT_SHORT),
        (lambda text: text.replace("B-1", "Bü").encode("latin-1"), FileFault.NOT_UTF8),
        (lambda text: text.replace("B-1", '"B"1').encode(), FileFault.NOT_CSV),
        (lambda text: text.replace("B-1", "B;1,").encode(), FileFault.COLUMNS_WRONG),
        (lambda text: text.replace(",", ";").encode(), FileFault.CUT_SHORT),
        (lambda text: text.replace("\r\nEND", "\r\n\r\nEND").encode(), FileFault.COLUMNS_WRONG),
        (lambda text: text.partition("\r\n")[2].encode(), FileFault.COLUMNS_WRONG),
        (lambda text: (text + text).encode(), FileFault.ROW_WRONG),
        (lambda text: text.splitlines()[-1].encode(), FileFault.COLUMNS_WRONG),
        (
            lambda text: "\n".join([text.splitlines()[0], text.splitlines()[-1]]).encode(),
            FileFault.ROW_WRONG,
        ),
        (lambda text: text.replace("B-1", "\0").encode(), FileFault.FIELD_INVALID),
        (lambda _: b"", FileFault.CUT_SHORT),
    ],
)
def test_a_file_in_another_form_is_refused(
    change: Callable[[str], bytes], fault: FileFault
) -> None:
    assert refused(change(CONTENT.decode())).fault is fault


def test_only_plain_names_are_result_files() -> None:
    assert is_result_file("r-1.results.csv")
    for name in (".results.csv", "r 1.results.csv", "r-1.results.csv.part", "r-1.csv"):
        assert not is_result_file(name)


def test_every_fault_has_a_remedy() -> None:
    assert set(REMEDIES) == set(FileFault)


PAGE = (Path(__file__).parents[2] / "docs" / "file-program.md").read_text()


def shown(name: str) -> str:
    """The block of the page that is under test."""
    block = rf"<!-- test: {name} -->\n(?:```\w+\n(.*?)```|(.*?)\n\n)"
    (found,) = re.findall(block, PAGE, re.DOTALL)
    return "".join(found)


def test_the_page_shows_what_is_written_and_read() -> None:
    lots = (ExpiryLot(60, datetime(2027, 1, 1, tzinfo=UTC)), ExpiryLot(40, None))
    instructions: tuple[Instruction, ...] = (
        credit(1, member="=1+1", expiry_lots=lots),
        reversal(3, of=1),
        Inquiry(instruction_id(4), InstructionKind.CREDIT),
    )
    batch = write_batch(Batch(NAME, 7, NOW, instructions))
    assert shown("batch") == batch.decode().replace("\r\n", "\n")
    content = shown("results").encode()
    file = parse_results(content)
    written = results(*said_in(content), signing=Signing.DSSE)
    assert written.replace(b"\r\n", b"\n") == content
    envelope = from_json(sign_results(order_signer("fuel"), file).decode())
    assert envelope.payload.decode() == shown("payload").strip()
    given: dict[str, Any] = {}
    exec(shown("root"), given)
    for size in range(20):
        rows = [bytes([number]) for number in range(size)]
        assert given["root"](rows) == root_of([leaf_hash(row) for row in rows])


def test_the_page_names_every_fault_and_shows_a_refusal() -> None:
    assert re.findall(r"^\| `(\w+)` \|", shown("faults"), re.MULTILINE) == list(FileFault)
    wrong = FileRefused(
        FileFault.POINTS_WRONG, "DONE cannot come with 1 points", line=7003, field="points"
    )
    refusal = refusal_json("r-1.results.csv", "…", wrong, NOW)
    assert json.loads(shown("refusal")) == json.loads(refusal)
