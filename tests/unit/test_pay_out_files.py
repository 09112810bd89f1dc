"""Pay-out files: what they pay and leave out, and that the same bytes come out for ever."""

import csv
import hashlib
import io
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.fold import InvariantBroken
from partners.errors import Reason, Refused
from partners.points import currency_scale
from settlement.accounts.account import AccountEvent, Address, BankAccount
from settlement.accounts.versions import AccountVersion, Approval
from settlement.payouts.csv_form import write_csv
from settlement.payouts.instruction import (
    Debtor,
    Instructed,
    LeftOut,
    PayoutFile,
    Why,
    decimal_amount,
    file_body,
    file_from,
    message_id,
    sorted_out,
    with_digests,
)
from settlement.payouts.making import FORMATS, execution_date, write_file
from settlement.payouts.pain import PainVersion, schema_of, write_pain
from settlement.references import leg_reference
from settlement.schemes.scheme import Scheme
from settlement.windows import Leg

NOON = datetime(2017, 1, 2, 12, tzinfo=UTC)
GERMAN = BankAccount(
    "DE89370400440532013000",
    "",
    "COBADEFFXXX",
    "",
    "",
    "Aurora & Söhne GmbH",
    Address("Hauptstraße", "1a", "60311", "Frankfurt", "DE"),
)
AMERICAN = BankAccount(
    "", "0012345678", "", "USABA", "021000021", "Borealis Inc", Address("", "", "", "NY", "US")
)
CHINESE = BankAccount(
    "",
    "6222020200112233445",
    "ICBKCNBJ",
    "",
    "",
    "北极光有限公司",
    Address("", "", "", "北京", "CN"),
)
PAYERS = {"iban": "DE02120300000000202051", "other": "pointclear-settlement-usd"}


def instructed(number: int, amount: int, account: BankAccount, partner: str) -> Instructed:
    """A payment of window 7."""
    return Instructed(leg_reference(7, number), partner, amount, account, number, f"{number:064x}")


def pay_out_file(currency: str = "EUR", **changes: Any) -> PayoutFile:
    """A file that pays three partners and leaves a fourth out."""
    cent = currency_scale(currency).minor_unit
    made = PayoutFile(
        f"{currency.lower()}-2017-01-01",
        1,
        message_id(7, 1, NOON),
        currency,
        NOON,
        date(2017, 1, 3),
        Debtor("Coalition Ltd", PAYERS["iban"], "BYLADEM1001"),
        (
            instructed(1, 615 * cent, GERMAN, "aurora"),
            instructed(2, 1 * cent, AMERICAN, "borealis"),
            instructed(3, 1_234_567 * cent, CHINESE, "cirrus"),
        ),
        (LeftOut(leg_reference(7, 4), "deli", 5 * cent, Why.NO_ACCOUNT),),
        {},
    )
    return replace(made, **changes)


@pytest.mark.parametrize("version", PainVersion)
@pytest.mark.parametrize("currency", ["EUR", "USD", "JPY", "KWD", "CNY"])
@pytest.mark.parametrize("payer", PAYERS)
def test_what_is_written_is_valid_by_the_schema_of_its_version(
    version: PainVersion, currency: str, payer: str
) -> None:
    debtor = Debtor("Coalition Ltd", PAYERS[payer], "" if payer == "other" else "BYLADEM1001")
    content = write_pain(pay_out_file(currency, debtor=debtor), version)
    schema_of(version).validate(content.decode())
    root = ElementTree.fromstring(content)
    assert root.tag == f"{{urn:iso:std:iso:20022:tech:xsd:{version}}}Document"


@pytest.mark.parametrize("version", PainVersion)
def test_what_the_schema_refuses_is_never_written(version: PainVersion) -> None:
    payment = replace(instructed(1, 10_000, GERMAN, "aurora"), reference="x" * 36)
    with pytest.raises(InvariantBroken):
        write_pain(pay_out_file(payments=(payment,)), version)


