"""Many clients at two servers on one database: whatever they do at once, the answers are those of
one exchange that does one thing after the other, in the order of the log.
"""

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import uuid_utils

from exchange.cli.connection import connect
from exchange.cli.demo.settlement_day import DIRECTIONS, pending, settle
from partners.errors import Reason
from pointclear.client.orders import build_reversal, sign_reversal
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.exchange.v1.exchange_service_pb2 import (
    CreateTransferRequest,
    ReverseTransferRequest,
)
from pointclear.exchange.v1.transfer_pb2 import (
    TRANSFER_STATE_COMMITTED,
    TRANSFER_STATE_REFUSED,
    ReversalOrder,
    TransferOrder,
    TransferReceipt,
)
from pointclear.partners.v1.agreement_pb2 import BlockRate
from pointclear.settlement.v1 import settlement_service_pb2 as pb
from settlement.bank_simulator import PaymentRequest, bank_day
from tests.acceptance.coalition import (
    AUDIENCE,
    BLOCK,
    BLOCK_COST,
    BLOCK_GIVES,
    CALL_TIMEOUT_S,
    CURRENCY,
    FIRST_DAY,
    MAXIMUM,
    MINIMUM,
    PRICE,
    Brand,
    Coalition,
    agree,
    check_log_and_books,
    coalition,
    join,
    logged,
    make_data_dir,
    refusal_of,
    transfer_id_of,
)
from tests.model import HUB, Model, Verdict, replay
from tests.processes import Server, connection, contents, folder, wait_until, written

BRANDS = ("aurora", "borealis", "cirrus")
POOR = "pauper"
CLIENTS_A_SERVER = 4
ORDERS_A_CLIENT = 40
ORDERS = 2 * CLIENTS_A_SERVER * ORDERS_A_CLIENT
SEEDS = (1, 2, 3, 4)
TRANSFER_CODES = ("OUT", "IN", "BONUS_IN", "VALUE", "VALUE_TAX", "PROMO", "FEE", "TAX")
CODES = {
    **dict(enumerate(TRANSFER_CODES, start=1)),
    **dict(enumerate((f"REV_{name}" for name in TRANSFER_CODES), start=9)),
    18: "PAY_IN",
    19: "PAY_OUT",
}
"""As the journal numbers them."""


@dataclass(frozen=True, slots=True)
class Sent:
    """An order that was sent and how it was answered."""

    order: SignedEnvelope
    receipt: SignedEnvelope | None
    """Of a recorded refusal too."""
    reason: str
    """Empty where it was carried out."""


