"""The bank's files and suspense against a real database: refused whole, booked once, resolved by
two, and the books are right after all of it.
"""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Literal

import pytest

from partners.caller import Caller
from partners.errors import Reason, Refused
from pointclear.settlement.v1 import bank_pb2
from pointclear.settlement.v1 import settlement_service_pb2 as pb
from settlement.bank_papers import Booking, Day, camt053_of
from settlement.bank_simulator import BankDay, Paper, PaymentRequest, bank_day
from settlement.references import collateral_reference
from tests.integration.test_settlement_cycle import (
    CNY,
    FIRST,
    OPERATOR,
    Coalition,
    Crash,
    coalition,
    server,
    worked_example,
)

__all__ = ["coalition", "server"]

COLLATERAL = "pointclear-collateral-cny"
PAPERS = [*Paper]
ASKED = Decimal("6.30")


@dataclass
class Bank:
    """The bank of a coalition: each of its two accounts, day after day."""

    coalition: Coalition
    paper: Paper = Paper.CSV
    balances: dict[str, Decimal] | None = None
    number: int = 0

    def day(self, *requests: PaymentRequest, account: str = "", name: str = "") -> BankDay:
        """The next day of an account; nothing is imported."""
        opening = (self.balances or {}).get(account, Decimal(0))
        self.number += 1
        return bank_day(
            name or f"D{self.number}",
            "CNY",
            FIRST + timedelta(days=self.number),
            opening,
            requests,
            account=account,
            paper=self.paper,
        )

    def books(
        self, *requests: PaymentRequest, account: str = "", **named: Any
    ) -> pb.ImportBankFileResponse:
        """The next day of an account, imported."""
        day = self.day(*requests, account=account)
        answer = self.imports(day.content, **named)
        self.balances = (self.balances or {}) | {account: day.closing}
        return answer

    def imports(self, content: bytes, **named: Any) -> pb.ImportBankFileResponse:
        request = pb.ImportBankFileRequest(currency="CNY", content=content, **named)
        answer: pb.ImportBankFileResponse = asyncio.run(
            self.coalition.service.import_bank_file(request, OPERATOR)
        )
        return answer

    def suspense(self) -> list[bank_pb2.SuspenseItem]:
        request = bank_pb2.ListSuspenseRequest(currency="CNY")
        found = asyncio.run(self.coalition.service.list_suspense(request, OPERATOR))
        assert found.total == sum(each.open_amount for each in found.items)
        return list(found.items)

    def resolve(self, *item_ids: str, **resolution: Any) -> str:
        request = bank_pb2.ResolveSuspenseRequest(currency="CNY", item_ids=item_ids, **resolution)
        answer: bank_pb2.ResolveSuspenseResponse = asyncio.run(
            self.coalition.service.resolve_suspense(request, OPERATOR)
        )
        return answer.reference

    def balance(self, account: str) -> int:
        with self.coalition.engine.connect() as connection:
            row = connection.exec_driver_sql(
                "SELECT credits_posted - debits_posted FROM balance"
                " JOIN account USING (account_number) JOIN unit USING (unit_number)"
                " WHERE account.name = %s AND unit.name = 'CNY'",
                (account,),
            ).one()
        return int(row[0])

    def tables(self) -> tuple[object, ...]:
        """Whatever an import could have written."""
        with self.coalition.engine.connect() as connection:
            return tuple(
                connection.exec_driver_sql(
                    f"SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM {name} AS t"
                ).scalar_one()
                for name in ("record", "posting", "entry_fact", "balance", "window_sum", "head")
            )


@pytest.fixture
def bank(coalition: Coalition) -> Iterator[Bank]:
    """A window that is stated: aurora is asked for 6.30, borealis waits for 6.15."""
    worked_example(coalition)
    coalition.settle()
    yield Bank(coalition)
    assert not coalition.findings()


def paid(amount: str, reference: str, partner: str = "aurora") -> PaymentRequest:
    return PaymentRequest("PAY_IN", Decimal(amount), reference, partner)


