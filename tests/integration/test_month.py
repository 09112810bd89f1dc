"""The month against a real PostgreSQL: invoices, credit notes, their numbers, and what a crash or a
second process leaves of them.
"""

import asyncio
import base64
import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from exchange import reads
from exchange.batch import Decided, Ledger
from exchange.cli.checks.audit import check_audit
from exchange.cli.verify import check_folder
from exchange.commands import Book, CloseWindow, Command
from exchange.fold import InvariantBroken
from exchange.outcomes import Result
from partners.caller import Caller
from partners.envelope import BALANCE_CONFIRMATION, sign
from partners.errors import Reason, Refused
from partners.keys import Purpose
from partners.signers import Signers
from partners.signing import verify_with
from partners.store import load_keys
from partners.wire import envelope_from_proto, envelope_to_proto
from pointclear.settlement.v1 import account_pb2 as accounts_pb
from pointclear.settlement.v1 import billing_pb2 as billing_pb
from pointclear.settlement.v1 import month_pb2 as pb
from pointclear.settlement.v1 import settlement_service_pb2 as settlement_pb
from settlement import store
from settlement.bank_simulator import PaymentRequest, bank_day
from settlement.checks.invariants import check_books
from settlement.lines.store import stored_line_file
from settlement.month.audit.export import export_audit
from settlement.month.billing import store as billing_store
from settlement.month.billing.details import BillingDetails
from settlement.month.locks import Standing, check_unlocked, lock_entry
from settlement.month.period import Period
from settlement.month.relating import adjustment_period, day_related_to
from settlement.references import leg_reference
from settlement.service import SettlementService
from settlement.statement import Statement
from tests import factories as make
from tests.database import Database
from tests.integration.test_ledger import a_ledger, found
from tests.property.histories import RICH

OPERATOR = Caller("operator", "finance")
STATEMENTS = make.signer("exchange", Purpose.STATEMENTS)
JULY, AUGUST = "2026-07", "2026-08"
WINDOWS = ("cny-2026-07-15", "cny-2026-07-31", "cny-2026-08-03")
TAX_NUMBER = "GB980780684"
TERMS = [make.terms_of(payload) for payload in RICH.values()]


class Crash(Exception):
    """Stands for the end of the process."""


