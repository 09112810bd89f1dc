"""Whether a partner's file is whole and means what its mapping says. The table `raw` becomes
`theirs`, or everything that is wrong is named and nothing is taken.

`theirs` has a row for each transfer: `n`, `transfer_id`, `reference`, `member`, `program`,
`outward` (whether points left a member), `points`, `money`, `fee` and `tax` in units of the
currency's scale, `rate_source` and `rate_target` or `rate_number` and `rate_digits`, `status` and
`booked_on`. What the file has no column for is NULL.

Effects: DuckDB tables. One pass finds whether anything is wrong; only then is it looked for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import duckdb

from partners.points import CurrencyScale
from settlement.reconciliation import cells
from settlement.reconciliation.faults import FAULTS_MAX, Fault, FileWrong, quoted
from settlement.reconciliation.mapping import MONEY, NUMBERS, ColumnMapping
from settlement.reconciliation.members import Members
from settlement.reconciliation.reading import Layout, literal

DAYS_OFF_MAX = 7
"""How far a row's date may be from the days that are reconciled."""
THOUSAND_DIGITS = 3


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
    """Expression over `raw`."""
    text: str
    column: str = ""
    cell: str = ""
    """What to quote; empty for what is not shown."""


def check_file(
    connection: duckdb.DuckDBPyConnection,
    layout: Layout,
    mapping: ColumnMapping,
    expected: Expected,
    members: Members,
) -> int:
    """Make `theirs` and return its number of rows; raises FileWrong with every fault."""
    reader = _Reader(layout, mapping, expected, members)
    checks = tuple(reader.checks())
    bits = " + ".join(
        f"CASE WHEN {each.failed} THEN {1 << place} ELSE 0 END" for place, each in enumerate(checks)
    )
    columns = ", ".join(f"{expression} AS {name}" for name, expression in reader.columns())
    connection.execute(
        f"CREATE OR REPLACE TABLE theirs AS SELECT n, {columns}, {bits} AS failed"
        f" FROM raw WHERE {reader.is_row}"
    )
    rows, failed = _one(connection, "SELECT count(*), coalesce(bit_or(failed), 0) FROM theirs")
    faults = [*_trailer_faults(connection, reader, rows)]
    count = len(faults)
    for place, each in enumerate(checks):
        if failed >> place & 1:
            found, named = _failures(connection, reader, each)
            count += found
            faults += named
    if not faults:
        faults = [*_style_faults(connection, reader), *_repeated_rows(connection, reader)]
        count = len(faults)
    if faults:
        raise FileWrong(faults, count)
    return int(rows)