def sent(amount: str, reference: str) -> PaymentRequest:
    return PaymentRequest("PAY_OUT", Decimal(amount), reference, "borealis")


def legs(bank: Bank) -> tuple[pb.Leg, pb.Leg]:
    asked, owed = bank.coalition.settle().legs
    return asked, owed


def refusal(bank: Bank, content: bytes, **named: Any) -> Refused:
    before = bank.tables()
    with pytest.raises(Refused) as refused:
        bank.imports(content, **named)
    assert refused.value.reason is Reason.BANK_FILE_REFUSED
    assert refused.value.field
    assert bank.tables() == before
    return refused.value


# Files


@pytest.mark.parametrize("paper", PAPERS)
def test_a_window_is_settled_by_files_of_each_format(bank: Bank, paper: Paper) -> None:
    bank.paper = paper
    asked, owed = legs(bank)
    answer = bank.books(paid("6.30", asked.reference))
    assert (answer.matched, answer.unmatched) == (1, 0)
    assert answer.file.kind == bank_pb2.BANK_ACCOUNT_KIND_SETTLEMENT
    assert answer.file.closing == 6_300_000
    bank.books(sent("6.15", owed.reference))
    assert bank.coalition.settle().window.state == pb.WINDOW_STATE_SETTLED
    request = bank_pb2.ListBankFilesRequest(currency="CNY")
    listed = asyncio.run(bank.coalition.service.list_bank_files(request, OPERATOR)).files
    assert [each.closing for each in listed] == [150_000, 6_300_000]
    assert {each.format for each in listed} == {PAPERS.index(paper) + 1}
    assert listed[0].log_index > listed[1].log_index > 0


