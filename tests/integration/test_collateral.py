"""Draws, withdrawals and journals against a real PostgreSQL: each account's file confirms its side,
the cap of a PREPAID partner follows at once, and no cap refuses a journal.
"""

import pytest

from exchange.batch import Ledger
from exchange.cap_alerts import PAST_CAP
from exchange.commands import Book, CloseWindow, Command, WindowStep
from exchange.fold import fold
from exchange.ledger.accounts import (
    HubAccount,
    collateral_account,
    hub_account,
    position_account,
)
from exchange.ledger.postings import Code, Phase, Posting, PostingRef
from exchange.outcomes import Booked
from exchange.reading.position import Position, read_position
from partners.errors import Reason
from partners.limits.values import Funding, Headroom, PartnerLimits
from settlement.bank.store import expected_payments
from settlement.checks.invariants import check_books
from settlement.collateral.movements import (
    Depositor,
    draw_entry,
    recall_entry,
    refusal_entry,
    withdrawal_entry,
)
from settlement.collateral.store import MovementKind, depositor, movements, standing
from settlement.journals.journal import Journal, JournalKind, check_journal, journal_entry
from settlement.journals.store import journal_of, journals, parties
from tests import factories as make
from tests.database import Database
from tests.integration.test_funding import top_up
from tests.integration.test_ledger import a_ledger, found
from tests.property.test_t33_caps import MONEY

SETTLEMENT, COLLATERAL = (
    hub_account(MONEY, which) for which in (HubAccount.BANK_SETTLEMENT, HubAccount.BANK_COLLATERAL)
)
COST = 50 * 19_600 + 9_800 + 588
"""Of 100 points from grocery to fuel."""
WITHOUT_FILES = {"mirror_is_the_banks_closing"}
"""The rules that miss the bank's files here."""


def carried_out(ledger: Ledger, *commands: Command) -> None:
    assert [each.refusal for each in ledger.run(commands)] == [None] * len(commands)


def of(database: Database, brand: str) -> Depositor:
    with database.connection() as connection:
        return depositor(connection, brand)


def position(database: Database, brand: str) -> Position:
    with database.connection() as connection:
        found = read_position(connection, brand)
    assert found is not None
    return found


def bank_file(database: Database, mirror: int, name: str) -> Book:
    """All that waits on one of the accounts, made by the bank."""
    with database.connection() as connection:
        expected = expected_payments(connection, mirror)
    postings = tuple(each.confirms for each in expected)
    return Book(f"bank/{name}", "text/csv", name.encode(), postings, make.CURRENCY)


def rules_broken(database: Database) -> set[str]:
    with database.connection() as connection:
        return {each.rule for each in check_books(connection)} - WITHOUT_FILES


@pytest.mark.parametrize("first", [SETTLEMENT, COLLATERAL])
def test_a_draw_is_confirmed_by_each_accounts_own_file_and_never_counts_twice(
    database: Database, first: int
) -> None:
    ledger = found(database)
    prepaid = make.set_limits(1, PartnerLimits("grocery", Funding.PREPAID))
    carried_out(ledger, prepaid, top_up(1, "grocery", 3 * COST), make.an_order(1))
    grocery = of(database, "grocery")
    entry = draw_entry(grocery, COST, 1)
    carried_out(ledger, entry, entry)
    # Gone from the collateral, not yet on the position.
    assert position(database, "grocery").net_debit_cap == 2 * COST
    assert position(database, "grocery").balance == -COST
    with database.connection() as connection:
        at_settlement = expected_payments(connection, SETTLEMENT)
        at_collateral = expected_payments(connection, COLLATERAL)
        shown = movements(connection, grocery)
    assert [each.amount for each in (*at_settlement, *at_collateral)] == [COST, -COST]
    assert {each.reference for each in (*at_settlement, *at_collateral)} == {
        entry.entry_key.removeprefix("leg/")
    }
    assert [(each.kind, each.amount, each.is_confirmed) for each in shown] == [
        (MovementKind.DRAW, -COST, False),
    ]
    second = COLLATERAL if first == SETTLEMENT else SETTLEMENT
    carried_out(ledger, bank_file(database, first, "1"))
    carried_out(a_ledger(database, "another"), bank_file(database, second, "2"))
    after = position(database, "grocery")
    assert (after.balance, after.collateral, after.net_debit_cap) == (0, 2 * COST, 2 * COST)
    assert after.headroom == 2 * COST
    # Nothing was stated here that the draw could pay.
    assert rules_broken(database) == {"position_is_carried_unpaid_and_unstated"}


