"""Rows of cells as CSV and as XLSX, the same bytes every time. Pure, but that a workbook's rows lie
in the machine's temporary folder while it is written.

Format of CSV: RFC 4180 (CRLF, quotes only where needed), UTF-8 without a mark, one header row,
equally many cells in every row. The first cell says what a row is; `TOTAL` rows are control totals
and the `END` row is the last, so that a file that was cut is told from a whole one. A text that a
spreadsheet would run is written with an apostrophe before it (`partners.cells`).

Format of XLSX: texts are written as texts and never as formulas, links or numbers, and what would
run if somebody typed it carries Excel's own quote mark (`quotePrefix`). A spreadsheet keeps 15
significant digits: a figure of at most 15 is a number, a longer one is a text, so that no digit is
ever lost. A sheet has room for 1,048,576 rows; what does not fit goes on in the next sheet.
"""

import csv
import io
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import IO, Any, Final

from partners.cells import neutralised
from partners.points import format_amount

EXACT_MAX: Final = 10**15 - 1
"""The largest whole number of which a spreadsheet keeps every digit."""
SHEET_ROWS_MAX: Final = 1_048_576


@dataclass(frozen=True, slots=True)
class Money:
    """An amount as a cell."""

    units: int
    scale: int

    @property
    def text(self) -> str:
        """With all digits of the scale."""
        return format_amount(self.units, self.scale)


Cell = str | int | Money | None
"""A text, a whole number of ours, an amount, or nothing."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table of a workbook."""

    name: str
    columns: Sequence[str]
    rows: Iterable[Sequence[Cell]]
    widths: Sequence[float] = ()
    """Of the columns, in characters; a fair guess where there are none."""


def write_csv(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """The CSV file of these rows."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_csv_cell(cell) for cell in row] for row in rows)
    return text.getvalue().encode()


def _csv_cell(cell: Cell) -> str:
    if isinstance(cell, Money):
        return cell.text
    if isinstance(cell, int):
        return str(cell)
    return neutralised(cell or "")


def write_workbook(target: IO[bytes], sheets: Iterable[Sheet], title: str, day: date) -> None:
    """Write an XLSX file; `day` is its date. Rows are taken one by one: a million need no more room
    in memory than a hundred.
    """
    # Loaded when it is needed: every server starts, few write workbooks.
    import xlsxwriter

    with tempfile.TemporaryDirectory(prefix="pointclear-workbook-") as folder:
        book = xlsxwriter.Workbook(
            target,
            {
                "constant_memory": True,
                "tmpdir": folder,
                "strings_to_formulas": False,
                "strings_to_urls": False,
                "strings_to_numbers": False,
            },
        )
        try:
            created = datetime.combine(day, time(), UTC).replace(tzinfo=None)
            book.set_properties({"title": title, "author": "Pointclear", "created": created})
            styles = _Styles(book)
            for sheet in sheets:
                _write_sheet(book, styles, sheet)
            book.close()
        except BaseException:
            # Its rows lie in files that only a workbook which is written whole closes.
            for page in book.worksheets():
                page.row_data_fh.close()
            raise


def workbook(sheets: Iterable[Sheet], title: str, day: date) -> bytes:
    """The bytes of a small XLSX file."""
    target = io.BytesIO()
    write_workbook(target, sheets, title, day)
    return target.getvalue()


class _Styles:
    """How cells look."""

    def __init__(self, book: Any) -> None:
        self.head: Any = book.add_format({"bold": True, "bottom": 1, "text_wrap": True})
        self.count: Any = book.add_format({"num_format": "#,##0"})
        self.text: Any = book.add_format({"num_format": "@"})
        self.long: Any = book.add_format({"num_format": "@", "align": "right"})
        self.quoted: Any = book.add_format({"num_format": "@", "quote_prefix": True})
        self._money: dict[int, Any] = {}
        self._book = book

    def money(self, scale: int) -> Any:
        """Amounts with all digits of a scale."""
        if scale not in self._money:
            shown = "#,##0." + "0" * scale if scale else "#,##0"
            self._money[scale] = self._book.add_format({"num_format": shown})
        return self._money[scale]


def _write_sheet(book: Any, styles: _Styles, sheet: Sheet) -> None:
    page, place, number = _new_page(book, styles, sheet, 1), 1, 1
    for row in sheet.rows:
        if place == SHEET_ROWS_MAX:
            number, place = number + 1, 1
            page = _new_page(book, styles, sheet, number)
        for column, cell in enumerate(row):
            _write_cell(page, styles, place, column, cell)
        place += 1


def _new_page(book: Any, styles: _Styles, sheet: Sheet, number: int) -> Any:
    page: Any = book.add_worksheet(sheet.name if number == 1 else f"{sheet.name} {number}")
    page.freeze_panes(1, 0)
    for column, name in enumerate(sheet.columns):
        width = sheet.widths[column] if sheet.widths else max(10.0, len(name) + 2.0)
        page.set_column(column, column, width)
        page.write_string(0, column, name, styles.head)
    return page


def _write_cell(page: Any, styles: _Styles, place: int, column: int, cell: Cell) -> None:
    if isinstance(cell, Money):
        if abs(cell.units) <= EXACT_MAX:
            number = float(cell.text)
            page.write_number(place, column, number, styles.money(cell.scale))
        else:
            page.write_string(place, column, cell.text, styles.long)
    elif isinstance(cell, int):
        if abs(cell) <= EXACT_MAX:
            page.write_number(place, column, cell, styles.count)
        else:
            page.write_string(place, column, str(cell), styles.long)
    elif cell:
        runs = neutralised(cell) != cell
        page.write_string(place, column, cell, styles.quoted if runs else styles.text)