@dataclass
class Pair:
    """Two servers, the coalition behind both, and the terms that its members believe in."""

    servers: tuple[Server, Server]
    members: Coalition
    terms: dict[tuple[str, str], tuple[int, BlockRate]] = field(default_factory=dict)
    """Version and rate by corridor."""
    sent: list[Sent] = field(default_factory=list)
    bank_held: Decimal = Decimal("0.00")
    days: int = 0


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with (
        folder() as home,
        Server(make_data_dir(home)) as first,
        Server(first.data_dir) as second,
        coalition(first, home, BRANDS) as members,
        join(members.operator, home, POOR, cap=12 * BLOCK_COST) as poor,
    ):
        members.brands[POOR] = poor
        agree(members, POOR, "aurora")
        # Under these terms many a tax is a half, and the poor brand has credit to be paid.
        agree(members, "aurora", POOR, price_per_target_point=PRICE * 3 // 2, fee_basis_points=1)
        rate = BlockRate(source_units=BLOCK, target_units=BLOCK_GIVES)
        corridors = [(s, t) for s in BRANDS for t in BRANDS if s != t]
        corridors += [(POOR, "aurora"), ("aurora", POOR)]
        yield Pair((first, second), members, dict.fromkeys(corridors, (1, rate)))


def answered(call: Any, order: SignedEnvelope) -> Sent:
    """What came of an order."""
    error = call.exception()
    if error is not None:
        refusal = refusal_of(error)
        return Sent(order, refusal.receipt, refusal.reason.value)
    return Sent(order, call.result().receipt, "")


def send_all(brand: Brand, server: Server, orders: Sequence[SignedEnvelope]) -> list[Sent]:
    """Send a brand's orders to one server, all at once."""
    with connect(replace(brand.connection.profile, server=server.address)) as own:
        method = own.exchange.CreateTransfer
        calls = [
            method.future(CreateTransferRequest(order=order), timeout=CALL_TIMEOUT_S)
            for order in orders
        ]
        return [answered(call, order) for call, order in zip(calls, orders, strict=True)]


def test_t03_a_thousand_orders_sent_at_once_over_two_servers_are_carried_out_once_each(
    pair: Pair,
) -> None:
    aurora = pair.members["aurora"]
    orders = [aurora.order() for _ in range(1000)]
    others = [
        aurora.order(transfer_id=transfer_id_of(orders[place]).bytes, source_points=points)
        for place, points in ((0, 150), (999, 200))
    ]
    with connection(pair.members.data_dir) as database, ThreadPoolExecutor(2) as pool:
        before = contents(database)
        first, second = pool.map(send_all, [aurora] * 2, pair.servers, [orders] * 2)
        changed = written(before, contents(database))
        assert [each.reason for each in first] == [""] * 1000
        assert first == second
        assert len({each.receipt.SerializeToString() for each in first if each.receipt}) == 1000
        assert (changed["record"], changed["request"], changed["stream_entry"]) == (
            *(1000, 1000),
            2000,
        )
        for server in pair.servers:
            refused = send_all(aurora, server, others)
            assert [each.reason for each in refused] == [Reason.MODIFIED_REQUEST] * 2
            assert [each.receipt for each in refused] == [None, None]
        assert written(before, contents(database)) == changed
    for sent in (first[0], first[-1]):
        assert sent.receipt is not None
        assert aurora.proof(sent.receipt).record.transfer_id == transfer_id_of(sent.order).bytes


# Random histories


class Member:
    """One client of one server, with dice of its own."""

    def __init__(self, pair: Pair, server: Server, seed: str) -> None:
        """`seed` makes its dice."""
        self.pair = pair
        self.server = server
        self.dice = random.Random(seed)

    def run(self) -> None:
        """Send orders of all brands, one after the other."""
        with ExitStack() as stack:
            members = self.pair.members.brands
            channels = {
                name: stack.enter_context(
                    connect(replace(each.connection.profile, server=self.server.address))
                )
                for name, each in members.items()
            }
            for _ in range(ORDERS_A_CLIENT):
                name, order = self.order()
                call = channels[name].exchange.CreateTransfer.future(
                    CreateTransferRequest(order=order), timeout=CALL_TIMEOUT_S
                )
                self.pair.sent.append(answered(call, order))

    def order(self) -> tuple[str, SignedEnvelope]:
        """Something new, good or bad; something that was sent; or another order of a used id."""
        dice, earlier = self.dice, self.pair.sent
        what = dice.random()
        if earlier and what < 0.25:
            again = dice.choice(earlier[-60:]).order
            return TransferOrder.FromString(again.payload).partner_id, again
        source, target = self.corridor()
        brand = self.pair.members[source]
        changes = self.good(source, target)
        if earlier and what < 0.35:
            # Of its own or of another brand.
            changes["transfer_id"] = transfer_id_of(dice.choice(earlier[-60:]).order).bytes
        elif what < 0.55:
            changes |= self.fault(changes)
        return source, brand.order(target, **changes)

    def corridor(self) -> tuple[str, str]:
        """Often the poor brand's, whose cap its orders meet and whose credit comes and goes."""
        if self.dice.random() < 0.3:
            return self.dice.choice([(POOR, "aurora"), ("aurora", POOR)])
        return self.dice.choice(list(self.pair.terms))

    def good(self, source: str, target: str) -> dict[str, Any]:
        """An order within the terms, as they are believed to be."""
        version, rate = self.pair.terms[source, target]
        blocks = self.dice.choice([2, 2, 3, 4, 5, 7, 10, 20])
        return {
            "transfer_id": uuid_utils.uuid7().bytes,
            "agreement_version": version,
            "source_points": blocks * rate.source_units,
            "target_points": blocks * rate.target_units,
            "source_member": f"member-{self.dice.randrange(9)}",
        }

    def fault(self, good: dict[str, Any]) -> dict[str, Any]:
        """What makes an order a bad one."""
        now, version = datetime.now(UTC), good["agreement_version"]
        points, given = good["source_points"], good["target_points"]
        faults: list[dict[str, Any]] = [
            {"target_points": given + self.dice.choice([-1, 1])},
            {"source_points": points + 1},
            {"source_points": points // 20, "target_points": max(1, given // 20)},
            {"source_points": BLOCK, "target_points": BLOCK_GIVES},
            {"source_points": 2 * MAXIMUM, "target_points": 2 * MAXIMUM // BLOCK * BLOCK_GIVES},
            {"agreement_version": version + 7},
            {"agreement_version": max(1, version - 1)},
            {"agreement_id": "nobody"},
            {"agreement_id": "cirrus-borealis"},
            {"target_program": "nowhere"},
            {"source_program": "nowhere"},
            {"source_program": self.dice.choice(BRANDS)},
            {"issued_at": now - timedelta(hours=2), "expires_at": now - timedelta(hours=1)},
            {"issued_at": now + timedelta(hours=1), "expires_at": now + timedelta(hours=2)},
        ]
        return self.dice.choice(faults)


class Desk:
    """Takes back what was transferred, of any window and under any terms, at either server."""

    def __init__(self, pair: Pair, seed: str) -> None:
        """`seed` makes its dice."""
        self.pair = pair
        self.dice = random.Random(seed)
        self.told: list[Sent] = []

    def run(self) -> None:
        """Reverse parts of what the members send, while they send."""
        wait_until(lambda: len(self.pair.sent) > 20, "orders were sent")
        for _ in range(ORDERS_A_CLIENT):
            name, order = self.order()
            server = self.dice.choice(self.pair.servers)
            profile = self.pair.members[name].connection.profile
            with connect(replace(profile, server=server.address)) as own:
                call = own.exchange.ReverseTransfer.future(
                    ReverseTransferRequest(reversal=order), timeout=CALL_TIMEOUT_S
                )
                error = call.exception()
                refusal = refusal_of(error) if error is not None else None
                notice = refusal.receipt if refusal else call.result().notice
                self.told.append(Sent(order, notice, refusal.reason.value if refusal else ""))

    def order(self) -> tuple[str, SignedEnvelope]:
        """A part or all of something that was ordered, mostly by whom it came to."""
        dice, booked = self.dice, [each.order for each in self.told if not each.reason]
        if self.told and dice.random() < 0.2:
            again = dice.choice(self.told).order
            return ReversalOrder.FromString(again.payload).partner_id, again
        if booked and dice.random() < 0.3:
            # More of the same transfer, until nothing is left.
            more = ReversalOrder.FromString(dice.choice(booked).payload)
            return more.partner_id, self.signed(more.partner_id, more.transfer_id, 40)
        sent = TransferOrder.FromString(dice.choice(self.pair.sent[-60:]).order.payload)
        target = sent.target_program if sent.target_program in self.pair.members.brands else POOR
        name = target if dice.random() < 0.85 else dice.choice(BRANDS)
        n = sent.target_points
        return name, self.signed(name, sent.transfer_id, dice.choice([1, 7, max(1, n // 3), n, n]))

    def signed(self, name: str, transfer_id: bytes, points: int) -> SignedEnvelope:
        """A brand's order to reverse so many points of a transfer."""
        now = datetime.now(UTC)
        payload = build_reversal(
            audience=AUDIENCE,
            partner_id=name,
            reversal_id=uuid_utils.uuid7().bytes,
            transfer_id=transfer_id,
            target_points=points,
            issued_at=now,
            expires_at=now + timedelta(minutes=5),
        )
        return sign_reversal(self.pair.members[name].orders, payload)

    def check(self, verdicts: dict[bytes, Verdict]) -> None:
        """Fails unless it was told what the model says, and of the same order always the same."""
        first: dict[bytes, SignedEnvelope] = {}
        for each in self.told:
            own_id = ReversalOrder.FromString(each.order.payload).reversal_id
            assert each.reason == verdicts[own_id].reason
            assert each.receipt is not None
            assert first.setdefault(own_id, each.receipt) == each.receipt


class Operator:
    """Puts terms in force and settles, at either server, while the others order."""

    def __init__(self, pair: Pair, seed: str) -> None:
        """`seed` makes its dice."""
        self.pair = pair
        self.dice = random.Random(seed)
        self.end = len(pair.sent) + ORDERS

    def run(self) -> None:
        """A few steps, spread over what the members send."""
        steps = [self.settle, self.new_terms, self.new_terms]
        self.dice.shuffle(steps)
        for step in steps:
            self.wait()
            step()

    def wait(self) -> None:
        """Let the members send some more, as long as they do."""
        enough = min(self.end, len(self.pair.sent) + ORDERS // 8)
        wait_until(lambda: len(self.pair.sent) >= enough, "orders were sent")

    def new_terms(self) -> None:
        """The next version of a corridor, at another rate, price and fee."""
        corridor = self.dice.choice(list(self.pair.terms))
        version = self.pair.terms[corridor][0] + 1
        rate = BlockRate(source_units=BLOCK, target_units=self.dice.choice([10, 25, 40]))
        agree(
            self.pair.members,
            *corridor,
            version,
            block_rate=rate,
            price_per_target_point=PRICE + self.dice.randrange(-999, 999),
            fee_basis_points=self.dice.choice([0, 1, 33, 100]),
            tax_code=self.dice.choice(["none", "vat6", "vat6", "vat13"]),
            minimum_source_points=self.dice.choice([BLOCK, MINIMUM]),
            fee_refundable=self.dice.random() < 0.5,
        )
        self.pair.terms[corridor] = (version, rate)

    def settle(self) -> None:
        """Close the window; what its legs need from the bank comes, with money of a stranger."""
        date = FIRST_DAY + timedelta(days=self.pair.days)
        window_id = f"{CURRENCY.lower()}-{date}"
        self.pair.days += 1
        with connect(self.at_either()) as operator:
            close = pb.CloseWindowRequest(window_id=window_id)
            operator.call(operator.settlement.CloseWindow, close)
        for place, direction in enumerate(DIRECTIONS):
            with connect(self.at_either()) as operator:
                legs = settle(operator, window_id).legs
                requests = [
                    PaymentRequest(each.direction, each.amount, each.reference, each.partner)
                    for each in pending(tuple(legs), direction)
                ]
                requests.append(PaymentRequest("PAY_IN", Decimal("1.00"), "RF00NOBODY", "stranger"))
                # What was instructed is held meanwhile.
                self.wait()
                day = bank_day(
                    f"{window_id}-{place}", CURRENCY, date, self.pair.bank_held, requests
                )
                request = pb.ImportBankFileRequest(currency=CURRENCY, content=day.content)
                operator.call(operator.settlement.ImportBankFile, request)
                self.pair.bank_held = day.closing

    def at_either(self) -> Any:
        """The operator's profile at one of the servers."""
        server = self.dice.choice(self.pair.servers)
        return replace(self.pair.members.operator.profile, server=server.address)


@pytest.mark.parametrize("seed", SEEDS)
def test_many_clients_are_answered_as_by_one_thread_in_the_order_of_the_log(
    pair: Pair, seed: int
) -> None:
    desks = [Desk(pair, f"{seed}/desk/{number}") for number in range(2)]
    actors: list[Member | Operator | Desk] = [
        *desks,
        *(
            Member(pair, server, f"{seed}/{place}/{number}")
            for place, server in enumerate(pair.servers)
            for number in range(CLIENTS_A_SERVER)
        ),
    ]
    actors.append(Operator(pair, f"{seed}/operator"))
    began = len(pair.sent)
    with ThreadPoolExecutor(len(actors)) as pool:
        for done in [pool.submit(actor.run) for actor in actors]:
            done.result()

    model, verdicts = replay(logged(pair.members.data_dir))
    check_answers(pair, verdicts, pair.sent[began:])
    for desk in desks:
        desk.check(verdicts)
    reasons = {each.reason for desk in desks for each in desk.told}
    assert {"", Reason.ALREADY_REVERSED} <= reasons
    check_state(pair.members.data_dir, model)
    check_log_and_books(pair.members.data_dir)


def check_answers(pair: Pair, verdicts: dict[bytes, Verdict], sent: Sequence[Sent]) -> None:
    """Fails unless every client saw what the model says, and all the very same receipt."""
    with connection(pair.members.data_dir) as database, database.cursor() as cursor:
        cursor.execute("SELECT transfer_id::text, payload FROM request")
        carried_out = {name: bytes(payload) for name, payload in cursor.fetchall()}
    first: dict[bytes, SignedEnvelope] = {}
    for each in sent:
        transfer_id = transfer_id_of(each.order)
        if carried_out[str(transfer_id)] != each.order.payload:
            assert (each.reason, each.receipt) == (Reason.MODIFIED_REQUEST, None)
            continue
        verdict = verdicts[transfer_id.bytes]
        assert each.reason == verdict.reason
        assert each.receipt is not None
        assert first.setdefault(transfer_id.bytes, each.receipt) == each.receipt
        name = TransferOrder.FromString(each.order.payload).partner_id
        proof = pair.members[name].proof(each.receipt)
        assert isinstance(proof.body, TransferReceipt)
        if verdict.reason:
            assert proof.record.state == TRANSFER_STATE_REFUSED
            assert proof.source_part is None
            continue
        assert proof.record.state == TRANSFER_STATE_COMMITTED
        assert proof.source_part is not None
        assert (proof.record.value, proof.source_part.fee, proof.source_part.tax) == (
            verdict.value,
            verdict.fee,
            verdict.tax,
        )


def check_state(data_dir: Path, model: Model) -> None:
    """Fails unless the books hold what the model holds: balances, holds and window sums."""
    with connection(data_dir) as database, database.cursor() as cursor:
        cursor.execute(
            "SELECT name, credits_posted - debits_posted, debits_pending"
            " FROM account JOIN balance USING (account_number)"
        )
        rows = cursor.fetchall()
        cursor.execute(
            "SELECT w.window_id, coalesce(p.partner_id, %(hub)s), coalesce(c.partner_id, %(hub)s),"
            " s.code, t.tax_code, s.amount FROM window_sum AS s"
            " JOIN settlement_window AS w USING (window_number)"
            " JOIN tax AS t USING (tax_number)"
            " LEFT JOIN partner AS p ON p.partner_number = s.party"
            " LEFT JOIN partner AS c ON c.partner_number = s.counterparty",
            {"hub": HUB},
        )
        sums = {(w, p, c, CODES[code], tax): amount for w, p, c, code, tax, amount in cursor}
        cursor.execute(
            "SELECT w.window_id, p.program_id, s.code, s.points FROM window_points AS s"
            " JOIN settlement_window AS w USING (window_number)"
            " JOIN program AS p USING (unit_number)"
        )
        points = {(w, program, CODES[code]): amount for w, program, code, amount in cursor}
    assert nonzero({name: posted for name, posted, _ in rows}) == nonzero(model.posted)
    assert nonzero({name: held for name, _, held in rows}) == nonzero(model.held)
    assert nonzero(sums) == nonzero(model.sums)
    assert nonzero(points) == nonzero(model.points)


def nonzero(amounts: Any) -> dict[Any, int]:
    """Those amounts that are any."""
    return {name: amount for name, amount in amounts.items() if amount}
