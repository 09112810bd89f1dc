"""What a reconciliation found, as values: each difference with the figures of both sides.

Nothing is decided here that needs to know of earlier runs: a row that belongs to a window beside
the reconciled ones is `OUTSIDE`, a line without a row is `MISSING_AT_PARTNER` with a word on
whether it may still come, and a row without a line is `MISSING_AT_EXCHANGE`. `following` tells them
apart.

Effects: reads DuckDB tables.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import duckdb

from partners.cells import original
from settlement.reconciliation.cells import unprotected
from settlement.reconciliation.faults import Fault, FileWrong
from settlement.reconciliation.matching import BITS

DIFFERENCES_MAX = 50_000
"""Of one run. A file that differs more often is not the file of these windows."""
ROUNDINGS_MAX = 1_000
"""Beyond so many, roundings are added up by agreement and figure."""
OUTSIDE = "OUTSIDE"
ROUNDING = "ROUNDING"
_OURS = (
    *("transfer_id", "outward", "program", "points", "reference", "money", "fee", "tax"),
    *("rate_source", "rate_target", "agreement_id", "state", "recorded_at", "log_index"),
    *("window_id", "member"),
)
_THEIRS = (
    *("n", "transfer_id", "outward", "program", "points", "reference", "money", "fee", "tax"),
    *("rate_source", "rate_target", "rate_number", "rate_digits", "status", "booked_on", "member"),
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which the two sides are not the same."""

    category: str
    figure: str = ""
    """Of a rounding: `money`, `fee` or `tax`."""
    tier: str = ""
    """How line and row were found to be one."""
    ours: dict[str, Any] | None = None
    theirs: dict[str, Any] | None = None
    in_tail: bool = False
    """Of a missing line: whether the file ends before it, near the window's end."""
    count: int = 1
    """Of roundings that were added up."""
    total: int = 0
    """What they come to, in units."""


def differences(
    connection: duckdb.DuckDBPyConnection, in_transit_minutes: int, scale: int
) -> list[Difference]:
    """All of them, in the order of the log and then of the file. Raises FileWrong for too many."""
    _find(connection, in_transit_minutes)
    (count,) = _one(connection, "SELECT count(*) FROM found")
    if count > DIFFERENCES_MAX:
        text = f"{count:,} differences: is this the file of these windows, and the mapping right?"
        raise FileWrong([Fault(0, "", text)])
    return [*_singly(connection, scale), *_added_up(connection, scale)]


def _find(connection: duckdb.DuckDBPyConnection, in_transit_minutes: int) -> None:
    """Make `found` (`category`, `figure`, `o`, `n`, `tier`, `in_tail`) and `rounded`."""
    of_bits = " UNION ALL ".join(
        f"SELECT '{name if name.isupper() else ROUNDING}' AS category,"
        f" '{'' if name.isupper() else name}' AS figure, o, n, tier, false AS in_tail"
        f" FROM unlike WHERE differs >> {place} & 1 = 1"
        for place, name in enumerate(BITS)
    )
    connection.execute("CREATE OR REPLACE TABLE unlike AS SELECT * FROM pair WHERE differs <> 0")
    connection.execute(f"""
        CREATE OR REPLACE TABLE found AS
        WITH reached AS (
            SELECT window_id, max(log_index) AS last FROM ours ANTI JOIN left_ours USING (o)
            WHERE place = 0 GROUP BY ALL
        )
        {of_bits}
        UNION ALL
        SELECT '{OUTSIDE}', '', o, n, tier, false FROM pair JOIN ours USING (o) WHERE place <> 0
        UNION ALL
        SELECT 'MISSING_AT_PARTNER', '', o, NULL, '',
            coalesce(log_index > last AND recorded_at >= closes_at - INTERVAL 1 MINUTE
                * {in_transit_minutes}, false)
        FROM left_ours LEFT JOIN reached USING (window_id)
        LEFT JOIN closing USING (window_id) WHERE place = 0
        UNION ALL
        SELECT CASE WHEN twin IS NULL THEN 'MISSING_AT_EXCHANGE' ELSE 'DUPLICATE_AT_PARTNER' END,
            '', twin, n, '', false
        FROM ({_strays()})""")
    (roundings,) = _one(connection, f"SELECT count(*) FROM found WHERE category = '{ROUNDING}'")
    added_up = "true" if roundings > ROUNDINGS_MAX else "false"
    connection.execute(
        f"CREATE OR REPLACE TABLE rounded AS SELECT * FROM found"
        f" WHERE category = '{ROUNDING}' AND {added_up}"
    )
    connection.execute(f"DELETE FROM found WHERE category = '{ROUNDING}' AND {added_up}")