def test_a_draw_of_more_than_there_is_is_refused(database: Database) -> None:
    ledger = found(database)
    carried_out(ledger, top_up(1, "grocery", 5))
    (decided,) = ledger.run([draw_entry(of(database, "grocery"), 6, 1)])
    assert decided.refusal is not None
    assert decided.refusal.reason is Reason.LIMIT_EXCEEDED


def test_what_covers_a_debt_is_not_let_go_and_of_two_decisions_the_first_counts(
    database: Database,
) -> None:
    ledger = found(database)
    carried_out(ledger, top_up(1, "grocery", 2 * COST), make.an_order(1))
    grocery = of(database, "grocery")
    with database.connection() as connection:
        assert standing(connection, grocery).free == COST
    (decided,) = ledger.run([withdrawal_entry(grocery, "a", 900, COST + 1)])
    assert decided.refusal is not None
    assert decided.refusal.reason is Reason.COLLATERAL_NEEDED
    assert decided.refusal.metadata == {"freeUnits": str(COST)}
    let_go, refused = withdrawal_entry(grocery, "a", 900, COST), refusal_entry(grocery, "a", 900)
    first, second = ledger.run([let_go, refused])
    assert first.refusal is None
    assert second.refusal is not None
    assert second.refusal.reason is Reason.ALREADY_EXISTS
    assert isinstance(first.result, Booked)
    # It is taken back, and what the bank then says it made has no place.
    file = bank_file(database, COLLATERAL, "1")
    reference = let_go.entry_key.removeprefix("leg/")
    recall = recall_entry(grocery, "a", reference, COST, first.result.log_index)
    carried_out(ledger, recall)
    (late,) = ledger.run([file])
    assert late.refusal is not None
    with database.connection() as connection:
        assert standing(connection, grocery).balance == 2 * COST
    # Nobody has signed for it here.
    assert rules_broken(database) == {"withdrawals_were_asked_for"}


def a_journal(**changes: object) -> Journal:
    fields: dict[str, object] = {
        "kind": JournalKind.ADJUSTMENT,
        "currency": make.CURRENCY,
        "payer": "grocery",
        "payee": "fuel",
        "amount": 2 * make.CAP,
        "relates_to": make.WINDOW,
        "reason": "the rate of last month",
        "maker": "ada",
        "checker": "ben",
        "action_id": "0190-1",
    }
    return check_journal(Journal(**fields | changes))  # type: ignore[arg-type]


def test_no_cap_refuses_a_journal_and_it_is_told_part_of_the_net_and_found_again(
    database: Database,
) -> None:
    ledger = found(database)
    with database.connection() as connection:
        unit, partners = parties(connection, make.CURRENCY)
    assert unit == MONEY
    off = a_journal(
        kind=JournalKind.WRITE_OFF, payer="hub.losses", payee="deli", amount=7, action_id="0190-2"
    )
    entries = [journal_entry(each, unit, partners) for each in (a_journal(), off)]
    alerts = fold(make.a_state(), entries, make.NOW).alerts
    assert [(each.partner_number, each.level) for each in alerts] == [(1, PAST_CAP)]
    carried_out(ledger, *entries, *entries)
    assert position(database, "grocery").open == -2 * make.CAP
    assert position(database, "deli").open == 7
    with database.connection() as connection:
        booked = journal_of(connection, "0190-1")
        assert booked is not None
        assert (booked.journal, booked.window_id) == (a_journal(), make.WINDOW)
        assert [each.journal.action_id for each in journals(connection, None, "deli", None)] == [
            "0190-2"
        ]
        related = journals(connection, make.CURRENCY, None, make.WINDOW)
        assert [each.journal.action_id for each in related] == ["0190-1", "0190-2"]
    # In the next window, after a close, as the log has it.
    carried_out(ledger, CloseWindow(make.WINDOW, None))
    later = a_journal(payer="fuel", payee="grocery", action_id="0190-3")
    carried_out(ledger, journal_entry(later, unit, partners))
    with database.connection() as connection:
        booked = journal_of(connection, "0190-3")
    assert booked is not None
    assert booked.window_id == make.NEXT_WINDOW
    assert rules_broken(database) == {"adjustments_were_ordered"}


