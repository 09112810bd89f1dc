"""A month through the front door: two windows, their invoices by servers of which one is killed, a
reversal in the month after, balances that brands confirm, and a lock that takes two people to open.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from uuid import UUID

import pytest

from pointclear.settlement.v1 import billing_pb2 as billing_pb
from pointclear.settlement.v1 import settlement_service_pb2 as pb
from pointclear.settlement.v1.account_pb2 import PostalAddress
from settlement.bank_simulator import PaymentRequest, bank_day
from tests.acceptance.coalition import (
    BLOCK,
    BRANDS,
    CURRENCY,
    PRICE,
    USD,
    Coalition,
    check_log_and_books,
    coalition,
    make_data_dir,
    transfer_id_of,
)
from tests.acceptance.test_reversals import reversal, reverse
from tests.crashing_server import CRASH_AT
from tests.processes import Server, folder, pointclear

JANUARY, FEBRUARY = "2017-01", "2017-02"
WINDOWS = ("usd-2017-01-01", "usd-2017-01-31", "usd-2017-02-01")
NEXT_DAYS = ("2017-01-31", "2017-02-01", "2017-03-01")
REFUSED, WAITS = 1, 4
"""Exit codes."""


@dataclass
class Office:
    """The coalition, and the operator's command line."""

    home: Path
    server: Server
    members: Coalition
    first_transfer: bytes = b""
    """Id of a transfer of January, of aurora to borealis."""
    bank_balance: Decimal = Decimal()
    bank_days: int = 0

    def try_(
        self, *arguments: str, server: Server | None = None, as_: Path | None = None
    ) -> "CompletedProcess[str]":
        """Run a command as the operator, or with another profile."""
        at = self.members.data_dir
        profile = ("--as", str(as_)) if as_ else ("--data-dir", str(at))
        address = (server or self.server).address
        return pointclear(*arguments, *profile, "--server", address, "--json")

    def run(self, *arguments: str, server: Server | None = None, as_: Path | None = None) -> Any:
        """A command's document; fails unless it is carried out."""
        done = self.try_(*arguments, server=server, as_=as_)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def trade(self) -> None:
        """An order along every corridor."""
        for place, source in enumerate(BRANDS):
            for step in (1, 2):
                brand = self.members[source]
                target = BRANDS[(place + step) % len(BRANDS)]
                order = brand.order(target, source_points=(2 + place + step) * BLOCK)
                brand.send(order)
                if (source, target) == ("aurora", "borealis") and not self.first_transfer:
                    self.first_transfer = transfer_id_of(order).bytes

    def close(self, window_id: str, following: str) -> None:
        """Close a window and state it."""
        stub = self.members.operator.settlement
        closing = pb.CloseWindowRequest(window_id=window_id, next_business_date=following)
        self.members.operator.call(stub.CloseWindow, closing)
        self.settle(window_id)

    def settle(self, window_id: str) -> pb.SettleWindowResponse:
        operator = self.members.operator
        request = pb.SettleWindowRequest(window_id=window_id)
        response: pb.SettleWindowResponse = operator.call(operator.settlement.SettleWindow, request)
        return response

    def pay(self, window_id: str) -> None:
        """Have the bank confirm whatever is asked for, until the window is settled."""
        operator = self.members.operator
        response = self.settle(window_id)
        while response.window.state != pb.WINDOW_STATE_SETTLED:
            requests = [
                PaymentRequest(
                    "PAY_IN" if leg.direction == pb.LEG_DIRECTION_PAY_IN else "PAY_OUT",
                    Decimal(leg.amount) / USD,
                    leg.reference,
                    leg.partner_id,
                )
                for leg in response.legs
                if leg.state == pb.LEG_STATE_PENDING
            ]
            assert requests
            self.bank_days += 1
            day = bank_day(
                f"S{self.bank_days}", CURRENCY, date(2017, 2, 2), self.bank_balance, requests
            )
            self.bank_balance = day.closing
            importing = pb.ImportBankFileRequest(currency=CURRENCY, content=day.content)
            operator.call(operator.settlement.ImportBankFile, importing)
            response = self.settle(window_id)

    def invoices(self, month: str) -> list[dict[str, Any]]:
        """The documents of a month."""
        listed = self.run("invoice", "list", "--currency", CURRENCY, "--month", month)
        found: list[dict[str, Any]] = listed["invoices"]
        return found


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    with (
        folder() as home,
        Server(make_data_dir(home)) as server,
        coalition(server, home) as members,
    ):
        opened = Office(home, server, members)
        for brand in BRANDS:
            how = ("--supply", "value", "--how", "supplier", "--currency", CURRENCY)
            opened.run("invoice", "set", "--supplier", brand, *how)
        # The operator's fees are taxed; what brands supply is not, so they need no number.
        for party in ("hub", *BRANDS):
            request = billing_pb.SetBillingDetailsRequest(
                currency=CURRENCY,
                party=party,
                details=billing_pb.BillingDetails(
                    name=party,
                    address=PostalAddress(town="London", country="GB"),
                    tax_number="GB980780684" if party == "hub" else "",
                ),
            )
            operator = members.operator
            operator.call(operator.settlement.SetBillingDetails, request)
        for window_id, following in zip(WINDOWS[:2], NEXT_DAYS[:2], strict=True):
            opened.trade()
            opened.close(window_id, following)
        yield opened


