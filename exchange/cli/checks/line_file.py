"""The line file as a verifier reads it, and the line that a receipt or notice calls for. Pure.

Written apart from the code that makes line files, so that one error is not made twice. Its rules:

- RFC 4180 in one form (UTF-8, CRLF, quotes only where needed): a header row of `COLUMNS`, then rows
  of as many cells, whose first says what they are: LINE, twice TOTAL (source, then target), END.
- TOTAL repeats the count and the sums of its role's lines. END comes last and names window and
  partner: a file that was cut short has none.
- Money is decimal with all digits of the currency's scale, positive where owed to the partner.
- Every cell of a line follows from the record and the source part, but the partner's own reference,
  which no record holds.
- Log index rises from line to line.

Source: settlement's line file format, version 1.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final
from uuid import UUID

from exchange.cli.checks.stream import Entry
from exchange.cli.checks.verification import Broken, Fault, compare
from partners.errors import Refused
from partners.points import format_amount, parse_amount

COLUMNS: Final = (
    "row",
    "transfer_id",
    "role",
    "own_reference",
    "source_program",
    "target_program",
    "source_points",
    "target_points",
    "rate_source_units",
    "rate_target_units",
    "price_per_target_point",
    "value",
    "fee",
    "tax",
    "tax_code",
    "currency",
    "state",
    "recorded_at",
    "log_index",
)
SOURCE: Final = "source"
TARGET: Final = "target"
_FREE: Final = "own_reference"
_MONEY: Final = ("value", "fee", "tax")
_POINTS: Final = ("source_points", "target_points")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Cells = Mapping[str, str]
"""A row's cells by column."""


@dataclass(frozen=True, slots=True)
class Line:
    """One transfer in a line file. Money is in units of the currency's scale."""

    place: str
    cells: Cells
    log_index: int
    source_points: int
    target_points: int
    value: int
    fee: int
    tax: int

    @property
    def is_outgoing(self) -> bool:
        """Whether the partner is the source."""
        return self.cells["role"] == SOURCE

    @property
    def own_program(self) -> str:
        """The partner's program in this transfer."""
        return self.cells["source_program" if self.is_outgoing else "target_program"]

    @property
    def own_points(self) -> int:
        """What left that program or came to it."""
        return self.source_points if self.is_outgoing else self.target_points


@dataclass(frozen=True, slots=True)
class LineFile:
    """A whole line file."""

    window_id: str
    partner_id: str
    lines: tuple[Line, ...]
    faults: tuple[Fault, ...]
    """What its totals and its order break."""


def read_lines(place: str, content: bytes, scale: int) -> LineFile:
    """Read a line file of a currency of `scale` digits. Raises Broken if it cannot be read."""
    header, *rows = _rows(place, content)
    if tuple(header) != COLUMNS:
        raise Broken(Fault(place, "columns", ",".join(COLUMNS), ",".join(header)))
    for number, row in enumerate(rows, start=2):
        if len(row) != len(COLUMNS):
            raise Broken(Fault(f"{place}:{number}", "cells", str(len(COLUMNS)), str(len(row))))
    named = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    kinds = [cells["row"] for cells in named]
    if kinds[-3:] != ["TOTAL", "TOTAL", "END"]:
        raise Broken(
            Fault(place, "last rows", "TOTAL, TOTAL, END", ", ".join(kinds[-3:]) or "none")
        )
    *body, source_total, target_total, end = named
    lines = tuple(
        _line(f"{place}:{number}", cells, scale) for number, cells in enumerate(body, start=2)
    )
    faults = (
        *_total_faults(f"{place}:{len(body) + 2}", SOURCE, source_total, lines, scale),
        *_total_faults(f"{place}:{len(body) + 3}", TARGET, target_total, lines, scale),
        *_order_faults(lines),
    )
    return LineFile(end["transfer_id"], end[_FREE], lines, faults)


def _rows(place: str, content: bytes) -> list[list[str]]:
    try:
        rows = list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise Broken(Fault(place, f"is no CSV file in UTF-8 ({error})")) from None
    again = io.StringIO(newline="")
    csv.writer(again, lineterminator="\r\n").writerows(rows)
    if not rows or again.getvalue().encode() != content:
        # Readers differ on what is between the forms, so two of them could see two files.
        raise Broken(Fault(place, "is not CSV in the one form of a line file"))
    return rows


def _line(place: str, cells: Cells, scale: int) -> Line:
    if cells["row"] != "LINE" or cells["role"] not in (SOURCE, TARGET):
        raise Broken(
            Fault(
                place, "row and role", "LINE, source or target", f"{cells['row']}, {cells['role']}"
            )
        )
    try:
        points = [parse_amount(cells[column], 0, column) for column in _POINTS]
        money = [parse_amount(cells[column], scale, column) for column in _MONEY]
        log_index = parse_amount(cells["log_index"], 0, "log_index")
    except Refused as refused:
        raise Broken(Fault(place, str(refused))) from None
    return Line(place, cells, log_index, *points, *money)


def _total_faults(
    place: str, role: str, total: Cells, lines: Iterable[Line], scale: int
) -> Iterator[Fault]:
    own = [line for line in lines if line.cells["role"] == role]
    expected = dict.fromkeys(COLUMNS, "") | {
        "row": "TOTAL",
        "transfer_id": str(len(own)),
        "role": role,
        "source_points": str(sum(line.source_points for line in own)),
        "target_points": str(sum(line.target_points for line in own)),
        "value": format_amount(sum(line.value for line in own), scale),
        "fee": format_amount(sum(line.fee for line in own), scale),
        "tax": format_amount(sum(line.tax for line in own), scale),
    }
    for column in COLUMNS:
        yield from compare(place, f"{role} total, {column}", expected[column], total[column])


def _order_faults(lines: Sequence[Line]) -> Iterator[Fault]:
    for before, after in pairwise(lines):
        if after.log_index <= before.log_index:
            yield Fault(
                after.place, "log_index", f"more than {before.log_index}", str(after.log_index)
            )


def line_faults(line: Line, entry: Entry, scale: int) -> Iterator[Fault]:
    """What in a line is not what the receipt or credit notice of its log index says."""
    for column, expected in _cells_of(entry, scale).items():
        yield from compare(line.place, f"{column} by {entry.place}", expected, line.cells[column])


def _cells_of(entry: Entry, scale: int) -> dict[str, str]:
    """The cells that a committed transfer's record, source part and role call for."""
    record, part = entry.record, entry.source_part
    value = -record.value if entry.is_receipt else record.value
    time = _EPOCH + timedelta(microseconds=record.recorded_at.ToMicroseconds())
    return {
        "row": "LINE",
        "transfer_id": str(UUID(bytes=record.transfer_id)),
        "role": SOURCE if entry.is_receipt else TARGET,
        "source_program": record.source_program,
        "target_program": record.target_program,
        "source_points": str(record.source_points),
        "target_points": str(record.target_points),
        "rate_source_units": str(record.block_rate.source_units),
        "rate_target_units": str(record.block_rate.target_units),
        "price_per_target_point": format_amount(record.price_per_target_point, scale),
        "value": format_amount(value, scale),
        "fee": format_amount(-part.fee if part else 0, scale),
        "tax": format_amount(-part.tax if part else 0, scale),
        "tax_code": part.tax_code if part else "",
        "currency": record.settlement_currency,
        "state": "COMMITTED",
        "recorded_at": time.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "log_index": str(record.log_index),
    }
