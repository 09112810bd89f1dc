"""Whether a partner's file is whole and means what its mapping says. Its rows become `theirs`, or
everything that is wrong is named and nothing is taken.

`theirs` has a row for each transfer: `n`, its number as an editor shows it, `transfer_id`,
`reference`, `member`, `program`, `outward` (whether points left a member), `points`, `money`, `fee`
and `tax`, `rate_source` and `rate_target` or `rate_number` and `rate_digits`, `status` and
`booked_on`. What the file has no column for is NULL.

Effects: DuckDB tables. The file is read once; only where something is wrong is it read again, to
say what.
"""

from collections.abc import Sequence
from typing import Any

import duckdb

from settlement.reconciliation.cells import unprotected
from settlement.reconciliation.columns import IGNORED, ROW, Check, Columns
from settlement.reconciliation.faults import FAULTS_MAX, Fault, FileWrong, quoted
from settlement.reconciliation.mapping import MONEY
from settlement.reconciliation.trailers import trailer_faults

THOUSAND_DIGITS = 3


def check_file(connection: duckdb.DuckDBPyConnection, columns: Columns) -> int:
    """Make `theirs` and return its number of rows; raises FileWrong with every fault."""
    checks = tuple(columns.checks())
    source = _read(connection, columns, checks)
    rows, failed = one(
        connection,
        f"SELECT count(*) FILTER (kind = {ROW}), coalesce(bit_or(failed), 0) FROM typed",
    )
    failing = [(place, each) for place, each in enumerate(checks) if failed >> place & 1]
    unread = frozenset(each.column for _, each in failing)
    faults = list(trailer_faults(connection, columns, rows, unread))
    count = len(faults)
    for place, each in failing:
        found, named = _failures(connection, columns, source, each, 1 << place)
        count += found
        faults += named
    if not faults:
        faults = _style_faults(connection, columns, source)
        count = len(faults)
    if faults:
        raise FileWrong(faults, count)
    return int(rows)


def _read(connection: duckdb.DuckDBPyConnection, columns: Columns, checks: Sequence[Check]) -> str:
    """Make `typed`, with every row, and the view `theirs`; the source that worked."""
    layout = columns.layout
    parsed = dict(columns.parsed())
    derived = dict(columns.derived())
    kept = [each for each in columns.types if each in parsed or each in derived]
    inner = ", ".join(f"{expression} AS {name}" for name, expression in parsed.items())
    middle = ", ".join(f"{expression} AS {name}" for name, expression in derived.items())
    bits = " + ".join(
        f"CASE WHEN {each.failed} THEN {1 << place}::BIGINT ELSE 0 END"
        for place, each in enumerate(checks)
    )
    # Trailers are few: their cells are kept, so that nobody needs to look for them.
    trailer = f"CASE WHEN kind NOT IN ({ROW}, {IGNORED}) THEN [{layout.cells}] END"
    for source in layout.sources:
        query = f"""
            CREATE OR REPLACE TABLE typed AS
            SELECT n, kind, {", ".join(kept)}, {trailer} AS cells,
                CASE WHEN kind = {ROW} THEN {bits} ELSE 0 END AS failed
            FROM (SELECT *, {middle} FROM (
                SELECT *, {columns.kind} AS kind, {inner} FROM {layout.numbered(source)}))"""
        try:
            connection.execute(query)
        except duckdb.InvalidInputException:
            # Its text would quote the file.
            continue
        names = ", ".join(
            each if each in kept else f"NULL::{type_} AS {each}"
            for each, type_ in columns.types.items()
        )
        connection.execute(
            f"CREATE OR REPLACE VIEW theirs AS SELECT n, {names},"
            f" abs(written) AS points FROM typed WHERE kind = {ROW}"
        )
        return source
    raise FileWrong(
        [Fault(0, "", "the rows cannot be told apart: is the delimiter right, is a quote open?")]
    )


