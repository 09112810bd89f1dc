"""Reconciles one file, apart from everything else: files in, a file out, no database.

    python -m settlement.reconciliation.apart FOLDER

FOLDER holds `job.json` (see `Job`) and the files that it names; `result.json` is left in it. This
is a process of its own, so that neither a file of a million rows nor a hostile one holds up or
brings down the server, and its memory is bounded.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from partners.points import CurrencyScale, currency_scale, format_amount
from settlement.reconciliation.checking import check_file, check_repeats
from settlement.reconciliation.columns import Columns, Expected
from settlement.reconciliation.differences import Difference, differences, watched_pairs
from settlement.reconciliation.faults import Fault, FileWrong
from settlement.reconciliation.lines import LineSource, read_lines
from settlement.reconciliation.mapping import ColumnMapping
from settlement.reconciliation.mapping_document import parse_mapping
from settlement.reconciliation.matching import match
from settlement.reconciliation.members import Members
from settlement.reconciliation.reading import literal, read_file

MEMORY = "1GB"
"""What the engine may use; beyond it, it writes beside the file."""
THREADS_MAX = 4
JOB, RESULT, FILE, ORDERS = "job.json", "result.json", "file", "orders.csv"
"""Names in the folder."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be reconciled."""

    mapping: str
    """The mapping's document."""
    programs: tuple[str, ...]
    currency: str
    days: tuple[tuple[str, str], ...]
    """See `Expected.days`; ISO 8601 dates."""
    lines: tuple[tuple[str, str, int], ...]
    """Of each line file: its name in the folder, the window and its place (see `lines`)."""
    closings: Mapping[str, str]
    """When each window closed, by window id, in UTC; none that is open."""
    member_key: str
    """Hexadecimal."""
    watched: tuple[int, ...] = ()
    """Log indexes of lines that earlier runs wait for."""


@dataclass(frozen=True, slots=True)
class Found:
    """What came of it."""

    rows: int
    lines: int
    matched: int
    differences: tuple[Difference, ...]
    watched: tuple[int, ...] = ()
    """Those of `Job.watched` whose line has a row in the file."""


def reconcile(folder: Path, job: Job) -> Found:
    """Do it; raises FileWrong, and Refused for a mapping that is none."""
    mapping = parse_mapping(job.mapping.encode())
    currency = currency_scale(job.currency)
    orders = folder / ORDERS
    members = Members(
        orders if mapping.has("member") and orders.exists() else None, bytes.fromhex(job.member_key)
    )
    days = tuple((date.fromisoformat(a), date.fromisoformat(b)) for a, b in job.days)
    sources = [LineSource(folder / name, window, place) for name, window, place in job.lines]
    layout = read_file(folder / FILE, mapping)
    columns = Columns(layout, mapping, Expected(job.programs, currency, days), members)
    with engine(folder) as connection, ThreadPoolExecutor(1) as beside:
        # Rows that are numbered as they stand are read by one thread: another reads the lines.
        reading = beside.submit(
            read_lines, connection.cursor(), sources, mapping, currency, members
        )
        rows = check_file(connection, columns)
        lines = reading.result()
        _keep_closings(connection, job.closings)
        matched = match(connection, mapping, tolerance_of(mapping, currency))
        check_repeats(connection, columns)
        found = differences(connection, mapping.in_transit_minutes, currency.scale)
        seen = watched_pairs(connection, list(job.watched)) if job.watched else []
    return Found(rows, lines, matched, tuple(found), tuple(seen))


def engine(folder: Path) -> duckdb.DuckDBPyConnection:
    """An engine that reads and writes in one folder and nowhere else."""
    connection = duckdb.connect(
        config={
            "memory_limit": MEMORY,
            "threads": min(os.cpu_count() or 1, THREADS_MAX),
            "temp_directory": str(folder / "spill"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
    connection.execute(f"SET allowed_directories = [{literal(str(folder))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def tolerance_of(mapping: ColumnMapping, currency: CurrencyScale) -> str:
    """Differences of money up to it are rounding: half a minor unit unless said."""
    if mapping.tolerance is None:
        return format_amount(currency.minor_unit // 2, currency.scale)
    return format(mapping.tolerance, "f")


def _keep_closings(connection: duckdb.DuckDBPyConnection, closings: Mapping[str, str]) -> None:
    connection.execute("CREATE OR REPLACE TABLE closing (window_id VARCHAR, closes_at TIMESTAMP)")
    if closings:
        connection.executemany("INSERT INTO closing VALUES (?, ?)", list(closings.items()))


# Between two processes


def write_job(folder: Path, job: Job) -> None:
    """Leave a job in its folder."""
    (folder / JOB).write_text(json.dumps(asdict(job)))


def read_result(folder: Path) -> Found:
    """What the other process found; raises FileWrong."""
    document: dict[str, Any] = json.loads((folder / RESULT).read_text())
    if "faults" in document:
        raise FileWrong([Fault(*each) for each in document["faults"]], document["count"])
    return Found(
        document["rows"],
        document["lines"],
        document["matched"],
        tuple(Difference(**each) for each in document["differences"]),
        tuple(document["watched"]),
    )


def main(arguments: Sequence[str]) -> int:
    """The process."""
    folder = Path(arguments[0])
    document = json.loads((folder / JOB).read_text())
    job = Job(**document)
    result: dict[str, Any]
    try:
        result = asdict(reconcile(folder, job))
    except FileWrong as wrong:
        result = {
            "faults": [(each.row, each.column, each.text) for each in wrong.faults],
            "count": wrong.count,
        }
    (folder / RESULT).write_text(json.dumps(result, default=str))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