@pytest.mark.parametrize("paper", PAPERS)
def test_t31_a_forged_or_gapped_bank_file_leaves_every_table_as_it_was(
    bank: Bank, paper: Paper
) -> None:
    bank.paper = paper
    asked, _ = legs(bank)
    bank.books(paid("1.00", "a gift"))
    today = bank.day(paid("6.30", asked.reference), paid("5.00", "x"))
    text = today.content.decode()
    comma = paper is Paper.MT940
    forged = {
        "a higher amount": text.replace(*(("6,30", "7,30") if comma else ("6.30", "7.30")), 1),
        "another opening": re.sub(r"1([.,])00(?=\D)", r"2\g<1>00", text, count=1),
        "another account": text.replace("settlement-cny", "settlement-usd"),
        "another currency": text.replace("CNY", "USD"),
        "cut in the middle": text[: len(text) // 2],
        "cut at the end": text[: text.rindex("END" if paper is Paper.CSV else "6")],
        "an entry twice": text + text,
        "nothing": "",
    }
    for name, content in forged.items():
        assert content != text, name
        refusal(bank, content.encode())
    # A day between them is missing.
    tomorrow = bank_day("D9", "CNY", FIRST, today.closing, [], paper=paper)
    assert refusal(bank, tomorrow.content).field == "opening"
    # And what was refused may still come right.
    bank.imports(today.content)
    bank.imports(tomorrow.content)


def test_t31_a_missing_day_whose_entries_sum_to_nothing_is_found_by_the_banks_count(
    bank: Bank,
) -> None:
    def file(number: int) -> bytes:
        return camt053_of(
            Day(f"N{number}", number, "pointclear-settlement-cny", "CNY", FIRST, Decimal(0), [])
        )

    bank.imports(file(4))
    wrong = refusal(bank, file(6))
    assert (wrong.field, "import 5 first" in wrong.text) == ("number", True)
    bank.imports(file(5))
    bank.imports(file(6))


def test_t26_a_wrong_file_leaves_every_table_unchanged(bank: Bank) -> None:
    for content in (b"", b"\x00" * 64, b"PK\x03\x04", b"%PDF-1.7", b"<html></html>", b":20:x"):
        refusal(bank, content)
    lines = bank.coalition.line_file("aurora")
    assert refusal(bank, lines).field == "content"


@pytest.mark.parametrize("paper", PAPERS)
def test_t30_a_file_twice_and_an_entry_in_two_files_book_it_once(bank: Bank, paper: Paper) -> None:
    bank.paper = paper
    asked, _ = legs(bank)
    day = bank.day(paid("6.30", asked.reference))
    bank.imports(day.content)
    before = bank.tables()
    again = bank.imports(day.content)
    assert (again.matched, again.repeated_entries) == (0, 1)
    assert bank.tables() == before
    text = day.content.decode()
    # The next day's statement has yesterday's entry once more, and adds up.
    name = re.search(r"D1-1|[0-9A-F]{10}000001", text)
    assert name
    bank.balances = {"": day.closing}
    following = bank.day(paid("6.30", asked.reference)).content.decode()
    other = re.search(r"D2-1|[0-9A-F]{10}000001", following)
    assert other
    wrong = refusal(bank, following.replace(other.group(), name.group()).encode())
    assert wrong.field == f"entries[{name.group()}]"
    assert "D1" in wrong.text or "20" in wrong.text
    assert wrong.metadata["earlierFile"]


def test_t30_a_statement_in_two_files_is_refused(bank: Bank) -> None:
    asked, _ = legs(bank)
    bank.imports(bank.day(paid("6.30", asked.reference), name="D1").content)
    other = bank_day("D1", "CNY", FIRST, ASKED, []).content
    assert refusal(bank, other).field == "statement_id"


def test_a_file_of_another_currency_than_was_said_is_refused(bank: Bank) -> None:
    request = pb.ImportBankFileRequest(currency="USD", content=bank.day().content)
    with pytest.raises(Refused) as refused:
        asyncio.run(bank.coalition.service.import_bank_file(request, OPERATOR))
    assert refused.value.field == "currency"
    # And what nobody says is the file's own.
    request = pb.ImportBankFileRequest(content=bank.day().content)
    asyncio.run(bank.coalition.service.import_bank_file(request, OPERATOR))


def test_the_banks_charges_and_interest_are_the_operators_loss_and_gain(bank: Bank) -> None:
    bank.paper = Paper.CAMT_053
    asked, owed = legs(bank)
    fee = PaymentRequest("PAY_OUT", Decimal("0.25"), "", "", kind="CHARGE")
    interest = PaymentRequest("PAY_IN", Decimal("0.15"), "", "", kind="INTEREST")
    answer = bank.books(paid("6.30", asked.reference), fee, interest)
    assert (answer.matched, answer.charges) == (1, 2)
    assert bank.balance("hub.losses") == -100_000
    # The bank's fee is nobody's debt: what is left still covers the pay-out.
    bank.books(sent("6.15", owed.reference))
    assert bank.coalition.settle().window.state == pb.WINDOW_STATE_SETTLED


def test_a_charge_that_fees_do_not_cover_is_asked_of_the_operator_and_paid_back_out_of_fees(
    bank: Bank,
) -> None:
    coalition = bank.coalition
    asked, owed = legs(bank)
    charge = PaymentRequest("PAY_OUT", Decimal("1.00"), "", "", kind="CHARGE")
    bank.paper = Paper.CAMT_053
    bank.books(paid("6.30", asked.reference), charge)
    # 5.30 lies there, and borealis waits for 6.15.
    assert coalition.settle().window.state != pb.WINDOW_STATE_SETTLED
    second, third = FIRST + timedelta(days=1), FIRST + timedelta(days=2)
    coalition.close(second)
    # 1.00 less the fees and taxes of 0.142146.
    (own,) = coalition.settle(second).legs
    assert (own.partner_id, own.direction, own.amount) == ("hub", pb.LEG_DIRECTION_PAY_IN, 860_000)
    bank.books(paid("0.86", own.reference))
    coalition.settle()
    bank.books(sent("6.15", owed.reference))
    for day in (FIRST, second):
        assert coalition.settle(day).window.state == pb.WINDOW_STATE_SETTLED
    assert not coalition.findings()

    # Fees of 0.98 and their tax have made up for it by the next day.
    for _ in range(10):
        coalition.transfer("aurora", 1000)
    coalition.close(third)
    back = {leg.partner_id: leg for leg in coalition.settle(third).legs}["hub"]
    assert (back.direction, back.amount) == (pb.LEG_DIRECTION_PAY_OUT, 860_000)
    assert not coalition.findings()


def test_a_charge_that_the_bank_does_not_code_is_named_by_the_operators(bank: Bank) -> None:
    bank.books(paid("5.00", "a gift"))
    out = bank.day(sent("1.00", "account keeping"), name="D2")
    bank.balances = {"": Decimal(5)}
    out = bank_day("D2", "CNY", FIRST, Decimal(5), [sent("1.00", "account keeping")])
    assert refusal(bank, out.content).field == "entries[D2-1]"
    answer = bank.imports(out.content, charge_entries=["D2-1"])
    assert (answer.charges, bank.balance("hub.losses")) == (1, -CNY)


def test_a_crash_right_after_a_collateral_file_is_mended_by_importing_it_again(bank: Bank) -> None:
    day = bank.day(paid("9.00", collateral_reference(1)), account=COLLATERAL)
    bank.coalition.submitted, bank.coalition.crash_after = 0, 0
    with pytest.raises(Crash):
        bank.imports(day.content)
    bank.coalition.crash_after = None
    assert bank.imports(day.content).collateral == 1
    assert bank.imports(day.content).repeated_entries == 1


# Collateral


@pytest.mark.parametrize("paper", PAPERS)
def test_a_top_up_comes_unannounced_and_is_its_partners_at_once(bank: Bank, paper: Paper) -> None:
    bank.paper = paper
    asked, _ = legs(bank)
    answer = bank.books(paid("50.00", collateral_reference(2)), account=COLLATERAL)
    assert answer.file.kind == bank_pb2.BANK_ACCOUNT_KIND_COLLATERAL
    assert (answer.collateral, answer.unmatched) == (1, 0)
    assert bank.balance("borealis.collateral") == 50 * CNY
    assert bank.balance("hub.bank.collateral") == -50 * CNY
    # Each account has a continuity of its own.
    bank.books(paid("6.30", asked.reference))
    bank.books(paid("1.00", collateral_reference(1)), account=COLLATERAL)
    assert bank.balance("aurora.collateral") == CNY
    assert bank.balance("hub.bank.settlement") == -6_300_000


def test_money_that_nobody_knows_does_not_come_into_the_collateral_account(bank: Bank) -> None:
    day = bank.day(paid("50.00", "a gift"), account=COLLATERAL, name="C1")
    assert refusal(bank, day.content).field == "entries[C1-1]"
    whose = [bank_pb2.EntryOwner(entry_id="C1-1", partner_id="aurora")]
    assert bank.imports(day.content, owners=whose).collateral == 1
    assert bank.balance("aurora.collateral") == 50 * CNY
    unknown = [bank_pb2.EntryOwner(entry_id="C1-1", partner_id="nobody")]
    with pytest.raises(Refused) as refused:
        bank.imports(bank.day(account=COLLATERAL, name="C2").content, owners=unknown)
    assert refused.value.reason in (Reason.PARTNER_UNKNOWN, Reason.BANK_FILE_REFUSED)


def test_the_bank_takes_a_top_up_back_whatever_it_covers(bank: Bank) -> None:
    bank.books(paid("50.00", collateral_reference(1)), account=COLLATERAL)
    direction: Literal["PAY_OUT"] = "PAY_OUT"
    back = PaymentRequest(direction, Decimal(50), collateral_reference(1), "", is_reversal=True)
    bank.paper = Paper.MT940
    assert bank.books(back, account=COLLATERAL).collateral == 1
    assert bank.balance("aurora.collateral") == 0
    # Also what is not there: the others' money is gone with it, and the books say whose debt it is.
    bank.books(paid("9.00", collateral_reference(2)), account=COLLATERAL)
    back = PaymentRequest(direction, Decimal(4), collateral_reference(1), "", is_reversal=True)
    bank.books(back, account=COLLATERAL)
    assert bank.balance("aurora.collateral") == -4 * CNY


# Suspense


def test_short_payments_that_come_to_a_leg_pay_it_by_two_people(bank: Bank) -> None:
    asked, owed = legs(bank)
    bank.books(paid("4.00", asked.reference), paid("2.00", "rest"), paid("0.50", "and more"))
    items = bank.suspense()
    assert [(each.item_id, each.open_amount, each.partner_id) for each in items] == [
        ("D1-1", 4 * CNY, "aurora"),
        ("D1-2", 2 * CNY, ""),
        ("D1-3", 500_000, ""),
    ]
    assert (items[0].reference, items[0].name, items[0].age_days) == (asked.reference, "aurora", 0)
    with pytest.raises(Refused, match="300000 short") as refused:
        bank.resolve("D1-1", "D1-2", leg_reference=asked.reference)
    assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, "item_ids")
    spaced = " ".join(asked.reference).lower()
    named = ("D1-1", "D1-2", "D1-3")
    assert bank.resolve(*named, leg_reference=spaced) == asked.reference
    assert [leg.state for leg in legs(bank)] == [pb.LEG_STATE_CONFIRMED, pb.LEG_STATE_PENDING]
    assert bank.coalition.position("aurora") == "0.006120"
    assert [(each.item_id, each.open_amount) for each in bank.suspense()] == [("D1-3", 200_000)]
    before = bank.tables()
    bank.resolve(*named, leg_reference=asked.reference)
    assert bank.tables() == before
    with pytest.raises(Refused) as other:
        bank.resolve("D1-3", leg_reference=asked.reference)
    assert other.value.reason is Reason.ALREADY_EXISTS
    bank.books(sent("6.15", owed.reference))
    assert bank.coalition.settle().window.state == pb.WINDOW_STATE_SETTLED
    # The window that is open counts the payment, and its statement is right.
    second = FIRST + timedelta(days=1)
    bank.coalition.close(second)
    bank.coalition.settle(second)
    assert bank.coalition.statement("aurora", second).payments_since == 6_300_000


