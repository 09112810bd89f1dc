"""CSV with equally many cells in every row, as instruction and result files have it. Pure.

Source: RFC 4180. Written: CRLF, quotes where needed, UTF-8 without a mark. Read: LF too, and a byte
order mark at the start.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from adapters.file_program.faults import FileFault, FileRefused

END = "END"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Row:
    """Cells by column."""

    cells: Mapping[str, str]
    line: int
    """On which the row ends, counted from 1."""

    def __getitem__(self, column: str) -> str:
        return self.cells[column]


def write_table(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> bytes:
    """A file of these rows; what a row does not name is empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def is_finished(content: bytes, columns: Sequence[str]) -> bool:
    """Whether the last row is END, with all of its cells.

    The last cells of END are empty, so that whoever sees all its commas has seen all of it.
    """
    last = content.rstrip(b"\r\n").rpartition(b"\n")[2].replace(b'"', b"")
    return last.startswith(END.encode() + b",") and last.count(b",") == len(columns) - 1


def read_table(content: bytes, columns: Sequence[str]) -> tuple[Row, ...]:
    """The rows of a file, without the one that names the columns; raises FileRefused."""
    if not is_finished(content, columns):
        raise FileRefused(FileFault.CUT_SHORT, "there is no whole END row", field="row")
    try:
        text = content.removeprefix(_BYTE_ORDER_MARK).decode()
    except UnicodeDecodeError as wrong:
        line = content.count(b"\n", 0, wrong.start) + 1
        raise FileRefused(FileFault.NOT_UTF8, "these bytes are not UTF-8", line=line) from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[Row] = []
    try:
        if tuple(next(reader)) != tuple(columns):
            raise FileRefused(FileFault.COLUMNS_WRONG, "these are not the columns", line=1)
        for cells in reader:
            if len(cells) != len(columns):
                text = f"{len(cells)} cells stand where {len(columns)} belong"
                raise FileRefused(FileFault.COLUMNS_WRONG, text, line=reader.line_num)
            for column, cell in zip(columns, cells, strict=True):
                if not cell.isprintable():
                    text = "it holds characters that cannot be shown"
                    raise FileRefused(
                        FileFault.FIELD_INVALID, text, line=reader.line_num, field=column
                    )
            rows.append(Row(dict(zip(columns, cells, strict=True)), reader.line_num))
    except csv.Error as wrong:
        raise FileRefused(FileFault.NOT_CSV, str(wrong), line=reader.line_num) from None
    return tuple(rows)
