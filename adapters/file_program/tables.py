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
    """On which it stands, counted from 1."""
    content: bytes
    """The line, without its end."""

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
    lines = _lines(content.removeprefix(_BYTE_ORDER_MARK))
    # Row by row: no cell goes on in the next line, which is a line of its own to whoever signs it.
    rows = tuple(_row(line, number, columns) for number, line in enumerate(lines, start=1))
    if tuple(rows[0].cells.values()) != tuple(columns):
        raise FileRefused(FileFault.COLUMNS_WRONG, "these are not the columns", line=1)
    return rows[1:]


def _lines(content: bytes) -> list[bytes]:
    return [line.removesuffix(b"\r") for line in content.removesuffix(b"\n").split(b"\n")]


def _row(line: bytes, number: int, columns: Sequence[str]) -> Row:
    try:
        (cells,) = csv.reader([line.decode()], strict=True)
    except UnicodeDecodeError:
        raise FileRefused(FileFault.NOT_UTF8, "these bytes are not UTF-8", line=number) from None
    except (csv.Error, ValueError):
        raise FileRefused(FileFault.NOT_CSV, "this is no row of cells", line=number) from None
    if len(cells) != len(columns):
        text = f"{len(cells)} cells stand where {len(columns)} belong"
        raise FileRefused(FileFault.COLUMNS_WRONG, text, line=number)
    for column, cell in zip(columns, cells, strict=True):
        if not cell.isprintable():
            text = "it holds characters that cannot be shown"
            raise FileRefused(FileFault.FIELD_INVALID, text, line=number, field=column)
    return Row(dict(zip(columns, cells, strict=True)), number, line)