@dataclass
class Office:
    """A server process over the books of a coalition with rich terms."""

    database: Database
    ledger: Ledger
    crash_before: str = ""
    """Of which entry's key."""
    turn: threading.Lock = field(default_factory=threading.Lock)
    service: SettlementService = field(init=False)
    bank_balance: Decimal = Decimal()
    bank_days: int = 0

    def __post_init__(self) -> None:
        signers = Signers({Purpose.STATEMENTS: (STATEMENTS,)})
        engine = self.database.engine()
        self.service = SettlementService(engine, self.submit, make.AUDIENCE, signers)

    async def submit(self, command: Command) -> Result:
        """Have a command carried out, or crash right before."""
        if isinstance(command, Book) and command.entry_key == self.crash_before:
            raise Crash
        (decided,) = await asyncio.to_thread(self.decide, command)
        return decided.refusal or decided.result

    def decide(self, *commands: Command) -> tuple[Decided, ...]:
        with self.turn:
            return self.ledger.run(commands)

    def run(self, *commands: Command) -> None:
        """Carry commands out that nothing refuses."""
        refusals = [each.refusal for each in self.decide(*commands) if each.refusal]
        assert not refusals, refusals

    def call(self, name: str, request: Any, caller: Caller = OPERATOR) -> Any:
        """One call of the service."""
        return asyncio.run(getattr(self.service, name)(request, caller))

    def read(self, read: Callable[..., Any], *arguments: Any) -> Any:
        with self.database.connection() as connection:
            return read(connection, *arguments)

    def close(self, window_id: str, following: date) -> None:
        self.run(CloseWindow(window_id, following))
        self.call("settle_window", settlement_pb.SettleWindowRequest(window_id=window_id))

    def issue(self, month: str = JULY) -> pb.IssueInvoicesResponse:
        request = pb.IssueInvoicesRequest(currency=make.CURRENCY, month=month)
        response: pb.IssueInvoicesResponse = self.call("issue_invoices", request)
        return response

    def invoices(self, caller: Caller = OPERATOR, **asked: Any) -> list[pb.Invoice]:
        request = pb.ListInvoicesRequest(currency=make.CURRENCY, **asked)
        return list(self.call("list_invoices", request, caller).invoices)

    def invoice(self, invoice_id: str, caller: Caller = OPERATOR) -> pb.Invoice:
        request = pb.GetInvoiceRequest(invoice_id=invoice_id)
        invoice: pb.Invoice = self.call("get_invoice", request, caller).invoice
        return invoice

    def agree(self, supplier: str, customer: str, supply: str, mode: str, **more: str) -> None:
        """Record how a pair invoices."""
        invoicing = pb.Invoicing(
            supplier=supplier,
            customer=customer,
            type=f"SUPPLY_TYPE_{supply}",  # type: ignore[arg-type]
            mode=f"INVOICING_MODE_{mode}",  # type: ignore[arg-type]
            **more,
        )
        request = pb.SetInvoicingRequest(currency=make.CURRENCY, invoicing=invoicing)
        self.call("set_invoicing", request)

    def bill(self, party: str, tax_number: str = "", since: str = "", **details: str) -> None:
        """Record who a party is on documents."""
        request = billing_pb.SetBillingDetailsRequest(
            currency=make.CURRENCY,
            party=party,
            details=billing_pb.BillingDetails(
                name=f"{party} Ltd",
                address=accounts_pb.PostalAddress(
                    street="High Street", town="London", country="GB", **details
                ),
                tax_number=tax_number,
            ),
            effective_from=since,
        )
        self.call("set_billing_details", request)

    def settle(self, window_id: str) -> None:
        """Have the bank confirm whatever is asked for, until the window is settled."""
        settling = settlement_pb.SettleWindowRequest(window_id=window_id)
        while True:
            response = self.call("settle_window", settling)
            if response.window.state == settlement_pb.WINDOW_STATE_SETTLED:
                return
            requests = [
                PaymentRequest(
                    "PAY_IN" if leg.direction == settlement_pb.LEG_DIRECTION_PAY_IN else "PAY_OUT",
                    Decimal(leg.amount) / 1_000_000,
                    leg.reference,
                    leg.partner_id,
                )
                for leg in response.legs
                if leg.state == settlement_pb.LEG_STATE_PENDING
            ]
            assert requests, response
            self.bank_days += 1
            name = f"S{self.bank_days}"
            paid = bank_day(name, "CNY", make.DAY_ONE, self.bank_balance, requests)
            self.bank_balance = paid.closing
            importing = settlement_pb.ImportBankFileRequest(
                currency=make.CURRENCY, content=paid.content
            )
            self.call("import_bank_file", importing)

    def statement(self, window_id: str, partner_id: str) -> Statement:
        found: Statement | None = self.read(store.statement_of, window_id, partner_id)
        assert found is not None
        return found


@pytest.fixture
def office(database: Database) -> Office:
    """Two windows in July, one in August; a reversal in July of July's, two in August of July's."""
    ledger = found(database, cap=10**12)
    for payload in RICH.values():
        ledger.run(make.in_force(payload))
    with database.connection() as connection:
        reads.QUERIES.claim_audience(connection, audience=make.AUDIENCE)
    opened = Office(database, ledger)
    opened.run(make.add_key("exchange", Purpose.STATEMENTS))
    for number, terms in enumerate(TERMS, 1):
        points = 20 * terms.increment_source_points
        opened.run(make.an_order(number, terms, source_points=points))
    opened.close(WINDOWS[0], date(2026, 7, 31))
    for number, terms in enumerate(TERMS, 11):
        opened.run(make.an_order(number, terms, source_points=10 * terms.increment_source_points))
    opened.run(make.reverse(1, 1, 3, TERMS[0].target_partner))
    opened.close(WINDOWS[1], date(2026, 8, 3))
    for number, terms in enumerate(TERMS[:3], 1):
        opened.run(make.reverse(10 + number, number, 4, terms.target_partner))
    opened.run(make.an_order(21, TERMS[1], source_points=10 * TERMS[1].increment_source_points))
    for party in (*make.BRANDS, "hub"):
        opened.bill(party, TAX_NUMBER)
    return opened