def _strays() -> str:
    """Rows without a line, each with the line that another row of its id or reference has."""
    return f"""
        SELECT n, coalesce(min(by_id.o), min(by_reference.o)) AS twin
        FROM left_theirs AS stray
        LEFT JOIN ours AS by_id ON by_id.transfer_id = stray.transfer_id
        LEFT JOIN ours AS by_reference
            ON stray.transfer_id IS NULL
            AND {unprotected("by_reference.reference")} = stray.reference
        GROUP BY n"""


def _singly(connection: duckdb.DuckDBPyConnection, scale: int) -> Iterator[Difference]:
    ours = ", ".join(f"ours.{each}" for each in _OURS)
    theirs = ", ".join(f"theirs.{each}" for each in _THEIRS)
    rows = connection.execute(
        f"SELECT category, figure, tier, in_tail, {ours}, {theirs} FROM found"
        " LEFT JOIN ours ON ours.o = found.o LEFT JOIN theirs ON theirs.n = found.n"
        " ORDER BY ours.log_index NULLS LAST, theirs.n, category, figure"
    )
    for category, figure, tier, in_tail, *found in rows.fetchall():
        cells = [units(each, scale) if isinstance(each, Decimal) else each for each in found]
        line, row = cells[: len(_OURS)], cells[len(_OURS) :]
        yield Difference(
            category,
            figure,
            tier,
            _side(_OURS, line) if line[0] is not None else None,
            _side(_THEIRS, row) if row[0] is not None else None,
            in_tail,
        )


def _side(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    side = dict(zip(names, values, strict=True))
    return side | {"reference": original(side["reference"] or "")}


def _added_up(connection: duckdb.DuckDBPyConnection, scale: int) -> Iterator[Difference]:
    """Roundings by window, agreement and figure; the total is theirs less ours, without signs."""
    rows = connection.execute("""
        SELECT figure, window_id, agreement_id, count(*),
            sum(CASE figure WHEN 'money' THEN abs(theirs.money) - abs(ours.money)
                WHEN 'fee' THEN abs(theirs.fee) - abs(ours.fee)
                ELSE abs(theirs.tax) - abs(ours.tax) END)
        FROM rounded JOIN ours USING (o) JOIN theirs USING (n) GROUP BY ALL ORDER BY ALL""")
    for figure, window_id, agreement_id, count, total in rows.fetchall():
        ours = {"window_id": window_id, "agreement_id": agreement_id}
        yield Difference(ROUNDING, figure, ours=ours, count=count, total=units(total, scale))


def units(amount: Decimal, scale: int) -> int:
    """An amount in units of the currency's scale."""
    return int(amount.scaleb(scale))


def watched_pairs(connection: duckdb.DuckDBPyConnection, watched: list[int]) -> list[int]:
    """The log indexes, of those that earlier runs wait for, of lines that have a row now."""
    rows = connection.execute(
        "SELECT DISTINCT log_index FROM (SELECT unnest($watched::BIGINT[]) AS log_index)"
        " JOIN ours USING (log_index) ANTI JOIN left_ours USING (o) ORDER BY ALL",
        {"watched": watched},
    )
    return [row[0] for row in rows.fetchall()]


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None, "an aggregate has one row"
    return tuple(row)
