"""Money going out, by the commands that people run: accounts that partners sign and two operators
let in, files for the bank, and what partners are told. Threats 29 and 30.

Three servers on one database: one where one operator may do what takes two, one where it takes two,
and one whose clock is as far ahead as accounts have to cool.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import xmlschema

from partners.envelope import SETTLEMENT_ACCOUNT, sign
from partners.errors import Reason
from partners.wire import envelope_to_proto
from pointclear.settlement.v1 import account_pb2, payout_pb2
from pointclear.settlement.v1 import settlement_service_pb2 as pb
from settlement.bank_simulator import PaymentRequest, bank_day
from settlement.payouts.pain import PainVersion, schema_of
from tests.acceptance.coalition import (
    AUDIENCE,
    CURRENCY,
    FIRST_DAY,
    Coalition,
    check_log_and_books,
    coalition,
    make_data_dir,
    refused,
)
from tests.processes import Server, connection, contents, folder, pointclear, written
from tests.skewed_server import SKEW

WINDOW = f"usd-{FIRST_DAY}"
COOLING = timedelta(hours=12)
IBAN = "DE89370400440532013000"
THIEFS_IBAN = "GB33BUKB20201555555555"
OF_AN_ACTION = {"action_outcome", "action_request", "operator_action", "head", "record"}


@dataclass(frozen=True, slots=True)
class House:
    """A window whose pay-outs are instructed, and the servers."""

    home: Path
    members: Coalition
    one: Server
    """One operator is enough."""
    two: Server
    """It takes two."""
    later: Server
    """Its clock is past the cooling time."""
    paid_in: Decimal

    def run(self, *arguments: str | Path, at: Server, as_: str = "operator") -> Any:
        """Run a command with `--json`."""
        places = {
            "operator": self.members.data_dir / "operator",
            "ben": self.home / "ben",
            **{name: self.home / name for name in self.members.brands},
        }
        return pointclear(
            *arguments,
            *("--json", "--as", places[as_], "--server", at.address),
            cwd=self.home,
            POINTCLEAR_DATA_DIR=str(self.members.data_dir),
            POINTCLEAR_REASON="for the test",
        )

    def done(self, *arguments: str | Path, at: Server, as_: str = "operator") -> Any:
        """What a command that succeeds prints."""
        ended = self.run(*arguments, at=at, as_=as_)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    def failed(self, *arguments: str | Path, at: Server, as_: str = "operator") -> Any:
        """How a command fails."""
        ended = self.run(*arguments, at=at, as_=as_)
        assert ended.returncode in (1, 4), (ended.stdout, ended.stderr)
        error = json.loads(ended.stderr)["error"]
        assert error["exit_code"] == ended.returncode
        return error

    def left_out(self, at: Server) -> dict[str, str]:
        """What the next file would leave out, and why."""
        listed = self.done("payouts", "list", WINDOW, at=at)
        return {each["partner_id"]: each["reason"] for each in listed["left_out"]}


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with folder() as home, ExitStack() as stack:
        data_dir = make_data_dir(home)
        one = stack.enter_context(Server(data_dir))
        members = stack.enter_context(coalition(one, home))
        for _ in range(4):
            members["aurora"].send(members["aurora"].order("borealis"))
            members["aurora"].send(members["aurora"].order("cirrus"))
        operator = members.operator
        operator.call(operator.settlement.CloseWindow, pb.CloseWindowRequest(window_id=WINDOW))
        settle = pb.SettleWindowRequest(window_id=WINDOW)
        legs = operator.call(operator.settlement.SettleWindow, settle).legs
        payments = [
            PaymentRequest("PAY_IN", Decimal(each.amount) / 10**6, each.reference, each.partner_id)
            for each in legs
            if each.state == pb.LEG_STATE_PENDING
        ]
        day = bank_day("in", CURRENCY, FIRST_DAY, Decimal("0.00"), payments)
        bank_file = pb.ImportBankFileRequest(currency=CURRENCY, content=day.content)
        operator.call(operator.settlement.ImportBankFile, bank_file)
        two = stack.enter_context(Server(data_dir, POINTCLEAR_FOUR_EYES="on"))
        ahead = str((COOLING + timedelta(hours=1)).total_seconds())
        later = stack.enter_context(
            Server(data_dir, program="tests.skewed_server", **{SKEW: ahead})
        )
        yield House(home, members, one, two, later, day.closing)
        check_log_and_books(data_dir)


def submit(house: House, iban: str = IBAN, name: str = "borealis", town: str = "Frankfurt") -> Any:
    """A partner submits an account, by the command."""
    return house.done(
        *("account", "submit", "--iban", iban, "--name", f"{name} & Co", "--town", town),
        *("--country", "DE", "--bic", "COBADEFF"),
        at=house.one,
        as_=name,
    )["account"]


def test_t29_an_account_that_is_not_signed_by_its_partner_is_not_even_kept(house: House) -> None:
    borealis, cirrus = house.members["borealis"], house.members["cirrus"]
    event = account_pb2.SettlementAccountEvent(
        audience=AUDIENCE,
        partner_id="borealis",
        currency=CURRENCY,
        version=1,
        account=account_pb2.BankAccount(
            iban=THIEFS_IBAN,
            name="Borealis Ltd",
            address=account_pb2.PostalAddress(town="London", country="GB"),
        ),
    )
    event.issued_at.GetCurrentTime()
    event.issued_at.nanos = 0
    payload = event.SerializeToString(deterministic=True)
    altered = envelope_to_proto(sign(borealis.agreements, SETTLEMENT_ACCOUNT, payload))
    altered.payload = payload.replace(THIEFS_IBAN.encode(), b"GB29NWBK60161331926819")
    anothers = envelope_to_proto(sign(cirrus.agreements, SETTLEMENT_ACCOUNT, payload))
    orders = envelope_to_proto(sign(borealis.orders, SETTLEMENT_ACCOUNT, payload))
    with connection(house.members.data_dir) as database:
        before = contents(database)
        for envelope, sender, reason in (
            (altered, borealis, Reason.SIGNATURE_INVALID),
            (anothers, borealis, Reason.SIGNER_NOT_CALLER),
            (anothers, cirrus, Reason.SIGNER_NOT_CALLER),
            (orders, borealis, Reason.KEY_UNKNOWN),
        ):
            refusal = refused(
                sender.connection.settlement.SubmitSettlementAccount,
                account_pb2.SubmitSettlementAccountRequest(event=envelope),
            )
            assert refusal.reason is reason
        assert written(before, contents(database)) == {}
    assert house.left_out(house.later) == {"borealis": "NO_ACCOUNT", "cirrus": "NO_ACCOUNT"}


def test_t29_a_single_handed_or_same_day_change_never_reaches_a_file(house: House) -> None:
    cooling = str(COOLING // timedelta(hours=1))
    house.done("scheme", "set", CURRENCY, "--account-cooling-hours", cooling, at=house.one)
    added = house.done(
        *("operator", "add", "ben", "--out", house.home / "ben"),
        *("--role", "finance-maker", "--role", "finance-checker"),
        at=house.one,
    )
    assert added
    assert submit(house)["state"] == "SUBMITTED"
    assert submit(house)["version"] == 1, "the same account again is no other version"

    # Single-handed: it waits, and nothing comes of waiting.
    alone = house.failed("account", "approve", "borealis", "1", at=house.two)
    assert alone["reason"] == "WAITS"
    assert house.left_out(house.later)["borealis"] == "NO_ACCOUNT"
    own = house.run("actions", "approve", alone["metadata"]["actionId"], "--yes", at=house.two)
    assert own.returncode == 1

    # Two hands, the same day: it cools.
    house.done(
        "actions", "approve", alone["metadata"]["actionId"], "--yes", at=house.two, as_="ben"
    )
    approved = house.done("account", "approve", "borealis", "1", at=house.two)["account"]
    assert approved["state"] == "COOLING"
    assert house.left_out(house.two)["borealis"] == "NO_ACCOUNT"
    made = house.failed("payouts", "make", WINDOW, at=house.one)
    assert made["reason"] == "LEG_STATE"
    assert "borealis: NO_ACCOUNT" in made["text"]

    # The next day, at which the other partner has none still.
    assert house.left_out(house.later) == {"cirrus": "NO_ACCOUNT"}
    (shown,) = house.done("account", "list", at=house.later, as_="borealis")["accounts"]
    assert (shown["state"], shown["iban"]) == ("EFFECTIVE", IBAN)


def test_a_change_that_is_stopped_while_it_cools_leaves_the_account_before(house: House) -> None:
    changed = submit(house, THIEFS_IBAN, town="London")
    assert changed["version"] == 2
    house.done("account", "approve", "borealis", "2", at=house.one)
    stopped = house.done("account", "refuse", "borealis", "2", at=house.two)["account"]
    assert stopped["state"] == "REFUSED"
    listed = house.done("account", "list", at=house.later, as_="borealis")["accounts"]
    assert [each["state"] for each in listed] == ["EFFECTIVE", "REFUSED"]
    late = house.failed("account", "approve", "borealis", "2", at=house.one)
    assert late["reason"] == "ACCOUNT_STATE"


def test_t29_t30_a_file_is_made_once_and_comes_out_the_same_every_time(house: House) -> None:
    made = house.done("payouts", "make", WINDOW, at=house.later)["file"]
    (payment,) = made["payments"]
    assert (payment["partner_id"], payment["iban"]) == ("borealis", IBAN)
    version = house.done("account", "list", at=house.one, as_="borealis")["accounts"][0]
    assert payment["account_sha256"] == version["sha256"]
    assert [each["partner_id"] for each in made["left_out"]] == ["cirrus"]
    with connection(house.members.data_dir) as database:
        before = contents(database)
        again = house.done("payouts", "make", WINDOW, "--number", "1", at=house.later)["file"]
        assert again == made
        assert written(before, contents(database)).keys() <= OF_AN_ACTION
    assert house.failed("payouts", "make", WINDOW, at=house.later)["reason"] == "LEG_STATE"
    for form in (*PainVersion, "csv"):
        paths = [house.home / f"{form}-{number}" for number in (1, 2)]
        for path, server in zip(paths, (house.one, house.later), strict=True):
            house.done("payouts", "file", WINDOW, "--format", form, "--out", path, at=server)
        first, second = (path.read_bytes() for path in paths)
        assert first == second
        assert payment["reference"].encode() in first
        assert version["sha256"].encode() in first
    for form in PainVersion:
        schema: xmlschema.XMLSchema = schema_of(form)
        schema.validate((house.home / f"{form}-1").read_text())


def test_debtors_and_creditors_are_told_and_see_only_their_own(house: House) -> None:
    (request,) = house.done("payments", "request", WINDOW, at=house.one, as_="aurora")["requests"]
    assert request["payee_account"] == "pointclear-settlement-usd"
    assert request["state"] == "CONFIRMED"
    (advice,) = house.done("payments", "advice", WINDOW, at=house.one, as_="borealis")["advices"]
    assert (advice["state"], advice["iban"]) == ("PENDING", IBAN)
    assert advice["message_id"].startswith("PAYOUT-")
    assert house.done("payments", "advice", WINDOW, at=house.one, as_="aurora")["advices"] == []
    for caller, partner in (("cirrus", "borealis"), ("cirrus", "nobody")):
        for paper in ("request", "advice"):
            error = house.failed(
                *("payments", paper, WINDOW, "--partner", partner), at=house.one, as_=caller
            )
            assert (error["reason"], error["field"]) == ("STATEMENT_UNKNOWN", "partner_id")
    mine = house.members["cirrus"].connection.settlement
    asked = payout_pb2.ListPayOutFilesRequest(window_id=WINDOW)
    assert refused(mine.ListPayOutFiles, asked).reason is Reason.ROLE_MISSING


def test_a_file_that_the_bank_rejected_is_made_again_under_the_same_references(
    house: House,
) -> None:
    first = house.done("payouts", "list", WINDOW, at=house.one)["files"][0]
    (only,) = first["payments"]
    of = ("payouts", "reject", WINDOW, "1", "--payment", only["reference"])
    rejected = house.done(*of, at=house.one)["file"]
    assert rejected["rejected"]
    assert rejected["payments"] == [only | {"rejected": True}]
    second = house.done("payouts", "make", WINDOW, at=house.later)["file"]
    assert second["number"] == 2
    assert second["message_id"] != first["message_id"]
    assert [each["reference"] for each in second["payments"]] == [
        each["reference"] for each in first["payments"]
    ]
    (payment,) = second["payments"]
    amount = Decimal(payment["amount"]).quantize(Decimal("0.01"))
    paid = PaymentRequest("PAY_OUT", amount, payment["reference"], "borealis")
    day = bank_day("out", CURRENCY, FIRST_DAY, house.paid_in, [paid])
    path = house.home / "out.csv"
    path.write_bytes(day.content)
    for matched in (1, 0):
        settled = house.done("settle", WINDOW, "--bank-file", path, at=house.one)
        assert settled["bank_file"]["matched"] == matched
    (advice,) = house.done("payments", "advice", WINDOW, at=house.one, as_="borealis")["advices"]
    assert advice["state"] == "CONFIRMED"
    assert advice["paid_at"]
    late = house.failed("payouts", "reject", WINDOW, "2", at=house.one)
    assert late["reason"] == "LEG_STATE"


def test_a_refund_is_filed_for_its_currency_and_the_banks_statement_confirms_it(
    house: House,
) -> None:
    newest = house.done("bank", "list", CURRENCY, at=house.one)["files"][0]
    opening = Decimal(newest["closing"]).quantize(Decimal("0.01"))
    gift = PaymentRequest("PAY_IN", Decimal("5.00"), "a gift", "somebody")
    day = bank_day("gift", CURRENCY, FIRST_DAY, opening, [gift])
    path = house.home / "gift.csv"
    path.write_bytes(day.content)
    assert house.done("bank", "import", path, at=house.one)["unmatched"] == 1
    (item,) = house.done("bank", "suspense", CURRENCY, at=house.one)["items"]
    back = house.done(
        *("bank", "resolve", CURRENCY, item["item_id"], "--payee", "Somebody", "--account", IBAN),
        at=house.one,
    )

    alone = house.failed("payouts", "make", CURRENCY, at=house.two)
    assert alone["reason"] == "WAITS"
    action = alone["metadata"]["actionId"]
    house.done("actions", "approve", action, "--yes", at=house.two, as_="ben")
    made = house.done("payouts", "make", CURRENCY, "--number", "1", at=house.two)["file"]
    (payment,) = made["payments"]
    assert (payment["kind"], payment["reference"]) == ("REFUND", back["reference"])
    assert (payment["name"], payment["iban"], made["total"]) == ("Somebody", IBAN, "5.000000")
    assert (made["window_id"], made["account_kind"]) == ("", "SETTLEMENT")
    out = house.home / "refund.xml"
    house.done("payouts", "file", CURRENCY, "--out", out, at=house.one)
    assert f"<EndToEndId>{back['reference']}</EndToEndId>" in out.read_text()
    of_a_window = house.run("payouts", "list", WINDOW, "--account", "collateral", at=house.one)
    assert of_a_window.returncode == 2
    apart = house.done("payouts", "list", CURRENCY, "--account", "collateral", at=house.one)
    assert apart == {"files": [], "payable": [], "left_out": []}

    returned = PaymentRequest("PAY_OUT", Decimal("5.00"), back["reference"], "somebody")
    path.write_bytes(bank_day("back", CURRENCY, FIRST_DAY, day.closing, [returned]).content)
    assert house.done("bank", "import", path, at=house.one)["matched"] == 1
    late = house.failed("payouts", "reject", CURRENCY, "1", at=house.one)
    assert late["reason"] == "LEG_STATE"
