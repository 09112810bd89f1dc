"""The exchange's side: line files, as the partner has them, as the table `ours`.

`ours` has a row for each line on which points of the partner's own programs moved: `o`,
`transfer_id`, `outward` (whether points left a member), `program`, `points`, `reference`, `money`,
`fee` and `tax` in units of the currency's scale, the block rate, `agreement_id`, `state`,
`recorded_at`, `log_index`, `window_id`, `place` (0 for a window that is reconciled, -1 for the one
before, 1 for the one after) and `member`, a keyed digest. A funder's lines are none: its own system
has no points of theirs.

Effects: a DuckDB table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from settlement.line_file import COLUMNS
from settlement.reconciliation.cells import unprotected
from settlement.reconciliation.mapping import ColumnMapping
from settlement.reconciliation.members import Members
from settlement.reconciliation.reading import NOTHING, literal


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
    members: Members,
) -> int:
    """Make `ours`; the number of lines that are reconciled."""
    read = " UNION ALL ".join(_selected(each, mapping) for each in sources)
    member, join = "NULL::VARCHAR", ""
    if members.orders is not None:
        members.read_orders(connection)
        member, join = "member", "LEFT JOIN ordered USING (log_index, outward)"
    connection.execute(
        f"CREATE OR REPLACE TABLE ours AS SELECT row_number() OVER () AS o, lines.*,"
        f" {member} AS member FROM ({read}) AS lines {join}"
    )
    row = connection.execute("SELECT count(*) FROM ours WHERE place = 0").fetchone()
    assert row is not None, "a count has one row"
    return int(row[0])


def _selected(source: LineSource, mapping: ColumnMapping) -> str:
    def units(names: Sequence[str]) -> str:
        # Line files have all digits of the currency's scale: without the point they are units.
        return " + ".join(f"CAST(replace({each}, '.', '') AS BIGINT)" for each in names)

    columns = ", ".join(f"'{each}': 'VARCHAR'" for each in COLUMNS)
    return f"""
        SELECT CAST(transfer_id AS UUID) AS transfer_id,
            role IN ('source', 'target-reversed') AS outward,
            CASE WHEN starts_with(role, 'source') THEN source_program ELSE target_program END
                AS program,
            CAST(CASE WHEN starts_with(role, 'source') THEN source_points ELSE target_points END
                AS BIGINT) AS points,
            nullif({unprotected("own_reference")}, '') AS reference,
            {units(mapping.money_covers)} AS money, {units(("fee",))} AS fee,
            {units(mapping.tax_covers)} AS tax,
            CAST(rate_source_units AS BIGINT) AS rate_source,
            CAST(rate_target_units AS BIGINT) AS rate_target,
            agreement_id, state, CAST(recorded_at AS TIMESTAMP) AS recorded_at,
            CAST(log_index AS BIGINT) AS log_index,
            {literal(source.window_id)} AS window_id, {source.place} AS place
        FROM read_csv({literal(str(source.path))}, auto_detect = false, header = true,
            delim = ',', quote = '"', escape = '"', nullstr = {NOTHING}, columns = {{{columns}}})
        WHERE "row" = 'LINE' AND NOT starts_with(role, 'funder')"""
