"""A server that ends at a named point, before or after each of its effects: sent again, the very
same bytes are carried out once, and the books, the streams and the log agree.

One data directory goes through all of it. Each server is armed to end at its `LIFE`-th passing of
one point, and is filled with repeats up to there, so that it first serves what the one before it
left, and then ends in the middle of what a test wants.
"""

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from urllib.request import urlopen
from uuid import UUID

import pytest

from exchange.cli.connection import Connection, connect
from exchange.cli.demo.settlement_day import DIRECTIONS, Direction, pending, settle
from exchange.cli.failure import Failed
from exchange.cli.transfers.receipt_commands import read_stream
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.exchange.v1.exchange_service_pb2 import (
    BatchCreateTransfersRequest,
    CreateTransferRequest,
)
from pointclear.exchange.v1.transfer_pb2 import TRANSFER_STATE_COMMITTED, TransferOrder
from pointclear.settlement.v1 import settlement_service_pb2 as pb
from settlement.bank_simulator import BankDay, PaymentRequest, bank_day
from tests.acceptance.coalition import (
    CALL_TIMEOUT_S,
    CURRENCY,
    FIRST_DAY,
    MINIMUM,
    Coalition,
    check_log_and_books,
    coalition,
    make_data_dir,
    transfer_id_of,
)
from tests.crashing_server import CRASH_AT, POINTS
from tests.processes import ROOT, Server, folder

LIFE = 40
"""Passings of the point that each server lives to see."""
ALONE, BATCHED = 3, 4
"""Orders under way when a server ends: so many by themselves, so many in one call."""
DAY_ENDS_BY = 20
"""More batches than a settlement day takes."""


@dataclass
class Exchange:
    """One deployment, the server that runs now, and what was sent to it."""

    server: Server
    members: Coalition
    armed_at: str = ""
    orders: dict[UUID, SignedEnvelope] = field(default_factory=dict)
    receipts: dict[UUID, SignedEnvelope] = field(default_factory=dict)

    def arm(self, point: str) -> None:
        """A server that will end at the point, unless it is the one that runs."""
        if self.armed_at == point:
            return
        self.server.kill()
        self.server = Server(
            self.server.data_dir,
            *("--http", "127.0.0.1:0"),
            program="tests.crashing_server",
            **{CRASH_AT: f"{point}:{LIFE}"},
        )
        self.armed_at = point

    @contextmanager
    def reached_by(self, name: str) -> Iterator[Connection]:
        """A channel of a brand or of the operator to the server that runs now."""
        brands = {each: brand.connection for each, brand in self.members.brands.items()}
        profile = brands.get(name, self.members.operator).profile
        with connect(replace(profile, server=self.server.address)) as own:
            yield own

    def passed(self) -> int:
        """How many batches this server has begun."""
        with urlopen(f"http://{self.server.http}/metrics", timeout=CALL_TIMEOUT_S) as page:
            (line,) = (each for each in page if each.startswith(b"pointclear_batch_size_count"))
        return int(float(line.split()[1]))

    def ended(self) -> None:
        """Wait for the server's end at its point."""
        assert self.server.process.wait(CALL_TIMEOUT_S) == -signal.SIGKILL
        self.armed_at = ""

    def order(self, source: str, target: str, **changes: Any) -> SignedEnvelope:
        """A good order, kept, since it must be carried out in the end."""
        order = self.members[source].order(target, **changes)
        self.orders[transfer_id_of(order)] = order
        return order

    def keep(self, order: SignedEnvelope, receipt: SignedEnvelope) -> None:
        """Note an answer: it may be the first, and else it is the one that was given before."""
        transfer_id = transfer_id_of(order)
        assert self.receipts.setdefault(transfer_id, receipt) == receipt

    def send_unanswered(self) -> None:
        """Send all orders again that have no receipt, the very same bytes."""
        with ExitStack() as stack:
            channels = {n: stack.enter_context(self.reached_by(n)) for n in self.members.brands}
            for transfer_id in self.orders.keys() - self.receipts.keys():
                order = self.orders[transfer_id]
                own = channels[source_of(order)]
                self.keep(order, create(own, order))

    def fill(self, passings: int) -> None:
        """Let the server live until so many passings before its end."""
        order = next(iter(self.orders.values()))
        with self.reached_by(source_of(order)) as own:
            for _ in range(LIFE - passings - self.passed()):
                self.keep(order, create(own, order))
        assert self.passed() == LIFE - passings

    def check(self) -> None:
        """Fails unless every order is carried out, once, with the receipt that was given, and the
        streams, the log and the books are right.
        """
        assert self.orders.keys() == self.receipts.keys()
        receipts, notices = Counter[UUID](), Counter[UUID]()
        for name in self.members.brands:
            with self.reached_by(name) as own:
                stream = read_stream(own, 0)
            for proof in stream:
                assert proof.record.state == TRANSFER_STATE_COMMITTED
                transfer_id = UUID(bytes=proof.record.transfer_id)
                if proof.record.source_partner == name:
                    receipts[transfer_id] += 1
                    assert self.receipts[transfer_id].payload == proof.envelope.payload
                else:
                    notices[transfer_id] += 1
        assert receipts == notices == dict.fromkeys(self.orders, 1)
        check_log_and_books(self.server.data_dir)