ISSUE = ("invoice", "issue", JANUARY, "--currency", CURRENCY)


def test_servers_that_issue_at_once_or_are_killed_leave_series_without_gap_or_double(
    office: Office,
) -> None:
    crashing = {"program": "tests.crashing_server", CRASH_AT: "after-commit:5"}
    with Server(office.members.data_dir, **crashing) as doomed:
        # It dies in the middle; what it booked stands.
        assert office.try_(*ISSUE, server=doomed).returncode != 0
        doomed.kill()
    booked = office.invoices(JANUARY)
    assert 0 < len(booked) < 9
    with Server(office.members.data_dir) as second, ThreadPoolExecutor() as pool:
        servers = (office.server, second, office.server, second)
        answers = list(pool.map(lambda server: office.run(*ISSUE, server=server), servers))
    documents = office.invoices(JANUARY)
    # Three fees, and what each brand supplied to both others.
    assert len(documents) == 9
    assert sum(each["issued"] for each in answers) == 9 - len(booked)
    assert documents[: len(booked)] == booked
    for issuer, series in {(each["issuer"], each["series"]) for each in documents}:
        own = [each for each in documents if (each["issuer"], each["series"]) == (issuer, series)]
        assert [each["number"] for each in own] == list(range(1, len(own) + 1))
    pairs = {(each["supplier"], each["customer"], each["type"]) for each in documents}
    assert len(pairs) == 9


def test_billing_details_come_from_a_file_or_change_what_holds(office: Office) -> None:
    written = {
        "name": "Borealis Vielflieger GmbH",
        "street": "Hauptstrasse",
        "town": "Frankfurt",
        "country": "DE",
        "tax_number": "DE136695976",
    }
    file = office.home / "borealis.json"
    file.write_text(json.dumps(written))
    details = ("invoice", "details", "set", "borealis", "--currency", CURRENCY)
    assert office.run(*details, "--file", str(file))["is_in_effect"]
    moved = office.run(*details, "--street", "Ringstrasse")
    assert moved == {**moved, **written, "street": "Ringstrasse"}
    wrong = office.try_(*details, "--tax-number", "DE136695977")
    assert wrong.returncode == REFUSED
    assert json.loads(wrong.stderr)["error"]["field"] == "details.tax_number"
    own = office.members["borealis"].connection.profile.directory
    shown = office.run("invoice", "details", "show", as_=own)["details"]
    assert [(each["party"], each["is_in_effect"]) for each in shown] == [
        *(("borealis", False), ("borealis", False), ("borealis", True), ("hub", True)),
    ]
    assert shown[2] == moved


def test_a_later_reversal_makes_a_credit_note_that_names_the_invoice(office: Office) -> None:
    borealis = office.members["borealis"]
    reverse(borealis, reversal(borealis, UUID(bytes=office.first_transfer), 50))
    office.close(WINDOWS[2], NEXT_DAYS[2])
    answer = office.run("invoice", "issue", FEBRUARY, "--currency", CURRENCY)
    assert not answer["not_invoiced"]
    assert not answer["parties_without_details"]
    (note,) = office.invoices(FEBRUARY)
    assert note["supplier_name"] == "Borealis Vielflieger GmbH"
    assert note["supplier_details"]["tax_number"] == "DE136695976"
    assert note["customer_details"]["name"] == "aurora"
    assert (note["kind"], note["supplier"], note["customer"]) == (
        *("CREDIT_NOTE", "borealis", "aurora"),
    )
    (corrected,) = [
        each
        for each in office.invoices(JANUARY)
        if (each["supplier"], each["customer"]) == ("borealis", "aurora")
    ]
    assert note["corrects"] == [corrected["name"]]
    assert Decimal(note["total"]) == Decimal(50 * PRICE) / USD
    # Either side reads it, the third does not.
    aurora, cirrus = (
        office.members[name].connection.profile.directory for name in ("aurora", "cirrus")
    )
    shown = office.run("invoice", "show", note["invoice_id"], as_=aurora)
    assert shown["lines"][0]["corrects"] == JANUARY
    unknown = office.try_("invoice", "show", note["invoice_id"], as_=cirrus)
    assert unknown.returncode == REFUSED
    assert json.loads(unknown.stderr)["error"]["reason"] == "INVOICE_UNKNOWN"
    paper = office.home / "note.pdf"
    asked = ("month", "paper", "invoice", "--invoice", note["invoice_id"], "--out", str(paper))
    office.run(*asked, as_=aurora)
    assert paper.read_bytes().startswith(b"%PDF-")


