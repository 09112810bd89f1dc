"""The line file as a verifier reads it, and the line that a receipt or notice calls for. Pure.

Written apart from the code that makes line files, so that one error is not made twice. Its rules:

- RFC 4180 in one form (UTF-8, CRLF, quotes only where needed): a header row of `COLUMNS`, then rows
  of as many cells, whose first says what they are: LINE, three times TOTAL (source, target,
  funder) and once more for each role of reversals that has a line, END.
- TOTAL repeats the count and the sums of its role's lines. END comes last and names window and
  partner: a file that was cut short has none.
- Money is decimal with all digits of the currency's scale, positive where owed to the partner.
- Every cell of a line follows from the record and the part that bears the fee, but the partner's
  own reference, which no record holds.
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

from exchange.cli.checks.entry import FUNDER, REVERSED, SOURCE, TARGET, Entry
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
    "bonus_points",
    "agreement_id",
    "segment",
    "rate_source_units",
    "rate_target_units",
    "price_per_target_point",
    "price_per_thousand",
    "value",
    "value_tax",
    "value_tax_code",
    "promotion",
    "promotions",
    "fee",
    "tax",
    "tax_code",
    "currency",
    "state",
    "recorded_at",
    "log_index",
)
_FREE: Final = "own_reference"
_ROLES: Final = (SOURCE, TARGET, FUNDER)
_ALL_ROLES: Final = (*_ROLES, *(REVERSED[role] for role in _ROLES))
_SIGNS: Final = {SOURCE: -1, TARGET: 1, REVERSED[SOURCE]: 1, REVERSED[TARGET]: -1}
"""Of value, from the view of each role; others have none."""
_MONEY: Final = ("value", "value_tax", "promotion", "fee", "tax")
_POINTS: Final = ("source_points", "target_points", "bonus_points")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Cells = Mapping[str, str]
"""A row's cells by column."""


@dataclass(frozen=True, slots=True)
class Line:
    """One transfer or reversal in a line file. Money is in units of the currency's scale."""

    place: str
    cells: Cells
    log_index: int
    source_points: int
    target_points: int
    bonus_points: int
    value: int
    value_tax: int
    promotion: int
    fee: int
    tax: int

    @property
    def role(self) -> str:
        """SOURCE, TARGET or FUNDER, or what REVERSED makes of it."""
        return self.cells["role"]

    @property
    def is_reversed(self) -> bool:
        """Whether it is of a reversal."""
        return self.role in REVERSED.values()

    @property
    def is_outgoing(self) -> bool:
        """Whether the partner is the source."""
        return self.role in (SOURCE, REVERSED[SOURCE])

    @property
    def own_points(self) -> Iterator[tuple[str, str, int]]:
        """What left the partner's program or came to it: the program, which way, and points. A
        funder's points are others'.
        """
        prefix = "reversed " if self.is_reversed else ""
        if self.is_outgoing:
            yield self.cells["source_program"], f"{prefix}out", self.source_points
        elif self.role in (TARGET, REVERSED[TARGET]):
            yield self.cells["target_program"], f"{prefix}in", self.target_points
            yield self.cells["target_program"], f"{prefix}bonus", self.bonus_points


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
    present = {cells["role"] for cells in named if cells["row"] == "LINE"}
    roles = [role for role in _ALL_ROLES if role in _ROLES or role in present]
    last = [*["TOTAL"] * len(roles), "END"]
    if kinds[-len(last) :] != last:
        found = ", ".join(kinds[-len(last) :]) or "none"
        raise Broken(Fault(place, "last rows", ", ".join(last), found))
    body, totals, end = named[: -len(last)], named[-len(last) : -1], named[-1]
    lines = tuple(
        _line(f"{place}:{number}", cells, scale) for number, cells in enumerate(body, start=2)
    )
    faults = (
        *(
            fault
            for at, (role, total) in enumerate(zip(roles, totals, strict=True), len(body) + 2)
            for fault in _total_faults(f"{place}:{at}", role, total, lines, scale)
        ),
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
    if cells["row"] != "LINE" or cells["role"] not in _ALL_ROLES:
        wanted, found = f"LINE, {' or '.join(_ALL_ROLES)}", f"{cells['row']}, {cells['role']}"
        raise Broken(Fault(place, "row and role", wanted, found))
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
        **{name: str(sum(getattr(line, name) for line in own)) for name in _POINTS},
        **{name: format_amount(sum(getattr(line, name) for line in own), scale) for name in _MONEY},
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
    """The cells that the record, fee part and role of a transfer or reversal call for."""
    record, part = entry.record, entry.fee_part
    sign = _SIGNS.get(entry.role, 0)
    fee_sign = 1 if entry.is_reversal else -1

    def price(units: int) -> str:
        return format_amount(units, scale) if units else ""

    time = _EPOCH + timedelta(microseconds=record.recorded_at.ToMicroseconds())
    return {
        "row": "LINE",
        "transfer_id": str(UUID(bytes=record.transfer_id)),
        "role": entry.role,
        "source_program": record.source_program,
        "target_program": record.target_program,
        "source_points": str(record.source_points),
        "target_points": str(record.target_points),
        "bonus_points": str(sum(each.bonus_points for each in record.promotions)),
        "agreement_id": record.agreement_id,
        "segment": record.segment.segment_id,
        "rate_source_units": str(record.block_rate.source_units),
        "rate_target_units": str(record.block_rate.target_units),
        "price_per_target_point": price(record.price_per_target_point),
        "price_per_thousand": price(record.price_per_thousand_target_points),
        "value": format_amount(sign * record.value, scale),
        "value_tax": format_amount(sign * record.value_tax, scale),
        "value_tax_code": record.value_tax_code if sign else "",
        **_promotion_cells(entry, scale),
        "fee": format_amount(fee_sign * part.fee if part else 0, scale),
        "tax": format_amount(fee_sign * part.tax if part else 0, scale),
        "tax_code": part.tax_code if part else "",
        "currency": record.settlement_currency,
        "state": "REVERSED" if entry.is_reversal else "COMMITTED",
        "recorded_at": time.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "log_index": str(record.log_index),
    }


def _promotion_cells(entry: Entry, scale: int) -> dict[str, str]:
    """What moved for bonuses, and whose shares they are: a target sees all and bears its own
    itself, others see their own.
    """
    moved, shown = 0, []
    is_target = entry.role in (TARGET, REVERSED[TARGET])
    for promotion in entry.record.promotions:
        for share in promotion.shares:
            own = share.funder == entry.partner_id
            if not share.amount or not (own or is_target):
                continue
            amount = format_amount(share.amount, scale)
            shown.append(f"{promotion.promotion_id}/{share.funder}={amount}")
            if not is_target:
                moved -= share.amount
            elif not own:
                moved += share.amount
    moved = -moved if entry.is_reversal else moved
    return {"promotion": format_amount(moved, scale), "promotions": " ".join(shown)}
