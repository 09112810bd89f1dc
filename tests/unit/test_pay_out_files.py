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
from settlement.accounts.account import NO_ADDRESS, AccountEvent, Address, BankAccount
from settlement.accounts.versions import AccountVersion, Approval
from settlement.bank.matching import AccountKind
from settlement.bank.suspense import Payee
from settlement.payouts.csv_form import write_csv
from settlement.payouts.due import legs_due, own_account
from settlement.payouts.instruction import (
    Debtor,
    Due,
    Instructed,
    LeftOut,
    PayoutFile,
    PayOutKind,
    Why,
    decimal_amount,
    file_body,
    file_from,
    sorted_out,
    with_digests,
)
from settlement.payouts.making import FORMATS, execution_date, write_file
from settlement.payouts.pain import PainVersion, schema_of, write_pain
from settlement.payouts.series import of_account
from settlement.references import (
    draw_reference,
    leg_reference,
    refund_reference,
    structured,
    withdrawal_reference,
)
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
MESSAGE = "PAYOUT-000007-001-20170102"
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
        MESSAGE,
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


def leg(number: int, amount: int = 100) -> Due:
    """A leg of window 7 that waits for the bank."""
    return Due(PayOutKind.LEG, leg_reference(7, number), f"p{number}", amount)


def account_of(number: int) -> AccountVersion:
    """An account in effect."""
    event = AccountEvent(f"p{number}", "EUR", 1, GERMAN)
    approval = Approval(NOON - timedelta(days=2), timedelta(days=1))
    return AccountVersion(event, bytes(32), NOON - timedelta(days=3), 1, approval)


def test_a_file_pays_what_is_instructed_and_names_what_it_leaves_out() -> None:
    accounts = {f"p{number}": account_of(number) for number in (1, 5, 7)}
    filed = frozenset({leg_reference(7, 7)})
    due = [leg(number) for number in (1, 5, 6, 7)]
    payments, left_out = sorted_out(due, filed, accounts, frozenset({"p5"}))
    assert [each.partner_id for each in payments] == ["p1"]
    assert [(each.partner_id, each.why) for each in left_out] == [
        ("p5", Why.ON_HOLD),
        ("p6", Why.NO_ACCOUNT),
    ]


def test_only_pay_outs_that_wait_for_the_bank_are_due() -> None:
    def recorded(number: int, payment: int, **changes: Any) -> Leg:
        made = Leg("w", number, f"p{number}", leg_reference(7, number), payment, log_index=100)
        return replace(made, **changes)

    legs = (
        recorded(1, 100),
        recorded(2, -100),
        recorded(3, 100, log_index=None),
        recorded(4, 100, confirmed_index=200),
        recorded(5, 100, cancelled_index=200),
    )
    assert legs_due(legs) == (leg(1),)
    # What reversals of bonuses gave back to the operator is paid to it, and no file knows where.
    (own,) = legs_due([replace(recorded(0, 100), partner_id="hub")])
    assert own == replace(leg(0), kind=PayOutKind.OWN_FUNDS, partner_id="hub")


OTHERS = (
    Due(PayOutKind.WITHDRAWAL, withdrawal_reference(300), "p1", 500),
    Due(PayOutKind.WITHDRAWAL, withdrawal_reference(301), "p2", 500),
    Due(PayOutKind.WITHDRAWAL, withdrawal_reference(302), "p3", 500),
    Due(PayOutKind.DRAW, draw_reference(7, 2), "p2", 700, CHINESE),
    Due(PayOutKind.REFUND, refund_reference(400, 1), "", 20, GERMAN),
    Due(PayOutKind.REFUND, refund_reference(400, 2), "", 30),
    Due(PayOutKind.OWN_FUNDS, structured("F000001"), "", 90),
)


def test_other_payments_go_where_their_kind_says() -> None:
    accounts = {"p1": account_of(1), "p2": account_of(2)}
    payments, left_out = sorted_out(OTHERS, frozenset(), accounts, frozenset({"p2"}))
    assert [(each.kind, each.account, each.account_version) for each in payments] == [
        (PayOutKind.WITHDRAWAL, GERMAN, 1),
        (PayOutKind.DRAW, CHINESE, 0),
        (PayOutKind.REFUND, GERMAN, 0),
    ]
    assert [each.account_sha256 for each in payments] == [bytes(32).hex(), "", ""]
    assert [(each.reference, each.why) for each in left_out] == [
        (withdrawal_reference(301), Why.ON_HOLD),
        (withdrawal_reference(302), Why.NO_ACCOUNT),
        (refund_reference(400, 2), Why.PAYEE_UNCLEAR),
        (structured("F000001"), Why.ACCOUNT_UNKNOWN),
    ]


