"""Windows close one after the other while transfers and reversals are written by several processes'
ledgers: every one of them is in exactly the window of its place in the log, and none is lost.
"""

import threading
from datetime import timedelta
from itertools import count, cycle, islice

from exchange.batch import Ledger
from exchange.commands import CloseWindow, Command
from exchange.fold import window_id
from exchange.outcomes import Recorded, Result, Reversed
from settlement.checks.invariants import check_books
from tests import factories as make
from tests.database import Database
from tests.integration.test_ledger import a_ledger, found

CLOSES = 400
BATCHES = (1, 1, 2, 7)
"""Orders in a batch, by turns: most closes fall between small ones."""

ASTRAY = """
SELECT r.log_index, p.numbers, w.window_number
FROM record AS r
JOIN (
    SELECT log_index, array_agg(DISTINCT window_number) AS numbers FROM posting GROUP BY log_index
) AS p USING (log_index)
LEFT JOIN settlement_window AS w
    ON r.log_index >= w.first_index AND (w.end_index IS NULL OR r.log_index < w.end_index)
WHERE r.kind IN (1, 6) AND p.numbers IS DISTINCT FROM ARRAY[w.window_number]
"""
"""Transfers and reversals whose postings are not all in the one window that holds their index."""


class Writer(threading.Thread):
    """Orders, and takes back some of what it ordered before, until it is told that it is over."""

    def __init__(self, ledger: Ledger, source: str, target: str, first: int) -> None:
        super().__init__()
        self.ledger = ledger
        self.target = target
        self.under = make.terms(source, target)
        self.numbers = count(first)
        self.over = threading.Event()
        self.results: list[Result] = []
        self.failure: BaseException | None = None

    def run(self) -> None:
        before: list[int] = []
        try:
            for size in cycle(BATCHES):
                if self.over.is_set():
                    return
                before = self.write(list(islice(self.numbers, size)), before)
        except BaseException as error:
            self.failure = error

    def write(self, numbers: list[int], before: list[int]) -> list[int]:
        points = 10 * self.under.increment_source_points
        commands: list[Command] = [
            make.an_order(each, self.under, source_points=points) for each in numbers
        ]
        # Often in another window than what they take back.
        commands += [make.reverse(each, each, 1, self.target) for each in before[::3]]
        self.results.extend(each.result for each in self.ledger.run(commands))
        return numbers


def test_every_transfer_is_in_exactly_one_window_under_hundreds_of_closes_in_a_loop(
    database: Database,
) -> None:
    found(database, cap=1 << 50)
    # A ledger each, as processes of their own have.
    writers = [
        Writer(a_ledger(database, "one"), "grocery", "fuel", 1),
        Writer(a_ledger(database, "two"), "fuel", "deli", 1 << 24),
    ]
    closing = a_ledger(database, "closing")
    for each in writers:
        each.start()
    try:
        for day in range(CLOSES):
            name = window_id(make.CURRENCY, make.DAY_ONE + timedelta(days=day))
            (closed,) = closing.run([CloseWindow(name, None)])
            assert closed.refusal is None
    finally:
        for each in writers:
            each.over.set()
        for each in writers:
            each.join()
    assert [each.failure for each in writers] == [None, None]
    results = [result for each in writers for result in each.results]
    assert all(isinstance(each, Recorded | Reversed) and not each.refusal for each in results)
    assert database.ask(ASTRAY) == []
    ((stored,),) = database.ask("SELECT count(*) FROM record WHERE kind IN (1, 6)")
    assert stored == len(results) > 0
    ((windows, gaps),) = database.ask(
        "SELECT count(*), count(*) FILTER (WHERE first_index <> ended) FROM (SELECT first_index,"
        " lag(end_index, 1, first_index) OVER (ORDER BY window_number) AS ended"
        " FROM settlement_window) AS chain"
    )
    assert (windows, gaps) == (CLOSES + 1, 0)
    with database.connection() as connection:
        assert not check_books(connection)