def everybody(office: Office) -> None:
    """Have every supply invoiced, one pair's by the customer."""
    for brand in make.BRANDS:
        office.agree(brand, "*", "VALUE", "SUPPLIER")
        office.agree(brand, "*", "PROMOTION", "SUPPLIER")
    office.agree("fuel", "deli", "VALUE", "SELF_BILLED", agreement="SB-2026-7")


def stated(office: Office, windows: tuple[str, ...], brand: str) -> int:
    """What statements say of a brand, adjustments left out."""
    found = [office.statement(each, brand) for each in windows]
    return sum(each.net - each.adjustments for each in found)


def invoiced(office: Office, month: str, brand: str) -> int:
    """What the lines of a brand's documents come to, as it sees them."""
    total = 0
    for listed in office.invoices(month=month, partner_id=brand):
        lines = office.invoice(listed.invoice_id).lines
        amount = sum(each.net + each.tax for each in lines)
        assert amount + listed.rounding == listed.total
        sign = 1 if listed.supplier == brand else -1
        total += -sign * amount if listed.is_credit_note else sign * amount
    return total


def test_invoices_less_credit_notes_are_what_the_statements_say(office: Office) -> None:
    everybody(office)
    assert not office.issue().not_invoiced
    office.close(WINDOWS[2], date(2026, 9, 1))
    answer = office.issue(AUGUST)
    assert not answer.not_invoiced
    for brand in make.BRANDS:
        assert invoiced(office, JULY, brand) == stated(office, WINDOWS[:2], brand)
        assert invoiced(office, AUGUST, brand) == stated(office, WINDOWS[2:], brand)
    notes = [each for each in office.invoices(month=AUGUST) if each.is_credit_note]
    assert notes
    assert all(each.corrects and each.series.endswith("-CN") for each in notes)
    # What was taken back in July of July's is on July's invoice, against what it takes back.
    assert not any(each.is_credit_note for each in office.invoices(month=JULY))
    lines = [
        line
        for each in office.invoices(month=JULY)
        for line in office.invoice(each.invoice_id).lines
        if line.is_reversed
    ]
    assert lines
    assert all(line.net < 0 for line in lines)
    assert office.read(check_books) == ()


def test_supplies_are_gross_per_direction_and_type(office: Office) -> None:
    everybody(office)
    office.issue()
    documents = office.invoices(month=JULY)
    pairs = {(each.supplier, each.customer, each.type) for each in documents}
    assert len(pairs) == len(documents)
    both = {
        (source, target)
        for source, target, kind in pairs
        if kind == pb.SUPPLY_TYPE_VALUE and (target, source, kind) in pairs
    }
    assert ("deli", "fuel") in both
    assert all(each.total > 0 for each in documents)


def test_nobody_is_invoiced_in_a_name_that_did_not_agree(office: Office) -> None:
    answer = office.issue()
    assert {each.partition("/")[0] for each in answer.invoice_ids} == {"hub"}
    assert {each.type for each in answer.not_invoiced} == {
        pb.SUPPLY_TYPE_VALUE,
        pb.SUPPLY_TYPE_PROMOTION,
    }
    # What was not invoiced is not credited either, whatever was agreed since.
    everybody(office)
    office.close(WINDOWS[2], date(2026, 9, 1))
    later = office.issue(AUGUST)
    assert any(each.net < 0 for each in later.not_invoiced)
    notes = [each for each in office.invoices(month=AUGUST) if each.is_credit_note]
    assert all(each.supplier == "hub" for each in notes)


def test_a_customer_bills_itself_in_a_series_of_its_own(office: Office) -> None:
    everybody(office)
    office.issue()
    (own,) = [each for each in office.invoices() if each.mode == pb.INVOICING_MODE_SELF_BILLED]
    assert (own.supplier, own.customer, own.issuer) == ("fuel", "deli", "deli")
    assert (own.name, own.agreement) == ("SB-VAL-000001", "SB-2026-7")


def test_the_operators_invoices_are_due_in_minor_units_and_the_books_agree(office: Office) -> None:
    office.issue()
    documents = office.invoices()
    assert documents
    assert all(each.supplier == "hub" and each.total % 10_000 == 0 for each in documents)
    assert any(each.rounding for each in documents)
    ((rounding,),) = office.database.ask(
        "SELECT credits_posted - debits_posted FROM balance JOIN account USING (account_number)"
        " WHERE name = 'hub.rounding'"
    )
    assert rounding == sum(each.rounding for each in documents)
    # It moved positions, so the next statement says so.
    office.close(WINDOWS[2], date(2026, 9, 1))
    shown = {each: office.statement(WINDOWS[2], each).adjustments for each in make.BRANDS}
    owed = {each.customer: -each.rounding for each in documents}
    assert shown == dict.fromkeys(make.BRANDS, 0) | owed
    assert office.read(check_books) == ()


