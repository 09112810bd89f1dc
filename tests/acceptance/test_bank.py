"""Money coming in, by the commands that people run: the bank's files in each format, of both
accounts, what lies in suspense, and that it takes two. Threats 26, 30 and 31.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from partners.errors import Reason
from pointclear.settlement.v1 import bank_pb2
from pointclear.settlement.v1 import settlement_service_pb2 as pb
from settlement.bank_simulator import BankDay, Paper, PaymentRequest, bank_day
from settlement.references import collateral_reference
from tests.acceptance.coalition import (
    CURRENCY,
    FIRST_DAY,
    Coalition,
    check_log_and_books,
    coalition,
    make_data_dir,
    refused,
)
from tests.processes import Server, connection, contents, folder, pointclear, written

WINDOW = f"usd-{FIRST_DAY}"
COLLATERAL = "pointclear-collateral-usd"
OF_AN_ACTION = {"action_outcome", "action_request", "operator_action", "head", "record"}
TWO_HANDS = {*OF_AN_ACTION, "action_approval"}


@dataclass(slots=True)
class House:
    """A window that is stated, its bank, and the servers."""

    home: Path
    members: Coalition
    one: Server
    """One operator is enough."""
    two: Server
    """It takes two."""
    legs: dict[str, pb.Leg]
    """By partner: aurora is asked for what borealis and cirrus are owed."""
    balance: Decimal = Decimal("0.00")
    """Of the settlement account."""

    def run(self, *arguments: str | Path, at: Server | None = None, as_: str = "operator") -> Any:
        """Run a command with `--json`."""
        places = {
            "operator": self.members.data_dir / "operator",
            "ben": self.home / "ben",
            **{name: self.home / name for name in self.members.brands},
        }
        return pointclear(
            *arguments,
            *("--json", "--as", places[as_], "--server", (at or self.one).address),
            cwd=self.home,
            POINTCLEAR_DATA_DIR=str(self.members.data_dir),
            POINTCLEAR_REASON="for the test",
        )

    def done(self, *arguments: str | Path, **how: Any) -> Any:
        """What a command that succeeds prints."""
        ended = self.run(*arguments, **how)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    def failed(self, *arguments: str | Path, **how: Any) -> Any:
        """How a command fails."""
        ended = self.run(*arguments, **how)
        assert ended.returncode in (1, 4), (ended.stdout, ended.stderr)
        error = json.loads(ended.stderr)["error"]
        assert error["exit_code"] == ended.returncode
        return error

    def file(self, name: str, content: bytes) -> Path:
        """A file to import."""
        path = self.home / name
        path.write_bytes(content)
        return path

    def day(self, name: str, paper: Paper, *requests: PaymentRequest) -> BankDay:
        """The next day of the settlement account."""
        return bank_day(name, CURRENCY, FIRST_DAY, self.balance, requests, paper=paper)

    def imports(self, name: str, paper: Paper, *requests: PaymentRequest) -> Any:
        """Import the next day of the settlement account."""
        day = self.day(name, paper, *requests)
        answer = self.done("bank", "import", self.file(name, day.content))
        self.balance = day.closing
        return answer


def paid(amount: Decimal | str, reference: str, name: str = "aurora") -> PaymentRequest:
    return PaymentRequest("PAY_IN", Decimal(amount), reference, name)


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with folder() as home, ExitStack() as stack:
        data_dir = make_data_dir(home)
        one = stack.enter_context(Server(data_dir))
        members = stack.enter_context(coalition(one, home))
        for target in ("borealis", "cirrus"):
            for _ in range(4):
                members["aurora"].send(members["aurora"].order(target))
        operator = members.operator
        operator.call(operator.settlement.CloseWindow, pb.CloseWindowRequest(window_id=WINDOW))
        settle = pb.SettleWindowRequest(window_id=WINDOW)
        legs = operator.call(operator.settlement.SettleWindow, settle).legs
        two = stack.enter_context(Server(data_dir, POINTCLEAR_FOUR_EYES="on"))
        yield House(home, members, one, two, {each.partner_id: each for each in legs})
        check_log_and_books(data_dir)


def asked(house: House) -> Decimal:
    return (Decimal(house.legs["aurora"].amount) / 10**6).quantize(Decimal("0.01"))


def test_t26_t31_a_wrong_file_of_any_format_leaves_every_table_unchanged(house: House) -> None:
    with connection(house.members.data_dir) as database:
        before = contents(database)
        for paper in Paper:
            good = house.day("d0", paper, paid(asked(house), house.legs["aurora"].reference))
            amount = str(asked(house)).replace(".", "," if paper is Paper.MT940 else ".")
            for wrong in (
                good.content.replace(amount.encode(), b"9" + amount.encode(), 1),
                good.content[:-20],
                good.content.replace(b"-usd", b"-eur"),
                b"\xff" + good.content,
            ):
                assert wrong != good.content
                error = house.failed("bank", "import", house.file("wrong", wrong))
                assert error["reason"] == "BANK_FILE_REFUSED"
                assert error["field"]
                assert error["remedy"]
        assert written(before, contents(database)).keys() <= OF_AN_ACTION


def test_t31_a_file_is_imported_by_two_people(house: House) -> None:
    house.done(
        *("operator", "add", "ben", "--out", house.home / "ben"),
        *("--role", "finance-maker", "--role", "finance-checker"),
    )
    gift = paid("5.00", "a gift", "somebody")
    path = house.file("d1", house.day("d1", Paper.CAMT_053, gift).content)
    with connection(house.members.data_dir) as database:
        before = contents(database)
        alone = house.failed("bank", "import", path, at=house.two)
        assert alone["reason"] == "WAITS"
        assert written(before, contents(database)).keys() <= TWO_HANDS
    action = alone["metadata"]["actionId"]
    assert house.run("actions", "approve", action, "--yes", at=house.two).returncode == 1
    house.done("actions", "approve", action, "--yes", at=house.two, as_="ben")
    taken = house.done("bank", "import", path, at=house.two)
    assert (taken["format"], taken["account_kind"]) == ("CAMT_053", "SETTLEMENT")
    assert (taken["unmatched"], taken["closing"]) == (1, "5.000000")
    house.balance = Decimal("5.00")


def test_t30_the_same_money_is_booked_once_whatever_file_shows_it(house: House) -> None:
    again = house.done("bank", "import", house.home / "d1")
    assert (again["repeated"], again["unmatched"]) == (1, 0)
    said = pointclear(
        *("bank", "import", house.home / "d1", "--as", house.members.data_dir / "operator"),
        *("--server", house.one.address),
        cwd=house.home,
    )
    assert "It was imported before, and changed nothing." in said.stdout
    (item,) = house.done("bank", "suspense", CURRENCY)["items"]
    name = item["item_id"]
    # What its payer wrote, not the NOTPROVIDED that the bank puts before it.
    assert item["reference"] == "a gift"
    next_day = house.day("d2", Paper.CAMT_053, paid("5.00", "a gift")).content.decode()
    start = next_day.index("<AcctSvcrRef>") + len("<AcctSvcrRef>")
    doubled = next_day[:start] + name + next_day[next_day.index("</AcctSvcrRef>") :]
    error = house.failed("bank", "import", house.file("doubled", doubled.encode()))
    assert (error["reason"], error["field"]) == ("BANK_FILE_REFUSED", f"entries[{name}]")
    assert "d1" in error["text"]
    assert "d2" in error["text"]


def test_a_leg_is_paid_in_three_parts_by_files_of_three_formats(house: House) -> None:
    leg, whole = house.legs["aurora"], asked(house)
    first = house.imports("m1", Paper.MT940, paid("1.00", leg.reference))
    second = house.imports("m2", Paper.CSV, paid("2.00", leg.reference))
    third = house.imports("m3", Paper.CAMT_053, paid(whole - 3, leg.reference))
    assert [each["unmatched"] for each in (first, second, third)] == [1, 1, 1]
    listed = house.done("bank", "suspense", CURRENCY)
    assert Decimal(listed["total"]) == whole + 5
    parts = [each["item_id"] for each in listed["items"] if each["partner_id"] == "aurora"]
    assert len(parts) == 3
    short = house.failed("bank", "resolve", CURRENCY, *parts[:2], "--leg", leg.reference)
    assert (short["reason"], short["field"]) == ("FIELD_INVALID", "item_ids")
    both = house.run("bank", "resolve", CURRENCY, *parts, "--leg", "x", "--payee", "y")
    assert both.returncode == 2
    alone = house.failed("bank", "resolve", CURRENCY, *parts, "--leg", leg.reference, at=house.two)
    assert alone["reason"] == "WAITS"
    action = alone["metadata"]["actionId"]
    house.done("actions", "approve", action, "--yes", at=house.two, as_="ben")
    resolved = house.done("bank", "resolve", CURRENCY, *parts, "--leg", leg.reference, at=house.two)
    assert resolved["reference"] == leg.reference
    states = {each["partner_id"]: each["state"] for each in house.done("settle", WINDOW)["legs"]}
    assert states == {"aurora": "CONFIRMED", "borealis": "PENDING", "cirrus": "PENDING"}


def test_what_nobody_knows_goes_back_and_the_window_is_settled(house: House) -> None:
    (gift,) = house.done("bank", "suspense", CURRENCY)["items"]
    back = house.done(
        *("bank", "resolve", CURRENCY, gift["item_id"]),
        *("--payee", "Somebody", "--account", "DE89370400440532013000", "--bic", "COBADEFF"),
    )
    outs = [
        PaymentRequest(
            "PAY_OUT",
            (Decimal(leg.amount) / 10**6).quantize(Decimal("0.01")),
            leg.reference,
            name,
        )
        for name, leg in house.legs.items()
        if name != "aurora"
    ]
    returned = PaymentRequest("PAY_OUT", Decimal("5.00"), back["reference"], "somebody")
    taken = house.imports("m4", Paper.MT940, *outs, returned)
    assert taken["matched"] == 3
    assert house.done("settle", WINDOW)["window"]["state"] == "SETTLED"
    empty = house.done("bank", "suspense", CURRENCY)
    assert empty["items"] == []
    assert Decimal(empty["total"]) == 0


def test_collateral_has_an_account_of_its_own(house: House) -> None:
    top_up = paid("250.00", collateral_reference(1), "aurora")
    strange = paid("1.00", "for whom?", "somebody")
    opening = Decimal("0.00")
    for number, (paper, request) in enumerate(
        [(Paper.MT940, top_up), (Paper.CAMT_053, top_up), (Paper.CSV, strange)]
    ):
        day = bank_day(
            f"c{number}", CURRENCY, FIRST_DAY, opening, [request], account=COLLATERAL, paper=paper
        )
        path = house.file(f"c{number}", day.content)
        if request is strange:
            error = house.failed("bank", "import", path)
            assert error["field"] == "entries[c2-1]"
            taken = house.done("bank", "import", path, "--partner", "c2-1=cirrus")
        else:
            taken = house.done("bank", "import", path, "--currency", CURRENCY)
        assert (taken["account_kind"], taken["collateral"]) == ("COLLATERAL", 1)
        opening = day.closing
    files = house.done("bank", "list", CURRENCY)["files"]
    assert [each["account_kind"] for each in files[:4]] == ["COLLATERAL"] * 3 + ["SETTLEMENT"]
    assert {each["format"] for each in files} == {"CSV", "CAMT_053", "MT940"}
    human = pointclear(
        *("bank", "list", CURRENCY, "--as", house.members.data_dir / "operator"),
        *("--server", house.one.address),
        cwd=house.home,
    )
    assert human.returncode == 0
    assert "COLLATERAL" in human.stdout


def test_a_charge_is_named_by_those_who_import_it(house: House) -> None:
    fee = PaymentRequest("PAY_OUT", Decimal("0.01"), "fee of the bank", "")
    day = house.day("f1", Paper.CSV, fee)
    path = house.file("f1", day.content)
    assert house.failed("bank", "import", path)["field"] == "entries[f1-1]"
    other = house.run("bank", "import", path, "--partner", "f1-1")
    assert other.returncode == 2
    taken = house.done("bank", "import", path, "--charge", "f1-1")
    assert (taken["charges"], taken["matched"]) == (1, 0)


def test_partners_are_shown_nothing_of_the_bank(house: House) -> None:
    mine = house.members["aurora"].connection.settlement
    listed = bank_pb2.ListSuspenseRequest(currency=CURRENCY)
    assert refused(mine.ListSuspense, listed).reason is Reason.ROLE_MISSING
    files = bank_pb2.ListBankFilesRequest(currency=CURRENCY)
    assert refused(mine.ListBankFiles, files).reason is Reason.ROLE_MISSING
