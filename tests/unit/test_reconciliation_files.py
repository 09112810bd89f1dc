"""A partner's own file is read as its mapping says, or refused whole with every fault named."""

import json
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import xlsxwriter

from partners.errors import Refused
from settlement.lines.line import Line, LineFile, Role
from settlement.lines.line_file import write_line_file
from settlement.reconciliation.apart import FILE, Found, Job, reconcile
from settlement.reconciliation.faults import FAULTS_MAX, FileWrong
from settlement.reconciliation.mapping_document import parse_mapping
from tests.own_file import COLUMNS, MAPPING, OwnRow, own_file, rows_of

WINDOW = "usd-2017-01-01"
DAY = "2017-01-01"
AT = datetime(2017, 1, 1, 12, tzinfo=UTC)
FORMULA = '=HYPERLINK("http://evil.example")'


def a_line(number: int, **changes: Any) -> Line:
    fields: dict[str, Any] = {
        "transfer_id": UUID(int=(0x0159 << 112) | (7 << 76) | (2 << 62) | number),
        "role": Role.SOURCE,
        "own_reference": f"own-{number}",
        "source_program": "aurora",
        "target_program": "borealis",
        "source_points": 1000 + number,
        "target_points": 500,
        "bonus_points": 0,
        "agreement_id": "aurora-borealis",
        "segment": "",
        "rate_source_units": 50,
        "rate_target_units": 25,
        "price_per_target_point": 20_000,
        "price_per_thousand": 0,
        "value": -1_234_560_000 - number * 10_000,
        "value_tax": 0,
        "value_tax_code": "",
        "promotion": 0,
        "promotions": (),
        "fee": -5_000,
        "tax": -300,
        "tax_code": "vat6",
        "currency": "USD",
        "state": "COMMITTED",
        "recorded_at": AT + timedelta(seconds=number),
        "log_index": 100 + number,
    }
    return Line(**fields | changes)


LINES = LineFile(WINDOW, "aurora", 6, tuple(a_line(number) for number in range(8)))
ROWS = rows_of(LINES, {Role.SOURCE: "m-1"})


@pytest.fixture
def held(tmp_path: Path) -> Callable[..., Found]:
    """Holds a file against `LINES`."""

    def hold(content: bytes, lines: LineFile = LINES, **changes: Any) -> Found:
        (tmp_path / FILE).write_bytes(content)
        (tmp_path / "lines.csv").write_bytes(write_line_file(lines))
        job = Job(
            json.dumps(
                {name: each for name, each in (MAPPING | changes).items() if each is not None}
            ),
            ("aurora",),
            "USD",
            ((DAY, DAY),),
            (("lines.csv", WINDOW, 0),),
            {WINDOW: "2017-01-01 12:00:10"},
            "11" * 32,
        )
        return reconcile(tmp_path, job)

    return hold


def without_markers(rows: list[OwnRow], delimiter: str = ",", encoding: str = "utf-8") -> bytes:
    """The rows alone, in a style of their own."""
    cells = [[getattr(row, each) for each in COLUMNS[1:-1]] + [row.state] for row in rows]
    lines = [delimiter.join(map(str, COLUMNS[1:])), *(delimiter.join(map(str, c)) for c in cells)]
    return "".join(f"{each}\n" for each in lines).encode(encoding)


PLAIN = {"rows": None, "totals": None}


def test_a_file_as_the_mapping_says_has_no_difference(held: Callable[..., Found]) -> None:
    found = held(own_file(ROWS))
    assert (found.rows, found.lines, found.matched, found.differences) == (8, 8, 8, ())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030", "cp1252"])
def test_encodings_and_a_byte_order_mark_at_the_beginning_are_read(
    held: Callable[..., Found], encoding: str
) -> None:
    content = own_file(ROWS).decode().encode(encoding)
    named = "utf-8" if encoding == "utf-8-sig" else encoding
    assert held(content, encoding=named).differences == ()


