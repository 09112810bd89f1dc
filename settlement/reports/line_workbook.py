"""A line file as a workbook for people. Pure, but that it reads and writes files.

The sheet `Lines` has the rows of the line file in its order, the sheet `Totals` its control totals
and the digest of the file that it was made from. The line file (CSV) is the record; this is what it
says, with figures as figures (see `settlement.reports.tables`).

The lines are read one by one, so that a million of them need no more room than a hundred.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import IO, Final

from partners.cells import original
from partners.points import parse_amount
from settlement.lines.line_file import COLUMNS
from settlement.reports.line_rows import line_rows
from settlement.reports.tables import Cell, Money, Sheet, write_workbook

_AMOUNTS: Final = frozenset(
    {
        *("price_per_target_point", "price_per_thousand", "value", "value_tax"),
        *("promotion", "fee", "tax"),
    }
)
_COUNTS: Final = frozenset(
    {
        *("source_points", "target_points", "bonus_points"),
        *("rate_source_units", "rate_target_units", "log_index"),
    }
)
_LINE_COLUMNS: Final = COLUMNS[1:]
"""Without the one that tells lines from totals."""
_WIDTHS: Final = {"transfer_id": 38.0, "own_reference": 26.0, "promotions": 34.0}

Told = Callable[[int], None]
"""Told how many lines were written since the last time."""
TOLD_EVERY: Final = 10_000


def write_line_workbook(
    target: IO[bytes],
    parts: Iterable[bytes],
    sha256: bytes,
    scale: int,
    day: date,
    told: Told = lambda _: None,
) -> None:
    """Write the workbook of a line file, given by its parts and digest, to `target`; `scale` is its
    currency's.

    Raises LineFileWrong where the file has no end marker.
    """
    totals: list[list[Cell]] = []
    widths = [_WIDTHS.get(column, max(11.0, len(column) + 1.0)) for column in _LINE_COLUMNS]
    sheets = (
        Sheet("Lines", _LINE_COLUMNS, _lines(parts, scale, totals, told), widths),
        Sheet("Totals", ("lines", *_LINE_COLUMNS[1:]), _totals(totals, sha256), widths),
    )
    write_workbook(target, sheets, "Lines of a settlement statement", day)


def _lines(
    parts: Iterable[bytes], scale: int, totals: list[list[Cell]], told: Told
) -> Iterator[list[Cell]]:
    """The lines; `totals` has the control totals and the end marker when they have been read."""
    written = 0
    for kind, *cells in line_rows(parts):
        typed = [_cell(name, cell, scale) for name, cell in zip(_LINE_COLUMNS, cells, strict=True)]
        if kind != "LINE":
            totals.append(typed)
            continue
        yield typed
        written += 1
        if written == TOLD_EVERY:
            told(written)
            written = 0
    told(written)


def _cell(column: str, cell: str, scale: int) -> Cell:
    if not cell:
        return None
    if column in _AMOUNTS:
        return Money(parse_amount(cell, scale), scale)
    if column in _COUNTS:
        return int(cell)
    return original(cell)


def _totals(totals: list[list[Cell]], sha256: bytes) -> Iterator[list[Cell]]:
    """The control totals, which were met while the lines were written, and the file's digest."""
    for first, *rest in totals:
        if rest[0]:
            yield [int(str(first)), *rest]
        else:
            # The end marker: a window, and under `own_reference` whose lines these are.
            yield ["Window", first]
            yield ["Partner", rest[1]]
    yield ["SHA-256 of the line file", sha256.hex()]
