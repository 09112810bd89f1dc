"""The operator pays for its bonuses like any debtor, and takes out what is its own and no more."""

from datetime import UTC, date, datetime

import pytest

from exchange.ledger.accounts import HUB, HubAccount, hub_account, tax_account
from exchange.ledger.postings import Code, Phase, bank_settlement
from partners.errors import Reason, Refused
from partners.points import currency_scale
from settlement.own_funds.own_leg import OwnStood, own_leg
from settlement.own_funds.withdrawal import (
    OwnAccount,
    OwnFunds,
    OwnWithdrawal,
    recall_entry,
    withdrawal_entry,
)
from settlement.settling import leg_entry
from settlement.windows import LegDirection, SettlementWindow, TreeHead, WindowState

CNY = currency_scale("CNY")
UNIT = 3
FEN = 10_000
WINDOW = SettlementWindow(
    7, "cny-2017-01-01", CNY, UNIT, date(2017, 1, 1), WindowState.CLOSED, TreeHead(0, b""), None
)
FEES = OwnAccount("hub.fees", hub_account(UNIT, HubAccount.FEES), 134_100, 0)
TAXES = OwnAccount("hub.tax.vat6", tax_account(UNIT, 1), 28_046, 10_000)
OWES = OwnAccount("hub.promotions", hub_account(UNIT, HubAccount.PROMOTIONS), 500_000, 0)


def funds(at_bank: int = 150_000, *made: OwnWithdrawal) -> OwnFunds:
    return OwnFunds(CNY, UNIT, (FEES, OWES, TAXES), at_bank, made)


def made(number: int = 1, resolved_by: Phase | None = None) -> OwnWithdrawal:
    now = datetime(2017, 1, 2, tzinfo=UTC)
    return OwnWithdrawal(number, "hub.fees", 10 * FEN, "RF18F0003N1", 40, now, resolved_by)


@pytest.mark.parametrize(
    ("carried", "net", "payment"),
    [(0, -35_001, -4 * FEN), (-5_000, -35_000, -4 * FEN), (5_000, -35_000, -3 * FEN), (0, 0, 0)],
)
def test_the_operator_pays_what_is_due_up_to_the_minor_unit(
    carried: int, net: int, payment: int
) -> None:
    leg = own_leg(WINDOW, OwnStood(carried, net))
    assert (leg.payment if leg else 0) == payment


def test_what_reversals_gave_back_beyond_what_is_owed_is_paid_to_the_operator() -> None:
    leg = own_leg(WINDOW, OwnStood(5_000, 39_999))
    assert leg is not None
    assert (leg.direction, leg.amount) == (LegDirection.PAY_OUT, 4 * FEN)


def test_the_leg_of_an_operator_that_funds_nothing_is_none() -> None:
    assert own_leg(WINDOW, None) is None


def test_the_operators_leg_moves_its_promotions_and_has_a_reference_of_its_own() -> None:
    leg = own_leg(WINDOW, OwnStood(0, -35_001))
    assert leg is not None
    assert (leg.partner_number, leg.partner_id) == (HUB, "hub")
    entry = leg_entry(leg, "CNY", UNIT)
    (posting,) = entry.postings
    assert entry.entry_key.endswith("W000007P0000")
    assert (posting.code, posting.phase) == (Code.PAY_IN, Phase.PENDING)
    assert (posting.debit, posting.credit) == (bank_settlement(UNIT), OWES.number)


def test_fees_and_taxes_are_withdrawn_under_references_that_count() -> None:
    entry = withdrawal_entry(funds(150_000, made()), 2, "hub.tax.vat6", FEN)
    assert entry is not None
    (posting,) = entry.postings
    assert entry.entry_key.endswith("F0003N2")
    assert (posting.debit, posting.credit) == (TAXES.number, bank_settlement(UNIT))
    assert (posting.code, posting.amount, posting.phase) == (Code.PAY_OUT, FEN, Phase.PENDING)


@pytest.mark.parametrize(
    ("at_bank", "account", "amount", "field"),
    [
        # Of what was earned, and of what lies at the bank for nobody else, the less.
        (150_000, "hub.fees", 14 * FEN, "amount"),
        (120_000, "hub.fees", 13 * FEN, "amount"),
        # What is on its way out is gone.
        (150_000, "hub.tax.vat6", 2 * FEN, "amount"),
        (150_000, "hub.fees", 134_100, "amount"),
        (150_000, "hub.fees", 0, "amount"),
        (150_000, "hub.fees", -FEN, "amount"),
        (150_000, "hub.promotions", FEN, "account"),
        (150_000, "hub.suspense", FEN, "account"),
        (150_000, "aurora.position", FEN, "account"),
    ],
)
def test_nothing_else_is_withdrawn(at_bank: int, account: str, amount: int, field: str) -> None:
    with pytest.raises(Refused) as refused:
        withdrawal_entry(funds(at_bank), 1, account, amount)
    assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, field)


def test_the_same_withdrawal_again_is_that_one_and_another_of_its_number_is_refused() -> None:
    stood = funds(150_000, made())
    assert withdrawal_entry(stood, 1, "hub.fees", 10 * FEN) is None
    with pytest.raises(Refused) as other:
        withdrawal_entry(stood, 1, "hub.fees", 9 * FEN)
    assert other.value.reason is Reason.ALREADY_EXISTS
    for number in (0, 3):
        with pytest.raises(Refused) as skipped:
            withdrawal_entry(stood, number, "hub.fees", FEN)
        assert (skipped.value.reason, skipped.value.field) == (Reason.FIELD_INVALID, "number")


def test_what_the_bank_has_not_made_is_taken_back_once() -> None:
    entry = recall_entry(funds(150_000, made()), 1)
    assert entry is not None
    (posting,) = entry.postings
    assert posting.phase is Phase.VOIDS
    assert posting.resolves is not None
    assert posting.resolves.log_index == made().log_index
    assert recall_entry(funds(150_000, made(1, Phase.VOIDS)), 1) is None
    with pytest.raises(Refused) as paid:
        recall_entry(funds(150_000, made(1, Phase.CONFIRMS)), 1)
    assert paid.value.reason is Reason.LEG_STATE
    with pytest.raises(Refused) as unknown:
        recall_entry(funds(), 1)
    assert (unknown.value.reason, unknown.value.field) == (Reason.FIELD_INVALID, "number")