def test_what_a_leg_is_overpaid_by_lies_in_suspense_and_helps_pay_the_next(bank: Bank) -> None:
    asked, _ = legs(bank)
    answer = bank.books(paid("7.00", asked.reference))
    assert (answer.matched, answer.unmatched) == (1, 1)
    (item,) = bank.suspense()
    assert (item.open_amount, item.partner_id) == (700_000, "aurora")
    assert bank.coalition.position("aurora") == "0.006120"


def test_t30_a_leg_paid_from_suspense_is_not_paid_by_the_bank_again(bank: Bank) -> None:
    asked, _ = legs(bank)
    bank.books(paid("6.30", "no reference"))
    bank.resolve("D1-1", leg_reference=asked.reference)
    answer = bank.books(paid("6.30", asked.reference))
    assert (answer.matched, answer.unmatched) == (0, 1)
    assert bank.coalition.position("aurora") == "0.006120"


def test_money_goes_back_to_who_paid_it_under_a_reference_of_its_own(bank: Bank) -> None:
    asked, owed = legs(bank)
    bank.books(paid("6.30", asked.reference), paid("5.00", "a gift", "somebody"))
    payee = bank_pb2.Payee(name="Somebody", account="DE89 3704 0044 0532 0130 00")
    reference = bank.resolve("D1-2", payee=payee)
    assert reference.startswith("RF")
    before = bank.tables()
    assert bank.resolve("D1-2", payee=payee) == reference
    assert bank.tables() == before
    assert not bank.suspense()
    with pytest.raises(Refused) as other:
        bank.resolve("D1-2", payee=bank_pb2.Payee(name="Else", account="1"))
    assert other.value.reason is Reason.ALREADY_EXISTS
    # It is on its way and still in the account; the pay-out beside it is covered by the pay-in.
    assert legs(bank)[1].state == pb.LEG_STATE_PENDING
    assert bank.balance("hub.suspense") == 5 * CNY
    answer = bank.books(sent("6.15", owed.reference), sent("5.00", reference))
    assert answer.matched == 2
    assert bank.balance("hub.suspense") == 0
    assert bank.coalition.settle().window.state == pb.WINDOW_STATE_SETTLED