def test_what_was_paid_of_a_window_is_no_debt_and_the_rest_is_free_when_it_is_settled(
    database: Database,
) -> None:
    """A creditor whose credits wait is paid without collateral; aborted, its credits wait on."""
    ledger = found(database)
    waits = PartnerLimits("fuel", Funding.CAPPED, 0, headroom=Headroom.WHEN_SETTLED)
    carried_out(ledger, make.set_limits(1, waits), make.an_order(1))
    value = 50 * 19_600
    assert position(database, "fuel").credits_held == value
    carried_out(ledger, CloseWindow(make.WINDOW, None))
    steps = ("CLOSED", "PENDING_SETTLEMENT", "ABORTED")
    money_in = Posting(Code.PAY_IN, SETTLEMENT, position_account(MONEY, 1), 2 * value)
    pay = Posting(Code.PAY_OUT, position_account(MONEY, 2), SETTLEMENT, value - 500, Phase.PENDING)

    def leg(name: str, window: str) -> Book:
        return Book(f"leg/{name}", "a/b", b"", (pay,), make.CURRENCY, pays=window)

    def step(window: str, before: str, after: str) -> Book:
        move = WindowStep(window, before, after)
        return Book(f"{after}/{window}", "a/b", b"", step=move)

    carried_out(ledger, Book("in", "a/b", b"", (money_in,), make.CURRENCY))
    carried_out(ledger, step(make.WINDOW, *steps[:2]))
    (decided,) = ledger.run([leg("one", make.WINDOW)])
    assert decided.refusal is None
    assert isinstance(decided.result, Booked)
    assert position(database, "fuel").credits_held == 500
    void = Posting(
        pay.code,
        pay.debit,
        pay.credit,
        pay.amount,
        Phase.VOIDS,
        PostingRef(decided.result.log_index, 0),
    )
    carried_out(
        a_ledger(database, "b"),
        Book("cancelled/one", "a/b", b"", (void,), make.CURRENCY, pays=make.WINDOW),
        step(make.WINDOW, *steps[1:]),
    )
    assert position(database, "fuel").credits_held == value
    # The next window takes over what the aborted one did not pay.
    carried_out(ledger, CloseWindow(make.NEXT_WINDOW, None))
    carried_out(ledger, step(make.NEXT_WINDOW, *steps[:2]), leg("two", make.NEXT_WINDOW))
    assert position(database, "fuel").credits_held == 500
    assert position(database, "fuel").headroom == 0
    carried_out(ledger, step(make.NEXT_WINDOW, "PENDING_SETTLEMENT", "SETTLED"))
    assert position(database, "fuel").credits_held == 0
    assert position(database, "fuel").headroom == 500
    with database.connection() as connection:
        broken = {each.rule for each in check_books(connection)}
    assert not broken & {"window_credits_are_their_postings", "credits_that_wait_are_unsettled"}


def test_collateral_is_no_position(database: Database) -> None:
    ledger = found(database)
    carried_out(ledger, top_up(1, "grocery", 5))
    assert position(database, "grocery").balance == 0
    assert position(database, "grocery").collateral == 5
    carried_out(ledger, CloseWindow(make.WINDOW, None))
    ((amount,),) = database.ask(
        "SELECT credits_posted FROM balance WHERE account_number = %s", collateral_account(MONEY, 1)
    )
    assert amount == 5
    assert rules_broken(database) == set()