def test_european_figures_dates_and_delimiters_are_read(held: Callable[..., Found]) -> None:
    rows = [
        each.with_(
            booked="01.01.2017",
            money=f"{float(each.money):,.2f}".translate(str.maketrans(",.", ".,")),
            fee=each.fee.replace(".", ","),
            tax=each.tax.replace(".", ","),
        )
        for each in ROWS
    ]
    assert rows[0].money == "1.234,56"
    style = {"delimiter": ";", "decimal": ",", "group": ".", "date_format": "%d.%m.%Y"}
    assert held(without_markers(rows, ";"), **PLAIN, **style).differences == ()


def test_fixed_width_is_read(held: Callable[..., Found]) -> None:
    widths, place = {}, 1
    for name in COLUMNS[1:]:
        widths[name] = [place, 40]
        place += 40
    rows = [[getattr(row, each) for each in COLUMNS[1:-1]] + [row.state] for row in ROWS]
    content = "".join("".join(f"{cell!s:40}" for cell in row) + "\n" for row in rows).encode()
    style = {"format": "fixed", "widths": widths}
    found = held(content, **PLAIN, **style, header=False)
    assert found.differences == ()
    with pytest.raises(FileWrong) as wrong:
        held(content[:-300], **PLAIN, **style, header=False)
    assert (8, "the row is cut: it has too few cells") in [
        (each.row, each.text) for each in wrong.value.faults
    ]


def test_workbooks_are_read_with_figures_and_dates_as_such(
    held: Callable[..., Found], tmp_path: Path
) -> None:
    path = tmp_path / "own.xlsx"
    with xlsxwriter.Workbook(path, {"strings_to_formulas": False}) as book:
        sheet, stamp = book.add_worksheet(), book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        sheet.write_row(0, 0, COLUMNS[1:])
        for number, row in enumerate(ROWS, start=1):
            sheet.write_datetime(number, 0, AT.replace(tzinfo=None), stamp)
            for place, name in enumerate(COLUMNS[2:], start=1):
                cell = row.state if name == "state" else getattr(row, name)
                figure = name in ("points", "money", "fee", "tax")
                sheet.write(number, place, float(cell) if figure else cell)
    assert held(path.read_bytes(), **PLAIN, format="xlsx").differences == ()


@pytest.mark.parametrize("way", ["two columns", "a sign"])
def test_points_may_say_their_way_by_column_or_by_sign(
    held: Callable[..., Found], way: str
) -> None:
    back = a_line(3, role=Role.SOURCE_REVERSED, state="REVERSED", value=1, log_index=140)
    lines = LineFile(WINDOW, "aurora", 6, (*LINES.lines, back))
    head = "transfer,out,in\n" if way == "two columns" else "transfer,points\n"
    text = head
    for line in lines.lines:
        of_out = line.role is Role.SOURCE
        if way == "two columns":
            points = f"{line.source_points},0" if of_out else f"0,{line.source_points}"
            columns = {"transfer_id": "transfer", "points_out": "out", "points_in": "in"}
        else:
            points = f"{'' if of_out else '-'}{line.source_points}"
            columns = {"transfer_id": "transfer", "points": "points"}
        text += f"{line.transfer_id},{points}\n"
    found = held(text.encode(), lines, **PLAIN, columns=columns, status_words=None)
    assert (found.matched, found.differences) == (9, ())


def test_rows_without_ids_are_found_by_reference_then_by_member_points_and_date(
    held: Callable[..., Found],
) -> None:
    rows = [each.with_(transfer="") for each in ROWS]
    found = held(own_file(rows))
    assert (found.matched, found.differences) == (8, ())


def test_t27_a_formula_in_a_reference_is_text_on_both_sides(held: Callable[..., Found]) -> None:
    lines = LineFile(WINDOW, "aurora", 6, (a_line(0, own_reference=FORMULA), *LINES.lines[1:]))
    plain = ROWS[0].with_(transfer="", reference=FORMULA.replace('"', ""))
    quoted = LineFile(
        WINDOW, "aurora", 6, (a_line(0, own_reference=plain.reference), *LINES.lines[1:])
    )
    for reference in (plain.reference, f"'{plain.reference}"):
        found = held(own_file([plain.with_(reference=reference), *ROWS[1:]]), quoted)
        assert (found.matched, found.differences) == (8, ())
    (missing,) = held(own_file(ROWS[1:]), lines).differences
    assert missing.ours is not None
    assert missing.ours["reference"] == FORMULA