class _Reader:
    """A mapping's columns as expressions over `raw`."""

    def __init__(
        self, layout: Layout, mapping: ColumnMapping, expected: Expected, members: Members
    ) -> None:
        self.members = members
        self.layout = layout
        self.mapping = mapping
        self.expected = expected
        kinds = mapping.rows
        self.kind = f"trim({layout.cell(kinds.column)})" if kinds.column else "''"
        others = [each for each in (kinds.total, kinds.end) if each] + list(kinds.ignored)
        words = ", ".join(literal(each) for each in others)
        self.is_row = f"coalesce({self.kind}, '') NOT IN ({words})" if words else "true"

    def cell(self, column: str) -> str:
        """The cell of one of the mapping's columns, without spaces around it."""
        if not self.mapping.has(column):
            return "NULL::VARCHAR"
        return f"trim({self.layout.cell(self.mapping.columns[column])})"

    def text(self, column: str) -> str:
        """The same, NULL where it is empty."""
        return f"nullif({self.cell(column)}, '')"

    def number(self, column: str) -> str:
        """Points, or money in units."""
        if not self.mapping.has(column):
            return "NULL::BIGINT"
        if column in MONEY:
            scale = self.expected.currency.scale
            return cells.amount(self.cell(column), self.mapping, scale)
        return cells.whole(self.cell(column), self.mapping)

    @property
    def points(self) -> str:
        """Points with the sign that the file gives them."""
        if self.mapping.has("points"):
            return self.number("points")
        found = [f"nullif({self.number(each)}, 0)" for each in ("points_out", "points_in")]
        return f"coalesce({', '.join(found)}, 0)"

    @property
    def direction(self) -> str:
        """`out` or `in` as the file says it, a sign left out; NULL where it does not."""
        if self.mapping.has("direction"):
            return cells.word(self.cell("direction"), self.mapping.direction_words)
        if not self.mapping.has("points"):
            out = f"coalesce({self.number('points_out')}, 0) <> 0"
            return f"CASE WHEN {out} THEN 'out' ELSE 'in' END"
        return "NULL::VARCHAR"

    @property
    def program(self) -> str:
        """The program, as we call it."""
        cell = self.text("program")
        if not self.mapping.programs:
            return cell
        return f"coalesce({cells.word(self.cell('program'), self.mapping.programs)}, {cell})"

    def columns(self) -> Iterator[tuple[str, str]]:
        """Of `theirs`."""
        rate = self.cell("rate")
        yield "transfer_id", f"TRY_CAST({self.cell('transfer_id')} AS UUID)"
        yield "reference", f"nullif({cells.unprotected(self.cell('reference'))}, '')"
        name = f"nullif({cells.unprotected(self.cell('member'))}, '')"
        has_member = self.mapping.has("member")
        yield "member", self.members.digest(name) if has_member else "NULL::VARCHAR"
        yield "program", self.program
        # A negative number of points goes the other way.
        yield "outward", f"({self.direction} = 'out') <> ({self.points} < 0)"
        yield "points", f"abs({self.points})"
        for column in MONEY:
            yield column, self.number(column)
        yield "rate_source", cells.pair_part(rate, 1)
        yield "rate_target", cells.pair_part(rate, 2)
        yield "rate_number", cells.rate_number(rate, self.mapping)
        yield "rate_digits", cells.decimals_of(rate, self.mapping)
        yield "status", cells.word(self.cell("status"), self.mapping.status_words)
        has_date = self.mapping.has("date")
        moment = cells.moment(self.cell("date"), self.mapping)
        yield "booked_on", f"CAST({moment} AS DATE)" if has_date else "NULL::DATE"

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

    def _identity_checks(self) -> Iterator[Check]:
        column = self.mapping.columns.get
        if self.mapping.has("transfer_id"):
            cell = self.cell("transfer_id")
            wrong = f"{cell} <> '' AND TRY_CAST({cell} AS UUID) IS NULL"
            yield Check(wrong, "is no transfer id", column("transfer_id", ""), cell)
        names = [self.text(each) for each in ("transfer_id", "reference", "member")]
        yield Check(
            f"coalesce({', '.join(names)}) IS NULL",
            "it names no transfer, reference or member",
        )
        if self.mapping.has("program"):
            own = ", ".join(literal(each) for each in self.expected.programs)
            wrong = f"coalesce({self.program}, '') NOT IN ({own})"
            text = "is no program of yours: the row is another partner's"
            yield Check(wrong, text, column("program", ""), self.cell("program"))

    def _number_checks(self) -> Iterator[Check]:
        mapping = self.mapping
        example = f"1{mapping.group}234{mapping.decimal}50"
        for name in NUMBERS:
            if not mapping.has(name):
                continue
            cell, number = self.cell(name), self.number(name)
            column = mapping.columns[name]
            if name in MONEY:
                text = f"is no amount such as {example}"
                wrong = f"{cell} <> '' AND {number} IS NULL"
            else:
                text = f"is no whole number such as 1{mapping.group}234"
                needed = "true" if name == "points" else f"{cell} <> ''"
                wrong = f"{needed} AND {number} IS NULL"
            yield Check(f"{wrong} AND {cell} IS NOT NULL", text, column, cell)
        if mapping.has("points_out") and mapping.has("points_in"):
            both = [
                f"coalesce({self.number(each)}, 0) <> 0" for each in ("points_out", "points_in")
            ]
            yield Check(
                f"({both[0]}) = ({both[1]})", "points go out or come in, not both or neither"
            )
        if mapping.has("rate"):
            cell = self.cell("rate")
            wrong = (
                f"{cell} <> '' AND NOT {cells.is_pair(cell)}"
                f" AND {cells.rate_number(cell, mapping)} IS NULL"
            )
            text = f"is no rate such as 250:200 or 0{mapping.decimal}8"
            yield Check(wrong, text, mapping.columns["rate"], cell)

    def _word_checks(self) -> Iterator[Check]:
        for name, words in (
            ("direction", self.mapping.direction_words),
            ("status", self.mapping.status_words),
        ):
            if self.mapping.has(name):
                cell = self.cell(name)
                wrong = f"{cell} IS NOT NULL AND {cells.word(cell, words)} IS NULL"
                known = ", ".join(list(words)[:10])
                text = f"is none of the mapping's words: {known}"
                yield Check(wrong, text, self.mapping.columns[name], cell)

    def _date_checks(self) -> Iterator[Check]:
        cell, column = self.cell("date"), self.mapping.columns["date"]
        moment = cells.moment(cell, self.mapping)
        # What the format says, and not a day of it, which might be another's format.
        text = f"is no date of the form {self.mapping.date_format}"
        yield Check(f"{cell} IS NOT NULL AND {moment} IS NULL", text, column, cell)
        slack = timedelta(days=DAYS_OFF_MAX)
        near = " OR ".join(
            f"CAST({moment} AS DATE) BETWEEN DATE '{first - slack}' AND DATE '{last + slack}'"
            for first, last in self.expected.days
        )
        text = f"is more than {DAYS_OFF_MAX} days from what is reconciled"
        yield Check(f"{moment} IS NOT NULL AND NOT ({near})", text, column, cell)


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None, "an aggregate has one row"
    return tuple(row)


