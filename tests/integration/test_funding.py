"""Caps, collateral and credits that wait, against a real PostgreSQL: what the fold decides is what
is written, loaded again by another process, and held by the database's last line.
"""

from random import Random

import psycopg2
import pytest

from exchange.commands import Book, Command
from exchange.ledger.accounts import HubAccount, collateral_account, hub_account
from exchange.ledger.postings import Code, Posting
from exchange.reading.position import read_position
from partners.errors import Reason
from partners.limits.values import Funding, Headroom, PartnerLimits
from settlement.invariants import check_books
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
