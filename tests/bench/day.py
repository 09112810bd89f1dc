"""What the papers of a day of a million transfers take: `reports_1e6`.

A window that is filled by `tests.bench.bulk` and closed is stated through the front door of a
server that does nothing else, as `pointclear settle` does it: every partner's line file and
statement are written, kept, booked and signed. Measured are the time until the answer, and the most
memory that the server ever had. The baseline is reading the same streams once, with nothing done to
what is read.

`python -m tests.bench.day --transfers 1000000` measures this and `close_1e6_vs_1e4`.
"""

import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.cli.connection import connect
from exchange.cli.demo.host import serve_command
from exchange.cli.output import Command
from exchange.cli.profile import load_profile
from exchange.cli.settlement_commands import settle_window
from tests.bench import storage
from tests.bench.bulk import Bulk, bulk, check_disk, shown
from tests.bench.closing import QUERIES, SMALL, close_pairs
from tests.bench.measures import Pair, Result, result_of
from tests.bench.processes import child
from tests.bench.report import RESULTS_FILE, report


@dataclass(frozen=True, slots=True)
class Stated:
    """What stating a window took."""

    seconds: float
    reading_s: float
    """Of reading its streams once."""
    rss_before_mb: float
    rss_most_mb: float


def state_day(bulk: Bulk, window: str, log: Path) -> Stated:
    """State a closed window; those before it are stated first, unmeasured."""
    reading_s = read_once(bulk, window)
    bulk.ledger.close()
    with child(serve_command(bulk.data_dir), log) as server:
        address = server.answer()["address"]
        with connect(load_profile(bulk.data_dir / "operator", address)) as operator:
            with bulk.engine.connect() as connection:
                rows = QUERIES.closed_windows(connection.connection.dbapi_connection)
                closed = [row[0] for row in rows]
            for earlier in closed[: closed.index(window)]:
                settle_window(operator, earlier)
            before = storage.memory_mb(server.pid)["VmRSS"]
            began = time.perf_counter()
            settle_window(operator, window)
            took_s = time.perf_counter() - began
            most = storage.memory_mb(server.pid)["VmHWM"]
    return Stated(took_s, reading_s, before, most)


def read_once(bulk: Bulk, window: str) -> float:
    """Seconds of fetching every stream entry of a window."""
    began = time.perf_counter()
    with bulk.engine.connect() as connection:
        raw: Any = connection.connection.dbapi_connection
        with raw.cursor(name="read_once") as rows:
            rows.itersize = 2000
            rows.execute(QUERIES.streams_of.sql, {"window_id": window})
            for _row in rows:
                pass
    return time.perf_counter() - began


def results(folder: Path, transfers: int, told: Callable[[int], None]) -> list[Result]:
    """Fill windows in `folder`, close and state them; `told` hears of each batch of transfers."""
    with bulk(folder) as filled:
        closing = close_pairs(filled, transfers, told)
        with filled.engine.connect() as connection:
            rows = QUERIES.closed_windows(connection.connection.dbapi_connection)
            large = [row[0] for row in rows][-2]
        stated = state_day(filled, large, folder / "processes.log")
    how = {"transfers": transfers, "of_small": SMALL, "baseline": "closing the small window"}
    read = {
        "transfers": transfers,
        "transfers_per_s": round(transfers / stated.seconds),
        "baseline": "reading the same streams once",
    }
    memory = {"transfers": transfers, "baseline": "the server before"}
    return [
        result_of("close_1e6_vs_1e4", "ms", closing, how),
        result_of("reports_1e6", "s", [Pair(stated.seconds, stated.reading_s)], read),
        result_of(
            "reports_1e6_memory", "MB", [Pair(stated.rss_most_mb, stated.rss_before_mb)], memory
        ),
    ]


def day(
    transfers: Annotated[int, typer.Option(min=1, help="Of the large window.")] = 1_000_000,
    folder: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the deployment is made, or is already.")
    ] = Path("bench-out/day"),
) -> None:
    """Close and state a window of many transfers, and small ones beside it.

    The deployment stays in the folder: remove it when you are done.
    """
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(128 + signal.SIGTERM))
    check_disk(folder, transfers)
    with shown("transfers", transfers + 2 * SMALL) as told:
        measured = results(folder, transfers, told)
    report(measured, folder / RESULTS_FILE)


def main() -> None:
    """Run the command line. Exit codes as of `pointclear`: 2 usage, 3 unavailable."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command("day", cls=Command)(day)
    app(prog_name="python -m tests.bench.day")


if __name__ == "__main__":
    main()
