"""Joins a partner's rows with our lines: by transfer id, then by the partner's reference, then by
member, points and date within a day. By set, never by row.

`match` makes the table `pair`: `o`, `n`, `tier` and `differs`, in which each bit is one of `BITS`;
`left_ours` and `left_theirs` have what is in no pair.
A row is one line's and a line is one row's. A row with a transfer id is found by it or not at all:
another id is another transfer, whatever else is alike. Of lines with one key the first goes with
the first row, and rows with the right points go first; so what is left over is what is too much.

Effects: DuckDB tables.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import duckdb

from settlement.reconciliation.cells import unprotected
from settlement.reconciliation.mapping import ColumnMapping, Sign
from settlement.reconciliation.reading import literal

BITS = (
    *("POINTS_MISMATCH", "MONEY_MISMATCH", "FEE_MISMATCH", "TAX_MISMATCH", "RATE_MISMATCH"),
    *("STATUS_MISMATCH", "MEMBER_MISMATCH", "money", "fee", "tax"),
)
"""What may differ in a pair. The last three are figures that differ within the tolerance."""


_PLAIN = f"SELECT * REPLACE (nullif({unprotected('reference')}, '') AS reference)"
"""References without what keeps spreadsheets from running them, which either side may have."""


@dataclass(frozen=True, slots=True)
class Tier:
    """One way of finding pairs."""

    name: str
    keys: tuple[str, ...]
    days_off: int | None = None
    """Days that a row's date is after its line's; None where dates do not matter."""


def match(connection: duckdb.DuckDBPyConnection, mapping: ColumnMapping, tolerance: str) -> int:
    """Make `pair`, `left_ours` and `left_theirs`; the number of pairs. `tolerance` is in the
    currency, as a decimal.
    """
    differs = difference_bits(mapping, tolerance)
    if mapping.has("transfer_id"):
        _match_ids(connection, differs)
    else:
        connection.execute(
            "CREATE OR REPLACE TABLE pair (o BIGINT, n BIGINT, tier VARCHAR, differs INTEGER)"
        )
        for side in ("ours", "theirs"):
            connection.execute(f"CREATE OR REPLACE TABLE left_{side} AS {_PLAIN} FROM {side}")
    for first, tier in _tiers(mapping):
        if not _both_left(connection):
            break
        _match_tier(connection, tier, differs, mapping, only_place_0=first)
    row = connection.execute("SELECT count(*) FROM pair").fetchone()
    assert row is not None, "a count has one row"
    return int(row[0])


def _match_ids(connection: duckdb.DuckDBPyConnection, differs: str) -> None:
    """Pairs of ids that neither side has twice: nearly all, in one join. The rest is left."""
    connection.execute(
        f"CREATE OR REPLACE TABLE joined AS SELECT o, n, CASE WHEN o IS NOT NULL AND n IS NOT NULL"
        f" THEN {differs} END AS differs FROM ours FULL JOIN theirs USING (transfer_id)"
    )
    # A line or a row that is in two pairs has an id that the other side has twice.
    connection.execute("""
        CREATE OR REPLACE TABLE often AS
        SELECT o, n FROM joined WHERE o IN (
            SELECT o FROM joined WHERE differs IS NOT NULL GROUP BY o HAVING count(*) > 1
        ) OR n IN (SELECT n FROM joined WHERE differs IS NOT NULL GROUP BY n HAVING count(*) > 1)
        """)
    connection.execute(
        "CREATE OR REPLACE TABLE pair AS SELECT o, n, 'transfer id' AS tier, differs FROM joined"
        " WHERE differs IS NOT NULL AND o NOT IN (SELECT o FROM often WHERE o IS NOT NULL)"
    )
    for side, key in (("ours", "o"), ("theirs", "n")):
        connection.execute(
            f"CREATE OR REPLACE TABLE left_{side} AS {_PLAIN} FROM {side} WHERE {key} IN ("
            f"SELECT {key} FROM joined WHERE differs IS NULL UNION SELECT {key} FROM often)"
        )


def _both_left(connection: duckdb.DuckDBPyConnection) -> bool:
    row = connection.execute(
        "SELECT EXISTS (FROM left_ours) AND EXISTS (FROM left_theirs)"
    ).fetchone()
    return row is not None and bool(row[0])


def _tiers(mapping: ColumnMapping) -> Iterator[tuple[bool, Tier]]:
    """What is tried for the rest, in turn; first for the windows that are reconciled."""
    way = ("outward",) if _has_direction(mapping) else ()
    program = ("program",) if mapping.has("program") else ()
    if mapping.has("transfer_id"):
        yield False, Tier("transfer id", ("transfer_id", *way, "points"))
        yield False, Tier("transfer id", ("transfer_id", *way))
        yield False, Tier("transfer id", ("transfer_id",))
    for first in (True, False):
        if mapping.has("reference"):
            yield first, Tier("reference", ("reference", *way, "points"))
            yield first, Tier("reference", ("reference", *way))
        if mapping.has("member") and mapping.has("date"):
            for days_off in (0, 1, -1):
                keys = ("member", *way, *program, "points")
                yield first, Tier("member, points and date", keys, days_off)


def _has_direction(mapping: ColumnMapping) -> bool:
    return mapping.has("direction") or not mapping.has("points")


def _match_tier(
    connection: duckdb.DuckDBPyConnection,
    tier: Tier,
    differs: str,
    mapping: ColumnMapping,
    *,
    only_place_0: bool,
) -> None:
    keys: Sequence[str] = tier.keys
    filled = " AND ".join(f"{each} IS NOT NULL" for each in keys)
    ours, theirs = filled, filled
    if "transfer_id" not in keys:
        theirs += " AND transfer_id IS NULL"
    if only_place_0:
        ours += " AND place = 0"
    day = our_day = ""
    if tier.days_off is not None:
        zone = literal(mapping.zone)
        day = ", booked_on AS day"
        our_day = (
            f", CAST(timezone({zone}, timezone('UTC', recorded_at)) AS DATE) + {tier.days_off}"
            " AS day"
        )
        theirs += " AND booked_on IS NOT NULL"
        keys = (*keys, "day")
    using = ", ".join(keys)
    connection.execute(f"""
        CREATE OR REPLACE TABLE found_now AS
        SELECT ours.o, theirs.n, {literal(tier.name)} AS tier, {differs} AS differs
        FROM (
            SELECT *, row_number() OVER (PARTITION BY {using} ORDER BY log_index) AS turn
            FROM (SELECT *{our_day} FROM left_ours WHERE {ours})
        ) AS ours JOIN (
            SELECT *, row_number() OVER (PARTITION BY {using} ORDER BY n) AS turn
            FROM (SELECT *{day} FROM left_theirs WHERE {theirs})
        ) AS theirs USING ({using}, turn)""")
    connection.execute("INSERT INTO pair FROM found_now")
    connection.execute("DELETE FROM left_ours WHERE o IN (SELECT o FROM found_now)")
    connection.execute("DELETE FROM left_theirs WHERE n IN (SELECT n FROM found_now)")


def difference_bits(mapping: ColumnMapping, tolerance: str) -> str:
    """An expression over `ours` and `theirs`: which of `BITS` differ. A figure that the file leaves
    out differs from nothing.
    """
    money = {
        Sign.NONE: "abs(abs(ours.money) - abs(theirs.money))",
        Sign.OURS: "abs(ours.money - theirs.money)",
        Sign.OPPOSITE: "abs(ours.money + theirs.money)",
    }[mapping.money_sign]
    off = {each: f"abs(abs(ours.{each}) - abs(theirs.{each}))" for each in ("fee", "tax")}
    off["money"] = money
    points = "ours.points <> theirs.points"
    if _has_direction(mapping):
        points += " OR ours.outward <> theirs.outward"
    conditions = {
        "POINTS_MISMATCH": points,
        "RATE_MISMATCH": rate_differs(mapping) if mapping.has("rate") else "",
        "STATUS_MISMATCH": "ours.state <> theirs.status" if mapping.has("status") else "",
        "MEMBER_MISMATCH": "ours.member <> theirs.member" if mapping.has("member") else "",
    }
    for name, difference in off.items():
        if mapping.has(name):
            conditions[f"{name.upper()}_MISMATCH"] = f"{difference} > {tolerance}"
            conditions[name] = f"{difference} > 0 AND {difference} <= {tolerance}"
    return " + ".join(
        f"CASE WHEN {condition} THEN {1 << BITS.index(name)} ELSE 0 END"
        for name, condition in conditions.items()
        if condition
    )


def rate_differs(mapping: ColumnMapping) -> str:
    """Whether two rates are two: exactly for pairs, and for one number as far as it is written."""
    of, to = "ours.rate_source::HUGEINT", "ours.rate_target::HUGEINT"
    number_of, number_to = (of, to) if mapping.rate_is == "target-per-source" else (to, of)
    # |number / 10^digits - to / of| > half of the last digit, in whole numbers.
    power = "CAST(pow(10, theirs.rate_digits) AS HUGEINT)"
    number = f"theirs.rate_number::HUGEINT * {number_of}"
    return (
        f"(theirs.rate_source IS NOT NULL"
        f" AND theirs.rate_source * {to} <> theirs.rate_target * {of})"
        f" OR (theirs.rate_number IS NOT NULL"
        f" AND abs({number} - {number_to} * {power}) * 2 > {number_of})"
    )