def test_a_crash_leaves_no_hole_in_a_series(office: Office) -> None:
    everybody(office)
    office.crash_before = "invoice/fuel/PRO/2"
    with pytest.raises(Crash):
        office.issue()
    before = [each.invoice_id for each in office.invoices()]
    assert "fuel/PRO/1" in before
    assert "fuel/PRO/2" not in before
    # What is agreed on in between is for what was not issued.
    office.agree("fuel", "grocery", "PROMOTION", "SUPPLIER", series="GRO")
    office.crash_before = ""
    answer = office.issue()
    assert answer.issued == len(answer.invoice_ids) - len(before)
    assert set(before) < set(answer.invoice_ids)
    numbers = Counter((each.issuer, each.series) for each in office.invoices())
    for (issuer, series), count in numbers.items():
        given = sorted(
            each.number
            for each in office.invoices()
            if (each.issuer, each.series) == (issuer, series)
        )
        assert given == list(range(1, count + 1))
    assert numbers["fuel", "GRO"] == 1


def test_issuing_again_changes_nothing(office: Office) -> None:
    everybody(office)
    first = office.issue()
    ((records,),) = office.database.ask("SELECT count(*) FROM record")
    again = office.issue()
    assert (again.issued, again.invoice_ids) == (0, first.invoice_ids)
    assert office.database.ask("SELECT count(*) FROM record") == [(records,)]


