"""What it costs to close a window, and what that costs those who order meanwhile.

`close_1e6_vs_1e4` is the time of the close command alone, the ledger's whole transaction about it,
on a window of a million transfers and on windows of ten thousand. A window closes once, so the
transaction is rehearsed as often as is wanted: everything is done, and rolled back at its end. Then
it is closed.

`close_p99_ratio` is what orders take through gRPC, the 99th of a hundred, while the operator closes
one window after the other, and right after that while it closes none. `stating_p99_ratio` is the
same while those windows are stated.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlalchemy import create_engine

from exchange import embedded_postgres
from exchange.cli.connection import connect
from exchange.cli.demo.coalition import CURRENCY
from exchange.cli.profile import load_profile
from exchange.cli.settlement.settlement_commands import settle_window
from exchange.commands import CloseWindow
from exchange.embedded_postgres import SERVICE_ROLE
from exchange.fold import window_id
from exchange.store.session import Execution
from partners.queries import load_queries
from pointclear.settlement.v1.settlement_service_pb2 import CloseWindowRequest, ListWindowsRequest
from tests.bench.bulk import Bulk
from tests.bench.load import Load, Rate
from tests.bench.measures import Pair

QUERIES = load_queries(Path(__file__).parent / "closing.sql")
SMALL = 10_000
REHEARSALS = 20
CLOSE_EVERY_S = 0.5


# The command


def rehearsed_ms(bulk: Bulk) -> list[float]:
    """What closing the open window takes, in milliseconds, with all but the commit itself."""
    took = []
    command = CloseWindow(window_id(CURRENCY, bulk.day), None)
    with patch("exchange.batch.commit", rolled_back):
        for _ in range(REHEARSALS + 1):
            began = time.perf_counter()
            bulk.ledger.run([command])
            took.append(1000 * (time.perf_counter() - began))
    return took[1:]


def rolled_back(connection: Any, writes: Iterable[Execution]) -> None:
    """What `exchange.store.session.commit` does, undone by the database at its end."""
    with connection.cursor() as cursor:
        texts = [
            cursor.mogrify(f"EXECUTE {name} ({', '.join(['%s'] * len(parameters))})", parameters)
            for name, parameters in writes
        ]
        cursor.execute(b";".join([*texts, b"ROLLBACK"]))


def close_pairs(bulk: Bulk, transfers: int, told: Callable[[int], None]) -> list[Pair]:
    """Milliseconds of closing a window of so many transfers, each beside those of small windows
    before and after it.
    """
    found = []
    for size in (SMALL, transfers, SMALL):
        bulk.fill(size, told)
        found.append(rehearsed_ms(bulk))
        bulk.close()
    before, large, after = found
    small = [each for pair in zip(before, after, strict=True) for each in pair]
    return [Pair(*each) for each in zip(large, small[::2], strict=True)]


# Those who order meanwhile


@dataclass(frozen=True, slots=True)
class Closings:
    """A server under load whose windows are closed and stated."""

    data_dir: Path
    address: str
    load: Load

    def p99_pair(self, in_flight: int) -> Pair:
        """Milliseconds, the 99th of a hundred orders: while windows close, and while none does.

        Raises RuntimeError unless every order that was answered is in the window that was open.
        """
        before = self.counts()
        with self.beside(self.close_one):
            closing = self.load.transfers(1, in_flight)
        rate = self.load.transfers(1, in_flight)
        self.check(before, [closing, rate])
        return Pair(closing.p99_ms, rate.p99_ms)

    def stating_pair(self, in_flight: int) -> Pair:
        """The same while the windows that were closed are stated, one after the other."""
        closed = iter(self.closed_windows())

        def state_one() -> bool:
            window = next(closed, None)
            if window is None:
                return False
            with connect(load_profile(self.data_dir / "operator", self.address)) as operator:
                settle_window(operator, window)
            return True

        with self.beside(state_one, pause_s=0):
            stating = self.load.transfers(1, in_flight)
        return Pair(stating.p99_ms, self.load.transfers(1, in_flight).p99_ms)

    def close_one(self) -> bool:
        """Close the open window."""
        with connect(load_profile(self.data_dir / "operator", self.address)) as operator:
            windows = operator.call(operator.settlement.ListWindows, ListWindowsRequest()).windows
            newest = max(windows, key=lambda each: date.fromisoformat(each.business_date))
            operator.call(
                operator.settlement.CloseWindow, CloseWindowRequest(window_id=newest.window_id)
            )
        return True

    def closed_windows(self) -> list[str]:
        """Those that are closed and not stated, oldest first."""
        return [row[0] for row in self.read(QUERIES.closed_windows)]

    @contextmanager
    def beside(self, act: Callable[[], bool], pause_s: float = CLOSE_EVERY_S) -> Iterator[None]:
        """Act again and again beside the block, until it ends or nothing is left to do; raises what
        that raised.
        """
        over = threading.Event()
        failed: list[Exception] = []

        def work() -> None:
            try:
                while not over.wait(pause_s) and act():
                    pass
            except Exception as error:
                failed.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        if failed:
            raise failed[0]

    def counts(self) -> tuple[int, int]:
        """Committed transfers, and those of them that are not in exactly the window of their place
        in the log.
        """
        (row,) = self.read(QUERIES.counts)
        return row[0], row[1]

    def check(self, before: tuple[int, int], rates: list[Rate]) -> None:
        """Raise RuntimeError where a transfer was lost, or came into another window."""
        transfers, astray = self.counts()
        answered = sum(each.calls for each in rates)
        if astray or transfers - before[0] != answered:
            raise RuntimeError(
                f"{answered} orders were answered and {transfers - before[0]} recorded while "
                f"windows closed, {astray} of all in another window than their place says"
            )

    def read(self, query: Callable[[Any], Iterable[Any]]) -> list[Any]:
        """What a query finds in the server's database."""
        with embedded_postgres.start(self.data_dir) as server:
            engine = create_engine(server.url(SERVICE_ROLE))
            with engine.connect() as opened:
                rows = list(query(opened.connection.dbapi_connection))
            engine.dispose()
        return rows
