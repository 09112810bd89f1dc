"""Journal, lines and statements of all windows as Parquet, or as JSON lines, by DuckDB.

Effects: reads and writes files in a folder that it is given. What the database gives is laid there
as CSV first, so that however much there is, little of it is in memory. Amounts are decimals in
Parquet, texts in JSON, where a number would be read as a float. One thread writes, so that the same
books give the same bytes.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from settlement.lines.line_file import COLUMNS as LINE_COLUMNS

MEMORY_MAX: Final = "512MB"
DECIMAL: Final = "DECIMAL(38, 6)"
"""The scale of most currencies, and finer than that of the others."""

_LINE_TYPES: Final = {
    **dict.fromkeys(("source_points", "target_points", "bonus_points", "log_index"), "BIGINT"),
    **dict.fromkeys(("rate_source_units", "rate_target_units"), "BIGINT"),
    **dict.fromkeys(("price_per_target_point", "price_per_thousand"), DECIMAL),
    **dict.fromkeys(("value", "value_tax", "promotion", "fee", "tax"), DECIMAL),
    "recorded_at": "TIMESTAMPTZ",
}
JOURNAL_TYPES: Final = {
    "log_index": "BIGINT",
    "place": "SMALLINT",
    "window_id": "VARCHAR",
    "business_date": "DATE",
    "code": "VARCHAR",
    "phase": "VARCHAR",
    "unit": "VARCHAR",
    "debit": "VARCHAR",
    "credit": "VARCHAR",
    "amount": DECIMAL,
}


def write_table(
    source: Path, target: Path, types: dict[str, str], format_: str, order: Sequence[str]
) -> None:
    """Write a CSV file with a header as Parquet or JSON lines, sorted."""
    columns = ", ".join(f"{_typed(name, kind, format_)} AS {name}" for name, kind in types.items())
    _copy(f"SELECT {columns} FROM {_csv([source])} ORDER BY {', '.join(order)}", target, format_)


def write_lines(sources: Iterable[Path], target: Path, format_: str) -> None:
    """Write line files as one table. A source is called `<window>.<partner>.csv`."""
    names = list(sources)
    columns = ", ".join(
        f"{_typed(name, _LINE_TYPES.get(name, 'VARCHAR'), format_)} AS {name}"
        for name in LINE_COLUMNS[1:]
    )
    # What a spreadsheet would run was marked by an apostrophe.
    columns = columns.replace(
        "own_reference AS own_reference",
        "CASE WHEN starts_with(own_reference, '''') THEN substr(own_reference, 2)"
        " ELSE own_reference END AS own_reference",
    )
    whose = (
        "split_part(parse_filename(filename), '.', 1) AS window_id,"
        " split_part(parse_filename(filename), '.', 2) AS partner_id"
    )
    query = (
        f"SELECT {whose}, {columns} FROM {_csv(names, named=True)} WHERE row = 'LINE'"
        if names
        else f"SELECT '' AS window_id, '' AS partner_id, {_nothing()} WHERE false"
    )
    _copy(query, target, format_)


def _nothing() -> str:
    return ", ".join(f"'' AS {name}" for name in LINE_COLUMNS[1:])


def _typed(name: str, kind: str, format_: str) -> str:
    if kind == "VARCHAR" or (format_ == "json" and kind == DECIMAL):
        return name
    return f"CAST({name} AS {kind})"


def _csv(sources: Sequence[Path], *, named: bool = False) -> str:
    files = ", ".join(_text(str(each)) for each in sources)
    options = "header = true, all_varchar = true, delim = ',', quote = '\"', escape = '\"'"
    return f"read_csv([{files}], {options}, filename = {str(named).lower()})"


def _copy(query: str, target: Path, format_: str) -> None:
    shape = "FORMAT parquet, COMPRESSION zstd" if format_ == "parquet" else "FORMAT json"
    # Loaded when it is needed: every server starts, few export.
    import duckdb

    with duckdb.connect() as database:
        database.execute("SET threads = 1")
        database.execute("SET TimeZone = 'UTC'")
        database.execute(f"SET memory_limit = '{MEMORY_MAX}'")
        database.execute(f"SET temp_directory = {_text(str(target.parent))}")
        database.execute(f"COPY ({query}) TO {_text(str(target))} ({shape})")


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