def test_two_processes_that_both_believe_it_is_their_turn_give_no_number_twice(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybody(office)
    other = Office(office.database, a_ledger(office.database, "other"))
    monkeypatch.setattr(store, "take_turn", lambda _connection: None)
    refused: list[Refused] = []

    def issue(process: Office) -> None:
        try:
            process.issue()
        except Refused as refusal:
            refused.append(refusal)

    threads = [threading.Thread(target=issue, args=(each,)) for each in (office, other)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    office.issue()
    documents = office.invoices()
    for issuer, series in {(each.issuer, each.series) for each in documents}:
        given = [
            each.number for each in documents if (each.issuer, each.series) == (issuer, series)
        ]
        assert given == list(range(1, len(given) + 1))
    subjects = Counter((each.supplier, each.customer, each.type) for each in documents)
    assert set(subjects.values()) == {1}
    assert all(each.reason is Reason.ALREADY_EXISTS for each in refused)


def test_a_month_that_may_still_change_is_not_invoiced(office: Office) -> None:
    with pytest.raises(Refused) as refused:
        office.issue(AUGUST)
    assert (refused.value.reason, refused.value.field) == (Reason.WINDOW_STATE, "month")
    office.run(CloseWindow(WINDOWS[2], date(2026, 8, 31)))
    with pytest.raises(Refused, match="CLOSED"):
        office.issue(AUGUST)


def test_a_partner_sees_its_own_documents_and_no_others(office: Office) -> None:
    everybody(office)
    office.issue()
    fuel = Caller("partner", "fuel")
    own = office.invoices(fuel)
    assert own == office.invoices(partner_id="fuel")
    assert all("fuel" in (each.supplier, each.customer) for each in own)
    others = [each for each in office.invoices() if each not in own]
    assert others
    with pytest.raises(Refused) as refused:
        office.invoice(others[0].invoice_id, fuel)
    assert refused.value.reason is Reason.INVOICE_UNKNOWN
    with pytest.raises(Refused):
        office.invoices(fuel, partner_id="deli")


def test_a_document_keeps_the_details_with_which_it_was_issued(office: Office) -> None:
    everybody(office)
    office.issue()
    asked = {"invoice_id": "deli/SB-VAL/1"}
    before = paper(office, "INVOICE", "PDF", asked)
    shown = office.invoice("deli/SB-VAL/1")
    assert shown.supplier_details.tax_number == TAX_NUMBER
    assert shown.supplier_name == shown.supplier_details.name == "fuel Ltd"
    ((records,),) = office.database.ask("SELECT count(*) FROM record")
    office.bill("fuel", TAX_NUMBER)
    # It says what was said last.
    assert office.database.ask("SELECT count(*) FROM record") == [(records,)]
    office.bill("fuel", TAX_NUMBER, building="7")
    office.bill("fuel", TAX_NUMBER, "9999-01-01", building="8")
    assert office.invoice("deli/SB-VAL/1") == shown
    assert paper(office, "INVOICE", "PDF", asked) == before
    office.close(WINDOWS[2], date(2026, 9, 1))
    office.issue(AUGUST)
    (later, *_) = [each for each in office.invoices(month=AUGUST) if each.supplier == "fuel"]
    assert later.supplier_details.address.building == "7"
    # A partner is shown its own and the operator's, with what is to come.
    request = billing_pb.ListBillingDetailsRequest()
    own = office.call("list_billing_details", request, Caller("partner", "fuel")).versions
    assert [(each.party, each.is_in_effect) for each in own] == [
        *(("fuel", False), ("fuel", True), ("fuel", False), ("hub", True)),
    ]
    request.party = "deli"
    with pytest.raises(Refused) as refused:
        office.call("list_billing_details", request, Caller("partner", "fuel"))
    assert refused.value.reason is Reason.PARTNER_UNKNOWN


def test_no_document_charges_tax_without_what_the_law_asks_of_it(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybody(office)
    known = billing_store.details_in_effect

    def forgotten(connection: Any, currency: str) -> dict[str, BillingDetails]:
        found = known(connection, currency)
        return {each: found[each] for each in ("fuel", "deli")}

    monkeypatch.setattr("settlement.month.issuing.details_in_effect", forgotten)
    office.bill("fuel")
    with pytest.raises(Refused, match="tax number of fuel") as refused:
        office.issue()
    assert (refused.value.reason, refused.value.field) == (Reason.PERIOD_STATE, "month")
    assert "the billing details of" in refused.value.text
    assert refused.value.text.partition(" lack ")[2].partition(":")[0] in (
        checklist(office)["invoices"].found
    )
    assert not office.invoices()
    # Where no tax is charged the law may ask nothing, and it is for people to judge.
    monkeypatch.setattr("settlement.month.issuing.check_issuable", lambda _documents: None)
    assert office.issue().parties_without_details == ["grocery", "hub"]


def test_lines_that_are_not_the_statements_stop_the_step(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = stored_line_file

    def altered(connection: Any, window_id: str, partner_id: str) -> bytes | None:
        content = stored(connection, window_id, partner_id)
        rows = (content or b"").split(b"\r\n")
        return b"\r\n".join(each for each in rows if b",target," not in each)

    monkeypatch.setattr("settlement.month.issuing.stored_line_file", altered)
    with pytest.raises(InvariantBroken):
        office.issue()
    assert not office.invoices()


def confirmation(
    office: Office, brand: str, month: str = JULY
) -> pb.GetBalanceConfirmationResponse:
    request = pb.GetBalanceConfirmationRequest(month=month)
    answer: pb.GetBalanceConfirmationResponse = office.call(
        "get_balance_confirmation", request, Caller("partner", brand)
    )
    return answer


def confirm(office: Office, brand: str, payload: bytes, signer: Any = None) -> int:
    """The log index of a confirmation."""
    own = signer or make.agreements_signer(brand)
    envelope = sign(own, BALANCE_CONFIRMATION, payload)
    request = pb.ConfirmBalanceRequest(confirmation=envelope_to_proto(envelope))
    answer = office.call("confirm_balance", request, Caller("partner", brand))
    return int(answer.log_index)


def test_a_balance_is_what_the_books_say_and_the_partner_signs_the_same_bytes(
    office: Office,
) -> None:
    given = confirmation(office, "fuel")
    assert not given.is_confirmed
    stated = pb.BalanceConfirmation.FromString(given.confirmation.payload)
    assert stated.opening + stated.net + stated.payments == stated.position
    assert stated.net == sum(office.statement(each, "fuel").net for each in WINDOWS[:2])
    # Later windows change nothing of it.
    office.close(WINDOWS[2], date(2026, 9, 1))
    assert confirmation(office, "fuel") == given
    index = confirm(office, "fuel", given.confirmation.payload)
    assert confirm(office, "fuel", given.confirmation.payload) == index
    confirmed = confirmation(office, "fuel")
    assert confirmed.is_confirmed
    assert confirmed.confirmation.payload == given.confirmation.payload
    assert [each.key_id for each in confirmed.confirmation.signatures] == [
        STATEMENTS.key_id,
        make.agreements_signer("fuel").key_id,
    ]
    office.read(
        lambda connection: verify_with(
            envelope_from_proto(confirmed.confirmation), load_keys(connection)
        )
    )


def test_other_bytes_keys_and_partners_confirm_no_balance(office: Office) -> None:
    payload = confirmation(office, "fuel").confirmation.payload
    message = pb.BalanceConfirmation.FromString(payload)
    message.position += 1
    altered = message.SerializeToString(deterministic=True)
    with pytest.raises(Refused, match="sign the bytes"):
        confirm(office, "fuel", altered)
    with pytest.raises(Refused) as refused:
        confirm(office, "fuel", payload, make.agreements_signer("deli"))
    assert refused.value.reason is Reason.SIGNER_NOT_CALLER
    with pytest.raises(Refused) as refused:
        confirm(office, "deli", payload)
    assert refused.value.reason is Reason.FIELD_INVALID
    with pytest.raises(Refused) as refused:
        confirm(office, "fuel", payload, make.order_signer("fuel"))
    assert refused.value.reason is Reason.KEY_UNKNOWN
    assert not confirmation(office, "fuel").is_confirmed


def checklist(office: Office, period: str = JULY) -> dict[str, pb.CloseItem]:
    request = pb.GetCloseChecklistRequest(currency=make.CURRENCY, period=period)
    return {each.item: each for each in office.call("get_close_checklist", request).items}


def lock(office: Office, period: str = JULY, **explanations: str) -> str:
    request = pb.LockPeriodRequest(
        currency=make.CURRENCY,
        period=period,
        explanations=[pb.Explanation(item=item, text=text) for item, text in explanations.items()],
    )
    return pb.PeriodState.Name(office.call("lock_period", request).state)


def reopen(office: Office, period: str = JULY, reason: str = "a late invoice") -> str:
    request = pb.ReopenPeriodRequest(currency=make.CURRENCY, period=period, reason=reason)
    return str(office.call("reopen_period", request).adjustment_period)


def test_a_month_is_locked_when_nothing_is_left_but_what_is_explained(office: Office) -> None:
    everybody(office)
    items = checklist(office)
    blocking = {name for name, each in items.items() if each.state == pb.CLOSE_STATE_BLOCKING}
    assert blocking == {"windows", "invoices"}
    assert items["balances"].state == pb.CLOSE_STATE_OPEN
    with pytest.raises(Refused) as refused:
        lock(office, balances="they are on holiday", windows="soon", invoices="soon")
    assert refused.value.reason is Reason.PERIOD_STATE
    office.issue()
    for window_id in WINDOWS[:2]:
        office.settle(window_id)
    with pytest.raises(Refused, match="balances: not confirmed by"):
        lock(office)
    for brand in ("fuel", "deli"):
        confirm(office, brand, confirmation(office, brand).confirmation.payload)
    assert checklist(office)["balances"].found == "not confirmed by grocery"
    assert lock(office, balances="grocery asked for time") == "PERIOD_STATE_LOCKED_HARD"
    ((records,),) = office.database.ask("SELECT count(*) FROM record")
    assert lock(office) == "PERIOD_STATE_LOCKED_HARD"
    assert office.database.ask("SELECT count(*) FROM record") == [(records,)]


def test_a_locked_month_takes_adjustments_only_in_an_adjustment_period(office: Office) -> None:
    day = date(2026, 7, 20)
    assert office.read(check_unlocked, make.CURRENCY, day) == ""
    office.run(lock_entry(make.CURRENCY, Standing(Period.holding(day), 0, 0), {}))
    with pytest.raises(Refused) as refused:
        office.read(check_unlocked, make.CURRENCY, day, "a reason is not enough")
    assert (refused.value.reason, refused.value.field) == (Reason.PERIOD_STATE, "relates_to")
    assert office.read(check_unlocked, make.CURRENCY, date(2026, 8, 1)) == ""
    assert reopen(office) == "2026-07/1"
    assert office.read(check_unlocked, make.CURRENCY, day) == "2026-07/1"
    with pytest.raises(Refused, match="not locked"):
        reopen(office)


def test_a_day_locks_softly(office: Office) -> None:
    day = date(2026, 7, 15)
    with pytest.raises(Refused, match="PENDING_SETTLEMENT"):
        lock(office, day.isoformat())
    office.settle(WINDOWS[0])
    assert lock(office, day.isoformat()) == "PERIOD_STATE_LOCKED_SOFT"
    with pytest.raises(Refused) as refused:
        office.read(check_unlocked, make.CURRENCY, day)
    assert (refused.value.reason, refused.value.field) == (Reason.PERIOD_STATE, "reason")
    assert office.read(check_unlocked, make.CURRENCY, day, "a fee was wrong") == ""


def ageing(office: Office, as_of: str, caller: Caller = OPERATOR) -> pb.GetAgeingResponse:
    request = pb.GetAgeingRequest(currency=make.CURRENCY, as_of=as_of)
    answer: pb.GetAgeingResponse = office.call("get_ageing", request, caller)
    return answer


def test_payments_and_positions_age(office: Office) -> None:
    young, old = ageing(office, "2026-07-15"), ageing(office, "2026-12-31")
    assert young.legs
    assert not any(each.days_late for each in young.legs)
    assert all(each.days_late > 60 for each in old.legs)
    for each in (*young.positions, *old.positions):
        ages = each.by_age
        parts = (ages.not_late, ages.days_1_to_7, ages.days_8_to_30, ages.days_31_to_60)
        assert sum(parts) + ages.days_over_60 == each.position
    own = ageing(office, "2026-12-31", Caller("partner", "fuel"))
    assert {each.partner_id for each in own.legs} == {"fuel"}
    assert {each.partner_id for each in own.positions} == {"fuel"}


def test_what_is_not_stated_is_accrued_and_promotions_are_held_to_their_budgets(
    office: Office,
) -> None:
    def accrued(month: str, caller: Caller = OPERATOR) -> list[pb.Accrual]:
        request = pb.GetAccrualsRequest(currency=make.CURRENCY, month=month)
        return list(office.call("get_accruals", request, caller).accruals)

    assert not accrued(JULY)
    found = accrued(AUGUST)
    assert {each.window_id for each in found} == {WINDOWS[2]}
    assert {"VALUE", "REV_VALUE"} <= {each.code for each in found}
    assert {each.partner_id for each in accrued(AUGUST, Caller("partner", "fuel"))} == {"fuel"}
    request = pb.GetPromotionCostsRequest(currency=make.CURRENCY, month=JULY)
    costs = office.call("get_promotion_costs", request)
    everybody(office)
    office.issue()
    invoiced_ = sum(
        each.total for each in office.invoices() if each.type == pb.SUPPLY_TYPE_PROMOTION
    )
    assert sum(each.cost for each in costs.costs if not each.is_own) == invoiced_
    assert any(each.is_own for each in costs.costs)
    assert any(0 < each.granted_points <= each.budget_points for each in costs.budgets)


def paper(office: Office, kind: str, form: str, asked: Any, caller: Caller = OPERATOR) -> bytes:
    request = pb.DownloadMonthPaperRequest(
        paper=f"MONTH_PAPER_{kind}",  # type: ignore[arg-type]
        format=f"MONTH_FORMAT_{form}",  # type: ignore[arg-type]
        **asked,
    )

    async def download() -> bytes:
        chunks = office.service.download_month_paper(request, caller)
        return b"".join([each.chunk async for each in chunks])

    return asyncio.run(download())


def test_papers_are_the_same_bytes_whenever_they_are_asked_for(office: Office) -> None:
    everybody(office)
    office.issue()
    office.close(WINDOWS[2], date(2026, 9, 1))
    office.issue(AUGUST)
    (note, *_) = [each for each in office.invoices(month=AUGUST) if each.is_credit_note]
    asked: list[tuple[str, str, dict[str, str]]] = [
        ("INVOICE", "PDF", {"invoice_id": "deli/SB-VAL/1"}),
        ("INVOICE", "PDF", {"invoice_id": note.invoice_id}),
        ("BALANCE", "PDF", {"period": JULY, "partner_id": "deli"}),
        *(
            (kind, form, {"currency": make.CURRENCY, "period": period})
            for kind, period in (("AGEING", "2026-09-30"), ("ACCRUALS", "2026-09"))
            for form in ("CSV", "XLSX")
        ),
    ]
    for kind, form, more in asked:
        content = paper(office, kind, form, more)
        assert content == paper(office, kind, form, more)
        begin = {"PDF": b"%PDF-", "XLSX": b"PK", "CSV": b"row,"}[form]
        assert content.startswith(begin)
        if form == "CSV":
            assert b"\r\nTOTAL," in content
            assert content.splitlines()[-1].startswith(b"END,")
    with pytest.raises(Refused, match="written as pdf"):
        paper(office, "INVOICE", "CSV", asked[0][2])
    with pytest.raises(Refused) as refused:
        paper(office, "INVOICE", "PDF", asked[0][2], Caller("partner", "grocery"))
    assert refused.value.reason is Reason.INVOICE_UNKNOWN


def test_whatever_a_posting_relates_to_has_a_day(office: Office) -> None:
    office.issue()
    july, august = date(2026, 7, 15), date(2026, 8, 3)
    found = {
        WINDOWS[0]: july,
        str(make.transfer_id(1)): july,
        str(make.reversal_id(11)): august,
        "hub/FEE/1": date(2026, 7, 1),
        leg_reference(1, 1): july,
        "2026-08-03": august,
        JULY: date(2026, 7, 1),
        str(make.transfer_id(999)): None,
        "a telephone call": None,
    }
    for relates_to, day in found.items():
        assert office.read(day_related_to, relates_to, ("fuel", "deli")) == day, relates_to
    with pytest.raises(Refused, match="names nothing here") as nothing:
        office.read(adjustment_period, make.CURRENCY, "usd-2O26-07-15", ("fuel",), "a slip")
    assert (nothing.value.reason, nothing.value.field) == (Reason.FIELD_INVALID, "relates_to")
    office.run(lock_entry(make.CURRENCY, Standing(Period.holding(july), 0, 0), {}))
    asked = (make.CURRENCY, str(make.transfer_id(1)), ("fuel", "deli"), "their mistake")
    with pytest.raises(Refused, match="2026-07 is locked"):
        office.read(adjustment_period, *asked)
    reopen(office)
    assert office.read(adjustment_period, *asked) == "2026-07/1"


def test_an_audit_export_holds_what_is_about_its_windows(office: Office, tmp_path: Path) -> None:
    office.run(make.add_key("exchange", Purpose.RECEIPTS))
    everybody(office)
    office.issue()
    for window_id in WINDOWS[:2]:
        office.settle(window_id)
    signers = Signers({Purpose.STATEMENTS: (STATEMENTS,), Purpose.RECEIPTS: (make.RECEIPTS,)})
    engine = office.database.engine()
    asked = (engine, signers, make.AUDIENCE, date(2026, 7, 1), date(2026, 7, 31))
    paths = export_audit(*asked, tmp_path)
    names = {path.relative_to(tmp_path).as_posix() for path in paths}
    assert {f"{brand}/{each}.statement.json" for brand in make.BRANDS for each in WINDOWS[:2]} <= (
        names
    )
    assert not any(WINDOWS[2] in name for name in names)
    documents = {each.invoice_id.replace("/", "-") for each in office.invoices(month=JULY)}
    assert {f"_settlement/invoices/{each}.json" for each in documents} <= names
    assert len([name for name in names if name.startswith("_settlement/bank/")]) == office.bank_days
    counts: dict[str, int] = {}
    assert not list(check_audit(tmp_path, counts))
    assert counts["files"] == len(paths) - 1
    report = check_folder(tmp_path, quiet=True)
    assert not report.faults
    records = tmp_path / "_log" / "records.jsonl"
    lines = records.read_text().splitlines(keepends=True)
    first = json.loads(lines[0])
    for salt in (base64.b64encode(bytes(32)).decode(), "short", first["salt"][::-1]):
        records.write_text("".join([json.dumps({**first, "salt": salt}) + "\n", *lines[1:]]))
        places = {each.place.rpartition("/")[2] for each in check_audit(tmp_path, {})}
        assert places == {"records.jsonl", "records.jsonl:1"}
    # Members' references are nowhere in it.
    everything = b"".join(path.read_bytes() for path in paths)
    assert not any(f"{brand}-member".encode() in everything for brand in make.BRANDS)
