"""The line file: one form, read whole or not at all, and nothing that a spreadsheet would run."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement.lines import line_file
from settlement.lines.line import Line, LineFile, Role, Share, Totals
from settlement.lines.line_file import (
    COLUMNS,
    LineFileWriter,
    LineFileWrong,
    line_sums,
    read_line_file,
    write_line_file,
)

LINE = Line(
    transfer_id=UUID("01890a5d-ac96-774b-bcce-b302099a8057"),
    role=Role.SOURCE,
    own_reference="order 7",
    source_program="aurora-miles",
    target_program="borealis",
    source_points=1000,
    target_points=500,
    bonus_points=0,
    agreement_id="aurora-borealis",
    segment="",
    rate_source_units=2,
    rate_target_units=1,
    price_per_target_point=19_600,
    price_per_thousand=0,
    value=-9_800_000,
    value_tax=0,
    value_tax_code="",
    promotion=0,
    promotions=(),
    fee=-98_000,
    tax=-5_880,
    tax_code="vat6",
    currency="CNY",
    state="COMMITTED",
    recorded_at=datetime(2017, 1, 1, 12, 30, 0, 1, tzinfo=UTC),
    log_index=7,
)
NOTICE = replace(
    LINE,
    role=Role.TARGET,
    own_reference="",
    source_program="borealis",
    target_program="aurora-miles",
    bonus_points=40,
    agreement_id="borealis-aurora",
    segment="gold",
    price_per_target_point=0,
    price_per_thousand=19_600_000,
    value=3_610_000,
    value_tax=469_300,
    value_tax_code="vat13",
    promotion=250_000,
    promotions=(Share("may", "hub", 250_000), Share("may", "aurora", 130_000)),
    fee=0,
    tax=0,
    tax_code="",
    log_index=8,
)
FILE = LineFile("cny-2017-01-01", "aurora", 6, (LINE, NOTICE))
REFERENCES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=64)
LINES = st.builds(
    replace,
    st.sampled_from([LINE, NOTICE]),
    own_reference=REFERENCES,
    source_points=st.integers(1, 2**62),
    value=st.integers(-(2**62), 2**62),
    log_index=st.integers(0, 2**62),
)


def test_a_line_file_looks_like_this() -> None:
    assert write_line_file(FILE).decode().split("\r\n") == [
        ",".join(COLUMNS),
        "LINE,01890a5d-ac96-774b-bcce-b302099a8057,source,order 7,aurora-miles,borealis,1000,500,"
        "0,aurora-borealis,,2,1,0.019600,,-9.800000,0.000000,,0.000000,,-0.098000,-0.005880,vat6,CNY,COMMITTED,2017-01-01T12:30:00.000001Z,7",
        "LINE,01890a5d-ac96-774b-bcce-b302099a8057,target,,borealis,aurora-miles,1000,500,40,"
        "borealis-aurora,gold,2,1,,19.600000,3.610000,0.469300,vat13,0.250000,"
        "may/hub=0.250000 may/aurora=0.130000,0.000000,0.000000,,CNY,COMMITTED,"
        "2017-01-01T12:30:00.000001Z,8",
        "TOTAL,1,source,,,,1000,500,0,,,,,,,-9.800000,0.000000,,0.000000,,-0.098000,-0.005880,,,,,",
        "TOTAL,1,target,,,,1000,500,40,,,,,,,3.610000,0.469300,,0.250000,,0.000000,0.000000,,,,,",
        "TOTAL,0,funder,,,,0,0,0,,,,,,,0.000000,0.000000,,0.000000,,0.000000,0.000000,,,,,",
        "END,cny-2017-01-01,,aurora,,,,,,,,,,,,,,,,,,,,,,,",
        "",
    ]


@given(st.lists(LINES, max_size=20), st.sampled_from([4, 6]))
def test_what_is_written_is_read_back(lines: list[Line], scale: int) -> None:
    file = LineFile("cny-2017-01-01", "aurora", scale, tuple(lines))
    assert read_line_file(write_line_file(file)) == file


@given(st.sampled_from(list("=+-@\t\r'")), REFERENCES)
def test_no_text_cell_begins_as_a_formula(first: str, rest: str) -> None:
    file = replace(FILE, lines=(replace(LINE, own_reference=first + rest),))
    content = write_line_file(file)
    cell = content.decode().split("\r\n", 1)[1].split(",")[3].lstrip('"')
    assert cell.startswith("'")
    assert read_line_file(content) == file


def test_an_empty_file_has_totals_of_nothing() -> None:
    empty = replace(FILE, lines=())
    assert empty.totals(Role.SOURCE) == Totals()
    assert read_line_file(write_line_file(empty)) == empty


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"END,cny-2017-01-01,,aurora,,,,,,,,,,,,,,,,,,,,,,,\r\n", b""),
        (b"TOTAL,1,source", b"TOTAL,2,source"),
        (b"-9.800000,", b"-9.900000,"),
        (b",7\r\n", b",7\n"),
        (b",7\r\n", b",007\r\n"),
        (b"source_points", b"points"),
        (b"LINE", b"LIME"),
        (b",7\r\n", b",7,\r\n"),
        (b"2017-01-01T", b"2017-13-01T"),
        (b"0.019600", b"0.0196000"),
        (b"may/hub=0.250000", b"may/hub=0.25"),
        (b"may/hub=0.250000", b"may=0.250000"),
        (b"0.250000,", b"0.250001,"),
        (b"order 7", b'"order 7"'),
        (b"order 7", b"order \xff"),
        (b"aurora,,,", b"aurora,,,x"),
    ],
)
def test_a_file_that_was_touched_is_refused(old: bytes, new: bytes) -> None:
    content = write_line_file(FILE)
    touched = content.replace(old, new, 1)
    assert touched != content
    with pytest.raises(LineFileWrong):
        read_line_file(touched)


@given(st.data())
def test_a_file_cut_anywhere_is_refused(data: st.DataObject) -> None:
    content = write_line_file(FILE)
    with pytest.raises(LineFileWrong):
        read_line_file(content[: data.draw(st.integers(0, len(content) - 1))])


@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused_and_nothing_else_is_raised(content: bytes) -> None:
    with pytest.raises(LineFileWrong):
        read_line_file(content)


@given(st.lists(LINES, max_size=6), st.integers(1, 400))
def test_a_file_is_the_same_in_however_many_parts_it_is_written(
    lines: list[Line], part_chars: int
) -> None:
    file = replace(FILE, lines=tuple(lines))
    parts: list[bytes] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(line_file, "PART_CHARS", part_chars)
        writer = LineFileWriter(file.window_id, file.partner_id, file.scale, parts.append)
        writer.write(file.lines)
        sums = writer.end()
    content = write_line_file(file)
    assert b"".join(parts) == content
    assert sums == line_sums(file)
    assert sums.sha256 == hashlib.sha256(content).digest()
    assert sums.line_count == len(lines)
    assert sums.roles == file.roles
    assert {role: sums.totals(role) for role in Role} == {role: file.totals(role) for role in Role}