def _failures(
    connection: duckdb.DuckDBPyConnection, reader: _Reader, check: Check
) -> tuple[int, list[Fault]]:
    failed = f"FROM raw WHERE {reader.is_row} AND coalesce({check.failed}, false)"
    (count,) = _one(connection, f"SELECT count(*) {failed}")
    shown = f"SELECT n, {check.cell or 'NULL'} {failed} ORDER BY n LIMIT {FAULTS_MAX}"
    rows = connection.execute(shown).fetchall()
    return count, [
        Fault(n, check.column, f"{quoted(cell)} {check.text}" if check.cell else check.text)
        for n, cell in rows
    ]


def _trailer_faults(
    connection: duckdb.DuckDBPyConnection, reader: _Reader, rows: int
) -> Iterator[Fault]:
    """Of the row of control totals and of the end marker."""
    kinds, mapping = reader.mapping.rows, reader.mapping
    (last,) = _one(connection, "SELECT coalesce(max(n), 0) FROM raw")
    if not (kinds.total or kinds.end or rows):
        yield Fault(0, "", "the file holds no row")
    if kinds.end:
        ends = _rows_of_kind(connection, reader, kinds.end)
        if ends != [last]:
            text = f"the end marker {quoted(kinds.end)} is missing: the file was cut"
            if ends:
                text = f"something follows the end marker {quoted(kinds.end)} of row {ends[0]}"
            yield Fault(last, kinds.column, text)
    if not kinds.total:
        return
    totals = _rows_of_kind(connection, reader, kinds.total)
    if len(totals) != 1:
        text = f"{len(totals) or 'no'} rows of control totals {quoted(kinds.total)}, and one is due"
        yield Fault(totals[1] if totals else last, kinds.column, text)
        return
    (after,) = _one(connection, f"SELECT count(*) FROM theirs WHERE n > {totals[0]}")
    if after:
        yield Fault(totals[0], kinds.column, f"{after} rows follow the control totals")
    if mapping.totals.count:
        yield from _held(connection, reader, totals[0], mapping.totals.count, rows, "rows")
    names = {column: name for name, column in mapping.columns.items()}
    for column in mapping.totals.sums:
        name = names[column]
        query = f"SELECT coalesce(sum({reader.number(name)}), 0) FROM raw WHERE {reader.is_row}"
        (total,) = _one(connection, query)
        what = "units of the currency" if name in MONEY else "points"
        yield from _held(connection, reader, totals[0], column, int(total), what, name)


