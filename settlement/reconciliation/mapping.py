"""How a partner writes its own file: which column is what, and in which style. Pure.

A mapping is set once and kept, as the JSON document that `mapping_document` reads.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import NoReturn

from partners.errors import Reason, Refused


class Format(StrEnum):
    """Of a file."""

    CSV = "csv"
    XLSX = "xlsx"
    FIXED = "fixed"


class State(StrEnum):
    """How a transfer stands, in the exchange's words."""

    COMMITTED = "COMMITTED"
    REVERSED = "REVERSED"
    RESERVED = "RESERVED"
    ABORTED = "ABORTED"


class Sign(StrEnum):
    """What the sign of a file's money says."""

    NONE = "none"
    """Nothing: amounts are compared without it."""
    OURS = "ours"
    """Positive is owed to the partner, as in line files."""
    OPPOSITE = "opposite"


COLUMNS = (
    *("transfer_id", "reference", "member", "program", "direction"),
    *("points", "points_out", "points_in", "money", "rate", "fee", "tax", "status", "date"),
)
"""What a column may be."""
POINTS = ("points", "points_out", "points_in")
NUMBERS = (*POINTS, "money", "fee", "tax")
MONEY = ("money", "fee", "tax")
COVERED = ("value", "value_tax", "promotion", "fee", "tax")
"""The columns of a line file that money may be made up of."""


@dataclass(frozen=True, slots=True)
class RowKinds:
    """How rows that are no transfers are told from those that are."""

    column: str = ""
    """The column that says it; empty where every row is a transfer."""
    total: str = ""
    """What it holds in the row of control totals; empty where there is none."""
    end: str = ""
    """What it holds in the end marker, the last row; empty where there is none."""
    ignored: tuple[str, ...] = ()
    """What it holds in rows that say nothing, such as subtotals."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What the row of control totals holds."""

    count: str = ""
    """The column with the number of rows; empty where none has it."""
    sums: tuple[str, ...] = ()
    """The columns that are added up, each under itself."""


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """A partner's way of writing."""

    columns: Mapping[str, str]
    """What of `COLUMNS` stands under which name; names of CSV and XLSX are those of its first row,
    or `#1`, `#2` and so on where it has none."""
    format: Format = Format.CSV
    encoding: str = "utf-8"
    delimiter: str = ","
    quote: str = '"'
    header: bool = True
    sheet: str = ""
    """Of XLSX; empty means the first."""
    widths: Mapping[str, tuple[int, int]] = field(default_factory=lambda: MappingProxyType({}))
    """Of a fixed-width file: first character, counted from 1, and number of characters."""
    decimal: str = "."
    group: str = ""
    """Between thousands; empty where there is nothing."""
    date_format: str = "%Y-%m-%d"
    """As `strptime` has it."""
    zone: str = "UTC"
    """IANA zone of times without an offset, and of the partner's days."""
    direction_words: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({"out": "out", "in": "in"})
    )
    """Its word to `out` (left a member) or `in` (came to one)."""
    status_words: Mapping[str, State] = field(default_factory=lambda: MappingProxyType({}))
    programs: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Its name of a program to ours, where they differ."""
    rows: RowKinds = RowKinds()
    totals: Totals = Totals()
    money_sign: Sign = Sign.NONE
    money_covers: tuple[str, ...] = ("value",)
    tax_covers: tuple[str, ...] = ("tax",)
    rate_is: str = "target-per-source"
    """Of a rate that is one number; one such as `250:200` is always source to target."""
    tolerance: Decimal | None = None
    """In the currency: differences of money up to it are rounding. None is half a minor unit."""
    in_transit_minutes: int = 60
    """A line of the last minutes of a window may be in the next day's file."""

    def has(self, column: str) -> bool:
        """Whether the file has this one of `COLUMNS`."""
        return column in self.columns

    @property
    def points_columns(self) -> tuple[str, ...]:
        """Those of `POINTS` that the file has."""
        return tuple(each for each in POINTS if self.has(each))


def check(mapping: ColumnMapping) -> None:
    """Raise Refused(FIELD_INVALID) for parts that do not go together."""
    identified = ("transfer_id", "reference", "member")
    if not any(mapping.has(each) for each in identified):
        wrong("columns", "name the column of the transfer id, of your reference or of the member")
    if not mapping.points_columns:
        wrong("columns", "name the column of the points")
    if mapping.has("points") and len(mapping.points_columns) > 1:
        wrong("columns", "points have one column, or two for out and in, and not both")
    if mapping.has("member") and not mapping.has("date") and not mapping.has("transfer_id"):
        wrong("columns", "rows that are found by member and points need a date")
    if mapping.group == mapping.decimal:
        wrong("group", "thousands and decimals are not parted by the same character")
    for name in ("decimal", "group"):
        if getattr(mapping, name) not in ("", ".", ",", " ", "'", "\u00a0", "\u202f"):
            wrong(name, "numbers are parted by a point, a comma, an apostrophe or a space")
    if mapping.delimiter in (mapping.quote, "\n", "\r"):
        wrong("delimiter", "cells are parted by a character that is nothing else")
    if mapping.has("status") and not mapping.status_words:
        wrong("status_words", "say what the words of the status column mean")
    kinds = mapping.rows
    if (kinds.total or kinds.end or kinds.ignored) and not kinds.column:
        wrong("rows.column", "name the column by which those rows are known")
    if bool(kinds.total) != bool(mapping.totals.count or mapping.totals.sums):
        wrong("totals", "say both how the row of totals is known and what it holds")
    summed = {mapping.columns.get(each, "") for each in NUMBERS}
    for name in mapping.totals.sums:
        if name not in summed:
            wrong("totals.sums", f"{name!r} is no column of numbers of this mapping")
    if mapping.format is Format.FIXED:
        for name in named_columns(mapping):
            if name not in mapping.widths:
                wrong("widths", f"a fixed-width file has a place for {name!r}")


def named_columns(mapping: ColumnMapping) -> tuple[str, ...]:
    """Every column that the mapping speaks of."""
    others = (mapping.rows.column, mapping.totals.count, *mapping.totals.sums)
    return tuple(dict.fromkeys((*mapping.columns.values(), *(each for each in others if each))))


def wrong(name: str, text: str) -> NoReturn:
    """Raise Refused(FIELD_INVALID) for a part of the mapping."""
    raise Refused(Reason.FIELD_INVALID, f"mapping.{name}" if name else "mapping", text)