GOOD = own_file(ROWS)
FAULTY = {
    "cut in the middle of a row": (GOOD[: len(GOOD) // 2], "too few cells"),
    "cut after a row": (GOOD[: GOOD.index(b"TOTAL")], "end marker"),
    "cut after the totals": (GOOD[: GOOD.index(b"END")], "end marker"),
    "a wrong count": (GOOD.replace(b"TOTAL,,8", b"TOTAL,,9"), "control total"),
    "a wrong sum": (GOOD.replace(b",8028,", b",8029,"), "control total"),
    "something after the end": (GOOD + GOOD.splitlines(keepends=True)[1], "follow"),
    "mixed encodings": (GOOD.replace(b"own-3", "own-é".encode("cp1252")), "mixes encodings"),
    "a mark in the middle": (GOOD.replace(b"own-3", b"\xef\xbb\xbfown-3"), "byte order mark"),
    "a zero byte": (GOOD.replace(b"own-3", b"own\x003"), "no text"),
    "UTF-16": (GOOD.decode().encode("utf-16"), "UTF-16"),
    "another partner's row": (
        own_file([ROWS[0].with_(program="borealis"), *ROWS[1:]]),
        "another partner's",
    ),
    "a row twice": (own_file([*ROWS, ROWS[2]]), "same as row 4"),
    "dates in two formats": (own_file([ROWS[0].with_(booked="02/01/2017"), *ROWS[1:]]), "no date"),
    "a day of another month": (
        own_file([ROWS[0].with_(booked="2017-03-01T00:00:00Z"), *ROWS[1:]]),
        "days from",
    ),
    "a word that is none": (own_file([ROWS[0].with_(way="sideways"), *ROWS[1:]]), "none of"),
    "a transfer id that is none": (own_file([ROWS[0].with_(transfer="17"), *ROWS[1:]]), "no trans"),
    "a column that is not there": (GOOD.replace(b"member", b"person", 1), "no column"),
    "no row at all": (b"", "no column"),
    "too many cells": (GOOD.replace(b"ROW,", b"ROW,,", 1), "too many cells"),
    "a quote that is left open": (GOOD.replace(b"own-1,", b'"own-1,', 1), ""),
}


@pytest.mark.parametrize("name", FAULTY)
def test_t26_a_file_with_one_fault_is_refused_whole(held: Callable[..., Found], name: str) -> None:
    content, text = FAULTY[name]
    with pytest.raises(FileWrong) as wrong:
        held(content)
    assert any(text in each.text for each in wrong.value.faults), wrong.value.faults


@pytest.mark.parametrize(
    ("written", "taken"),
    [
        ("1,234.50", True),
        ("1.234,50", False),
        ("12,34.50", False),
        ("1234.5", True),
        ("1e3", False),
    ],
)
def test_figures_have_one_style(held: Callable[..., Found], written: str, taken: bool) -> None:
    quoted = f'"{written}"'
    rows = without_markers([ROWS[0].with_(money=quoted, points=ROWS[0].points), *ROWS[1:]])
    if taken:
        assert len(held(rows, **PLAIN, group=",").differences) == 1
        return
    with pytest.raises(FileWrong) as wrong:
        held(rows, **PLAIN, group=",")
    assert [(each.row, each.column) for each in wrong.value.faults] == [(2, "money")]


def test_three_decimals_among_two_may_be_a_thousand(held: Callable[..., Found]) -> None:
    rows = [each.with_(money=each.money[:-4]) for each in ROWS]
    rows[4] = rows[4].with_(money="1.234")
    with pytest.raises(FileWrong) as wrong:
        held(without_markers(rows), **PLAIN)
    ((row, text),) = [(each.row, each.text) for each in wrong.value.faults]
    assert (row, "thousand" in text) == (6, True)


def test_members_are_not_in_faults(held: Callable[..., Found]) -> None:
    rows = [each.with_(member="canary", points=-1 * 10**30) for each in ROWS]
    with pytest.raises(FileWrong) as wrong:
        held(without_markers(rows), **PLAIN)
    assert "canary" not in str(wrong.value.faults)


def test_of_many_rows_with_three_errors_the_three_are_named(held: Callable[..., Found]) -> None:
    lines = LineFile(WINDOW, "aurora", 6, tuple(a_line(number) for number in range(20_000)))
    rows = rows_of(lines, {Role.SOURCE: "m-1"})
    rows[5] = rows[5].with_(booked="yesterday")
    rows[10_000] = rows[10_000].with_(fee="free")
    rows[19_999] = rows[19_999].with_(program="borealis")
    with pytest.raises(FileWrong) as wrong:
        held(own_file(rows), lines)
    faults = [(each.row, each.column) for each in wrong.value.faults]
    assert faults == [(7, "booked"), (10_002, "fee"), (20_001, "program")]
    assert wrong.value.count == 3


def test_a_figure_that_cannot_be_read_is_one_fault_and_its_column_is_not_added_up(
    held: Callable[..., Found],
) -> None:
    content = own_file(ROWS).replace(ROWS[2].money.encode(), b'"1.234,50"', 1)
    with pytest.raises(FileWrong) as wrong:
        held(content)
    assert [(each.column, "1.234,50" in each.text) for each in wrong.value.faults] == [
        ("money", True)
    ]


def test_the_list_of_faults_is_bounded_and_their_count_is_not(held: Callable[..., Found]) -> None:
    rows = [each.with_(fee="free") for each in ROWS * 30]
    with pytest.raises(FileWrong) as wrong:
        held(own_file(rows))
    assert (len(wrong.value.faults), wrong.value.count) == (FAULTS_MAX, 240)


def test_roundings_are_added_up_where_every_row_has_one(held: Callable[..., Found]) -> None:
    lines = LineFile(
        WINDOW, "aurora", 6, tuple(a_line(n, value=-1_234_561_000) for n in range(1_200))
    )
    rows = [each.with_(money="1234.560000") for each in rows_of(lines, {Role.SOURCE: "m-1"})]
    (found,) = held(own_file(rows), lines).differences
    assert (found.category, found.count, found.total) == ("ROUNDING", 1_200, -1_200 * 1_000)


def test_another_files_day_is_refused_and_not_a_million_breaks(
    held: Callable[..., Found], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("settlement.reconciliation.differences.DIFFERENCES_MAX", 5)
    with pytest.raises(FileWrong, match="1 faults"):
        held(own_file([]))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"columns": {}}, "mapping.columns"),
        ({"columns": {"transfer_id": "a"}}, "mapping.columns"),
        ({"columns": {"transfer_id": "a", "points": "a"}}, "mapping.columns"),
        ({"encoding": "rot13"}, "mapping.encoding"),
        ({"delimiter": ",,"}, "mapping.delimiter"),
        ({"date_format": "%Q"}, "mapping.date_format"),
        ({"zone": "Mars/Olympus"}, "mapping.zone"),
        ({"tolerance": "-1"}, "mapping.tolerance"),
        ({"decimal": ";"}, "mapping.decimal"),
        ({"group": "."}, "mapping.group"),
        ({"surprise": 1}, "mapping.surprise"),
        ({"format": "fixed"}, "mapping.widths"),
        ({"totals": {"sums": ["nothing"]}}, "mapping.totals.sums"),
        ({"status_words": {}}, "mapping.status_words"),
    ],
)
def test_a_mapping_that_is_none_is_refused_by_its_field(
    changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(Refused) as refused:
        parse_mapping(json.dumps(MAPPING | changes).encode())
    assert refused.value.field == field


def test_t17_nothing_of_a_mapping_or_a_file_is_part_of_a_query(held: Callable[..., Found]) -> None:
    evil = "x'); DROP TABLE ours; --"
    text = without_markers(ROWS).decode().replace("transfer", f'"{evil}"', 1)
    columns = MAPPING["columns"] | {"transfer_id": evil}
    words = {**MAPPING["status_words"], evil: "COMMITTED"}
    found = held(text.encode(), **PLAIN, columns=columns, status_words=words, programs={evil: "a"})
    assert Counter(each.category for each in found.differences) == {}


def test_the_mapping_on_the_page_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs/finance.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", page.partition("## Reconciliation")[2], re.DOTALL)
    mapping = parse_mapping(example.encode())
    assert mapping.columns["points"] == "Points"
