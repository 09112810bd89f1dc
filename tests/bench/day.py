"""What the papers of a day of a million transfers take: `stating_1e6` and `reports_1e6`.

A window that is filled by `tests.bench.bulk` and closed is stated through the front door of a
server that does nothing else, as `pointclear settle` does it: every partner's line file and
statement are written, kept, booked and signed. Then every report that there is of the window, the
operator's and each partner's in each format, is made and fetched. Measured are the times until the
answers, and the most memory that the server ever had. The baseline of both is reading the same
streams once, with nothing done to what is read.

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

from exchange.cli.connection import Connection, connect
from exchange.cli.demo.host import serve_command
from exchange.cli.output import Command
from exchange.cli.profile import load_profile
from exchange.cli.settlement.settlement_commands import settle_window
from pointclear.settlement.v1.report_pb2 import DownloadReportRequest, ListReportsRequest
from tests.bench import storage
from tests.bench.bulk import Bulk, bulk, check_disk, shown
from tests.bench.closing import QUERIES, SMALL, close_pairs
from tests.bench.coalition import PARTNERS
from tests.bench.measures import Pair, Result, result_of, rounded
from tests.bench.processes import child
from tests.bench.report import RESULTS_FILE, report

REPORT_TIMEOUT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Papers:
    """What the papers of a window took."""

    stating_s: float
    reports_s: float
    slowest: dict[str, float]
    """Seconds of all reports of a kind and format together, the longest first."""
    reading_s: float
    """Of reading the window's streams once."""
    before_mb: float
    """The server's memory before."""
    stated_mb: float
    """The most that it had by then."""
    most_mb: float
    """The most that it had by the end."""


def papers_of(bulk: Bulk, window: str, log: Path) -> Papers:
    """State a closed window and fetch its reports; those before it are stated first, unmeasured."""
    reading_s = read_once(bulk, window)
    bulk.ledger.close()
    closed = closed_windows(bulk)
    with child(serve_command(bulk.data_dir), log) as server:
        address = server.answer()["address"]
        with connect(load_profile(bulk.data_dir / "operator", address)) as operator:
            for earlier in closed[: closed.index(window)]:
                settle_window(operator, earlier)
            before = storage.memory_mb(server.pid)["VmRSS"]
            began = time.perf_counter()
            settle_window(operator, window)
            stating_s = time.perf_counter() - began
            stated = storage.memory_mb(server.pid)["VmHWM"]
            took = fetch_reports(operator, window)
            most = storage.memory_mb(server.pid)["VmHWM"]
    return Papers(stating_s, sum(took.values()), took, reading_s, before, stated, most)


def fetch_reports(operator: Connection, window: str) -> dict[str, float]:
    """Have every report of a window made, and fetch it; seconds by kind and format."""
    took: dict[str, float] = {}
    for name in ("", *(each.partner_id for each in PARTNERS)):
        wanted = ListReportsRequest(period=window, partner_id=name)
        for each in operator.call(operator.settlement.ListReports, wanted).reports:
            began = time.perf_counter()
            request = DownloadReportRequest(
                period=window,
                partner_id=name,
                kind=each.kind,
                format=each.format,
                version=each.version,
            )
            for _part in operator.stream(
                operator.settlement.DownloadReport, request, REPORT_TIMEOUT_S
            ):
                pass
            title = f"{each.kind} {each.format}"
            took[title] = took.get(title, 0) + time.perf_counter() - began
    return dict(sorted(took.items(), key=lambda each: -each[1]))


def closed_windows(bulk: Bulk) -> list[str]:
    """Those that are closed and not stated, oldest first."""
    with bulk.engine.connect() as connection:
        return [row[0] for row in QUERIES.closed_windows(connection.connection.dbapi_connection)]


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
        large = closed_windows(filled)[-2]
        papers = papers_of(filled, large, folder / "processes.log")
    how = {"transfers": transfers, "of_small": SMALL, "baseline": "closing the small window"}
    read = {"transfers": transfers, "baseline": "reading the same streams once"}
    memory = {"transfers": transfers, "baseline": "the server before"}
    kinds = {title: rounded(seconds) for title, seconds in papers.slowest.items()}
    return [
        result_of("close_1e6_vs_1e4", "ms", closing, how),
        result_of("stating_1e6", "s", [Pair(papers.stating_s, papers.reading_s)], read),
        result_of("stating_1e6_memory", "MB", [Pair(papers.stated_mb, papers.before_mb)], memory),
        result_of(
            "reports_1e6",
            "s",
            [Pair(papers.reports_s, papers.reading_s)],
            {**read, "seconds": kinds},
        ),
        result_of("reports_1e6_memory", "MB", [Pair(papers.most_mb, papers.before_mb)], memory),
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
