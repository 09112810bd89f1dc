"""Journals that finance books by hand: which there can be, and what they post."""

import json

import pytest

from exchange.ledger.accounts import HubAccount, hub_account, position_account
from exchange.ledger.postings import Code
from partners.errors import Reason, Refused
from partners.points import POINTS_MAX
from settlement.journals.journal import (
    Journal,
    JournalKind,
    check_journal,
    journal_entry,
    journal_from,
)

UNIT, PARTNERS = 9, {"aurora": 1, "borealis": 2}


def a_journal(**changes: object) -> Journal:
    fields: dict[str, object] = {
        "kind": JournalKind.ADJUSTMENT,
        "currency": "USD",
        "payer": "aurora",
        "payee": "borealis",
        "amount": 5,
        "relates_to": "usd-2017-01-01",
        "reason": "a rate of last month",
        "maker": "ada",
        "checker": "ben",
        "action_id": "01900000-0000-7000-8000-000000000000",
    }
    return Journal(**fields | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": 0}, "amount"),
        ({"amount": -5}, "amount"),
        ({"amount": POINTS_MAX + 1}, "amount"),
        ({"payee": "aurora"}, "payee"),
        ({"payer": "hub.fees", "payee": "hub.losses"}, "payee"),
        ({"payer": "hub.bank.settlement"}, "payer"),
        ({"payee": "hub"}, "payee"),
        ({"payee": "Aurora Ltd"}, "payee"),
        ({"kind": JournalKind.WRITE_OFF}, "kind"),
        ({"kind": JournalKind.WRITE_OFF, "payee": "hub.fees"}, "kind"),
        ({"relates_to": ""}, "relates_to"),
        ({"relates_to": "=HYPERLINK(1)"}, "relates_to"),
        ({"relates_to": "x" * 101}, "relates_to"),
    ],
    ids=str,
)
def test_a_journal_whose_parts_do_not_fit_is_refused_by_its_field(
    changes: dict[str, object], field: str
) -> None:
    with pytest.raises(Refused) as refused:
        check_journal(a_journal(**changes))
    assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, field)


@pytest.mark.parametrize("account", ["hub.fees", "hub.rounding", "hub.losses"])
@pytest.mark.parametrize("side", ["payer", "payee"])
def test_the_operators_side_may_be_fees_rounding_or_losses(side: str, account: str) -> None:
    journal = check_journal(a_journal(**{side: account}))
    (posting,) = journal_entry(journal, UNIT, PARTNERS).postings
    hub = HubAccount[account.removeprefix("hub.").upper()]
    found = posting.debit if side == "payer" else posting.credit
    assert found == hub_account(UNIT, hub)


def test_a_journal_is_one_forced_posting_with_all_that_is_to_be_known_of_it() -> None:
    entry = journal_entry(check_journal(a_journal()), UNIT, PARTNERS)
    (posting,) = entry.postings
    assert (posting.code, posting.debit, posting.credit, posting.amount) == (
        Code.ADJUSTMENT,
        position_account(UNIT, 1),
        position_account(UNIT, 2),
        5,
    )
    assert entry.forced
    assert entry.window_of == "USD"
    assert [(each.kind, each.partner_number, each.subject) for each in entry.facts] == [
        ("adjustment", 1, a_journal().action_id),
        ("adjustment", 2, a_journal().action_id),
        ("adjustment-relates-to", None, "usd-2017-01-01"),
    ]
    assert journal_from(entry.body) == a_journal()
    assert json.loads(entry.body)["checker"] == "ben"


def test_a_write_off_has_a_code_of_its_own() -> None:
    journal = check_journal(a_journal(kind=JournalKind.WRITE_OFF, payee="hub.losses"))
    (posting,) = journal_entry(journal, UNIT, PARTNERS).postings
    assert posting.code is Code.WRITE_OFF


def test_a_partner_that_settles_in_another_currency_has_no_part_in_it() -> None:
    with pytest.raises(Refused) as refused:
        journal_entry(check_journal(a_journal(payee="cirrus")), UNIT, PARTNERS)
    assert (refused.value.reason, refused.value.field) == (Reason.PARTNER_UNKNOWN, "payee")