def create(own: Connection, order: SignedEnvelope) -> SignedEnvelope:
    """The receipt that answers an order."""
    request = CreateTransferRequest(order=order)
    return own.exchange.CreateTransfer(request, timeout=CALL_TIMEOUT_S).receipt


def source_of(order: SignedEnvelope) -> str:
    """The brand that sent an order."""
    return TransferOrder.FromString(order.payload).partner_id


@pytest.fixture(scope="module")
def exchange() -> Iterator[Exchange]:
    with folder() as home:
        first = Server(make_data_dir(home))
        with coalition(first, home) as members:
            running = Exchange(first, members)
            try:
                running.order("aurora", "borealis")
                running.send_unanswered()
                yield running
            finally:
                running.server.stop()


def test_the_crash_point_is_read_by_the_tests_own_composition_root_only() -> None:
    readers = [
        path
        for part in ("adapters", "exchange", "partners", "settlement", "deploy", "Makefile")
        for path in [ROOT / part, *(ROOT / part).rglob("*")]
        if path.is_file() and path.suffix != ".pyc" and CRASH_AT.encode() in path.read_bytes()
    ]
    assert readers == []
    assert len(POINTS) == 14


@pytest.mark.parametrize("point", POINTS)
def test_t24_a_server_that_ends_at_a_point_has_done_all_of_a_batch_or_nothing(
    exchange: Exchange, point: str
) -> None:
    exchange.arm(point)
    exchange.fill(passings=1)
    alone = [exchange.order("aurora", "borealis") for _ in range(ALONE)]
    batched = [exchange.order("borealis", "cirrus") for _ in range(BATCHED)]
    with exchange.reached_by("aurora") as aurora, exchange.reached_by("borealis") as borealis:
        together = borealis.exchange.BatchCreateTransfers.future(
            BatchCreateTransfersRequest(orders=batched), timeout=CALL_TIMEOUT_S
        )
        method = aurora.exchange.CreateTransfer
        calls = [
            method.future(CreateTransferRequest(order=order), timeout=CALL_TIMEOUT_S)
            for order in alone
        ]
        exchange.ended()
        for order, call in zip(alone, calls, strict=True):
            if call.exception() is None:
                exchange.keep(order, call.result().receipt)
        if together.exception() is None:
            for order, result in zip(batched, together.result().results, strict=True):
                exchange.keep(order, result.receipt)

    exchange.arm(POINTS[(POINTS.index(point) + 1) % len(POINTS)])
    exchange.send_unanswered()
    exchange.check()


# A settlement day


@dataclass
class Day:
    """A settlement day, with whatever the bank did on it: its files are made once."""

    exchange: Exchange
    date: date
    bank_held: Decimal
    files: dict[Direction, BankDay] = field(default_factory=dict)

    @property
    def window_id(self) -> str:
        """The window that the day settles."""
        return f"{CURRENCY.lower()}-{self.date}"

    def run(self) -> None:
        """All commands of the day from its first to its last, whatever was done before."""
        with self.exchange.reached_by("operator") as operator:
            close = pb.CloseWindowRequest(window_id=self.window_id)
            operator.call(operator.settlement.CloseWindow, close)
            stated = settle(operator, self.window_id)
            for direction in DIRECTIONS:
                content = self.bank_file(direction, stated).content
                request = pb.ImportBankFileRequest(currency=CURRENCY, content=content)
                operator.call(operator.settlement.ImportBankFile, request)
                stated = settle(operator, self.window_id)
        assert stated.window.state == pb.WINDOW_STATE_SETTLED
        assert {leg.state for leg in stated.legs} == {pb.LEG_STATE_CONFIRMED}

    def bank_file(self, direction: Direction, stated: pb.SettleWindowResponse) -> BankDay:
        """What the bank booked of the payments of one direction."""
        if direction not in self.files:
            payments = [
                PaymentRequest(each.direction, each.amount, each.reference, each.partner)
                for each in pending(stated.legs, direction)
            ]
            assert payments
            name, opening = f"{self.date}-{direction}", self.bank_held
            made = bank_day(name, CURRENCY, self.date, opening, payments)
            self.files[direction], self.bank_held = made, made.closing
        return self.files[direction]


def test_t24_a_settlement_day_that_ends_at_each_of_its_commits_comes_to_the_same_end(
    exchange: Exchange,
) -> None:
    held = Decimal("0.00")
    sides = ("after-commit", "before-commit")
    for batches in count(1):
        exchange.arm(sides[batches % 2])
        for source, target, blocks in (("aurora", "borealis", 20), ("borealis", "cirrus", 4)):
            exchange.order(source, target, source_points=MINIMUM // 2 * blocks)
        exchange.send_unanswered()
        exchange.fill(passings=batches)
        day = Day(exchange, FIRST_DAY + timedelta(days=batches - 1), held)
        ended = False
        with suppress(Failed):
            day.run()
            ended = True
        if not ended:
            exchange.ended()
            exchange.arm(sides[(batches + 1) % 2])
            day.run()
        held = day.bank_held
        exchange.send_unanswered()
        exchange.check()
        if ended:
            # The day took fewer batches than the server had left.
            break
        assert batches < DAY_ENDS_BY
    assert batches > 6
