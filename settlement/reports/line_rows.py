"""Reads a stored line file row by row, part by part: however many lines, one part is held. Pure."""

import csv
import io
from collections.abc import Iterable, Iterator

from settlement.lines.line_file import COLUMNS, LineFileWrong


def line_rows(parts: Iterable[bytes]) -> Iterator[list[str]]:
    """The rows after the head, totals and end marker among them. A part ends where a row does.

    Raises LineFileWrong where the columns are others, or at the end where its marker is missing.
    """
    rows = csv.reader(_texts(parts))
    if tuple(next(rows, ())) != COLUMNS:
        raise LineFileWrong("the columns are not those of a line file")
    row: list[str] = []
    for row in rows:
        yield row
    if row[:1] != ["END"]:
        raise LineFileWrong("the end marker is missing, so the file may be cut short")


def _texts(parts: Iterable[bytes]) -> Iterator[str]:
    for part in parts:
        yield from io.StringIO(part.decode(), newline="")
