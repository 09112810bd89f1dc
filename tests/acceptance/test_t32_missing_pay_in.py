"""A partner that does not pay, by the commands that people run: nobody is paid from another's
money, the unwind sums to 0, and the server reminds. Threat 32.
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

from pointclear.settlement.v1 import settlement_service_pb2 as pb
from settlement.bank_simulator import PaymentRequest, bank_day
from tests.acceptance.coalition import (
    CURRENCY,
    FIRST_DAY,
    Coalition,
    check_log_and_books,
    coalition,
    make_data_dir,
)
from tests.processes import Server, folder, pointclear, wait_until
from tests.skewed_server import SKEW

WINDOW = f"usd-{FIRST_DAY}"
DEBTORS = ("aurora", "borealis")


@dataclass(frozen=True, slots=True)
class Unpaid:
    """A stated window in which two brands owe the third, and one of them pays."""

    home: Path
    members: Coalition
    server: Server

    def run(self, *arguments: str, at: Server | None = None, as_: str = "operator") -> Any:
        """What a command prints, as JSON."""
        own = self.home / as_ if as_ != "operator" else self.members.data_dir / "operator"
        ended = pointclear(
            *arguments,
            *("--json", "--as", own, "--server", (at or self.server).address),
            POINTCLEAR_DATA_DIR=str(self.members.data_dir),
            POINTCLEAR_REASON="for the test",
        )
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    def legs(self) -> dict[str, dict[str, Any]]:
        """The newest leg of each brand."""
        listed = self.run("settle", WINDOW)["legs"]
        return {each["partner_id"]: each for each in listed}


@pytest.fixture(scope="module")
def unpaid() -> Iterator[Unpaid]:
    with folder() as home, ExitStack() as stack:
        server = stack.enter_context(Server(make_data_dir(home)))
        members = stack.enter_context(coalition(server, home))
        for debtor, orders in zip(DEBTORS, (3, 2), strict=True):
            for _ in range(orders):
                members[debtor].send(members[debtor].order("cirrus"))
        operator = members.operator
        operator.call(operator.settlement.CloseWindow, pb.CloseWindowRequest(window_id=WINDOW))
        made = Unpaid(home, members, server)
        leg = made.legs()["borealis"]
        amount = Decimal(leg["amount"]).quantize(Decimal("0.01"))
        paid = PaymentRequest("PAY_IN", amount, leg["reference"], "borealis")
        content = bank_day("in", CURRENCY, FIRST_DAY, Decimal("0.00"), [paid]).content
        bank_file = pb.ImportBankFileRequest(currency=CURRENCY, content=content)
        operator.call(operator.settlement.ImportBankFile, bank_file)
        yield made
        check_log_and_books(members.data_dir)


def test_t32_a_creditor_waits_while_a_debtor_has_not_paid(unpaid: Unpaid) -> None:
    legs = unpaid.legs()
    assert {name: leg["state"] for name, leg in legs.items()} == {
        "aurora": "PENDING",
        "borealis": "CONFIRMED",
        "cirrus": "WAITING",
    }
    assert unpaid.run("overdue", "list")["payments"] == [], "it is not due yet"


def test_t32_whoever_is_taken_out_the_rest_is_covered_and_the_unwind_sums_to_0(
    unpaid: Unpaid,
) -> None:
    zero = Decimal(0)
    for missing in DEBTORS:
        report = unpaid.run("overdue", "report", WINDOW, missing)
        assert Decimal(report["withheld_total"]) == zero
        assert Decimal(report["pay_outs"]) <= Decimal(report["pay_ins"])
        parties = {each["partner_id"]: each for each in report["parties"]}
        withheld = {name: Decimal(each["withheld"]) for name, each in parties.items()}
        assert withheld[missing] == -withheld["cirrus"] < zero
        (other,) = set(DEBTORS) - {missing}
        assert withheld[other] == zero
        assert Decimal(parties["cirrus"]["due_after"]) == -withheld_of(unpaid, other)


def withheld_of(unpaid: Unpaid, name: str) -> Decimal:
    """What a debtor owes the creditor."""
    report = unpaid.run("overdue", "report", WINDOW, name)
    parties = {each["partner_id"]: each for each in report["parties"]}
    return Decimal(parties[name]["withheld"])


def test_t32_after_the_unwind_the_creditor_is_paid_what_came_in_for_it(unpaid: Unpaid) -> None:
    expected = unpaid.run("overdue", "report", WINDOW, "aurora")
    after = {each["partner_id"]: each for each in expected["parties"]}
    unpaid.run("window", "unwind", WINDOW, "--partner", "aurora")
    legs = unpaid.legs()
    assert legs["cirrus"]["state"] == "PENDING", "what came in covers it"
    assert Decimal(legs["cirrus"]["amount"]) == Decimal(after["cirrus"]["payment_after"])
    assert legs["borealis"]["state"] == "CONFIRMED"
    (held,) = unpaid.run("dispute", "list")["disputes"]
    assert (held["reason"], held["partner_id"]) == ("UNWIND", "aurora")
    again = unpaid.run("overdue", "report", WINDOW, "aurora")
    assert {Decimal(each["withheld"]) for each in again["parties"]} == {Decimal(0)}


def test_the_server_reminds_once_and_proposes_what_two_people_decide(unpaid: Unpaid) -> None:
    ahead = str(timedelta(days=30).total_seconds())
    data_dir = unpaid.members.data_dir
    with Server(data_dir, program="tests.skewed_server", **{SKEW: ahead}) as later:

        def reminded() -> list[Any]:
            found = unpaid.run("overdue", "list", at=later, as_="aurora")["payments"]
            return [each for each in found if each["reminded_at"]]

        wait_until(lambda: bool(reminded()), "the server reminds")
        (missing,) = reminded()
        assert missing["steps"] == ["HOLD", "UNWIND"]
        assert unpaid.run("overdue", "list", at=later, as_="cirrus")["payments"] == []
        listed = unpaid.run("overdue", "list", at=later)["payments"]
        assert [each["partner_id"] for each in listed] == ["aurora"]
