"""The scheduler against a real database, days in a moment: its clock is the test's."""

import asyncio
import hashlib
from datetime import UTC, date, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from exchange import reads
from exchange.batch import Ledger
from exchange.commands import Book, CloseWindow, Command, Fact
from exchange.outcomes import Result
from settlement.calendar import store
from settlement.calendar.cut_off import cut_off_of
from settlement.calendar.metrics import WindowMetrics
from settlement.calendar.scheduler import Scheduler
from settlement.checks.invariants import check_books
from settlement.schemes.scheme import KIND, Scheme, scheme_body
from tests import factories as make
from tests.database import Database
from tests.integration.test_ledger import a_ledger, found

BERLIN = Scheme(make.CURRENCY, "17:30", "Europe/Berlin")
HOUR = timedelta(hours=1)


class Clock:
    """The database's and every host's."""

    def __init__(self) -> None:
        self.now = make.NOW


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(store, "now", lambda _connection: clock.now)
    return clock


class Process:
    """A server process, as far as windows see it."""

    def __init__(self, database: Database, ledger: Ledger, clock: Clock) -> None:
        self.ledger = ledger
        ledger.now = lambda: clock.now
        self.registry = CollectorRegistry()
        self.turn = asyncio.Lock()
        self.scheduler = Scheduler(database.engine(), self.submit, WindowMetrics(self.registry))

    async def submit(self, command: Command) -> Result:
        # A ledger has one thread, as in the sequencer.
        async with self.turn:
            (decided,) = await asyncio.to_thread(self.ledger.run, [command])
        return decided.result

    @property
    def closed(self) -> float:
        name = "pointclear_windows_closed_by_schedule_total"
        return self.registry.get_sample_value(name, {"currency": make.CURRENCY}) or 0


def set_scheme(ledger: Ledger, scheme: Scheme) -> None:
    body = scheme_body(scheme)
    key = f"{KIND}/{scheme.currency}/{hashlib.sha256(body).hexdigest()}"
    ledger.run([Book(key, "application/json", body, facts=(Fact(KIND, scheme.currency),))])


def looks(*processes: Process) -> None:
    """All look at the same moment."""

    async def look() -> None:
        await asyncio.gather(*(each.scheduler.look() for each in processes))

    asyncio.run(look())


def windows(database: Database) -> list[tuple[date, str]]:
    return database.ask("SELECT business_date, state FROM settlement_window ORDER BY window_number")


def test_ten_days_close_once_each_whoever_looks_also_when_the_clock_is_turned(
    database: Database, clock: Clock
) -> None:
    first = Process(database, found(database), clock)
    second = Process(database, a_ledger(database, "second"), clock)
    set_scheme(first.ledger, BERLIN)
    # From the day on which Berlin's clock is turned back, some days over.
    clock.now = datetime(2026, 10, 23, 12, tzinfo=UTC)
    looks(first)
    cut_off = cut_off_of(BERLIN)
    assert cut_off is not None

    for number in range(10):
        day = date(2026, 10, 23) + number * timedelta(days=1)
        assert windows(database)[-1] == (day, "OPEN")
        clock.now = cut_off.on(day) - timedelta(seconds=1)
        looks(first, second)
        assert windows(database)[-1] == (day, "OPEN")
        clock.now = cut_off.on(day)
        looks(first, second)
        looks(second, first)

    closed = [day for day, state in windows(database) if state == "CLOSED"]
    assert closed == [
        make.DAY_ONE,
        *(date(2026, 10, 23) + number * timedelta(days=1) for number in range(10)),
    ]
    assert first.closed + second.closed == len(closed)
    ends = database.ask(
        "SELECT w.business_date, r.recorded_at FROM settlement_window AS w"
        " JOIN record AS r ON r.log_index = w.end_index"
    )
    assert all(recorded_at >= cut_off.on(day) for day, recorded_at in ends)
    with database.connection() as connection:
        assert check_books(connection) == ()


