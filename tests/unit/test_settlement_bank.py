"""The bank's file: refused whole or matched, and what the simulator writes is what is read."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.cli.sandbox_commands import Mode
from partners.errors import Reason, Refused
from settlement.bank import (
    ENTRIES_MAX,
    BankEntry,
    BankStatement,
    check_account,
    match,
    parse_bank_file,
    settlement_account,
)
from settlement.bank_simulator import (
    LATE_BY,
    Payer,
    PaymentRequest,
    bank_day,
    booked_on,
    closing_of,
    paid_by,
    write_bank_file,
)
from settlement.windows import Leg

DAY = date(2017, 1, 1)
PAY_IN = Leg("cny-2017-01-01", 1, "aurora", "RF18W000001P0001", -6_300_000, 7)
PAY_OUT = Leg("cny-2017-01-01", 2, "borealis", "RF88W000001P0002", 6_150_000, 8)
REQUESTS = (
    PaymentRequest("PAY_OUT", Decimal("6.15"), PAY_OUT.reference, "borealis"),
    PaymentRequest("PAY_IN", Decimal("6.30"), PAY_IN.reference, "aurora"),
)


def day(*requests: PaymentRequest, currency: str = "CNY") -> bytes:
    return bank_day("S1", currency, DAY, Decimal(0), requests).content


def entry(amount: int, reference: str) -> BankEntry:
    return BankEntry("e1", DAY, amount, reference, "somebody")


def test_the_simulators_file_looks_like_this() -> None:
    made = bank_day("S1", "CNY", DAY, Decimal(0), REQUESTS)
    assert made.closing == Decimal("0.15")
    assert made.content.decode().split("\r\n") == [
        "POINTCLEAR-BANK-STATEMENT,1",
        "STATEMENT,S1",
        "ACCOUNT,pointclear-settlement-cny",
        "CURRENCY,CNY",
        "OPENING,0",
        f"ENTRY,S1-1,2017-01-01,6.30,{PAY_IN.reference},aurora",
        f"ENTRY,S1-2,2017-01-01,-6.15,{PAY_OUT.reference},borealis",
        "CLOSING,0.15",
        "END,2",
        "",
    ]


def test_partners_pay_on_time_short_late_or_not_and_the_bank_itself_always_pays() -> None:
    out, asked = REQUESTS
    assert [*Payer] == [*Mode]
    paid = {payer: paid_by(asked, payer) for payer in Payer}
    amounts = {payer: each.amount if each else None for payer, each in paid.items()}
    full = Decimal("6.30")
    assert amounts == {"on-time": full, "short": Decimal("5.30"), "late": full, "not": None}
    assert all(paid_by(out, payer) == out for payer in Payer)
    little = PaymentRequest("PAY_IN", Decimal("0.80"), PAY_IN.reference, "aurora")
    assert paid_by(little, Payer.SHORT) is None
    assert {payer for payer in Payer if booked_on(DAY, payer) == DAY + LATE_BY} == {Payer.LATE}


def test_a_bank_file_closes_with_what_the_next_one_opens_with() -> None:
    assert closing_of(day(*REQUESTS).decode()) == Decimal("0.15")
    with pytest.raises(ValueError, match="CLOSING"):
        closing_of("CLOSING\r\n")


def test_what_the_bank_writes_is_read_in_units_of_the_currency() -> None:
    statement = parse_bank_file(day(*REQUESTS))
    assert isinstance(statement, BankStatement)
    assert (statement.opening, statement.closing) == (0, 150_000)
    assert [each.amount for each in statement.entries] == [6_300_000, -6_150_000]
    check_account(statement, "CNY", 0)
    assert statement.account == settlement_account("CNY")


def test_a_day_left_unpaid_moves_nothing(tmp_path: Path) -> None:
    unpaid = tuple(each.reference for each in REQUESTS)
    made = bank_day("S1", "CNY", DAY, Decimal("1.50"), REQUESTS, unpaid=unpaid)
    assert made.closing == Decimal("1.50")
    path = write_bank_file(tmp_path, "S1", made)
    assert parse_bank_file(path.read_bytes()).entries == ()


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("POINTCLEAR-BANK-STATEMENT,1", "POINTCLEAR-BANK-STATEMENT,2", "content"),
        ("END,2\r\n", "", "content"),
        ("STATEMENT,S1", "STATEMENT,../S1", "statement_id"),
        ("CURRENCY,CNY", "CURRENCY,XXY", "currency"),
        ("OPENING,0", "OPENING,nought", "opening"),
        ("OPENING,0", "BEGIN,0", "opening"),
        ("OPENING,0", "OPENING,0.01", "closing"),
        ("CLOSING,0.15", "CLOSING,0.16", "closing"),
        ("END,2", "END,3", "end"),
        ("S1-2", "S1-1", "entries.entry_id"),
        ("S1-2", "", "entries.entry_id"),
        ("2017-01-01,6.30", "yesterday,6.30", "entries[S1-1]"),
        ("6.30", "6.301", "entries[S1-1]"),
        ("6.30", "0.00", "entries[S1-1]"),
        ("6.30", "9999999999999999", "entries[S1-1]"),
        ("ENTRY,S1-2", "ENTRIES,S1-2", "entries"),
        (",aurora", ",aurora,x", "entries"),
    ],
)
def test_a_file_with_one_fault_is_refused_naming_it(old: str, new: str, field: str) -> None:
    content = day(*REQUESTS)
    wrong = content.replace(
        (f"\n{old}" if old.startswith("STATEMENT") else old).encode(),
        (f"\n{new}" if old.startswith("STATEMENT") else new).encode(),
        1,
    )
    assert wrong != content
    with pytest.raises(Refused) as refused:
        parse_bank_file(wrong)
    assert refused.value.reason is Reason.BANK_FILE_REFUSED
    assert refused.value.field == field


def test_a_file_with_too_many_entries_is_refused() -> None:
    request = PaymentRequest("PAY_IN", Decimal(1), "x", "aurora")
    with pytest.raises(Refused, match="at most"):
        parse_bank_file(day(*[request] * (ENTRIES_MAX + 1)))


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_other_bytes_are_refused_and_nothing_else_is_raised(content: bytes) -> None:
    with pytest.raises(Refused) as refused:
        parse_bank_file(content)
    assert refused.value.reason is Reason.BANK_FILE_REFUSED


@pytest.mark.parametrize(
    ("currency", "mirror", "field"),
    [("USD", 0, "currency"), ("CNY", -1_000_000, "opening"), ("CNY", 1_000_000, "opening")],
)
def test_a_file_that_does_not_follow_on_the_books_is_refused(
    currency: str, mirror: int, field: str
) -> None:
    with pytest.raises(Refused) as refused:
        check_account(parse_bank_file(day()), currency, mirror)
    assert refused.value.field == field


def test_yen_have_no_cents() -> None:
    request = PaymentRequest("PAY_IN", Decimal("0.5"), "x", "aurora")
    with pytest.raises(Refused, match="minor units"):
        parse_bank_file(day(request, currency="JPY"))


def test_entries_confirm_the_legs_with_their_reference_and_amount() -> None:
    matching = match(parse_bank_file(day(*REQUESTS)).entries, (PAY_IN, PAY_OUT))
    assert matching.confirmed == (PAY_IN, PAY_OUT)
    assert matching.unmatched == ()


def test_a_reference_may_be_printed_in_groups_and_small_letters() -> None:
    matching = match([entry(6_300_000, "rf18 w000 001p 0001")], [PAY_IN])
    assert matching.confirmed == (PAY_IN,)


@pytest.mark.parametrize(
    "stray",
    [
        entry(6_300_001, PAY_IN.reference),
        entry(6_300_000, "unknown"),
        entry(6_150_000, PAY_OUT.reference),
    ],
)
def test_money_in_that_fits_no_leg_exactly_is_unmatched(stray: BankEntry) -> None:
    matching = match([stray], [PAY_IN, PAY_OUT])
    assert (matching.confirmed, matching.unmatched) == ((), (stray,))


@pytest.mark.parametrize("state", [{"log_index": None}, {"confirmed_index": 9}])
def test_a_leg_that_is_not_pending_is_not_confirmed(state: dict[str, int | None]) -> None:
    facts = {"log_index": 7, "confirmed_index": None} | state
    leg = Leg("cny-2017-01-01", 1, "aurora", PAY_IN.reference, -6_300_000, **facts)
    assert match([entry(6_300_000, leg.reference)], [leg]).confirmed == ()


def test_a_leg_paid_twice_is_confirmed_once() -> None:
    paid = entry(6_300_000, PAY_IN.reference)
    matching = match([paid, paid], [PAY_IN])
    assert (matching.confirmed, matching.unmatched) == ((PAY_IN,), (paid,))


def test_money_out_that_no_leg_explains_refuses_the_file() -> None:
    with pytest.raises(Refused) as refused:
        match([entry(-6_150_001, PAY_OUT.reference)], [PAY_OUT])
    assert (refused.value.reason, refused.value.field) == (
        Reason.BANK_FILE_REFUSED,
        "entries[e1]",
    )