def test_suspense_is_not_lent_also_while_some_of_it_is_on_its_way_back(bank: Bank) -> None:
    bank.books(paid("20.00", "a gift"), paid("1.00", "another"))
    bank.resolve("D1-2", payee=bank_pb2.Payee(name="Somebody", account="1"))
    assert legs(bank)[1].state == pb.LEG_STATE_WAITING


def test_a_pay_out_that_the_bank_returns_is_paid_again_from_suspense(bank: Bank) -> None:
    bank.paper = Paper.CAMT_053
    asked, owed = legs(bank)
    bank.books(paid("6.30", asked.reference))
    bank.books(sent("6.15", owed.reference))
    back = PaymentRequest("PAY_IN", Decimal("6.15"), owed.reference, "", is_reversal=True)
    assert bank.books(back).unmatched == 1
    (item,) = bank.suspense()
    reference = bank.resolve(item.item_id, payee=bank_pb2.Payee(name="Borealis", account="7"))
    assert reference != owed.reference
    assert bank.books(sent("6.15", reference)).matched == 1


def test_the_bank_takes_back_what_lies_in_suspense_and_what_came_in_the_same_file(
    bank: Bank,
) -> None:
    bank.paper = Paper.MT940
    asked, _ = legs(bank)
    bank.books(paid("5.00", "a gift"))
    back = PaymentRequest("PAY_OUT", Decimal(5), "a gift", "", is_reversal=True)
    assert bank.books(back).taken_back == 1
    assert not bank.suspense()
    wrong = PaymentRequest("PAY_OUT", ASKED, asked.reference, "", is_reversal=True)
    answer = bank.books(paid("6.30", asked.reference), wrong)
    assert (answer.matched, answer.unmatched, answer.taken_back) == (0, 1, 1)
    assert legs(bank)[0].state == pb.LEG_STATE_PENDING
    assert not bank.suspense()