def _rows_of_kind(connection: duckdb.DuckDBPyConnection, reader: _Reader, word: str) -> list[int]:
    query = f"SELECT n FROM raw WHERE {reader.kind} = {literal(word)} ORDER BY n LIMIT 2"
    return [row[0] for row in connection.execute(query).fetchall()]


def _held(
    connection: duckdb.DuckDBPyConnection,
    reader: _Reader,
    n: int,
    column: str,
    due: int,
    what: str,
    name: str = "points",
) -> Iterator[Fault]:
    """A fault unless the row of totals holds what the rows come to."""
    cell = f"trim({reader.layout.cell(column)})"
    number = (
        cells.amount(cell, reader.mapping, reader.expected.currency.scale)
        if name in MONEY
        else cells.whole(cell, reader.mapping)
    )
    shown, held = _one(connection, f"SELECT {cell}, {number} FROM raw WHERE n = {n}")
    if held != due:
        text = f"the control total {quoted(shown or '')} is wrong: the rows come to {due} {what}"
        yield Fault(n, column, text)


def _style_faults(connection: duckdb.DuckDBPyConnection, reader: _Reader) -> Iterator[Fault]:
    """Amounts such as `1.234` among such as `5.67`: a thousand in another style, perhaps."""
    if reader.expected.currency.minor_digits >= THOUSAND_DIGITS:
        return
    for name in MONEY:
        if not reader.mapping.has(name):
            continue
        cell = reader.cell(name)
        digits = cells.decimals_of(cell, reader.mapping)
        others, longest, odd = _one(
            connection,
            f"SELECT count(*) FILTER (d IN (1, 2)), coalesce(max(d), 0), count(*) FILTER (d = 3)"
            f" FROM (SELECT {digits} AS d FROM raw WHERE {reader.is_row})",
        )
        if longest == THOUSAND_DIGITS and others > odd:
            check = Check(
                f"{digits} = {THOUSAND_DIGITS}",
                "may be a thousand: other amounts have one or two decimals",
                reader.mapping.columns[name],
                cell,
            )
            yield from _failures(connection, reader, check)[1]


def _repeated_rows(connection: duckdb.DuckDBPyConnection, reader: _Reader) -> Sequence[Fault]:
    """Rows that are the very same as an earlier one, of those that name a transfer."""
    names = [each for each in ("transfer_id", "reference") if reader.mapping.has(each)]
    if not names:
        return ()
    key = f"coalesce({', '.join(f'{each}::VARCHAR' for each in names)})"
    every = ", ".join(f"c{place}" for place in range(reader.layout.width))
    query = f"""
        WITH often AS (
            SELECT {key} AS named FROM theirs WHERE named IS NOT NULL
            GROUP BY ALL HAVING count(*) > 1
        ), same AS (
            SELECT n, min(n) OVER (PARTITION BY {every}) AS first FROM raw
            WHERE n IN (SELECT n FROM theirs WHERE {key} IN (FROM often))
        )
        SELECT n, first FROM same WHERE n > first ORDER BY n LIMIT {FAULTS_MAX}"""
    rows = connection.execute(query).fetchall()
    return [Fault(n, "", f"the row is the same as row {first}") for n, first in rows]
