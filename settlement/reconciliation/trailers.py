"""The rows that say of a file that it is whole: control totals and the end marker."""

from collections.abc import Iterator
from typing import Any

import duckdb

from settlement.reconciliation import cells
from settlement.reconciliation.columns import END, ROW, TOTAL, Columns
from settlement.reconciliation.faults import Fault, quoted
from settlement.reconciliation.mapping import MONEY
from settlement.reconciliation.reading import literal


def trailer_faults(
    connection: duckdb.DuckDBPyConnection, columns: Columns, rows: int, unread: frozenset[str]
) -> Iterator[Fault]:
    """What is wrong with them, of a file with so many rows whose cells are in `typed`.

    Columns with cells that could not be read are not added up: those cells are named, and a sum
    without them is no second fault.
    """
    kinds = columns.mapping.rows
    last = _one(connection, "SELECT coalesce(max(n), 0) FROM typed")
    if not (kinds.total or kinds.end or rows):
        yield Fault(0, "", "the file holds no row")
    if kinds.end:
        ends = _rows(connection, END)
        if not ends:
            text = f"the end marker {quoted(kinds.end)} is missing: the file was cut"
            yield Fault(last, kinds.column, text)
        elif ends != [last]:
            text = f"something follows the end marker {quoted(kinds.end)}"
            yield Fault(ends[0], kinds.column, text)
    if not kinds.total:
        return
    totals = _rows(connection, TOTAL)
    if len(totals) != 1:
        text = f"{len(totals) or 'no'} rows of control totals {quoted(kinds.total)}, and one is due"
        yield Fault(totals[1] if totals else last, kinds.column, text)
        return
    after = _one(connection, f"SELECT count(*) FROM typed WHERE kind = {ROW} AND n > {totals[0]}")
    if after:
        yield Fault(totals[0], kinds.column, f"{after} rows follow the control totals")
    yield from _sum_faults(connection, columns, totals[0], rows, unread)


def _sum_faults(
    connection: duckdb.DuckDBPyConnection,
    columns: Columns,
    n: int,
    rows: int,
    unread: frozenset[str],
) -> Iterator[Fault]:
    mapping = columns.mapping
    if mapping.totals.count:
        yield from _held(connection, columns, n, mapping.totals.count, rows, "rows")
    names = {column: name for name, column in mapping.columns.items()}
    for column in mapping.totals.sums:
        if column in unread:
            continue
        name = names[column]
        summed = _SUMMED.get(name, name)
        due = _one(connection, f"SELECT coalesce(sum({summed}), 0) FROM typed WHERE kind = {ROW}")
        yield from _held(connection, columns, n, column, due, name)


_SUMMED = {
    "points": "written",
    "points_out": "CASE WHEN outward = (written > 0) THEN written ELSE 0 END",
    "points_in": "CASE WHEN outward = (written > 0) THEN 0 ELSE written END",
}
"""What a column of points comes to: of two, each row has one."""


def _held(
    connection: duckdb.DuckDBPyConnection,
    columns: Columns,
    n: int,
    column: str,
    due: Any,
    what: str,
) -> Iterator[Fault]:
    """A fault unless the row of totals holds what the rows come to."""
    place = columns.layout.places[column] + 1
    found = f"trim(cells[{place}])"
    number = (
        cells.amount(found, columns.mapping, columns.expected.currency.scale, digits=38)
        if what in MONEY
        else cells.whole(found, columns.mapping)
    )
    row = connection.execute(
        f"SELECT {found}, {number} = {literal(str(due))}::DECIMAL(38, 6) FROM typed WHERE n = {n}"
    ).fetchone()
    shown, is_due = row or (None, None)
    if not is_due:
        text = f"the control total {quoted(shown or '')} is wrong: the rows come to {due}"
        yield Fault(n, column, text)


def _rows(connection: duckdb.DuckDBPyConnection, kind: int) -> list[int]:
    """Numbers of the first two rows of a kind."""
    query = f"SELECT n FROM typed WHERE kind = {kind} ORDER BY n LIMIT 2"
    return [row[0] for row in connection.execute(query).fetchall()]


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> Any:
    row = connection.execute(query).fetchone()
    assert row is not None, "an aggregate has one row"
    return row[0]