def texts(content: bytes, *path: str) -> list[str]:
    """The texts of all elements that end such a path."""
    root = ElementTree.fromstring(content)
    name = root.tag.removesuffix("Document")
    return [each.text or "" for each in root.findall(".//" + "/".join(name + tag for tag in path))]


@pytest.mark.parametrize(
    ("currency", "amounts", "total"),
    [
        ("USD", ["6.15", "0.01", "12345.67"], "12351.83"),
        ("JPY", ["615", "1", "1234567"], "1235183"),
        ("KWD", ["0.615", "0.001", "1234.567"], "1235.183"),
    ],
)
def test_amounts_have_the_minor_digits_of_their_currency(
    currency: str, amounts: list[str], total: str
) -> None:
    content = write_pain(pay_out_file(currency), PainVersion.V09)
    assert texts(content, "InstdAmt") == amounts
    assert texts(content, "CtrlSum") == [total, total]
    assert texts(content, "NbOfTxs") == ["3", "3"]


@pytest.mark.parametrize("version", PainVersion)
def test_each_payment_carries_its_legs_reference_and_names_the_accounts_event(
    version: PainVersion,
) -> None:
    content = write_pain(pay_out_file(), version)
    references = [leg_reference(7, number) for number in (1, 2, 3)]
    assert texts(content, "EndToEndId") == references
    assert texts(content, "CdtrRefInf", "Ref") == references
    assert texts(content, "CdtrAcct", "Id", "IBAN") == [GERMAN.iban]
    assert texts(content, "CdtrAcct", "Id", "Othr", "Id") == [AMERICAN.other, CHINESE.other]
    for number in (1, 2, 3):
        assert f"version {number}, sha256 {number:064x}".encode() in content
    assert texts(content, "SvcLvl", "Cd") == ["SEPA"], "an IBAN in euro"


GOLDEN = {
    "pain.001.001.03": "69337c9303aa9b04e356dc44d8b5ff72764526eb0917c1a925624bba4bd846f9",
    "pain.001.001.09": "8b5a66c2e514d45e0648c2afd91370e0eaef7180fa02cf5b84c758b759e8b321",
    "csv": "2dbd15907bfc0df1b3b69fc070b743418eb51933101ec7c6229242d5c7cea96e",
}
"""What was written once is written for ever: files in the log are held to it. Do not change these;
what should look otherwise is another format.
"""


@pytest.mark.parametrize("form", FORMATS)
def test_t30_the_same_file_gives_the_same_bytes_for_ever(form: str) -> None:
    content = FORMATS[form](pay_out_file())
    assert hashlib.sha256(content).hexdigest() == GOLDEN[form]
    assert FORMATS[form](file_from(file_body(pay_out_file()))) == content


def test_a_file_whose_bytes_are_not_those_that_were_booked_is_not_given_out() -> None:
    file = pay_out_file()
    digests = {form: hashlib.sha256(write(file)).hexdigest() for form, write in FORMATS.items()}
    booked = with_digests(file, digests)
    assert {write_file(booked, form) for form in FORMATS} == {
        write(file) for write in FORMATS.values()
    }
    altered = replace(booked, payments=(instructed(1, 10_000, CHINESE, "aurora"),))
    for form in FORMATS:
        with pytest.raises(InvariantBroken):
            write_file(altered, form)
    with pytest.raises(Refused) as refused:
        write_file(booked, "xlsx")
    assert refused.value.reason is Reason.FIELD_INVALID


