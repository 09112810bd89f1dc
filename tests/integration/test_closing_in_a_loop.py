"""Two processes close window after window while orders come in: each closes once, and every
transfer is in exactly one.
"""

import threading
from datetime import timedelta

from exchange.batch import Ledger
from exchange.commands import CloseWindow, Command
from exchange.outcomes import Booked, Recorded, Repeated
from settlement.checks.invariants import check_books
from tests import factories as make
from tests.database import Database
from tests.integration.test_ledger import a_ledger, found

BATCHES = 200
CLOSES_IN_EACH = 10
ROOMY = 10**15


def batch(process: int, number: int) -> list[Command]:
    """Orders, and between any two of them the close of another day's window."""
    commands: list[Command] = []
    for place in range(CLOSES_IN_EACH):
        place += number * CLOSES_IN_EACH
        commands.append(make.an_order(1 + process * 100_000 + place))
        day = make.DAY_ONE + timedelta(days=place)
        commands.append(CloseWindow(f"cny-{day}", None))
    return commands


def test_two_thousand_closes_by_two_processes_lose_no_transfer_and_count_none_twice(
    database: Database,
) -> None:
    first = found(database, ROOMY)
    second = a_ledger(database, "second")
    closed: list[int] = []
    sent: list[int] = []

    def work(process: int, ledger: Ledger) -> None:
        for number in range(BATCHES):
            for decided in ledger.run(batch(process, number)):
                match decided.result:
                    case Recorded(refusal=None, log_index=index):
                        sent.append(index)
                    case Booked(log_index=index):
                        closed.append(index)
                    case Repeated():
                        pass
                    case other:
                        raise AssertionError(other)

    failed: list[BaseException] = []

    def guarded(process: int, ledger: Ledger) -> None:
        try:
            work(process, ledger)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=each) for each in ((0, first), (1, second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed

    # Whoever came first closed a window, and the other was answered as a repeat.
    days = BATCHES * CLOSES_IN_EACH
    assert len(closed) == days
    assert len(sent) == 2 * days
    ends = database.ask("SELECT end_index FROM settlement_window WHERE state = 'CLOSED'")
    assert sorted(closed) == sorted(end for (end,) in ends)
    holding = database.ask(
        "SELECT t.log_index, count(*) FROM unnest(%s::bigint[]) AS t (log_index)"
        " JOIN settlement_window AS w ON w.first_index <= t.log_index"
        " AND (w.end_index IS NULL OR t.log_index < w.end_index)"
        " GROUP BY t.log_index",
        sent,
    )
    assert dict.fromkeys(sent, 1) == dict(holding)
    with database.connection() as connection:
        assert check_books(connection) == ()