@pytest.mark.parametrize(
    ("item_ids", "resolution", "field"),
    [
        (["D1-9"], {"leg_reference": "ASKED"}, "item_ids"),
        ([], {"leg_reference": "ASKED"}, "item_ids"),
        (["D1-1", "D1-1"], {"leg_reference": "ASKED"}, "item_ids"),
        (["D1-1", "D1-2"], {"leg_reference": "ASKED"}, "item_ids"),
        (["D1-1"], {"leg_reference": "RF00"}, "leg_reference"),
        (["D1-1"], {"leg_reference": "OWED"}, "leg_reference"),
        (["D1-1"], {}, "resolution"),
        (["D1-1", "D1-2"], {"payee": bank_pb2.Payee(name="A", account="1")}, "item_ids"),
        (["D1-1"], {"payee": bank_pb2.Payee(name="", account="1")}, "payee.name"),
        (["D1-1"], {"payee": bank_pb2.Payee(name="A\x00", account="1")}, "payee.name"),
        (["D1-1"], {"payee": bank_pb2.Payee(name="A", account="")}, "payee.account"),
        (["D1-1"], {"payee": bank_pb2.Payee(name="A", account="1", bic="X")}, "payee.bic"),
        (["D1-9"], {"payee": bank_pb2.Payee(name="A", account="1")}, "item_ids"),
    ],
)
def test_what_does_not_fit_resolves_nothing(
    bank: Bank, item_ids: list[str], resolution: dict[str, Any], field: str
) -> None:
    asked, owed = legs(bank)
    bank.books(paid("6.30", "x"), paid("9.00", "y"))
    names = {"ASKED": asked.reference, "OWED": owed.reference}
    if "leg_reference" in resolution:
        name = resolution["leg_reference"]
        resolution = {"leg_reference": names.get(name, name)}
    before = bank.tables()
    with pytest.raises(Refused) as refused:
        bank.resolve(*item_ids, **resolution)
    assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, field)
    assert bank.tables() == before