def test_a_window_closed_by_hand_brings_no_other_close_forward(
    database: Database, clock: Clock
) -> None:
    process = Process(database, found(database), clock)
    set_scheme(process.ledger, BERLIN)
    looks(process)
    assert windows(database) == [(make.DAY_ONE, "OPEN")]

    process.ledger.run([CloseWindow(make.WINDOW, None)])
    clock.now += 12 * HOUR
    looks(process)

    assert windows(database) == [(make.DAY_ONE, "CLOSED"), (date(2026, 7, 16), "OPEN")]
    assert process.closed == 0


def test_the_first_window_opens_once_for_whoever_looks_first(
    database: Database, clock: Clock
) -> None:
    with database.connection() as connection:
        reads.QUERIES.ensure_request_partitions(connection, now=make.NOW)
    first = Process(database, a_ledger(database, "first"), clock)
    second = Process(database, a_ledger(database, "second"), clock)
    founding = [each for each in make.founding(make.CAP) if each != make.OPENING]
    first.ledger.run(founding)
    looks(first, second)
    assert windows(database) == []

    set_scheme(first.ledger, BERLIN)
    looks(first, second)
    looks(second)

    assert windows(database) == [(make.DAY_ONE, "OPEN")]


def test_after_days_without_a_server_the_next_window_is_that_of_the_running_day(
    database: Database, clock: Clock
) -> None:
    process = Process(database, found(database), clock)
    set_scheme(process.ledger, BERLIN)
    clock.now += timedelta(days=5)
    restarted = Process(database, a_ledger(database, "restarted"), clock)

    looks(restarted)

    assert windows(database) == [(make.DAY_ONE, "CLOSED"), (date(2026, 7, 20), "OPEN")]


def test_t23_a_clock_that_steps_back_closes_nothing_twice_and_nothing_early(
    database: Database, clock: Clock
) -> None:
    process = Process(database, found(database), clock)
    set_scheme(process.ledger, BERLIN)
    cut_off = datetime(2026, 7, 15, 15, 30, tzinfo=UTC)
    clock.now = cut_off
    looks(process)
    before = windows(database)
    assert before == [(make.DAY_ONE, "CLOSED"), (date(2026, 7, 16), "OPEN")]

    for back in (HOUR, 30 * HOUR, timedelta(0)):
        clock.now = cut_off - back
        looks(process)
        assert windows(database) == before

    # A host that is a day behind the database's clock is refused by the log's.
    process.ledger.now = lambda: cut_off
    clock.now = cut_off + 24 * HOUR
    looks(process)
    assert windows(database) == before
    process.ledger.now = lambda: clock.now
    looks(process)
    assert windows(database)[1:] == [(date(2026, 7, 16), "CLOSED"), (date(2026, 7, 17), "OPEN")]


def test_a_new_cut_off_holds_from_the_next_look_on_and_none_leaves_closing_to_people(
    database: Database, clock: Clock
) -> None:
    process = Process(database, found(database), clock)
    set_scheme(process.ledger, BERLIN)
    looks(process)
    assert windows(database) == [(make.DAY_ONE, "OPEN")]

    set_scheme(process.ledger, Scheme(make.CURRENCY, "13:59", "Europe/Berlin"))
    looks(process)
    assert windows(database)[-1] == (date(2026, 7, 16), "OPEN")

    set_scheme(process.ledger, Scheme(make.CURRENCY))
    clock.now += timedelta(days=9)
    looks(process)
    assert windows(database)[-1] == (date(2026, 7, 16), "OPEN")


def test_a_zone_that_a_host_does_not_know_holds_up_no_other_currency_and_ends_nothing(
    database: Database, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    process = Process(database, found(database), clock)
    set_scheme(process.ledger, Scheme(make.CURRENCY, "17:30", "Mars/Olympus"))

    looks(process)
    looks(process)

    told = [
        each.message for each in caplog.records if "Mars" in each.message or "waits" in each.message
    ]
    assert len(told) == 1
    assert make.WINDOW in told[0]
    assert windows(database) == [(make.DAY_ONE, "OPEN")]
