"""Workbooks of line files: figures are figures, texts are texts, many lines need little room."""

import io
import tracemalloc
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from exchange.fold import InvariantBroken
from settlement.lines.line import LineFile
from settlement.lines.line_file import COLUMNS, LineFileWriter, LineFileWrong, write_line_file
from settlement.reports.apart import write_apart
from settlement.reports.line_workbook import write_line_workbook
from settlement.reports.tables import Money, Sheet, workbook, write_csv
from tests.unit.test_settlement_line_file import FILE, LINE

DAY = date(2026, 11, 20)
FORMULAS = ('=HYPERLINK("http://evil","x")', "+1", "-1", "@SUM(A1)", "'x", "\tx")


def workbook_of(file: LineFile) -> bytes:
    target = io.BytesIO()
    write_line_workbook(target, [write_line_file(file)], bytes(32), file.scale, DAY)
    return target.getvalue()


def cells(content: bytes, sheet: str = "Lines") -> list[dict[str, object]]:
    """The rows of a sheet by column."""
    book = CalamineWorkbook.from_filelike(io.BytesIO(content))
    head, *rows = book.get_sheet_by_name(sheet).to_python()
    return [dict(zip(map(str, head), row, strict=True)) for row in rows]


@pytest.mark.parametrize("reference", FORMULAS)
def test_t27_what_a_spreadsheet_would_run_is_a_text(reference: str) -> None:
    line = replace(LINE, own_reference=reference)
    content = workbook_of(replace(FILE, lines=(line,)))
    assert cells(content)[0]["own_reference"] == reference
    sheet = zipfile.ZipFile(io.BytesIO(content)).read("xl/worksheets/sheet1.xml")
    assert b"<f>" not in sheet
    assert b"<hyperlink" not in sheet
    styles = zipfile.ZipFile(io.BytesIO(content)).read("xl/styles.xml")
    assert b'quotePrefix="1"' in styles


@pytest.mark.parametrize("reference", ["0017", "1e5", "3/4", "http://x", "TRUE", "1,234"])
def test_a_reference_that_looks_like_something_else_stays_a_text(reference: str) -> None:
    content = workbook_of(replace(FILE, lines=(replace(LINE, own_reference=reference),)))
    assert cells(content)[0]["own_reference"] == reference


@given(st.integers(-(2**62), 2**62), st.integers(1, 2**62))
def test_no_digit_of_a_figure_is_lost(value: int, points: int) -> None:
    line = replace(LINE, value=value, source_points=points)
    row = cells(workbook_of(replace(FILE, lines=(line,))))[0]
    shown = row["value"]
    if abs(value) < 10**15:
        assert isinstance(shown, float)
        assert round(shown * 10**6) == value
        assert f"{shown:.6f}" == Money(value, 6).text
    else:
        assert shown == Money(value, 6).text
    shown = row["source_points"]
    assert shown == (points if points < 10**15 else str(points))


def test_the_totals_are_those_of_the_line_file() -> None:
    totals = cells(workbook_of(FILE), "Totals")
    assert [row["role"] for row in totals[:3]] == ["source", "target", "funder"]
    assert totals[0]["value"] == -9.8
    # How many lines of each role, as numbers; then whose they are, and of which file.
    assert all(isinstance(row["lines"], float) for row in totals[:3])
    assert [row["lines"] for row in totals[-3:]] == [
        *("Window", "Partner", "SHA-256 of the line file")
    ]
    assert [row["role"] for row in totals[-3:-1]] == [FILE.window_id, FILE.partner_id]


def test_the_same_lines_give_the_same_bytes() -> None:
    assert workbook_of(FILE) == workbook_of(FILE)


def test_a_line_file_that_was_cut_makes_no_workbook() -> None:
    content = write_line_file(FILE)
    for parts in ([content[: len(content) // 2]], [content.rpartition(b"END")[0]], []):
        with pytest.raises((LineFileWrong, ValueError)):
            write_line_workbook(io.BytesIO(), parts, bytes(32), 6, DAY)


def parts_of(lines: int) -> Iterator[bytes]:
    """The parts of a line file of so many lines."""
    made: list[bytes] = []
    writer = LineFileWriter("cny-2017-01-01", "aurora", 6, made.append)
    for number in range(lines):
        writer.write([replace(LINE, log_index=number)])
        yield from made
        made.clear()
    writer.end()
    yield from made


def test_many_lines_need_no_more_room_than_few(tmp_path: Path) -> None:
    peaks = []
    for lines in (500, 5_000):
        tracemalloc.start()
        with (tmp_path / "lines.xlsx").open("wb") as target:
            write_line_workbook(target, parts_of(lines), bytes(32), 6, DAY)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # A part of a file has a megabyte; ten times the lines are no ten times of it.
    assert peaks[1] < peaks[0] + 6_000_000


def test_another_process_writes_the_same_bytes_and_tells_how_far_it_is() -> None:
    told: list[int] = []
    apart, here = io.BytesIO(), io.BytesIO()
    write_apart(apart, parts_of(12_000), bytes(32), 6, DAY, told.append)
    write_line_workbook(here, parts_of(12_000), bytes(32), 6, DAY)
    assert apart.getvalue() == here.getvalue()
    assert told == [10_000, 2_000]


def test_another_process_that_fails_is_an_error() -> None:
    with pytest.raises(InvariantBroken):
        write_apart(io.BytesIO(), [b"no line file\r\n"], bytes(32), 6, DAY, lambda _: None)


@pytest.mark.parametrize("text", FORMULAS)
def test_t27_tables_neutralise_texts_and_no_figures(text: str) -> None:
    rows = write_csv(("a", "b", "c"), [(text, Money(-1, 6), -2)]).decode().splitlines()
    assert rows[1].lstrip('"').startswith("'")
    assert rows[1].endswith(",-0.000001,-2")
    content = workbook([Sheet("Lines", ("a", "b", "c"), [(text, Money(-1, 6), -2)])], "x", DAY)
    assert cells(content) == [{"a": text, "b": -0.000001, "c": -2}]


def test_a_sheet_that_is_full_goes_on_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("settlement.reports.tables.SHEET_ROWS_MAX", 4)
    content = workbook([Sheet("Lines", ("n",), [(number,) for number in range(7)])], "x", DAY)
    shown = [cells(content, name) for name in ("Lines", "Lines 2", "Lines 3")]
    assert [[row["n"] for row in sheet] for sheet in shown] == [[0, 1, 2], [3, 4, 5], [6]]


def test_every_column_of_a_line_has_its_place() -> None:
    assert list(cells(workbook_of(FILE))[0]) == list(COLUMNS[1:])