def test_brands_confirm_their_balances_and_the_month_is_locked(office: Office) -> None:
    lock = ("month", "lock", JANUARY, "--currency", CURRENCY)
    early = office.try_(*lock)
    assert early.returncode == REFUSED
    assert json.loads(early.stderr)["error"]["reason"] == "PERIOD_STATE"
    for window_id in WINDOWS[:2]:
        office.pay(window_id)
    for name in BRANDS[:2]:
        own = office.members[name].connection.profile.directory
        confirmed = office.run("month", "balance", JANUARY, "--confirm", as_=own)
        assert confirmed["is_confirmed"]
        assert len(confirmed["envelope"]["signatures"]) == 2
    listed = office.run("month", "checklist", JANUARY, "--currency", CURRENCY)
    states = {each["item"]: each["state"] for each in listed["items"]}
    assert {item for item, state in states.items() if state != "DONE"} == {"balances"}
    assert office.run(*lock, "--explain", "balances=cirrus is late")["state"] == "LOCKED_HARD"


ADJUST = (
    *("adjust", "book", "--currency", CURRENCY, "--from", "aurora", "--to", "borealis"),
    *("--amount", "1.00", "--reason", "a rate of January"),
)


def test_what_relates_to_a_locked_month_waits_for_two_people(office: Office) -> None:
    refused = office.try_(*ADJUST, "--relates-to", WINDOWS[0])
    assert refused.returncode == REFUSED
    assert json.loads(refused.stderr)["error"]["reason"] == "PERIOD_STATE"
    # What relates to February is nobody's lock.
    office.run(*ADJUST, "--relates-to", WINDOWS[2])
    eve = office.home / "eve"
    office.run("operator", "add", "eve", "--role", "finance-checker", "--out", str(eve))
    reopen = ("month", "reopen", JANUARY, "--currency", CURRENCY, "--why", "a rate was wrong")
    with ExitStack() as stack:
        four_eyes = ("--set", "four_eyes=on")
        server = stack.enter_context(Server(office.members.data_dir, *four_eyes))
        alone = office.try_(*reopen, server=server)
        assert alone.returncode == WAITS
        checked = ("month", "checklist", JANUARY, "--currency", CURRENCY)
        assert office.run(*checked, server=server)["state"] == "LOCKED_HARD"
        action_id = json.loads(alone.stderr)["error"]["metadata"]["actionId"]
        office.run("actions", "approve", action_id, server=server, as_=eve)
        opened = office.run(*reopen, server=server)
    assert (opened["state"], opened["adjustment_period"]) == ("REOPENED", f"{JANUARY}/1")
    office.run(*ADJUST, "--relates-to", WINDOWS[0])
    check_log_and_books(office.members.data_dir)


def test_an_audit_export_verifies_and_a_changed_file_is_found(office: Office) -> None:
    out = office.home / "audit"
    asked = ("--from", "2017-01-01", "--to", "2017-01-31", "--out", str(out))
    written = office.run("export", "audit", *asked)
    assert {Path(each["path"]).name for each in written["files"]} >= {
        *("manifest.json", "heads.json", "records.jsonl", "approvals.jsonl", "receipts.jsonl"),
        *(f"{window_id}.statement.json" for window_id in WINDOWS[:2]),
    }
    invoices = {path.stem for path in (out / "_settlement" / "invoices").iterdir()}
    assert invoices >= {each["invoice_id"].replace("/", "-") for each in office.invoices(JANUARY)}
    assert list((out / "_settlement" / "bank").iterdir())
    verified = pointclear("verify", "--json", out)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    checked = json.loads(verified.stdout)["checked"]
    assert checked["windows"] == 2
    assert checked["tree heads"] >= 3
    assert checked["leaves"] > 12
    records = out / "_log" / "records.jsonl"
    lines = records.read_text().splitlines(keepends=True)
    first = json.loads(lines[0])
    lines[0] = json.dumps({**first, "salt": first["salt"][::-1]}) + "\n"
    records.write_text("".join(lines))
    (out / "_settlement" / "entries.jsonl").unlink()
    altered = pointclear("verify", "--json", out)
    assert altered.returncode == REFUSED
    places = {each["place"].rpartition("/")[2] for each in json.loads(altered.stdout)["faults"]}
    assert {"records.jsonl", "records.jsonl:1", "entries.jsonl"} <= places
