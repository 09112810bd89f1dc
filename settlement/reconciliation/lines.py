"""The exchange's side: line files, as the partner has them, as the table `ours`.

`ours` has a row for each line on which points of the partner's own programs moved: `o`,
`transfer_id`, `outward` (whether points left a member), `program`, `points`, `reference` as the
file has it, `money`, `fee` and `tax` where they are compared, the block rate, `agreement_id`,
`state`, `recorded_at`, `log_index`, `window_id`, `place` (0 for a window that is reconciled, -1 for
the one before, 1 for the one after) and `member`, a keyed digest. A funder's lines are none: its
own system has no points of theirs.

Effects: a DuckDB table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from partners.points import CurrencyScale
from settlement.lines.line_file import COLUMNS
from settlement.reconciliation.mapping import COVERED, ColumnMapping
from settlement.reconciliation.members import Members
from settlement.reconciliation.reading import NOTHING, literal

_TYPES = {
    "transfer_id": "UUID",
    "source_points": "BIGINT",
    "target_points": "BIGINT",
    "rate_source_units": "BIGINT",
    "rate_target_units": "BIGINT",
    "recorded_at": "TIMESTAMP",
    "log_index": "BIGINT",
}
"""Of a line's columns, besides money."""
TRAILER_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class LineSource:
    """A line file."""

    path: Path
    window_id: str
    place: int


def read_lines(
    connection: duckdb.DuckDBPyConnection,
    sources: Sequence[LineSource],
    mapping: ColumnMapping,
    currency: CurrencyScale,
    members: Members,
) -> int:
    """Make `ours`; the number of lines that are reconciled."""
    for each in sources:
        _drop_trailers(each.path)
    read = " UNION ALL ".join(_selected(each, mapping, currency.scale) for each in sources)
    connection.execute(f"CREATE OR REPLACE TABLE line AS {read}")
    member, join = "NULL::VARCHAR", ""
    if members.orders is not None:
        members.read_orders(connection)
        member, join = "member", "LEFT JOIN ordered USING (log_index, outward)"
    kind = "TABLE" if join else "VIEW"
    connection.execute(
        f"CREATE OR REPLACE {kind} ours AS SELECT line.rowid AS o, line.*, {member} AS member"
        f" FROM line {join}"
    )
    row = connection.execute("SELECT count(*) FROM ours WHERE place = 0").fetchone()
    assert row is not None, "a count has one row"
    return int(row[0])


def _drop_trailers(path: Path) -> None:
    """Cut control totals and end marker off, which were checked when the file was kept: without
    them every cell of a column is of one type.
    """
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        start = max(0, size - TRAILER_BYTES_MAX)
        file.seek(start)
        place = file.read().find(b"\nTOTAL,")
        if place >= 0:
            file.truncate(start + place + 1)


def _selected(source: LineSource, mapping: ColumnMapping, scale: int) -> str:
    decimal = f"DECIMAL(18, {scale})"
    types = _TYPES | dict.fromkeys(COVERED, decimal)

    def money(name: str, covered: Sequence[str]) -> str:
        # Nothing is read that is not compared.
        if not mapping.has(name):
            return f"NULL::{decimal} AS {name}"
        return f"CAST({' + '.join(covered)} AS {decimal}) AS {name}"

    columns = ", ".join(f"'{each}': '{types.get(each, 'VARCHAR')}'" for each in COLUMNS)
    return f"""
        SELECT transfer_id, role IN ('source', 'target-reversed') AS outward,
            CASE WHEN starts_with(role, 'source') THEN source_program ELSE target_program END
                AS program,
            CASE WHEN starts_with(role, 'source') THEN source_points ELSE target_points END
                AS points,
            own_reference AS reference,
            {money("money", mapping.money_covers)}, {money("fee", ("fee",))},
            {money("tax", mapping.tax_covers)},
            rate_source_units AS rate_source, rate_target_units AS rate_target,
            agreement_id, CASE WHEN ends_with(role, 'reversed') THEN 'REVERSED' ELSE 'COMMITTED' END
                AS state, recorded_at, log_index,
            {literal(source.window_id)} AS window_id, {source.place} AS place
        FROM read_csv({literal(str(source.path))}, auto_detect = false, header = true,
            delim = ',', quote = '"', escape = '"', nullstr = {NOTHING}, columns = {{{columns}}})
        WHERE NOT starts_with(role, 'funder')"""
