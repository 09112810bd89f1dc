"""A day from orders to settled: a server process, two client processes, a bank that books what it
is asked to.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from exchange.cli.demo.archive import write_archive
from exchange.cli.demo.brand_client import COMMITTED, Wish
from exchange.cli.demo.clients import client_processes, order_all
from exchange.cli.demo.settlement_day import pending
from partners.errors import Reason
from partners.points import format_amount
from pointclear.settlement.v1 import settlement_service_pb2 as pb
from settlement.bank_simulator import BankDay, PaymentRequest, bank_day
from tests.acceptance.coalition import (
    BLOCK,
    BLOCK_GIVES,
    BRANDS,
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
SCALE = 6
BLOCKS = {"aurora": (7, 5), "borealis": (2, 3), "cirrus": (2, 2)}
"""By source: blocks of each of its orders to the brand after it, and to the one after that."""
ORDERS = 20
"""Of each corridor."""


@dataclass(frozen=True, slots=True)
class Trading:
    """A coalition whose first window holds transfers."""

    home: Path
    members: Coalition
    outcomes: list[str]

    def call(self, method: Any, request: Any) -> Any:
        """An operator's call."""
        return self.members.operator.call(method, request)

    @property
    def settlement(self) -> Any:
        """The stub of the settlement service, as the operator's."""
        return self.members.operator.settlement

    def settle(self) -> pb.SettleWindowResponse:
        """Take the window as far as it goes now."""
        response: pb.SettleWindowResponse = self.call(
            self.settlement.SettleWindow, pb.SettleWindowRequest(window_id=WINDOW)
        )
        return response

    def bring(self, content: bytes) -> pb.ImportBankFileResponse:
        """Import a bank file."""
        response: pb.ImportBankFileResponse = self.call(
            self.settlement.ImportBankFile,
            pb.ImportBankFileRequest(currency=CURRENCY, content=content),
        )
        return response

    def positions(self) -> dict[str, int]:
        """What each partner is owed by the posted books, in units."""
        with connection(self.members.data_dir) as database, database.cursor() as cursor:
            cursor.execute(
                "SELECT split_part(name, '.', 1), credits_posted - debits_posted"
                " FROM account JOIN balance USING (account_number) WHERE name LIKE '%.position'"
            )
            return {name: int(balance) for name, balance in cursor.fetchall()}


OF_AN_ACTION = {"action_outcome", "action_request", "operator_action", "head", "record"}
"""What an operator's call writes of itself: one that is repeated is a new action."""


@pytest.fixture(scope="module")
def trading() -> Iterator[Trading]:
    with (
        folder() as home,
        Server(make_data_dir(home)) as server,
        coalition(server, home) as members,
        client_processes(members.profiles, 2) as clients,
    ):
        outcomes = [each.outcome for each in order_all(clients, list(wishes()))]
        yield Trading(home, members, outcomes)


def wishes() -> Iterator[Wish]:
    """Orders along every corridor."""
    for place, source in enumerate(BRANDS):
        for step, blocks in enumerate(BLOCKS[source], start=1):
            target = BRANDS[(place + step) % len(BRANDS)]
            for number in range(ORDERS):
                yield Wish(
                    source=source,
                    target=target,
                    member=f"member-{number}",
                    source_points=blocks * BLOCK,
                    target_points=blocks * BLOCK_GIVES,
                    agreement_id=f"{source}-{target}",
                    reference=f"wish {number}",
                )


def bank(
    statement_id: str, legs: Iterable[pb.Leg], direction: Any, opening: Decimal = Decimal("0.00")
) -> BankDay:
    """The bank books every pending leg of a direction."""
    payments = [
        PaymentRequest(each.direction, each.amount, each.reference, each.partner)
        for each in pending(tuple(legs), direction)
    ]
    assert payments
    return bank_day(statement_id, CURRENCY, FIRST_DAY + timedelta(days=1), opening, payments)


