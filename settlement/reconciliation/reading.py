"""A partner's file as a table of texts, whatever its format.

A `Layout` says where a DuckDB query finds the rows: cells are `c0`, `c1` and so on, as they are in
the file, and NULL where a row is too short; the last column is for what is too much. Nothing of a
file is ever part of a query: columns are known by place.

Effects: reads the file, writes copies beside it. A UTF-8 file may begin with a byte order mark,
which is no part of its first cell; one in the middle shows that two files were joined.
"""

import codecs
import csv
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from settlement.reconciliation.faults import FAULTS_MAX, Fault, FileWrong, quoted
from settlement.reconciliation.mapping import ColumnMapping, Format, named_columns

BLOCK_BYTES = 4 * 1024 * 1024
COLUMNS_MAX = 500
HEADER_CHARACTERS_MAX = 256 * 1024
UNPACKED_BYTES_MAX = 2 * 1024**3
"""Of an XLSX file, which is a ZIP archive."""
NOTHING = "'\x01'"
"""Stands for no cell at all; an empty one is an empty text."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the rows are, and which cell is which."""

    places: Mapping[str, int]
    """By the column's name in the file."""
    width: int
    """Cells in a row."""
    first_row: int
    """Number of the first row of the rows, as an editor shows it."""
    sources: tuple[str, ...]
    """What a query reads them from: the first that works, since rows with line breaks in quotes
    cannot be read by several threads where short rows are.
    """

    def cell(self, name: str) -> str:
        """The column of a source."""
        return f"c{self.places[name]}"

    @property
    def cells(self) -> str:
        """All columns but the one for what is too much."""
        return ", ".join(f"c{place}" for place in range(self.width))

    @property
    def extra(self) -> str:
        """The column for what is too much."""
        return f"c{self.width}"

    def numbered(self, source: str) -> str:
        """A source whose rows have their number, `n`.

        The order of rows in a table is no order of theirs, where several threads wrote it.
        """
        return f"(SELECT {self.first_row - 1} + row_number() OVER () AS n, * FROM {source})"


def read_file(path: Path, mapping: ColumnMapping) -> Layout:
    """Make a file readable; raises FileWrong."""
    if mapping.format is Format.FIXED:
        return _fixed(_as_utf8(path, mapping.encoding), mapping)
    if mapping.format is Format.XLSX:
        text = path.with_name("sheet.csv")
        _write_sheet(path, text, mapping)
        return _csv(text, mapping, ",", '"')
    text = _as_utf8(path, mapping.encoding)
    return _csv(text, mapping, mapping.delimiter, mapping.quote)


# Text


def _as_utf8(path: Path, encoding: str) -> Path:
    """The file in UTF-8 without a byte order mark; raises FileWrong where its bytes are not of the
    encoding.
    """
    if encoding in ("utf-8", "ascii"):
        _check_utf8(path, encoding)
        with path.open("rb") as file:
            if file.read(3) != codecs.BOM_UTF8:
                return path
            return _write_text(path, (each.decode() for each in iter(lambda: file.read(1), b"")))
    return _write_text(path, _decoded(path, encoding))


def _check_utf8(path: Path, encoding: str) -> None:
    faults: list[Fault] = []
    with path.open("rb") as file:
        start = file.read(4)
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise FileWrong([Fault(0, "", f"the file is UTF-16, and the mapping says {encoding}")])
        if start.startswith(b"PK\x03\x04"):
            raise FileWrong([Fault(0, "", "the file is a ZIP archive or XLSX, and no text")])
        file.seek(3 if start.startswith(codecs.BOM_UTF8) else 0)
        place = file.tell()
        while block := file.read(BLOCK_BYTES) + file.readline():
            if not _is_clean(block, encoding):
                faults += _dirty_rows(block, encoding, _row_at(path, place))
            place += len(block)
            if len(faults) >= FAULTS_MAX:
                break
    if faults:
        raise FileWrong(faults)


def _row_at(path: Path, place: int) -> int:
    """The number of the row that begins at a byte."""
    row = 1
    with path.open("rb") as file:
        while place > 0 and (block := file.read(min(place, BLOCK_BYTES))):
            row += block.count(b"\n")
            place -= len(block)
    return row


def _is_clean(block: bytes, encoding: str) -> bool:
    if b"\0" in block or b"\x01" in block:
        return False
    if block.isascii():
        return True
    try:
        block.decode(encoding)
    except UnicodeDecodeError:
        return False
    return codecs.BOM_UTF8 not in block


def _dirty_rows(block: bytes, encoding: str, first: int) -> Iterator[Fault]:
    for row, line in enumerate(block.split(b"\n"), start=first):
        if _is_clean(line, encoding):
            continue
        if codecs.BOM_UTF8 in line:
            yield Fault(row, "", "a byte order mark stands in the middle: two files were joined")
        elif b"\0" in line or b"\x01" in line:
            yield Fault(row, "", "the row holds a byte that is no text")
        else:
            yield Fault(row, "", _not_in(encoding))


