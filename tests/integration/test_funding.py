"""Caps, collateral and credits that wait, against a real PostgreSQL: what the fold decides is what
is written, loaded again by another process, and held by the database's last line.
"""

from pathlib import Path
from random import Random

import psycopg2
import pytest

from exchange.commands import Book, CloseWindow, Command
from exchange.embedded_postgres import OWNER_ROLE
from exchange.ledger import migration
from exchange.ledger.accounts import HubAccount, collateral_account, hub_account
from exchange.ledger.postings import Code, Posting
from exchange.reading.position import read_position
from partners.errors import Reason
from partners.limits.values import Funding, Headroom, PartnerLimits
from settlement.checks.invariants import check_books
from tests import factories as make
from tests.database import Database
from tests.integration.test_ledger import a_ledger, balances, found, sums
from tests.property.test_t33_caps import MONEY, NUMBERS, Story

OURS = {"window_credits_are_their_postings", "credits_that_wait_are_unsettled"}


def top_up(number: int, brand: str, amount: int) -> Book:
    own = collateral_account(MONEY, NUMBERS[brand])
    lies = hub_account(MONEY, HubAccount.BANK_COLLATERAL)
    posting = Posting(Code.TOP_UP, lies, own, amount)
    return Book(f"top-up/{number}", "application/json", b"{}", (posting,), make.CURRENCY)


@pytest.mark.parametrize("seed", range(4))
def test_t33_what_is_written_is_what_was_decided_whoever_goes_on(
    database: Database, seed: int
) -> None:
    random, story = Random(seed), Story(Random(f"database {seed}"))
    ledger = found(database)
    batch: list[Command] = []
    for step in range(1, 81):
        story.step = step
        command = story.next()
        story.carry_out(command)
        batch.append(command)
        if random.random() < 0.4:
            if random.random() < 0.3:
                ledger = a_ledger(database, f"process {step}")
            ledger.run(batch)
            batch.clear()
    ledger.run(batch)
    assert balances(database) == dict(story.state.balances)
    assert sums(database) == dict(story.state.window_sums)
    with database.connection() as connection:
        assert not OURS & {each.rule for each in check_books(connection)}


def test_a_prepaid_partner_goes_as_far_as_its_collateral_and_the_database_holds_it(
    database: Database,
) -> None:
    ledger = found(database)
    ledger.run([make.set_limits(1, PartnerLimits("grocery", Funding.PREPAID))])
    (refused,) = ledger.run([make.an_order(1)])
    assert refused.refusal is not None
    assert refused.refusal.reason is Reason.NET_DEBIT_CAP_EXCEEDED
    cost = 50 * 19_600 + 9_800 + 588
    ledger.run([top_up(1, "grocery", cost)])
    (passed, beyond) = ledger.run([make.an_order(2), make.an_order(3, source_points=10)])
    assert passed.refusal is None
    assert beyond.refusal is not None
    # What it is credited waits.
    back = make.an_order(4, make.terms("fuel", "grocery"), source_points=100)
    assert ledger.run([back])[0].refusal is None
    again = a_ledger(database, "another").run([make.an_order(5, source_points=10)])
    assert again[0].refusal is not None
    with database.connection() as connection:
        position = read_position(connection, "grocery")
    assert position is not None
    assert (position.net_debit_cap, position.headroom) == (cost, 0)
    assert position.credits_held > 0
    with pytest.raises(psycopg2.Error) as broken:
        database.tell(
            "UPDATE balance SET debits_posted = debits_posted + 1 FROM account"
            " WHERE account.account_number = balance.account_number AND name = 'grocery.position'"
        )
    assert broken.value.diag.constraint_name == "balance_floor"
    # From now on it counts at once, what waits too.
    ledger = a_ledger(database, "a third")
    limits = PartnerLimits("grocery", Funding.PREPAID, headroom=Headroom.AT_COMMIT)
    ledger.run([make.set_limits(2, limits)])
    assert ledger.run([make.an_order(6, source_points=10)])[0].refusal is None
    # And waits again.
    ledger.run([make.set_limits(3, PartnerLimits("grocery", Funding.PREPAID))])
    assert ledger.run([make.an_order(7, source_points=10)])[0].refusal is not None
    with database.connection() as connection:
        # No bank file tells of the top-up here.
        rules = {each.rule for each in check_books(connection)}
    assert rules == {"mirror_is_the_banks_closing"}


def section_of_the_migration() -> str:
    """What revision 18 does about credits that wait."""
    text = (Path(migration.__file__).parent / "migrations/0018_finance.sql").read_text("utf-8")
    begins = text.index("-- Credits that wait until their window is settled")
    last = "ADD CONSTRAINT balance_floor"
    return text[begins : text.index(";", text.index(last, begins)) + 1]


def test_a_database_from_before_counts_the_credits_that_its_journal_has(
    database: Database,
) -> None:
    ledger = found(database)
    ledger.run(
        [
            make.set_limits(1, PartnerLimits("grocery", Funding.PREPAID, transfers_per_day=500)),
            make.set_limits(2, PartnerLimits("deli", Funding.POSTPAID)),
            make.set_limits(3, PartnerLimits("fuel", Funding.POSTPAID, 2 * make.CAP)),
            top_up(1, "grocery", make.CAP),
        ]
    )
    under = (("grocery", "fuel"), ("fuel", "grocery"), ("deli", "grocery"))
    ledger.run([make.an_order(n, make.terms(*pair)) for n, pair in enumerate(under, 1)])
    ledger.run([CloseWindow(make.WINDOW, None), make.an_order(9, make.terms("fuel", "grocery"))])
    ledger.run([make.reverse(points=20)])
    kept, credits_ = balances(database), sums(database)
    assert any(each.credits_held for each in kept.values())
    undo = (
        "ALTER TABLE balance DROP CONSTRAINT balance_floor; DROP TABLE window_credit;"
        " ALTER TABLE balance DROP COLUMN credits_held;"
        # As a POSTPAID partner stood then.
        " UPDATE balance SET floor = 0, lowest = credits_posted - debits_posted - debits_pending"
        " FROM account AS a WHERE a.account_number = balance.account_number"
        " AND a.name = 'deli.position';"
        " ALTER TABLE balance ADD CONSTRAINT balance_floor"
        " CHECK (credits_posted - debits_posted - debits_pending >= lowest);"
    )
    database.tell(undo, role=OWNER_ROLE)
    database.tell(section_of_the_migration(), role=OWNER_ROLE)
    assert balances(database) == kept
    assert sums(database) == credits_
    # And it goes on from there.
    (decided,) = a_ledger(database, "later").run([make.an_order(10)])
    assert decided.refusal is None
    with database.connection() as connection:
        assert OURS.isdisjoint(each.rule for each in check_books(connection))


def test_a_postpaid_partner_has_no_cap_unless_one_is_set(database: Database) -> None:
    ledger = found(database, cap=0)
    assert ledger.run([make.an_order(1)])[0].refusal is not None
    ledger.run([make.set_limits(1, PartnerLimits("grocery", Funding.POSTPAID))])
    assert ledger.run([make.an_order(2)])[0].refusal is None
    with database.connection() as connection:
        position = read_position(connection, "grocery")
    assert position is not None
    assert (position.net_debit_cap, position.headroom, position.alert_level) == (None, 0, 0)
    ledger.run([make.set_limits(2, PartnerLimits("grocery", Funding.POSTPAID, 5))])
    assert ledger.run([make.an_order(3)])[0].refusal is not None
    with database.connection() as connection:
        assert check_books(connection) == ()
