"""The bank's file: refused whole or matched, and what the simulator writes is what is read."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.cli.deployment.sandbox_commands import Mode
from partners.errors import Reason, Refused
from settlement.bank.booking import account_of, check_follows
from settlement.bank.matching import AccountKind
from settlement.bank.reading import parse_bank_file
from settlement.bank.statement import ENTRIES_MAX, BankFile, FileFormat
from settlement.bank_simulator import (
    LATE_BY,
    Paper,
    Payer,
    PaymentRequest,
    bank_day,
    booked_on,
    closing_of,
    paid_by,
    write_bank_file,
)
from settlement.schemes.scheme import Scheme

DAY = date(2017, 1, 1)
PAY_IN, PAY_OUT = "RF18W000001P0001", "RF88W000001P0002"
ACCOUNT = "pointclear-settlement-cny"
REQUESTS = (
    PaymentRequest("PAY_OUT", Decimal("6.15"), PAY_OUT, "borealis"),
    PaymentRequest("PAY_IN", Decimal("6.30"), PAY_IN, "aurora"),
)


def day(*requests: PaymentRequest, currency: str = "CNY") -> bytes:
    return bank_day("S1", currency, DAY, Decimal(0), requests).content


def test_the_simulators_file_looks_like_this() -> None:
    made = bank_day("S1", "CNY", DAY, Decimal(0), REQUESTS)
    assert made.closing == Decimal("0.15")
    assert made.content.decode().split("\r\n") == [
        "POINTCLEAR-BANK-STATEMENT,1",
        "STATEMENT,S1",
        "ACCOUNT,pointclear-settlement-cny",
        "CURRENCY,CNY",
        "OPENING,0",
        f"ENTRY,S1-1,2017-01-01,6.30,{PAY_IN},aurora",
        f"ENTRY,S1-2,2017-01-01,-6.15,{PAY_OUT},borealis",
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
    little = PaymentRequest("PAY_IN", Decimal("0.80"), PAY_IN, "aurora")
    assert paid_by(little, Payer.SHORT) is None
    assert {payer for payer in Payer if booked_on(DAY, payer) == DAY + LATE_BY} == {Payer.LATE}


def test_a_bank_file_closes_with_what_the_next_one_opens_with() -> None:
    assert closing_of(day(*REQUESTS).decode()) == Decimal("0.15")
    with pytest.raises(ValueError, match="CLOSING"):
        closing_of("CLOSING\r\n")


def test_what_the_bank_writes_is_read_in_units_of_the_currency() -> None:
    file = parse_bank_file(day(*REQUESTS))
    assert file.format is FileFormat.CSV
    assert (file.opening, file.closing) == (0, 150_000)
    assert [each.amount for each in file.entries] == [6_300_000, -6_150_000]
    check_follows(file, 0, None)
    assert account_of(file, Scheme("CNY")) is AccountKind.SETTLEMENT


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
        ("2017-01-01,6.30", "01.01.2017,6.30", "entries[S1-1]"),
        ("2017-01-01,6.30", "20170101,6.30", "entries[S1-1]"),
        ("2017-01-01,6.30", "2017-W01-1,6.30", "entries[S1-1]"),
        (",6.30,", ',"6,30",', "entries[S1-1]"),
        (",6.30,", ',"1.234,50",', "entries[S1-1]"),
        (",6.30,", ',"1,234.50",', "entries[S1-1]"),
        (",6.30,", ",1 234.50,", "entries[S1-1]"),
        (",6.30,", ",６.30,", "entries[S1-1]"),
        ("POINTCLEAR", "\ufeffPOINTCLEAR", "content"),
        ("aurora", "auro\x00ra", "content"),
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


def test_a_file_that_changes_its_encoding_in_the_middle_is_refused_naming_the_line() -> None:
    wrong = day(*REQUESTS).replace(b"aurora", "Zürich".encode("latin-1"))
    with pytest.raises(Refused, match="line 6 is not UTF-8"):
        parse_bank_file(wrong)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\r\n", "empty"),
        (b"%PDF-1.7", "neither camt.053 nor MT940"),
        ("<?xml version='1.0'?>".encode("utf-16"), "UTF-16"),
    ],
)
def test_a_file_of_no_format_is_refused_naming_what_it_may_be(content: bytes, says: str) -> None:
    with pytest.raises(Refused, match=says) as refused:
        parse_bank_file(content)
    assert (refused.value.reason, refused.value.field) == (Reason.BANK_FILE_REFUSED, "content")


def test_a_file_with_too_many_entries_is_refused() -> None:
    request = PaymentRequest("PAY_IN", Decimal(1), "x", "aurora")
    with pytest.raises(Refused, match="at most"):
        parse_bank_file(day(*[request] * (ENTRIES_MAX + 1)))


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_other_bytes_are_refused_and_nothing_else_is_raised(content: bytes) -> None:
    with pytest.raises(Refused) as refused:
        parse_bank_file(content)
    assert refused.value.reason is Reason.BANK_FILE_REFUSED


@pytest.mark.parametrize("mirror", [-1_000_000, 1_000_000])
def test_a_file_that_does_not_open_with_our_closing_is_refused(mirror: int) -> None:
    with pytest.raises(Refused) as refused:
        check_follows(parse_bank_file(day()), mirror, None)
    assert refused.value.field == "opening"


@pytest.mark.parametrize(
    ("scheme", "kind"),
    [
        (Scheme("CNY"), AccountKind.SETTLEMENT),
        (Scheme("CNY", collateral_account=ACCOUNT, settlement_account="x"), AccountKind.COLLATERAL),
        (Scheme("CNY", settlement_account=ACCOUNT.upper()), AccountKind.SETTLEMENT),
    ],
)
def test_a_file_is_of_the_account_that_the_scheme_names(scheme: Scheme, kind: AccountKind) -> None:
    assert account_of(parse_bank_file(day()), scheme) is kind


@pytest.mark.parametrize("form", ["POINTXXX/{}", "{}CNY", "{}"])
def test_a_bank_may_write_its_code_before_an_account_or_the_currency_behind(form: str) -> None:
    content = day().replace(ACCOUNT.encode(), form.format("DE89 3704 0044 0532 0130 00").encode())
    scheme = Scheme("CNY", settlement_account="DE89370400440532013000", bank_bic="POINTXXX")
    assert account_of(parse_bank_file(content), scheme) is AccountKind.SETTLEMENT


@pytest.mark.parametrize(
    ("scheme", "field"),
    [(Scheme("USD"), "currency"), (Scheme("CNY", settlement_account="another"), "account")],
)
def test_a_file_of_another_account_or_currency_is_refused(scheme: Scheme, field: str) -> None:
    with pytest.raises(Refused) as refused:
        account_of(parse_bank_file(day()), scheme)
    assert (refused.value.reason, refused.value.field) == (Reason.BANK_FILE_REFUSED, field)


@pytest.mark.parametrize(
    ("currency", "amount", "units"),
    [("JPY", "1000", 10_000_000), ("KWD", "1.234", 1_234_000), ("EUR", "1234.5", 1_234_500_000)],
)
def test_amounts_have_the_digits_of_their_currency(currency: str, amount: str, units: int) -> None:
    request = PaymentRequest("PAY_IN", Decimal(amount), "x", "aurora")
    for paper in Paper:
        made = bank_day("S1", currency, DAY, Decimal(0), [request], paper=paper)
        assert parse_bank_file(made.content).closing == units


@pytest.mark.parametrize(
    ("currency", "amount"), [("JPY", "0.5"), ("KWD", "1.2345"), ("EUR", "0.001")]
)
def test_amounts_with_more_digits_than_their_currency_has_are_refused(
    currency: str, amount: str
) -> None:
    request = PaymentRequest("PAY_IN", Decimal(amount), "x", "aurora")
    for paper in Paper:
        made = bank_day("S1", currency, DAY, Decimal(0), [request], paper=paper)
        with pytest.raises(Refused, match="minor units"):
            parse_bank_file(made.content)


def test_leap_days_are_days_in_leap_years_only() -> None:
    for paper in Paper:
        made = bank_day("S1", "CNY", date(2024, 2, 29), Decimal(0), REQUESTS, paper=paper)
        (entry, _) = parse_bank_file(made.content).entries
        assert entry.booking_date == date(2024, 2, 29)
        wrong = made.content.replace(b"2024-02-29", b"2025-02-29").replace(b"240229", b"250229")
        with pytest.raises(Refused, match="not a date"):
            parse_bank_file(wrong)


@given(
    st.sampled_from([*Paper]),
    st.lists(st.integers(-(10**9), 10**9).filter(bool), max_size=5),
    st.integers(-(10**9), 10**9),
    st.data(),
)
def test_a_file_with_one_byte_changed_is_refused_or_says_the_same_figures(
    paper: Paper, cents: list[int], opening: int, data: st.DataObject
) -> None:
    requests = [
        PaymentRequest(
            "PAY_IN" if each > 0 else "PAY_OUT", Decimal(abs(each)) / 100, f"RF{n}", "aurora"
        )
        for n, each in enumerate(cents)
    ]
    start = Decimal(opening) / 100
    content = bank_day("S1", "CNY", DAY, start, requests, paper=paper, number=7).content
    place = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255))
    altered = content[:place] + bytes([byte]) + content[place + 1 :]
    before = parse_bank_file(content)
    assert figures_taken(altered, before.opening) in (None, figures(before))


def figures_taken(content: bytes, opening: int) -> tuple[object, ...] | None:
    """What the books would take from a file; None where they refuse it."""
    try:
        file = parse_bank_file(content)
        account_of(file, Scheme("CNY"))
        check_follows(file, -opening, None)
    except Refused as refusal:
        return None if refusal.reason is Reason.BANK_FILE_REFUSED else (refusal.reason,)
    return figures(file)


def figures(file: BankFile) -> tuple[object, ...]:
    amounts = [part.amount for entry in file.entries for part in entry.parts]
    return (file.currency, file.opening, amounts, file.closing)


@given(st.sampled_from([*Paper]), st.data())
def test_a_file_that_is_cut_anywhere_is_refused_or_says_the_same_figures(
    paper: Paper, data: st.DataObject
) -> None:
    content = bank_day("S1", "CNY", DAY, Decimal(0), REQUESTS, paper=paper).content
    cut = content[: data.draw(st.integers(0, len(content) - 1))]
    assert figures_taken(cut, 0) in (None, figures(parse_bank_file(content)))