def test_a_day_goes_from_orders_to_settled_and_no_step_counts_twice(trading: Trading) -> None:
    assert trading.outcomes == [COMMITTED] * (6 * ORDERS)
    traded = trading.positions()

    # Closed, once.
    request = pb.CloseWindowRequest(window_id=WINDOW)
    closed = trading.call(trading.settlement.CloseWindow, request)
    with connection(trading.members.data_dir) as database:
        before = contents(database)
        assert trading.call(trading.settlement.CloseWindow, request) == closed
        assert written(before, contents(database)).keys() <= OF_AN_ACTION
    nets = {each.partner_id: each.net for each in closed.window.net_positions}
    assert sum(nets.values()) == 0
    assert {name: nets[name] for name in BRANDS} == traded
    assert nets["aurora"] < 0 < nets["borealis"]

    # Stated, once; nothing moves before the bank says so.
    stated = trading.settle()
    with connection(trading.members.data_dir) as database:
        before = contents(database)
        assert trading.settle() == stated
        assert written(before, contents(database)).keys() <= OF_AN_ACTION
    assert trading.positions() == traded
    states = {leg.partner_id: leg.state for leg in stated.legs}
    assert states["aurora"] == pb.LEG_STATE_PENDING
    assert {states[name] for name in BRANDS if nets[name] > 0} == {pb.LEG_STATE_WAITING}

    # Paid in, once: then the payments out are instructed, and have moved nothing yet.
    paid_in = bank("in", stated.legs, "PAY_IN")
    assert trading.bring(paid_in.content).matched == sum(nets[name] < 0 for name in BRANDS)
    covered = trading.settle()
    with connection(trading.members.data_dir) as database:
        before = contents(database)
        again = trading.bring(paid_in.content)
        assert (again.matched, again.repeated_entries) == (0, sum(n < 0 for n in traded.values()))
        assert trading.settle() == covered
        assert written(before, contents(database)).keys() <= OF_AN_ACTION
    cent = 10_000
    after_pay_in = trading.positions()
    for name in BRANDS:
        if nets[name] > 0:
            assert after_pay_in[name] == traded[name]
        else:
            assert 0 <= after_pay_in[name] < cent
    assert covered.window.state == pb.WINDOW_STATE_PENDING_SETTLEMENT

    # Paid out, once: then nobody is owed a whole cent.
    paid_out = bank("out", covered.legs, "PAY_OUT", paid_in.closing)
    trading.bring(paid_out.content)
    settled = trading.settle()
    assert settled.window.state == pb.WINDOW_STATE_SETTLED
    assert {leg.state for leg in settled.legs} == {pb.LEG_STATE_CONFIRMED}
    assert all(0 <= each < cent for each in trading.positions().values())
    with connection(trading.members.data_dir) as database:
        before = contents(database)
        assert trading.settle() == settled
        trading.bring(paid_in.content)
        trading.bring(paid_out.content)
        assert written(before, contents(database)).keys() <= OF_AN_ACTION
    check_log_and_books(trading.members.data_dir)


def test_what_the_brands_hold_verifies_and_says_what_the_books_say(trading: Trading) -> None:
    settle_if_open(trading)
    out = trading.home / "archive"
    write_archive(trading.members.profiles, [WINDOW], out, lambda _step: None)
    done = pointclear("verify", "--json", out)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["verified"]
    assert report["faults"] == []
    assert report["checked"] == {
        "partners": 3,
        "receipts": 6 * ORDERS,
        "credit notices": 6 * ORDERS,
        "funding notices": 0,
        "reversal notices": 0,
        "statements": 3,
        "lines": 12 * ORDERS,
        "windows": 1,
    }


def test_t26_a_bank_file_that_does_not_fit_is_refused_whole(trading: Trading) -> None:
    settle_if_open(trading)
    opening = holdings(trading)
    unknown_in = PaymentRequest("PAY_IN", Decimal("5.00"), "RF00NOBODY", "stranger")
    unknown_out = PaymentRequest("PAY_OUT", Decimal("0.01"), "RF00NOBODY", "stranger")
    day = date(2017, 1, 3)
    good = bank_day("next", CURRENCY, day, opening, [unknown_in]).content
    wrong = {
        "not our closing balance": bank_day(
            "next", CURRENCY, day, opening + 1, [unknown_in]
        ).content,
        "money out that nobody sent": bank_day(
            "next", CURRENCY, day, opening, [unknown_in, unknown_out]
        ).content,
        "cut short": good[: good.index(b"CLOSING")],
        "end is gone": good[: good.index(b"END")],
        "a row is gone": good.replace(
            next(row for row in good.splitlines(keepends=True) if row.startswith(b"ENTRY")), b""
        ),
        "an amount altered": good.replace(b"5.00", b"6.00", 1),
        "another currency": good.replace(b"CURRENCY,USD", b"CURRENCY,EUR"),
        "another account": good.replace(b"settlement-usd", b"settlement-eur"),
        "another content under a known id": good.replace(b"STATEMENT,next", b"STATEMENT,in"),
        "no bank file": b"\x00\xff",
        "nothing": b"",
    }
    with connection(trading.members.data_dir) as database:
        before = contents(database)
        for name, content in wrong.items():
            assert content != good, name
            refusal = refused(
                trading.settlement.ImportBankFile,
                pb.ImportBankFileRequest(currency=CURRENCY, content=content),
            )
            assert refusal.reason is Reason.BANK_FILE_REFUSED, name
            assert written(before, contents(database)).keys() <= OF_AN_ACTION, name
    # Money that fits no leg is kept apart, and moves no position.
    positions = trading.positions()
    assert (trading.bring(good).matched, trading.bring(good).repeated_entries) == (0, 1)
    assert trading.positions() == positions
    check_log_and_books(trading.members.data_dir)


def holdings(trading: Trading) -> Decimal:
    """What the bank holds, by our mirror of it."""
    with connection(trading.members.data_dir) as database, database.cursor() as cursor:
        cursor.execute(
            "SELECT debits_posted - credits_posted FROM account JOIN balance"
            " USING (account_number) WHERE name = 'hub.bank.settlement'"
        )
        return Decimal(format_amount(int(cursor.fetchone()[0]), SCALE)).quantize(Decimal("0.01"))


def settle_if_open(trading: Trading) -> None:
    """Bring the window to SETTLED, for a test that is run alone."""
    trading.call(trading.settlement.CloseWindow, pb.CloseWindowRequest(window_id=WINDOW))
    state = trading.settle()
    if state.window.state == pb.WINDOW_STATE_SETTLED:
        return
    paid_in = bank("in", state.legs, "PAY_IN")
    trading.bring(paid_in.content)
    trading.bring(bank("out", trading.settle().legs, "PAY_OUT", paid_in.closing).content)
    assert trading.settle().window.state == pb.WINDOW_STATE_SETTLED
