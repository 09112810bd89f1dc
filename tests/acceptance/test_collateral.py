"""Collateral and journals through the front door: a PREPAID brand deposits, orders as far as that
goes, takes back what covers nothing, and finance puts its position right.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from partners.errors import Reason
from partners.limits.values import Funding, PartnerLimits
from partners.limits.wire import limits_to_proto
from pointclear.exchange.v1 import exchange_service_pb2 as exchange_pb
from pointclear.partners.v1 import limits_pb2
from pointclear.settlement.v1 import adjustment_pb2, collateral_pb2
from pointclear.settlement.v1 import settlement_service_pb2 as settlement_pb
from settlement.checks.evidence import check_evidence
from tests.acceptance.coalition import (
    BLOCK_COST,
    CALL_TIMEOUT_S,
    CURRENCY,
    USD,
    Coalition,
    check_log_and_books,
    coalition,
    make_data_dir,
    refused,
)
from tests.processes import Server, connection, folder, pointclear

ORDER_COST = 2 * BLOCK_COST
ACCOUNT = f"pointclear-collateral-{CURRENCY.lower()}"
WINDOW = f"{CURRENCY.lower()}-2017-01-01"


@pytest.fixture(scope="module")
def members() -> Iterator[Coalition]:
    with (
        folder() as home,
        Server(make_data_dir(home)) as server,
        coalition(server, home, ("aurora", "borealis")) as founded,
    ):
        yield founded


class Bank:
    """The collateral account at the bank."""

    def __init__(self, members: Coalition) -> None:
        self.members = members
        self.balance = Decimal("0.00")
        self.files = 0

    def books(self, amount: str, reference: str) -> None:
        """One entry, and the file that shows it is imported."""
        self.files += 1
        closing = self.balance + Decimal(amount)
        rows = [
            "POINTCLEAR-BANK-STATEMENT,1",
            f"STATEMENT,C{self.files}",
            f"ACCOUNT,{ACCOUNT}",
            f"CURRENCY,{CURRENCY}",
            f"OPENING,{self.balance}",
            f"ENTRY,E{self.files},2017-01-02,{amount},{reference},somebody",
            f"CLOSING,{closing}",
            "END,1",
        ]
        request = settlement_pb.ImportBankFileRequest(
            currency=CURRENCY, content=("\r\n".join(rows) + "\r\n").encode()
        )
        operator = self.members.operator
        operator.call(operator.settlement.ImportBankFile, request)
        self.balance = closing


def run(members: Coalition, *arguments: str, profile: str = "") -> Any:
    """A command's JSON document."""
    where = (
        ("--as", str(members[profile].connection.profile.directory))
        if profile
        else ("--data-dir", str(members.data_dir))
    )
    server = ("--server", members.operator.profile.server)
    done = pointclear(*arguments, *where, *server, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def set_limits(members: Coalition, number: int, limits: PartnerLimits) -> None:
    operator = members.operator
    change_id = bytes.fromhex(f"0190000000007{number:03x}8000000000000000")
    request = limits_pb2.SetLimitsRequest(change_id=change_id, limits=limits_to_proto(limits))
    operator.call(operator.partners.SetLimits, request)


def position(members: Coalition, brand: str) -> exchange_pb.Position:
    exchange = members[brand].connection.exchange
    request = exchange_pb.GetPositionRequest()
    found: exchange_pb.Position = exchange.GetPosition(request, timeout=CALL_TIMEOUT_S).position
    return found


def test_a_prepaid_brand_deposits_orders_and_takes_back_what_covers_nothing(
    members: Coalition,
) -> None:
    aurora, bank = members["aurora"], Bank(members)
    set_limits(members, 1, PartnerLimits("aurora", Funding.PREPAID))
    assert aurora.refused(aurora.order()).reason is Reason.NET_DEBIT_CAP_EXCEEDED

    (own,) = run(members, "collateral", "list", profile="aurora")["collateral"]
    assert (own["partner_id"], own["balance"], own["free"]) == ("aurora", "0.000000", "0.000000")
    bank.books("5.00", own["top_up_reference"])
    aurora.send(aurora.order())
    assert position(members, "aurora").net_debit_cap == 5 * USD
    assert position(members, "aurora").headroom == 5 * USD - ORDER_COST
    # What it is credited is no headroom before its window is settled.
    borealis = members["borealis"]
    borealis.send(borealis.order("aurora"))
    assert position(members, "aurora").headroom == 5 * USD - ORDER_COST
    assert position(members, "aurora").credits_held > 0

    # Of 5.00 dollars 1.0106 are owed.
    too_much = pointclear(
        *("collateral", "withdraw", "4.00"),
        *("--as", str(aurora.connection.profile.directory)),
        *("--server", members.operator.profile.server, "--json"),
    )
    assert too_much.returncode == 1
    assert json.loads(too_much.stderr)["error"]["reason"] == Reason.COLLATERAL_NEEDED
    asked = run(members, "collateral", "withdraw", "3.00", profile="aurora")["withdrawal"]
    assert asked["state"] == "REQUESTED"
    again = ("collateral", "withdraw", "3.00", "--id", asked["withdrawal_id"])
    # The same id with another instant inside is another request.
    assert (
        pointclear(
            *again,
            *("--as", str(aurora.connection.profile.directory)),
            *("--server", members.operator.profile.server),
        ).returncode
        == 1
    )
    approve = ("collateral", "approve", asked["withdrawal_id"], "--reason", "asked for")
    approved = run(members, *approve)["withdrawal"]
    assert approved["state"] == "APPROVED"
    assert run(members, *approve)["withdrawal"] == approved
    waiting = run(members, "payouts", "list", CURRENCY, "--account", "collateral")["left_out"]
    assert [(each["kind"], each["reference"], each["reason"]) for each in waiting] == [
        ("WITHDRAWAL", approved["reference"], "NO_ACCOUNT")
    ]
    assert position(members, "aurora").net_debit_cap == 2 * USD
    bank.books("-3.00", approved["reference"])
    (paid,) = run(members, "collateral", "list", "--partner", "aurora")["collateral"]
    assert [each["state"] for each in paid["withdrawals"]] == ["PAID"]
    assert [(each["kind"], each["amount"], each["confirmed"]) for each in paid["movements"]] == [
        ("TOP_UP", "5.000000", True),
        ("WITHDRAWAL", "-3.000000", True),
    ]
    assert (paid["balance"], paid["on_its_way"]) == ("2.000000", "0.000000")

    # Another one is let go and taken back before the bank makes it, and one is refused at once.
    later = run(members, "collateral", "withdraw", "0.50", profile="aurora")["withdrawal"]
    run(members, "collateral", "approve", later["withdrawal_id"], "--reason", "asked for")
    assert position(members, "aurora").net_debit_cap == 3 * USD // 2
    refuse = ("collateral", "refuse", later["withdrawal_id"], "--reason", "not now")
    assert run(members, *refuse)["withdrawal"]["state"] == "REFUSED"
    assert run(members, *refuse)["withdrawal"]["state"] == "REFUSED"
    assert position(members, "aurora").net_debit_cap == 2 * USD
    last = run(members, "collateral", "withdraw", "0.10", profile="aurora")["withdrawal"]
    refuse = ("collateral", "refuse", last["withdrawal_id"], "--reason", "not now")
    assert run(members, *refuse)["withdrawal"]["state"] == "REFUSED"
    operator = members.operator
    late = collateral_pb2.ApproveWithdrawalRequest(
        withdrawal_id=bytes.fromhex(last["withdrawal_id"].replace("-", "")),
        sha256=bytes.fromhex(last["sha256"]),
    )
    refusal = refused(operator.settlement.ApproveWithdrawal, late)
    assert refusal.reason is Reason.ALREADY_EXISTS
    check_log_and_books(members.data_dir)
    with connection(members.data_dir) as database:
        assert list(check_evidence(database, lambda _rows: None)) == []


def test_a_brand_sees_its_own_collateral_and_journals_and_nobody_elses(members: Coalition) -> None:
    settlement = members["borealis"].connection.settlement
    others = collateral_pb2.ListCollateralRequest(partner_id="aurora")
    assert refused(settlement.ListCollateral, others).reason is Reason.PARTNER_UNKNOWN
    journals = adjustment_pb2.ListAdjustmentsRequest(partner_id="aurora")
    assert refused(settlement.ListAdjustments, journals).reason is Reason.PARTNER_UNKNOWN
    booking = adjustment_pb2.BookAdjustmentRequest()
    assert refused(settlement.BookAdjustment, booking).reason is Reason.ROLE_MISSING


def test_a_journal_is_booked_in_the_open_window_past_any_cap_and_says_why(
    members: Coalition,
) -> None:
    before = position(members, "borealis")
    set_limits(members, 9, PartnerLimits("borealis", Funding.CAPPED, 0))
    book = ("adjust", "book", "--currency", CURRENCY, "--relates-to", WINDOW)
    move = ("--from", "borealis", "--to", "aurora", "--amount", "100.00")
    booked = run(members, *book, *move, "--reason", "a rate of last month")["adjustment"]
    assert (booked["window_id"], booked["kind"]) == (WINDOW, "ADJUSTMENT")
    assert (booked["reason"], booked["relates_to"]) == ("a rate of last month", WINDOW)
    assert booked["maker"]
    after = position(members, "borealis")
    assert after.balance == before.balance - 100 * USD
    assert after.open == before.open - 100 * USD
    off = ("--from", "hub.losses", "--to", "borealis", "--amount", "0.000001", "--write-off")
    run(members, *book, *off, "--reason", "below a cent")
    listed = run(members, "adjust", "list", profile="borealis")["adjustments"]
    assert [(each["kind"], each["amount"], each["maker"]) for each in listed] == [
        ("ADJUSTMENT", "100.000000", ""),
        ("WRITE_OFF", "0.000001", ""),
    ]
    one = run(members, "adjust", "list", "--relates-to", "nothing")["adjustments"]
    assert one == []
    unsaid = pointclear(
        *book,
        *move,
        "--reason",
        "",
        "--data-dir",
        str(members.data_dir),
        *("--server", members.operator.profile.server, "--json"),
    )
    assert unsaid.returncode == 1
    check_log_and_books(members.data_dir)