def _not_in(encoding: str) -> str:
    return (
        f"the row is not {encoding}: the file mixes encodings, or its mapping names another than"
        " its own"
    )


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    """The text of a file in another encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    row = 1
    with path.open("rb") as file:
        while True:
            block = file.read(BLOCK_BYTES)
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as wrong:
                row += wrong.object[: wrong.start].decode(encoding, "replace").count("\n")
                raise FileWrong([Fault(row, "", _not_in(encoding))]) from None
            if "\0" in text or "\x01" in text:
                place = min(each for each in (text.find("\0"), text.find("\x01")) if each >= 0)
                row += text.count("\n", 0, place)
                raise FileWrong([Fault(row, "", "the row holds a character that is no text")])
            row += text.count("\n")
            yield text
            if not block:
                return


def _write_text(path: Path, parts: Iterable[str]) -> Path:
    copy = path.with_name(f"{path.name}.utf8")
    with copy.open("w", encoding="utf-8", newline="") as file:
        file.writelines(parts)
    return copy


# CSV


def _csv(path: Path, mapping: ColumnMapping, delimiter: str, quote: str) -> Layout:
    with path.open(encoding="utf-8", newline="") as file:
        # No cell of the first row is longer, whatever quotes are left open in it.
        start = file.read(HEADER_CHARACTERS_MAX)
    first = _first_row(start, delimiter, quote)
    if len(first) > COLUMNS_MAX:
        raise FileWrong([Fault(1, "", f"the row has more than {COLUMNS_MAX} cells")])
    cells = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(len(first) + 1))
    options = (
        f"delim = {literal(delimiter)}, quote = {literal(quote)}, escape = {literal(quote)},"
        f" columns = {{{cells}}}"
    )
    return Layout(
        _places(first, mapping),
        len(first),
        1 + int(mapping.header),
        _sources(path, mapping, options),
    )


def _sources(path: Path, mapping: ColumnMapping, options: str) -> tuple[str, ...]:
    return tuple(
        f"read_csv({literal(str(path))}, auto_detect = false, header = false,"
        f" skip = {int(mapping.header)}, null_padding = true, nullstr = {NOTHING},"
        f" strict_mode = false, parallel = {parallel}, {options})"
        for parallel in ("true", "false")
    )


def _first_row(start: str, delimiter: str, quote: str) -> list[str]:
    rows = csv.reader(
        start.splitlines(keepends=True),
        delimiter=delimiter,
        quotechar=quote or None,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
    )
    try:
        return [each.strip() for each in next(rows, [])]
    except csv.Error:
        raise FileWrong([Fault(1, "", "the first row cannot be read")]) from None


def _places(first: list[str], mapping: ColumnMapping) -> dict[str, int]:
    """Where the columns of the mapping stand; raises FileWrong where one does not, or twice."""
    names = first if mapping.header else [f"#{place}" for place in range(1, len(first) + 1)]
    wanted = named_columns(mapping)
    faults = [
        Fault(1, name, "no column has this name" if name not in names else "two columns have it")
        for name in wanted
        if names.count(name) != 1
    ]
    if faults:
        there = ", ".join(quoted(each) for each in names[:20])
        raise FileWrong([*faults, Fault(1, "", f"the first row has {there or 'nothing'}")])
    return {name: names.index(name) for name in wanted}


# Fixed width


def _fixed(path: Path, mapping: ColumnMapping) -> Layout:
    """One text a row, cut by the mapping's widths; one that ends before its last cell is short."""
    # The last cell is the one that a cut row lacks.
    names = sorted(named_columns(mapping), key=lambda name: mapping.widths[name])
    options = (
        "delim = '\x02', quote = '', escape = '', columns = {'line': 'VARCHAR', 'extra': 'VARCHAR'}"
    )
    cells = ", ".join(
        f"CASE WHEN length(line) >= {first} THEN trim(substr(line, {first}, {count})) END AS c{at}"
        for at, (first, count) in enumerate(mapping.widths[name] for name in names)
    )
    return Layout(
        {name: place for place, name in enumerate(names)},
        len(names),
        1 + int(mapping.header),
        tuple(
            f"(SELECT {cells}, extra AS c{len(names)} FROM {source})"
            for source in _sources(path, mapping, options)
        ),
    )


# XLSX


def _write_sheet(path: Path, text: Path, mapping: ColumnMapping) -> None:
    """A sheet as CSV: numbers and dates as the mapping has them, formulas as what they came to.

    Raises FileWrong.
    """
    # Only where it is needed: it is a library of its own.
    from python_calamine import CalamineError, load_workbook

    try:
        with zipfile.ZipFile(path) as packed:
            unpacked = sum(each.file_size for each in packed.infolist())
    except (zipfile.BadZipFile, OSError):
        raise FileWrong([Fault(0, "", "the file is no XLSX, or it was cut")]) from None
    if unpacked > UNPACKED_BYTES_MAX:
        raise FileWrong([Fault(0, "", f"it unpacks to more than {UNPACKED_BYTES_MAX:,} bytes")])
    try:
        book = load_workbook(str(path))
        if mapping.sheet and mapping.sheet not in book.sheet_names:
            raise FileWrong([Fault(0, "", f"no sheet is called {quoted(mapping.sheet)}")])
        sheet = (
            book.get_sheet_by_name(mapping.sheet) if mapping.sheet else book.get_sheet_by_index(0)
        )
        rows = sheet.to_python(skip_empty_area=False)
    except CalamineError:
        raise FileWrong([Fault(0, "", "the file is no XLSX that can be read")]) from None
    with text.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([_shown(cell, mapping) for cell in row] for row in rows)


def _shown(cell: Any, mapping: ColumnMapping) -> str:
    match cell:
        case str():
            return cell.replace("\0", "?").replace("\x01", "?")
        case bool():
            return "true" if cell else "false"
        case int() | float():
            # The shortest decimal that is this number, as the spreadsheet shows it.
            number = repr(int(cell)) if cell == int(cell) else format(cell, ".15g")
            return number.replace(".", mapping.decimal)
        case datetime() | date():
            return cell.strftime(mapping.date_format)
        case time() | timedelta():
            return str(cell)
    return ""


def literal(text: str) -> str:
    """A text in a query of DuckDB, in which a backslash is itself."""
    if "\0" in text:
        raise ValueError("no text holds a zero character")
    return "'" + text.replace("'", "''") + "'"
