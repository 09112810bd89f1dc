"""The steps of a settlement as entries, and statements that must agree with their lines."""

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Literal

import pytest

from exchange.fold import InvariantBroken
from exchange.ledger.accounts import HubAccount, hub_account, position_account
from exchange.ledger.postings import Balance, Code, Phase, PostingRef, post
from partners.errors import Reason, Refused
from partners.points import currency_scale
from partners.registry import Partner
from settlement.bank.booking import bank_file_entry
from settlement.bank.matching import Account, AccountKind, match
from settlement.bank.reading import parse_bank_file
from settlement.bank_simulator import PaymentRequest, bank_day
from settlement.lines.line_file import line_sums
from settlement.netting import Figures
from settlement.settling import (
    check_stateable,
    expected_of,
    leg_entry,
    leg_of,
    legs_to_record,
    settled_entry,
    stated_entry,
)
from settlement.statement import (
    ProgramPoints,
    PromotionLine,
    Statement,
    StreamRange,
    ValueTax,
    statement_of,
)
from settlement.windows import Leg, SettlementWindow, TreeHead, WindowState
from settlement.wire import parse_statement, statement_payload
from tests.unit.test_settlement_bank import DAY
from tests.unit.test_settlement_line_file import FILE

UNIT = 2
PAY_IN = Leg("cny-2017-01-01", 1, "aurora", "RF18W000001P0001", -6_300_000, 7)
PAY_OUT = Leg("cny-2017-01-01", 2, "borealis", "RF88W000001P0002", 6_150_000, 8)
WINDOW = SettlementWindow(
    1,
    "cny-2017-01-01",
    currency_scale("CNY"),
    UNIT,
    date(2017, 1, 1),
    WindowState.CLOSED,
    TreeHead(3, bytes(32)),
    TreeHead(9, bytes([1]) * 32),
)
AURORA = Partner(1, "aurora", "Aurora", ("aurora-miles",), "CNY", 1_000_000_000)
FIGURES = Figures(-9_800_000, 3_610_000, -98_000, (("vat6", -5_880),), 469_300, 250_000, 0)
POINTS = {"aurora-miles": ProgramPoints("aurora-miles", 1000, 500, 40)}


def _money(units: int) -> Decimal:
    return Decimal(units) / 1_000_000


def statement(
    figures: Figures = FIGURES, points: dict[str, ProgramPoints] = POINTS, brought_forward: int = 0
) -> Statement:
    return statement_of(
        WINDOW,
        AURORA,
        figures,
        line_sums(FILE),
        brought_forward=brought_forward,
        points=points,
        stream=StreamRange(1, 2),
        audience="pointclear.test",
        signing_key_id="0" * 32,
    )


def test_a_statement_survives_the_wire() -> None:
    made = statement(brought_forward=-7)
    assert parse_statement(statement_payload(made)) == made
    assert statement_payload(made) == statement_payload(made)


def test_a_statement_pays_what_is_due_and_names_the_leg() -> None:
    made = statement(brought_forward=4_580)
    assert (made.due, made.payment, made.carried_forward) == (-5_570_000, -5_570_000, 0)
    leg = leg_of(WINDOW, 1, made)
    assert leg is not None
    assert (leg.reference, leg.payment) == (made.payment_reference, -5_570_000)


def test_a_statement_that_pays_nothing_has_no_reference_and_no_leg() -> None:
    made = statement(brought_forward=5_574_581)
    assert (made.payment, made.payment_reference, made.carried_forward) == (0, "", 1)
    assert leg_of(WINDOW, 1, made) is None


@pytest.mark.parametrize(
    "figures",
    [
        replace(FIGURES, outgoing_value=-9_800_001),
        replace(FIGURES, fees=-98_001),
        replace(FIGURES, taxes=(("vat9", -5_880),)),
        replace(FIGURES, taxes=()),
        replace(FIGURES, value_tax=469_299),
        replace(FIGURES, promotions=250_001),
    ],
)
def test_sums_that_differ_from_the_lines_stop_the_stating(figures: Figures) -> None:
    with pytest.raises(InvariantBroken):
        statement(figures)


@pytest.mark.parametrize("points", [(1000, 501, 40), (999, 500, 40), (1000, 500, 41)])
def test_points_that_differ_from_the_lines_stop_the_stating(points: tuple[int, int, int]) -> None:
    with pytest.raises(InvariantBroken):
        statement(points={"aurora-miles": ProgramPoints("aurora-miles", *points)})


def test_a_statement_says_what_each_promotion_cost_whom() -> None:
    made = statement()
    assert made.promotion_lines == (
        PromotionLine("borealis-aurora", "may", "aurora", 0, 130_000),
        PromotionLine("borealis-aurora", "may", "hub", 250_000, 0),
    )
    assert made.value_taxes == (ValueTax("vat13", 0, 469_300),)


def test_an_open_window_is_not_stated() -> None:
    with pytest.raises(Refused) as refused:
        check_stateable(replace(WINDOW, state=WindowState.OPEN), None)
    assert refused.value.reason is Reason.WINDOW_STATE


