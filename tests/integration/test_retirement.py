"""RETIRE and ISSUE against a real PostgreSQL: what an acknowledgement confirms, whatever the order
in which brands acknowledge, and what a reversal takes back after it.
"""

from exchange.batch import Ledger
from exchange.commands import Book, CloseWindow, Fact
from exchange.ledger.accounts import PointsAccount, points_account
from settlement.approval.retirement import holdings_of, retire_and_issue
from settlement.checks.invariants import check_books
from tests import factories as make
from tests.database import Database
from tests.integration.test_ledger import a_ledger, balances, found

KIND = "acknowledged"


def acknowledge(database: Database, ledger: Ledger, brand: str, window: int) -> None:
    """What settlement books when a brand has acknowledged a window."""
    number = ledger.registry.partners[brand].number
    with database.connection() as connection:
        postings = retire_and_issue(holdings_of(connection, number, window, KIND))
    fact = Fact(KIND, make.CURRENCY, number, window)
    key = f"acknowledged/{window}/{brand}"
    book = Book(key, "application/json", b"{}", postings, make.CURRENCY, facts=(fact,))
    (decided,) = ledger.run([book])
    assert decided.refusal is None


def points(database: Database, ledger: Ledger, brand: str) -> tuple[int, ...]:
    """Members, issuer, redeemed and granted."""
    unit = ledger.registry.points_unit(brand).number
    held = balances(database)
    return tuple(held[points_account(unit, which)].posted for which in PointsAccount)


def test_windows_confirm_what_they_count_in_whatever_order_and_reversals_after_that_are_whole(
    database: Database,
) -> None:
    ledger = found(database)
    ledger.run([make.an_order(1), CloseWindow(make.WINDOW, None)])
    ledger.run([make.an_order(2, source_points=40), CloseWindow(make.NEXT_WINDOW, None)])
    ledger.run([make.an_order(3, source_points=10)])
    assert points(database, ledger, "grocery") == (-150, 0, 150, 0)
    acknowledge(database, ledger, "grocery", 2)
    assert points(database, ledger, "grocery") == (-150, 40, 110, 0)
    acknowledge(database, ledger, "fuel", 1)
    assert points(database, ledger, "fuel") == (75, -50, 0, -25)
    acknowledge(database, ledger, "grocery", 1)
    assert points(database, ledger, "grocery") == (-150, 140, 10, 0)
    # Another process, which knows nothing of these accounts yet, books the first transfer back.
    (decided,) = a_ledger(database, "another").run([make.reverse(points=50)])
    assert decided.refusal is None
    assert points(database, ledger, "grocery") == (-50, 50, 0, 0)
    assert points(database, ledger, "fuel") == (25, -25, 0, 0)
    with database.connection() as connection:
        assert check_books(connection) == ()