def one(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    """The row of an aggregate."""
    row = connection.execute(query).fetchone()
    assert row is not None, "an aggregate has one row"
    return tuple(row)


def _failures(
    connection: duckdb.DuckDBPyConnection, columns: Columns, source: str, check: Check, bit: int
) -> tuple[int, list[Fault]]:
    """How many rows fail a check, and the first of them."""
    (count,) = one(connection, f"SELECT count(*) FROM typed WHERE failed & {bit} <> 0")
    failed = f"SELECT n FROM typed WHERE failed & {bit} <> 0 ORDER BY n LIMIT {FAULTS_MAX}"
    query = f"""
        SELECT n, {check.cell or "NULL"} FROM {columns.layout.numbered(source)}
        WHERE n IN ({failed}) ORDER BY n"""
    return count, _named(connection.execute(query).fetchall(), check)


def _named(rows: Sequence[tuple[int, str | None]], check: Check) -> list[Fault]:
    return [
        Fault(n, check.column, f"{quoted(cell)} {check.text}" if cell is not None else check.text)
        for n, cell in rows
    ]


def _style_faults(
    connection: duckdb.DuckDBPyConnection, columns: Columns, source: str
) -> list[Fault]:
    """Amounts such as `1.234` among such as `5.67`: a thousand in another style, perhaps."""
    faults: list[Fault] = []
    currency = columns.expected.currency
    for name in MONEY:
        if currency.minor_digits >= THOUSAND_DIGITS or not columns.mapping.has(name):
            continue
        # By the figures: 1.234 has three decimals, 5.67 two, and 1.234000 three as well.
        (odd, longer, others) = one(
            connection,
            f"""SELECT count(*) FILTER (d = 3), count(*) FILTER (d > 3), count(*) FILTER (d < 3)
            FROM (SELECT CASE WHEN {name} = round({name}, 2) THEN 2
                WHEN {name} = round({name}, 3) THEN 3 ELSE 4 END AS d FROM theirs)""",
        )
        if odd and not longer and others > odd:
            faults += _three_decimals(connection, columns, source, name)
    return faults


def _three_decimals(
    connection: duckdb.DuckDBPyConnection, columns: Columns, source: str, name: str
) -> list[Fault]:
    cell = columns.cell(name)
    mark = columns.mapping.decimal.replace("'", "''")
    digits = f"length(split_part({cell}, '{mark}', 2))"
    query = f"""
        SELECT n, {cell} FROM {columns.layout.numbered(source)}
        WHERE {columns.kind} = {ROW} AND {digits} = {THOUSAND_DIGITS}
        ORDER BY n LIMIT {FAULTS_MAX}"""
    text = "may be a thousand: other amounts have no more than two decimals"
    return _named(
        connection.execute(query).fetchall(), Check("", text, columns.mapping.columns[name], cell)
    )


def check_repeats(connection: duckdb.DuckDBPyConnection, columns: Columns) -> None:
    """Raise FileWrong for rows that are the very same as an earlier one, of those that name a
    transfer; after matching, which leaves them over.
    """
    connection.execute(f"""
        CREATE OR REPLACE TABLE alike AS
        SELECT n FROM theirs WHERE transfer_id IN (SELECT transfer_id FROM left_theirs)
            OR (transfer_id IS NULL
                AND {unprotected("reference")} IN (SELECT reference FROM left_theirs))""")
    layout = columns.layout
    for source in layout.sources if one(connection, "SELECT count(*) > 1 FROM alike")[0] else ():
        query = f"""
            SELECT n, first FROM (
                SELECT n, min(n) OVER (PARTITION BY {layout.cells}) AS first
                FROM {layout.numbered(source)} WHERE n IN (SELECT n FROM alike)
            ) WHERE n > first ORDER BY n LIMIT {FAULTS_MAX}"""
        try:
            rows = connection.execute(query).fetchall()
        except duckdb.InvalidInputException:
            continue
        if rows:
            raise FileWrong(Fault(n, "", f"the row is the same as row {at}") for n, at in rows)
        return