@pytest.mark.parametrize("before", [WindowState.OPEN, WindowState.CLOSED])
def test_a_window_waits_for_the_one_before_it_which_is_named(before: WindowState) -> None:
    previous = replace(WINDOW, window_id="cny-2016-12-31", state=before)
    with pytest.raises(Refused, match="cny-2016-12-31") as refused:
        check_stateable(WINDOW, previous)
    assert refused.value.reason is Reason.WINDOW_STATE


@pytest.mark.parametrize("before", [WindowState.PENDING_SETTLEMENT, WindowState.SETTLED, None])
def test_a_window_after_a_stated_one_or_the_first_is_stated(before: WindowState | None) -> None:
    check_stateable(WINDOW, replace(WINDOW, state=before) if before else None)
    check_stateable(replace(WINDOW, state=WindowState.SETTLED), replace(WINDOW))


def test_steps_are_the_same_bytes_at_every_repeat_and_in_any_order() -> None:
    one = stated_entry(WINDOW, {"aurora": b"a", "borealis": b"b"})
    assert one == stated_entry(WINDOW, {"borealis": b"b", "aurora": b"a"})
    assert one.step is not None
    assert (one.step.before, one.step.after) == ("CLOSED", "PENDING_SETTLEMENT")
    assert settled_entry(WINDOW, [PAY_IN, PAY_OUT]) == settled_entry(WINDOW, [PAY_OUT, PAY_IN])


def test_a_recorded_leg_is_pending_and_moves_no_position() -> None:
    bank, position = hub_account(UNIT, HubAccount.BANK_SETTLEMENT), position_account(UNIT, 1)
    recorded = leg_entry(replace(PAY_IN, log_index=None), "CNY", UNIT)
    (posting,) = recorded.postings
    assert (posting.debit, posting.credit, posting.phase) == (bank, position, Phase.PENDING)
    assert recorded.entry_key == f"leg/{PAY_IN.reference}"
    assert json.loads(recorded.body)["amount"] == 6_300_000
    balances = {bank: Balance(ceiling=0), position: Balance(debits_posted=6_293_880)}
    post(balances, recorded.postings)
    assert balances[position].posted == -6_293_880


def test_a_bank_file_posts_the_worked_example_to_the_last_digit() -> None:
    bank = hub_account(UNIT, HubAccount.BANK_SETTLEMENT)
    a, b = position_account(UNIT, 1), position_account(UNIT, 2)
    balances = {
        bank: Balance(ceiling=0),
        a: Balance(debits_posted=6_293_880),
        b: Balance(credits_posted=6_151_734),
    }
    days: tuple[tuple[Leg, Literal["PAY_IN", "PAY_OUT"], int, str], ...] = (
        (PAY_IN, "PAY_IN", 0, "S1"),
        (PAY_OUT, "PAY_OUT", 6_300_000, "S2"),
    )
    for leg, direction, opening, name in days:
        post(balances, leg_entry(leg, "CNY", UNIT).postings)
        request = PaymentRequest(direction, _money(leg.amount), leg.reference, leg.partner_id)
        content = bank_day(name, "CNY", DAY, _money(opening), [request]).content
        file = parse_bank_file(content)
        account = Account(AccountKind.SETTLEMENT, UNIT, (expected_of(leg, UNIT),))
        booked = bank_file_entry(file, content, AccountKind.SETTLEMENT, match(file, account))
        assert booked.entry_key == f"bank/CNY/{name}"
        assert booked.postings[0].resolves == PostingRef(leg.log_index or 0, 0)
        post(balances, booked.postings)
    assert [balances[each].posted for each in (bank, a, b)] == [-150_000, 6_120, 1_734]
    assert all(each.available == each.posted for each in balances.values())


def test_unknown_money_in_goes_to_suspense() -> None:
    request = PaymentRequest("PAY_IN", _money(5_000_000), "unknown", "somebody")
    content = bank_day("S1", "CNY", DAY, _money(0), [request]).content
    file = parse_bank_file(content)
    bookings = match(file, Account(AccountKind.SETTLEMENT, UNIT))
    entry = bank_file_entry(file, content, AccountKind.SETTLEMENT, bookings)
    (posting,) = entry.postings
    assert [(each.kind, each.subject) for each in entry.facts] == [
        ("suspense", "S1-1"),
        ("bank_file", "SETTLEMENT/S1"),
    ]
    assert posting.credit == hub_account(UNIT, HubAccount.SUSPENSE)
    assert (posting.code, posting.phase) == (Code.PAY_IN, Phase.POSTED)


def test_pay_ins_are_always_recorded_and_pay_outs_while_the_money_lasts() -> None:
    def leg(payment: int, log_index: int | None = None) -> Leg:
        return Leg("cny-2017-01-01", 1, "aurora", f"RF{payment}", payment, log_index)

    pay_in, large, small, recorded = leg(-100), leg(60), leg(40), leg(10, 5)
    assert legs_to_record((pay_in, large, small, recorded), 0) == (pay_in,)
    assert legs_to_record((large, small), 50) == (small,)
    assert legs_to_record((large, small), 99) == (large,)
    assert legs_to_record((large, small), 100) == (large, small)