def test_a_csv_file_has_totals_and_an_end_and_runs_nothing() -> None:
    account = replace(GERMAN, name='=HYPERLINK("http://x")')
    file = pay_out_file(payments=(instructed(1, 6_150_000, account, "aurora"),))
    rows = list(csv.DictReader(io.StringIO(write_csv(file).decode())))
    assert [row["row"] for row in rows] == ["HEAD", "PAYMENT", "TOTAL", "END"]
    assert rows[1]["name"] == "'" + account.name
    assert (rows[1]["amount"], rows[1]["iban"]) == ("6.15", GERMAN.iban)
    assert rows[1]["account_sha256"] == f"{1:064x}"
    assert (rows[2]["reference"], rows[2]["amount"]) == ("1", "6.15")


def leg(number: int, payment: int, **changes: Any) -> Leg:
    """A recorded leg of window 7."""
    made = Leg("w", number, f"p{number}", leg_reference(7, number), payment, log_index=100 + number)
    return replace(made, **changes)


def account_of(number: int) -> AccountVersion:
    """An account in effect."""
    event = AccountEvent(f"p{number}", "EUR", 1, GERMAN)
    approval = Approval(NOON - timedelta(days=2), timedelta(days=1))
    return AccountVersion(event, bytes(32), NOON - timedelta(days=3), 1, approval)


def test_a_file_pays_what_is_instructed_and_names_what_it_leaves_out() -> None:
    legs = (
        leg(1, 100),
        leg(2, -100),
        leg(3, 100, log_index=None),
        leg(4, 100, confirmed_index=200),
        leg(5, 100),
        leg(6, 100),
        leg(7, 100),
    )
    accounts = {f"p{number}": account_of(number) for number in (1, 2, 3, 4, 5, 7)}
    filed = frozenset({leg_reference(7, 7)})
    payments, left_out = sorted_out(legs, filed, accounts, frozenset({"p5"}))
    assert [each.partner_id for each in payments] == ["p1"]
    assert [(each.partner_id, each.why) for each in left_out] == [
        ("p5", Why.ON_HOLD),
        ("p6", Why.NO_ACCOUNT),
    ]


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=12), st.integers(1, 4)
)
def test_t30_no_leg_stands_in_two_files(made: list[tuple[bool, bool, bool]], rounds: int) -> None:
    legs = [leg(number, 100) for number in range(1, len(made) + 1)]
    filed: list[str] = []
    for turn in range(rounds):
        # Accounts come into effect and holds end from one file to the next.
        accounts = {
            each.partner_id: account_of(each.partner_number)
            for each, (has_account, _, later) in zip(legs, made, strict=True)
            if has_account or (later and turn)
        }
        held = frozenset(
            each.partner_id
            for each, (_, on_hold, _) in zip(legs, made, strict=True)
            if on_hold and not turn
        )
        payments, left_out = sorted_out(legs, frozenset(filed), accounts, held)
        filed += [each.reference for each in payments]
        assert len(filed) == len(set(filed))
        assert {each.reference for each in left_out} | set(filed) == {x.reference for x in legs}


@pytest.mark.parametrize(
    ("due", "made", "wanted"),
    [
        (date(2017, 1, 4), NOON, date(2017, 1, 4)),
        (date(2017, 1, 1), NOON, date(2017, 1, 2)),
        (None, NOON, date(2017, 1, 2)),
        (None, datetime(2017, 1, 7, 12, tzinfo=UTC), date(2017, 1, 9)),
        (None, datetime(2017, 1, 8, 16, tzinfo=UTC), date(2017, 1, 9)),
    ],
)
def test_the_bank_is_asked_to_pay_on_a_banking_day(
    due: date | None, made: datetime, wanted: date
) -> None:
    assert execution_date(Scheme("CNY", zone="Asia/Shanghai"), due, made) == wanted


@given(st.integers(1, 10**12), st.sampled_from(["USD", "JPY", "KWD", "CNY", "EUR"]))
def test_an_amount_is_written_exactly(minor: int, code: str) -> None:
    currency = currency_scale(code)
    text = decimal_amount(minor * currency.minor_unit, currency)
    assert int(text.replace(".", "")) == minor
    assert len(text.partition(".")[2]) == currency.minor_digits