@pytest.mark.parametrize(
    ("account", "bic", "is_clear"),
    [
        ("DE89370400440532013000", "", True),
        ("6222020200112233445", "ICBKCNBJ", True),
        ("6222020200112233445", "", False),
        ("a/c (old)", "ICBKCNBJ", False),
        ("6222020200112233445", "icbkcnbj", False),
    ],
)
def test_a_refund_is_filed_where_a_bank_can_tell_the_payees_account(
    account: str, bic: str, is_clear: bool
) -> None:
    found = Payee("Somebody Ltd", account, bic).bank_account
    assert (found is not None) == is_clear
    if found is not None:
        assert (found.identification, found.bic, found.address) == (account, bic, NO_ADDRESS)


def other_file(currency: str, pays_from: AccountKind) -> PayoutFile:
    """A file of other payments: a refund, a withdrawal and a draw."""
    cent = currency_scale(currency).minor_unit
    settled = own_account(Scheme(currency, operator_name="Coalition Ltd"), "audience")
    somebody = Payee("Somebody", "DE02120300000000202051").bank_account
    assert somebody is not None
    others = (
        Instructed(refund_reference(400, 1), "", 20, somebody, 0, "", PayOutKind.REFUND),
        replace(instructed(1, 5, GERMAN, "aurora"), kind=PayOutKind.WITHDRAWAL),
        Instructed(draw_reference(7, 2), "borealis", 7, settled, 0, "", PayOutKind.DRAW),
    )
    return pay_out_file(
        currency,
        window_id="",
        payments=tuple(replace(each, amount=each.amount * cent) for each in others),
        left_out=(LeftOut("RF00", "", 1, Why.ACCOUNT_UNKNOWN, PayOutKind.OWN_FUNDS),),
        pays_from=pays_from,
    )


@pytest.mark.parametrize("currency", ["EUR", "JPY", "KWD"])
@pytest.mark.parametrize("pays_from", AccountKind)
def test_other_payments_are_written_by_the_same_schemas_and_read_back(
    currency: str, pays_from: AccountKind
) -> None:
    file = other_file(currency, pays_from)
    assert file_from(file_body(file)) == file
    for version in PainVersion:
        content = write_pain(file, version)
        assert f"payee of refund/{refund_reference(400, 1)} ".encode() in content
        assert texts(content, "CdtrAcct", "Id", "Othr", "Id") == [
            f"pointclear-settlement-{currency.lower()}"
        ]
        assert b"<PstlAdr />" not in content
    assert len(list(csv.DictReader(io.StringIO(write_csv(file).decode())))) == 6


OTHER_GOLDEN = {
    "pain.001.001.03": "82dc8e60b4bca5e09a54b1bdaf30c89bdd9816fc711d944b380e20c646670c80",
    "pain.001.001.09": "7bfe1ab89f2a90103fa0987195662c60d8f0394fd02d11d0b4c9d8d93aa3910b",
    "csv": "81a3eaba939bb84d74f6552b501a3567fbe9a4a801e99ed9d61336630a61d1aa",
}
"""As `GOLDEN`: do not change these."""


@pytest.mark.parametrize("form", FORMATS)
def test_t30_other_payments_give_the_same_bytes_for_ever(form: str) -> None:
    content = FORMATS[form](other_file("EUR", AccountKind.COLLATERAL))
    assert hashlib.sha256(content).hexdigest() == OTHER_GOLDEN[form]


@pytest.mark.parametrize("account", AccountKind)
def test_messages_of_an_account_are_named_by_it(account: AccountKind) -> None:
    series = of_account(currency_scale("CNY"), 3, account)
    assert series.name == f"CNY/{account.lower()}"
    assert series.message_id(12, NOON) == f"PAYOUT-CNY-{account[0]}-012-20170102"


@given(
    st.lists(
        st.tuples(st.sets(st.integers(1, 3)), st.sets(st.integers(1, 3)), st.booleans()),
        min_size=1,
        max_size=6,
    )
)
def test_t30_no_payment_stands_in_two_files_that_stand_and_totals_are_sums(
    rounds: list[tuple[set[int], set[int], bool]],
) -> None:
    # Accounts come into effect, holds begin and end, and the bank rejects some files.
    due = (leg(1), leg(2), leg(3), *OTHERS)
    standing: list[PayoutFile] = []
    for with_account, held, rejected in rounds:
        filed = frozenset(each.reference for file in standing for each in file.payments)
        accounts = {f"p{number}": account_of(number) for number in with_account}
        on_hold = frozenset(f"p{number}" for number in held)
        payments, left_out = sorted_out(due, filed, accounts, on_hold)
        named = [*(each.reference for each in payments), *(each.reference for each in left_out)]
        assert sorted(named) == sorted({each.reference for each in due} - filed)
        file = pay_out_file(payments=payments, left_out=left_out)
        amounts = {each.reference: each.amount for each in due}
        assert file.total == sum(amounts[each.reference] for each in payments)
        standing += [] if rejected else [file]
    everywhere = [each.reference for file in standing for each in file.payments]
    assert len(everywhere) == len(set(everywhere))


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
