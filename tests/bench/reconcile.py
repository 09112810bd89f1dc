"""What reconciling a partner's file costs, beside the bare join of the same two files.

`python -m tests.bench.reconcile --rows 1000000` measures `reconcile_vs_duckdb`: a line file of so
many lines against a partner's own file with a few differences in it, as the server's process apart
does it (every cell checked, typed, matched, each difference named), and DuckDB joining the same two
files by transfer id and counting points that differ. Both read both from disk, in turn, A B A B.
"""

import json
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import duckdb
import typer

from settlement.lines.line_file import COLUMNS
from settlement.reconciliation.apart import FILE, Job, reconcile
from settlement.reconciliation.breaks import Category
from tests.bench.measures import Pair, Result, result_of
from tests.bench.report import RESULTS_FILE, report

ROWS = 1_000_000
PLANTED = 7
"""Rows that are missing, and as many that are wrong."""
LINES = "lines.csv"
WINDOW = "usd-2017-01-01"
MAPPING = {
    "columns": {
        "transfer_id": "transfer_id",
        "reference": "own_reference",
        "program": "program",
        "direction": "direction",
        "points": "points",
        "money": "money",
        "date": "booked_at",
    },
    "date_format": "%Y-%m-%dT%H:%M:%SZ",
    "rows": {"column": "row", "total": "TOTAL", "end": "END"},
    "totals": {"count": "transfer_id", "sums": ["points"]},
}


@dataclass(frozen=True, slots=True)
class Files:
    """What is reconciled, and the job that says how."""

    folder: Path
    job: Job
    rows: int

    def ours_s(self) -> float:
        """Seconds of one reconciliation, and a check that it found what was planted."""
        began = time.perf_counter()
        found = reconcile(self.folder, self.job)
        took = time.perf_counter() - began
        counts = Counter(each.category for each in found.differences)
        expected = {Category.MISSING_AT_PARTNER: PLANTED, Category.POINTS_MISMATCH: PLANTED}
        assert (found.rows, found.lines) == (self.rows - PLANTED, self.rows)
        assert counts == expected, counts
        return took

    def join_s(self) -> float:
        """Seconds of the bare join."""
        began = time.perf_counter()
        with duckdb.connect() as connection:
            row = connection.execute(
                f"""SELECT count(*), count(*) FILTER (lines.source_points <> own.points)
                FROM read_csv('{self.folder / LINES}', null_padding = true) AS lines
                JOIN read_csv('{self.folder / FILE}', null_padding = true) AS own
                    ON lines.transfer_id = own.transfer_id"""
            ).fetchone()
        took = time.perf_counter() - began
        assert row == (self.rows - PLANTED, PLANTED), row
        return took


def pair(files: Files) -> Pair:
    """One measurement of each, right after another."""
    return Pair(files.ours_s(), files.join_s())


def made(folder: Path, rows: int) -> Files:
    """Both files, made by DuckDB: the line file in its one form, the own file in another order."""
    zeros = dict.fromkeys(COLUMNS, "''")
    line = zeros | {
        "row": "'LINE'",
        "transfer_id": "t",
        "role": "'source'",
        "own_reference": "'own-' || i",
        "source_program": "'aurora'",
        "target_program": "'borealis'",
        "source_points": "p",
        "target_points": "p // 2",
        "bonus_points": "0",
        "agreement_id": "'aurora-borealis'",
        "rate_source_units": "50",
        "rate_target_units": "25",
        "price_per_target_point": "'0.020000'",
        "value": "'-' || m",
        "value_tax": "'0.000000'",
        "promotion": "'0.000000'",
        "fee": "'-0.005000'",
        "tax": "'-0.000300'",
        "tax_code": "'vat6'",
        "currency": "'USD'",
        "state": "'COMMITTED'",
        "recorded_at": "strftime(moment, '%Y-%m-%dT%H:%M:%S.%fZ')",
        "log_index": "i",
    }
    columns = ", ".join(f'{line[name]} AS "{name}"' for name in COLUMNS)
    every = max(1, rows // (2 * PLANTED + 1))
    with duckdb.connect() as connection:
        connection.execute(
            f"""CREATE TABLE base AS SELECT i, uuid() AS t, 100 + (i * 38) % 5000 AS p,
                printf('%d.%02d0000', (100 + (i * 38) % 5000) // 100, p % 100) AS m,
                TIMESTAMP '2017-01-01' + to_seconds(i % 80000) AS moment,
                CASE WHEN i % {every} = 0 AND i // {every} BETWEEN 1 AND {2 * PLANTED}
                    THEN (i // {every}) % 2 END AS planted
            FROM range({rows}) AS r (i)"""
        )
        connection.execute(
            f"COPY (SELECT {columns} FROM base ORDER BY i) TO '{folder / LINES}' (HEADER)"
        )
        own = """SELECT 'ROW' AS "row", strftime(moment, '%Y-%m-%dT%H:%M:%SZ') AS booked_at,
                t::VARCHAR AS transfer_id, 'own-' || i AS own_reference, 'out' AS direction,
                'aurora' AS program, p + coalesce(planted, 0) AS points, m AS money
            FROM base WHERE planted IS DISTINCT FROM 0 ORDER BY hash(i)"""
        connection.execute(
            f"""COPY (FROM ({own}) UNION ALL SELECT 'TOTAL', '', count(*)::VARCHAR, '', '', '',
                sum(points), '' FROM ({own})
                UNION ALL SELECT 'END', '', '', '', '', '', NULL, '')
            TO '{folder / FILE}' (HEADER)"""
        )
    day = "2017-01-01"
    job = Job(
        json.dumps(MAPPING),
        ("aurora",),
        "USD",
        ((day, day),),
        ((LINES, WINDOW, 0),),
        {WINDOW: "2017-01-02 00:00:00"},
        "00" * 32,
    )
    return Files(folder, job, rows)


def result(measured: list[Pair], rows: int) -> Result:
    """What is reported."""
    details = {"baseline": "the bare join of the same two files", "rows": rows}
    return result_of("reconcile_vs_duckdb", "s", measured, details)


def pairs(rows: int, rounds: int) -> list[Pair]:
    """Make the files, warm up, measure in turn."""
    with tempfile.TemporaryDirectory(prefix="pointclear-bench-") as name:
        files = made(Path(name), rows)
        pair(files)
        return [pair(files) for _ in range(rounds)]


def bench(
    rows: Annotated[int, typer.Option(min=100, help="Rows, and lines.")] = ROWS,
    rounds: Annotated[int, typer.Option(min=1, help="Pairs A B.")] = 5,
    out: Annotated[Path, typer.Option(metavar="DIR", help=f"Where {RESULTS_FILE} goes.")] = Path(
        "bench-out"
    ),
) -> None:
    """Measure reconciling against the bare join."""
    out.mkdir(parents=True, exist_ok=True)
    report([result(pairs(rows, rounds), rows)], out / RESULTS_FILE)


if __name__ == "__main__":
    typer.run(bench)
