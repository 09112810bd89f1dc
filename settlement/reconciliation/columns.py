"""A mapping's columns as expressions over the rows of a file, and everything that may be wrong with
one row. Pure.

Parsed columns are NULL for what does not fit, so that a check is cheap: only where there is NULL it
looks at the cell.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from partners.points import CurrencyScale
from settlement.reconciliation import cells
from settlement.reconciliation.mapping import MONEY, NUMBERS, ColumnMapping
from settlement.reconciliation.members import Members
from settlement.reconciliation.reading import Layout, literal

DAYS_OFF_MAX = 7
"""How far a row's date may be from the days that are reconciled."""
ROW, TOTAL, END, IGNORED = range(4)
"""Kinds of rows."""
PARSED = {
    "transfer_id": "UUID",
    "reference": "VARCHAR",
    "member": "VARCHAR",
    "program": "VARCHAR",
    "outward": "BOOLEAN",
    "written": "BIGINT",
    "rate_source": "BIGINT",
    "rate_target": "BIGINT",
    "rate_number": "BIGINT",
    "rate_digits": "BIGINT",
    "status": "VARCHAR",
    "booked_on": "DATE",
}
"""Types of parsed columns, besides money. `written` are points with the sign that the file gives
them.
"""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a file of the partner may hold."""

    programs: tuple[str, ...]
    """The partner's own."""
    currency: CurrencyScale
    days: tuple[tuple[date, date], ...]
    """First and last of what is reconciled, by business date and by the log's time."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that may be wrong with a row."""

    failed: str
    """Expression over parsed columns and cells."""
    text: str
    column: str = ""
    cell: str = ""
    """What to quote; empty for what is not shown."""