def test_a_crash_while_suspense_is_resolved_is_mended_by_the_same_call(bank: Bank) -> None:
    asked, _ = legs(bank)
    bank.books(paid("6.30", "x"))
    bank.coalition.submitted, bank.coalition.crash_after = 0, 1
    with pytest.raises(Crash):
        bank.resolve("D1-1", leg_reference=asked.reference)
    bank.coalition.crash_after = None
    bank.resolve("D1-1", leg_reference=asked.reference)
    assert [leg.state for leg in legs(bank)] == [pb.LEG_STATE_CONFIRMED, pb.LEG_STATE_PENDING]


def test_two_people_who_resolve_the_same_money_at_once_use_it_once(bank: Bank) -> None:
    asked, _ = legs(bank)
    bank.books(paid("6.30", "x"))
    service = bank.coalition.service

    async def both() -> list[Any]:
        to_leg = bank_pb2.ResolveSuspenseRequest(
            currency="CNY", item_ids=["D1-1"], leg_reference=asked.reference
        )
        back = bank_pb2.ResolveSuspenseRequest(
            currency="CNY", item_ids=["D1-1"], payee=bank_pb2.Payee(name="A", account="1")
        )
        calls = (service.resolve_suspense(each, OPERATOR) for each in (to_leg, back))
        return await asyncio.gather(*calls, return_exceptions=True)

    outcomes = asyncio.run(both())
    assert sum(isinstance(each, Refused) for each in outcomes) == 1


def test_a_partner_sees_nothing_of_the_bank(bank: Bank) -> None:
    partner = Caller("partner", "aurora")
    service = bank.coalition.service
    for call, request in (
        (service.import_bank_file, pb.ImportBankFileRequest(currency="CNY")),
        (service.list_bank_files, bank_pb2.ListBankFilesRequest(currency="CNY")),
        (service.list_suspense, bank_pb2.ListSuspenseRequest(currency="CNY")),
        (service.resolve_suspense, bank_pb2.ResolveSuspenseRequest(currency="CNY")),
    ):
        with pytest.raises(Refused) as refused:
            asyncio.run(call(request, partner))
        assert refused.value.reason is Reason.ROLE_MISSING


def test_the_mirrors_rule_reads_files_of_every_format_and_both_accounts(bank: Bank) -> None:
    bank.books(paid("5.00", "a gift"))
    for paper in PAPERS:
        bank.paper = paper
        bank.books(paid("1.00", "a gift"))
        assert not bank.coalition.findings()
        bank.books(paid("1.00", collateral_reference(1)), account=COLLATERAL)
        assert not bank.coalition.findings()


def test_leap_days_settle_like_others(bank: Bank) -> None:
    asked, _ = legs(bank)
    for number, paper in enumerate(PAPERS):
        opening = Decimal("6.30") if number else Decimal(0)
        requests = [] if number else [paid("6.30", asked.reference)]
        day = bank_day(f"L{number}", "CNY", date(2028, 2, 29), opening, requests, paper=paper)
        bank.imports(day.content)


def test_a_batch_of_the_bank_confirms_each_of_its_payments(bank: Bank) -> None:
    asked, _ = legs(bank)
    content = camt053_of(
        Day(
            "B1",
            0,
            "pointclear-settlement-cny",
            "CNY",
            FIRST,
            Decimal(0),
            [Booking(Decimal("8.30"), "x", "")],
        )
    ).decode()
    batch = "".join(
        f'<TxDtls><Amt Ccy="CNY">{amount}</Amt><RmtInf><Ustrd>{text}</Ustrd></RmtInf></TxDtls>'
        for amount, text in (("6.30", asked.reference), ("2.00", "a gift"))
    )
    content = re.sub(r"<TxDtls>.*</TxDtls>", batch, content, flags=re.DOTALL)
    answer = bank.imports(content.encode())
    assert (answer.matched, answer.unmatched) == (1, 1)
    (item,) = bank.suspense()
    assert item.item_id.endswith("#2")
    assert item.reference == "a gift"