class Columns:
    """The columns of one partner's file."""

    def __init__(
        self, layout: Layout, mapping: ColumnMapping, expected: Expected, members: Members
    ) -> None:
        self.layout = layout
        self.mapping = mapping
        self.expected = expected
        self.members = members

    @property
    def types(self) -> Mapping[str, str]:
        """Of all parsed columns; money is a decimal of the currency's scale."""
        money = f"DECIMAL(18, {self.expected.currency.scale})"
        return PARSED | dict.fromkeys(MONEY, money)

    def cell(self, column: str) -> str:
        """The cell of one of the mapping's columns, without spaces around it."""
        return f"trim({self.layout.cell(self.mapping.columns[column])})"

    @property
    def kind(self) -> str:
        """Which of `ROW`, `TOTAL`, `END` and `IGNORED` a row is."""
        kinds = self.mapping.rows
        words = [
            (kinds.total, TOTAL),
            (kinds.end, END),
            *((each, IGNORED) for each in kinds.ignored),
        ]
        cases = " ".join(f"WHEN {literal(word)} THEN {kind}" for word, kind in words if word)
        if not cases:
            return f"{ROW}::TINYINT"
        return (
            f"CAST(CASE trim({self.layout.cell(kinds.column)}) {cases} ELSE {ROW} END AS TINYINT)"
        )

    def number(self, column: str) -> str:
        """Points, or money."""
        if column in MONEY:
            return cells.amount(self.cell(column), self.mapping, self.expected.currency.scale)
        return cells.whole(self.cell(column), self.mapping)

    def parsed(self) -> Iterator[tuple[str, str]]:
        """Columns that follow from cells: by name, those that the file has."""
        has, mapping = self.mapping.has, self.mapping
        if has("transfer_id"):
            # Spaces are rare, and taking them off long texts is dear.
            bare = self.layout.cell(mapping.columns["transfer_id"])
            trimmed = f"TRY_CAST({self.cell('transfer_id')} AS UUID)"
            yield "transfer_id", f"coalesce(TRY_CAST({bare} AS UUID), {trimmed})"
        if has("reference"):
            yield "reference", f"nullif({self.cell('reference')}, '')"
        if has("member"):
            name = f"nullif({cells.unprotected(self.cell('member'))}, '')"
            yield "member", self.members.digest(name)
        if has("program"):
            cell = self.cell("program")
            named = cells.word(cell, mapping.programs)
            yield "program", f"coalesce({named}, {cell})" if mapping.programs else cell
        for name in NUMBERS:
            if has(name):
                yield f"{name}_number" if name not in MONEY else name, self.number(name)
        if has("direction"):
            yield "way", cells.word(self.cell("direction"), mapping.direction_words)
        if has("rate"):
            rate = self.cell("rate")
            yield "rate_source", cells.pair_part(rate, 1)
            yield "rate_target", cells.pair_part(rate, 2)
            yield "rate_number", cells.rate_number(rate, mapping)
            yield "rate_digits", cells.decimals_of(rate, mapping)
        if has("status"):
            yield "status", cells.word(self.cell("status"), mapping.status_words)
        if has("date"):
            yield "booked_on", f"CAST({cells.moment(self.cell('date'), mapping)} AS DATE)"

    def derived(self) -> Iterator[tuple[str, str]]:
        """Columns that follow from parsed ones: points, and which way they went."""
        if self.mapping.has("points"):
            written, way = "points_number", "way" if self.mapping.has("direction") else ""
        else:
            found = [f"nullif({each}_number, 0)" for each in self.mapping.points_columns]
            written = f"coalesce({', '.join(found)}, 0)"
            out = "points_out_number" if self.mapping.has("points_out") else "0"
            way = f"CASE WHEN coalesce({out}, 0) <> 0 THEN 'out' ELSE 'in' END"
        yield "written", written
        if way:
            # A negative number of points goes the other way.
            yield "outward", f"({way} = 'out') <> ({written} < 0)"

    def checks(self) -> Iterator[Check]:
        """Everything that may be wrong with one row."""
        layout = self.layout
        yield Check(f"c{layout.width - 1} IS NULL", "the row is cut: it has too few cells")
        yield Check(f"{layout.extra} IS NOT NULL", "the row has too many cells")
        yield from self._identity_checks()
        yield from self._number_checks()
        yield from self._word_checks()
        if self.mapping.has("date"):
            yield from self._date_checks()

    def _unread(self, parsed: str, column: str, text: str, also: str = "<> ''") -> Check:
        """That a cell which is there, and not empty, could not be parsed."""
        cell = self.cell(column)
        # The cell is looked at only where nothing was parsed.
        failed = f"CASE WHEN {parsed} IS NULL THEN {cell} {also} ELSE false END"
        return Check(failed, text, self.mapping.columns[column], cell)

    def _identity_checks(self) -> Iterator[Check]:
        has, names = self.mapping.has, ("transfer_id", "reference", "member")
        if has("transfer_id"):
            yield self._unread("transfer_id", "transfer_id", "is no transfer id")
        unnamed = " AND ".join(f"{each} IS NULL" for each in names if has(each))
        yield Check(unnamed, "it names no transfer, reference or member")
        if has("program"):
            own = ", ".join(literal(each) for each in self.expected.programs)
            wrong = f"coalesce(program, '') NOT IN ({own})"
            text = "is no program of yours: the row is another partner's"
            yield Check(wrong, text, self.mapping.columns["program"], self.cell("program"))

    def _number_checks(self) -> Iterator[Check]:
        mapping = self.mapping
        for name in NUMBERS:
            if mapping.has(name) and name in MONEY:
                example = f"1{mapping.group}234{mapping.decimal}50"
                yield self._unread(name, name, f"is no amount such as {example}")
            elif mapping.has(name):
                text = f"is no whole number such as 1{mapping.group}234"
                also = "IS NOT NULL" if name == "points" else "<> ''"
                yield self._unread(f"{name}_number", name, text, also)
        if mapping.has("points_out") and mapping.has("points_in"):
            out, came = (
                f"(coalesce({each}_number, 0) <> 0)" for each in ("points_out", "points_in")
            )
            yield Check(f"{out} = {came}", "points go out or come in, not both or neither")
        if mapping.has("rate"):
            text = f"is no rate such as 250:200 or 0{mapping.decimal}8"
            yield self._unread("coalesce(rate_source, rate_number)", "rate", text)

    def _word_checks(self) -> Iterator[Check]:
        for name, parsed, words in (
            ("direction", "way", self.mapping.direction_words),
            ("status", "status", self.mapping.status_words),
        ):
            if self.mapping.has(name):
                known = ", ".join(list(words)[:10])
                text = f"is none of the mapping's words: {known}"
                yield self._unread(parsed, name, text, "IS NOT NULL")

    def _date_checks(self) -> Iterator[Check]:
        # What the format says, and not a day of it, which might be another's format.
        text = f"is no date of the form {self.mapping.date_format}"
        yield self._unread("booked_on", "date", text, "IS NOT NULL")
        slack = timedelta(days=DAYS_OFF_MAX)
        near = " OR ".join(
            f"booked_on BETWEEN DATE '{first - slack}' AND DATE '{last + slack}'"
            for first, last in self.expected.days
        )
        text = f"is more than {DAYS_OFF_MAX} days from what is reconciled"
        yield Check(f"NOT ({near})", text, self.mapping.columns["date"], self.cell("date"))
