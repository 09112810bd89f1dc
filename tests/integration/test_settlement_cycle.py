"""Settlement against a real database: from transfers to SETTLED, with crashes, bad files and
bounds.
"""

import asyncio
import hashlib
import itertools
import json
import secrets
import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, create_engine
from uuid_utils import uuid7

from exchange.batch import Ledger
from exchange.commands import Book, Command, Order
from exchange.embedded_postgres import OWNER_ROLE, SERVICE_ROLE, RunningPostgres, start
from exchange.ledger.migration import migrate
from exchange.outcomes import Recorded, Result
from exchange.reads import QUERIES as READS
from exchange.seal import Letterhead
from partners.caller import Caller
from partners.commands import Activate, AddKey, AddPartner, CounterSign, Propose
from partners.envelope import (
    RATE_AGREEMENT,
    SETTLEMENT_STATEMENT,
    TRANSFER_ORDER,
    Envelope,
    counter_sign,
    sign,
    verify,
)
from partners.errors import Reason, Refused
from partners.keys import Purpose, SeedSigner, VerifyKey
from partners.negotiation.wire import activation_body
from partners.points import format_amount
from partners.signers import Signers
from partners.wire import envelope_from_proto, terms_from_payload, time_to_proto
from pointclear.exchange.v1 import transfer_pb2
from pointclear.partners.v1 import agreement_pb2
from pointclear.settlement.v1 import settlement_service_pb2 as pb
from settlement.bank_simulator import BankDay, PaymentRequest, bank_day
from settlement.checks.invariants import QUERIES, check_books
from settlement.lines.line import Role
from settlement.lines.line_file import read_line_file
from settlement.service import SettlementService
from settlement.statement import Statement
from settlement.wire import parse_statement

AUDIENCE = "pointclear.test/settlement"
OPERATOR = Caller("operator", "finance")
FIRST = date(2017, 1, 1)
CNY = 1_000_000
BRANDS = ("aurora", "borealis")
RECEIPTS, STATEMENTS, ORDERS = (SeedSigner(bytes([n]) * 32) for n in (1, 2, 3))
SIGNERS = Signers({Purpose.STATEMENTS: (STATEMENTS,)})
OWN = {name: SeedSigner(bytes([n]) * 32) for n, name in enumerate(("aurora", "borealis"), start=4)}
CNY_DIGITS = 6


class Crash(Exception):
    """Stands for the end of the process."""


@dataclass
class Coalition:
    """Two brands, both corridors, and the books on a database of its own."""

    engine: Engine
    ledger: Ledger
    service: SettlementService
    caps: int
    crash_after: int | None = None
    submitted: int = 0
    turn: threading.Lock = field(default_factory=threading.Lock)
    currency: str = "CNY"
    bank_balance: Decimal = field(default_factory=Decimal)
    bank_days: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def submit(self, command: Command) -> Result:
        """Have a command carried out, or crash right before or after."""
        if self.crash_after is not None and self.submitted >= self.crash_after:
            raise Crash
        self.submitted += 1
        return (await asyncio.to_thread(self.run, command))[0]

    def run(self, *commands: Command) -> tuple[Result, ...]:
        # A ledger has one thread, as in the sequencer.
        with self.turn:
            return tuple(each.result for each in self.ledger.run(commands))

    def findings(self) -> tuple[Any, ...]:
        with self.engine.connect() as connection:
            return check_books(connection.connection.dbapi_connection)

    def transfer(self, source: str, points: int, reference: str = "") -> Recorded:
        target = BRANDS[1 - BRANDS.index(source)]
        target_points = points // 2 if source == "aurora" else points // 10 * 19
        (result,) = self.run(order(source, target, points, target_points, reference))
        assert isinstance(result, Recorded)
        return result

    def open(self, day: date = FIRST) -> None:
        request = pb.OpenWindowRequest(currency=self.currency, business_date=day.isoformat())
        asyncio.run(self.service.open_window(request, OPERATOR))

    def close(self, day: date) -> pb.CloseWindowResponse:
        request = pb.CloseWindowRequest(window_id=f"cny-{day}")
        answer: pb.CloseWindowResponse = asyncio.run(self.service.close_window(request, OPERATOR))
        return answer

    def settle(self, day: date = FIRST) -> pb.SettleWindowResponse:
        request = pb.SettleWindowRequest(window_id=f"cny-{day}")
        answer: pb.SettleWindowResponse = asyncio.run(self.service.settle_window(request, OPERATOR))
        return answer

    def import_file(self, content: bytes) -> pb.ImportBankFileResponse:
        request = pb.ImportBankFileRequest(currency=self.currency, content=content)
        answer: pb.ImportBankFileResponse = asyncio.run(
            self.service.import_bank_file(request, OPERATOR)
        )
        return answer

    def bank(self, legs: Any, *, unpaid: tuple[str, ...] = ()) -> BankDay:
        """What the bank does with the recorded legs; nothing is imported yet."""
        requests = [
            PaymentRequest(
                "PAY_OUT" if leg.direction == pb.LEG_DIRECTION_PAY_OUT else "PAY_IN",
                Decimal(leg.amount) / CNY,
                leg.reference,
                leg.partner_id,
            )
            for leg in legs
            if leg.state == pb.LEG_STATE_PENDING
        ]
        name = f"S{next(self.bank_days)}"
        return bank_day(name, "CNY", FIRST, self.bank_balance, requests, unpaid=unpaid)

    def pay(self, legs: Any, *, unpaid: tuple[str, ...] = ()) -> pb.ImportBankFileResponse:
        day = self.bank(legs, unpaid=unpaid)
        answer = self.import_file(day.content)
        self.bank_balance = day.closing
        return answer

    def statement(self, partner_id: str, day: date = FIRST) -> Statement:
        """The partner's own statement, its signature verified."""
        request = pb.GetStatementRequest(window_id=f"cny-{day}")
        caller = Caller("partner", partner_id)
        envelope = envelope_from_proto(
            asyncio.run(self.service.get_statement(request, caller)).statement
        )
        assert envelope.payload_type == SETTLEMENT_STATEMENT
        verify(envelope, {STATEMENTS.key_id: VerifyKey.of(STATEMENTS.public_key)})
        return parse_statement(envelope.payload)

    def line_file(self, partner_id: str, day: date = FIRST) -> bytes:
        request = pb.DownloadLineFileRequest(window_id=f"cny-{day}", partner_id=partner_id)

        async def download() -> bytes:
            chunks = self.service.download_line_file(request, OPERATOR)
            return b"".join([each.chunk async for each in chunks])

        return asyncio.run(download())

    def position(self, partner_id: str) -> str:
        with self.engine.connect() as connection:
            row = connection.exec_driver_sql(
                "SELECT credits_posted - debits_posted"
                " FROM balance JOIN account USING (account_number) WHERE name = %s",
                (f"{partner_id}.position",),
            ).one()
        return format_amount(row[0], CNY_DIGITS)

    def records(self) -> int:
        with self.engine.connect() as connection:
            return int(connection.exec_driver_sql("SELECT count(*) FROM record").scalar_one())


def order(source: str, target: str, points: int, target_points: int, reference: str = "") -> Order:
    """A verified order of one brand for the other's points."""
    now = datetime.now(UTC)
    transfer_id = UUID(str(uuid7()))
    payload = transfer_pb2.TransferOrder(
        audience=AUDIENCE,
        partner_id=source,
        transfer_id=transfer_id.bytes,
        source_program=f"{source}-points",
        target_program=f"{target}-points",
        source_member="member-of-source",
        target_member="member-of-target",
        source_points=points,
        target_points=target_points,
        partner_reference=reference,
    ).SerializeToString(deterministic=True)
    envelope = sign(ORDERS, TRANSFER_ORDER, payload)
    return Order(
        transfer_id,
        source,
        f"{source}-points",
        f"{target}-points",
        "member-of-source",
        "member-of-target",
        points,
        target_points,
        f"{source}-{target}",
        1,
        now,
        now + timedelta(minutes=5),
        reference,
        ORDERS.key_id,
        payload,
        secrets.token_bytes(32),
        envelope.signatures[0].signature,
    )


def agreement(
    source: str,
    target: str,
    rate: tuple[int, int],
    price: int,
    currency: str = "CNY",
    promotions: tuple[agreement_pb2.Promotion, ...] = (),
) -> Envelope:
    """The terms of the worked example, signed by both brands."""
    payload = agreement_pb2.RateAgreement(
        audience=AUDIENCE,
        agreement_id=f"{source}-{target}",
        version=1,
        source_partner=source,
        target_partner=target,
        source_program=f"{source}-points",
        target_program=f"{target}-points",
        block_rate=agreement_pb2.BlockRate(source_units=rate[0], target_units=rate[1]),
        minimum_source_points=rate[0],
        maximum_source_points=1_000_000,
        increment_source_points=rate[0],
        settlement_currency=currency,
        price_per_target_point=price,
        fee_basis_points=100,
        fee_bearer=agreement_pb2.BEARER_SOURCE,
        tax_code="vat6",
        credit_mode=agreement_pb2.CREDIT_MODE_GUARANTEED,
        promotions=promotions,
        issued_at=time_to_proto(datetime(2017, 1, 1, tzinfo=UTC)),
    ).SerializeToString(deterministic=True)
    return counter_sign(OWN[target], sign(OWN[source], RATE_AGREEMENT, payload))


@pytest.fixture(scope="module")
def server() -> Iterator[RunningPostgres]:
    folder = Path(tempfile.mkdtemp(prefix="pointclear-test-"))
    folder.chmod(0o711)
    running = start(folder / "data", fsync=False)
    yield running
    running.stop()
    shutil.rmtree(folder, ignore_errors=True)


_NAMES = itertools.count(1)


@pytest.fixture
def coalition(server: RunningPostgres, request: pytest.FixtureRequest) -> Iterator[Coalition]:
    """Opened with caps of 1,000 CNY each, or the cap of the test's `cap` mark."""
    database = f"settlement_{next(_NAMES)}"
    made = server.run("createdb", "-U", "postgres", "-T", "template0", "-O", OWNER_ROLE, database)
    assert made.returncode == 0, made.stderr
    owner = create_engine(server.url(OWNER_ROLE, database))
    with owner.connect() as connection:
        migrate(connection.connection.dbapi_connection, lambda _line: None)
    owner.dispose()
    engine = create_engine(server.url(SERVICE_ROLE, database))
    cap = getattr(request, "param", 1000 * CNY)
    yield found(engine, cap)
    engine.dispose()


def found(engine: Engine, cap: int) -> Coalition:
    """Add brands, keys and terms."""
    with engine.begin() as transaction:
        connection = transaction.connection.dbapi_connection
        READS.claim_audience(connection, audience=AUDIENCE)
        READS.ensure_request_partitions(connection, now=datetime.now(UTC))
    letterhead = Letterhead(AUDIENCE, (RECEIPTS.key_id,))
    ledger = Ledger(engine, letterhead, lambda: datetime.now(UTC), lambda: secrets.token_bytes(32))
    coalition = Coalition(engine, ledger, None, cap)  # type: ignore[arg-type]
    coalition.service = SettlementService(engine, coalition.submit, AUDIENCE, SIGNERS)
    for name in BRANDS:
        coalition.run(AddPartner(name, name.title(), (f"{name}-points",), "CNY", cap, b"{}"))
    now = datetime.now(UTC)
    keys = (
        ("partner/aurora", Purpose.ORDERS, ORDERS),
        ("partner/aurora", Purpose.AGREEMENTS, OWN["aurora"]),
        ("partner/borealis", Purpose.AGREEMENTS, OWN["borealis"]),
        ("exchange", Purpose.STATEMENTS, STATEMENTS),
    )
    for holder, purpose, signer in keys:
        day = timedelta(days=1)
        coalition.run(
            AddKey(
                holder, purpose, signer.key_id, signer.public_key, now - day, now + day, (), b"{}"
            )
        )
    for envelope in (
        agreement("aurora", "borealis", (2, 1), 19_600),
        agreement("borealis", "aurora", (10, 19), 9_500),
    ):
        put_in_force(coalition, envelope)
    return coalition


def put_in_force(coalition: Coalition, envelope: Envelope) -> None:
    """Propose, counter-sign and activate."""
    terms = terms_from_payload(envelope, AUDIENCE)
    by_source, by_target = envelope.signatures
    coalition.run(
        Propose(
            terms,
            terms.source_partner,
            by_source.key_id,
            by_source.signature,
            envelope.payload,
            False,
            b"proposed",
        )
    )
    coalition.run(
        CounterSign(terms, terms.target_partner, by_target.key_id, by_target.signature, b"signed")
    )
    coalition.run(Activate(terms, activation_body(envelope, None, None)))


def worked_example(coalition: Coalition) -> None:
    coalition.open()
    coalition.transfer("aurora", 1000, "=own-1")
    coalition.transfer("borealis", 200)
    coalition.close(FIRST)


def test_the_worked_example_of_the_books_settles_to_the_last_digit(coalition: Coalition) -> None:
    worked_example(coalition)
    assert not coalition.findings()

    stated = coalition.settle()
    assert stated.window.state == pb.WINDOW_STATE_PENDING_SETTLEMENT
    assert {each.partner_id: each.net for each in stated.window.net_positions} == {
        "hub": 142_146,
        "aurora": -6_293_880,
        "borealis": 6_151_734,
    }
    a, b = coalition.statement("aurora"), coalition.statement("borealis")
    assert (a.outgoing_value, a.incoming_value, a.fees) == (-9_800_000, 3_610_000, -98_000)
    assert (a.taxes, a.net, a.due) == ((("vat6", -5_880),), -6_293_880, -6_293_880)
    assert (a.payment, a.carried_forward, a.brought_forward) == (-6_300_000, 6_120, 0)
    assert (b.outgoing_value, b.incoming_value, b.fees) == (-3_610_000, 9_800_000, -36_100)
    assert (b.taxes, b.payment, b.carried_forward) == ((("vat6", -2_166),), 6_150_000, 1_734)
    legs = {leg.partner_id: leg for leg in stated.legs}
    assert legs["aurora"].state == pb.LEG_STATE_PENDING
    assert legs["borealis"].state == pb.LEG_STATE_WAITING
    assert legs["aurora"].reference == a.payment_reference
    assert coalition.position("aurora") == "-6.293880"
    assert not coalition.findings()

    answer = coalition.pay(stated.legs)
    assert (answer.matched, answer.unmatched, answer.repeated_entries) == (1, 0, 0)
    assert coalition.position("aurora") == "0.006120"
    assert coalition.position("borealis") == "6.151734"
    paying_out = coalition.settle()
    assert paying_out.window.state == pb.WINDOW_STATE_PENDING_SETTLEMENT
    coalition.pay(paying_out.legs)

    settled = coalition.settle()
    assert settled.window.state == pb.WINDOW_STATE_SETTLED
    assert coalition.position("borealis") == "0.001734"
    assert coalition.bank_balance == Decimal("0.15")
    assert not coalition.findings()


def test_a_statement_is_the_sum_of_its_line_file(coalition: Coalition) -> None:
    worked_example(coalition)
    coalition.settle()
    for partner_id in BRANDS:
        statement = coalition.statement(partner_id)
        content = coalition.line_file(partner_id)
        file = read_line_file(content)
        source, target = file.totals(Role.SOURCE), file.totals(Role.TARGET)
        assert (source.value, target.value) == (statement.outgoing_value, statement.incoming_value)
        assert source.fee + target.fee == statement.fees
        assert len(file.lines) == statement.line_count == 2
        assert statement.first_stream_seq == 1
        assert statement.last_stream_seq == 2
        assert [each.points_out for each in statement.points] == [source.source_points]
        assert [each.points_in for each in statement.points] == [target.target_points]
    own = read_line_file(coalition.line_file("aurora")).lines[0]
    assert own.own_reference == "=own-1"
    assert b",'=own-1," in coalition.line_file("aurora")


def test_a_line_file_of_many_parts_is_kept_once_and_comes_out_whole(
    coalition: Coalition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("settlement.lines.line_file.PART_CHARS", 300)
    coalition.open()
    for _ in range(9):
        coalition.transfer("aurora", 1000)
    coalition.close(FIRST)
    # What a crash leaves, kept and named by no statement, is found equal.
    coalition.crash_after = coalition.submitted + 1
    with pytest.raises(Crash):
        coalition.settle()
    coalition.crash_after = None
    coalition.settle()
    for partner_id in BRANDS:
        content = coalition.line_file(partner_id)
        statement = coalition.statement(partner_id)
        assert hashlib.sha256(content).digest() == statement.line_file_sha256
        assert len(read_line_file(content).lines) == statement.line_count == 9
    with coalition.engine.connect() as connection:
        parts = connection.exec_driver_sql(
            "SELECT partner_number, array_agg(part ORDER BY part) FROM line_file_part GROUP BY 1"
        ).all()
    assert [list(range(len(each))) for _, each in parts] == [each for _, each in parts]
    assert min(len(each) for _, each in parts) > 5


def test_what_is_carried_forward_is_brought_forward_by_the_next_window(
    coalition: Coalition,
) -> None:
    worked_example(coalition)
    second, third = FIRST + timedelta(days=1), FIRST + timedelta(days=2)
    coalition.transfer("aurora", 2)
    coalition.close(second)
    with pytest.raises(Refused) as early:
        coalition.settle(second)
    assert early.value.reason is Reason.WINDOW_STATE
    assert "cny-2017-01-01" in early.value.text
    first = coalition.settle()
    coalition.settle(second)
    a = coalition.statement("aurora", second)
    assert (a.brought_forward, a.net) == (6_120, -19_600 - 196 - 12)
    assert (a.payment, a.carried_forward) == (-20_000, 6_312)
    assert a.first_stream_seq == a.last_stream_seq == 3
    assert a.opening_tree == coalition.statement("aurora").closing_tree

    coalition.pay(first.legs)
    coalition.close(third)
    coalition.settle(third)
    assert coalition.statement("aurora", third).payments_since == 6_300_000
    assert coalition.statement("borealis", third).payments_since == 0
    assert not coalition.findings()


def test_every_crash_between_two_steps_is_resumed_to_the_same_end(coalition: Coalition) -> None:
    worked_example(coalition)
    for crash_after in range(20):
        coalition.submitted, coalition.crash_after = 0, crash_after
        try:
            coalition.settle()
        except Crash:
            continue
        break
    else:
        pytest.fail("the settlement never ended")
    coalition.crash_after = None
    assert crash_after >= 1
    before = coalition.records()
    again = coalition.settle()
    assert coalition.records() == before
    assert [leg.amount for leg in again.legs] == [6_300_000, 6_150_000]
    assert coalition.statement("aurora").carried_forward == 6_120
    assert not coalition.findings()


def test_a_crash_right_after_a_bank_file_is_mended_by_importing_it_again(
    coalition: Coalition,
) -> None:
    worked_example(coalition)
    stated = coalition.settle()
    day = coalition.bank(stated.legs)
    coalition.submitted, coalition.crash_after = 0, 1
    with pytest.raises(Crash):
        coalition.import_file(day.content)
    coalition.crash_after = None
    answer = coalition.import_file(day.content)
    assert (answer.matched, answer.unmatched, answer.repeated_entries) == (0, 0, 1)
    assert [leg.state for leg in coalition.settle().legs] == [
        pb.LEG_STATE_CONFIRMED,
        pb.LEG_STATE_PENDING,
    ]
    assert not coalition.findings()


def test_settling_and_importing_twice_writes_nothing(coalition: Coalition) -> None:
    worked_example(coalition)
    stated = coalition.settle()
    day = coalition.bank(stated.legs)
    coalition.import_file(day.content)
    before = coalition.records()
    assert coalition.import_file(day.content).repeated_entries == 1
    coalition.settle()
    again = coalition.close(FIRST)
    assert again.next_window.window_id == "cny-2017-01-02"
    coalition.open()
    assert coalition.records() == before


@pytest.mark.parametrize(
    ("wrong", "right", "field"),
    [
        (b"OPENING,1.00", b"OPENING,0", "closing"),
        (b"pointclear-settlement-usd", b"pointclear-settlement-cny", "account"),
        (b"CLOSING,6.31", b"CLOSING,6.3", "closing"),
        (b"END,2", b"END,1", "end"),
        (b"CURRENCY,USD", b"CURRENCY,CNY", "currency"),
        (b",6.301", b",6.3,", "entries[S1-1]"),
    ],
)
def test_a_bank_file_that_does_not_fit_is_refused_whole(
    coalition: Coalition, wrong: bytes, right: bytes, field: str
) -> None:
    worked_example(coalition)
    day = coalition.bank(coalition.settle().legs)
    before = coalition.records()
    content = day.content.replace(right, wrong + (b"," if right.endswith(b",") else b""), 1)
    assert content != day.content
    with pytest.raises(Refused) as refused:
        coalition.import_file(content)
    assert (refused.value.reason, refused.value.field) == (Reason.BANK_FILE_REFUSED, field)
    assert coalition.records() == before
    assert not coalition.findings()


def test_a_file_with_the_id_of_an_imported_one_and_other_content_is_refused(
    coalition: Coalition,
) -> None:
    worked_example(coalition)
    day = coalition.bank(coalition.settle().legs)
    coalition.import_file(day.content)
    other = bank_day("S1", "CNY", FIRST, day.closing, [])
    with pytest.raises(Refused) as refused:
        coalition.import_file(other.content)
    assert refused.value.field == "statement_id"


def test_a_file_that_does_not_open_with_our_last_closing_is_refused(coalition: Coalition) -> None:
    worked_example(coalition)
    coalition.settle()
    with pytest.raises(Refused) as refused:
        coalition.import_file(bank_day("S9", "CNY", FIRST, Decimal(5), []).content)
    assert (refused.value.reason, refused.value.field) == (Reason.BANK_FILE_REFUSED, "opening")


def test_unknown_money_in_lies_in_suspense_and_pays_nobody_out(coalition: Coalition) -> None:
    worked_example(coalition)
    stated = coalition.settle()
    stray = PaymentRequest("PAY_IN", Decimal("100.00"), "NO SUCH REFERENCE", "somebody")
    day = bank_day("S1", "CNY", FIRST, Decimal(0), [stray])
    answer = coalition.import_file(day.content)
    assert (answer.matched, answer.unmatched) == (0, 1)
    assert coalition.settle().legs[1].state == pb.LEG_STATE_WAITING
    coalition.bank_balance, coalition.bank_days = day.closing, itertools.count(2)
    coalition.pay(stated.legs)
    assert coalition.settle().legs[1].state == pb.LEG_STATE_PENDING
    assert not coalition.findings()


def test_unknown_money_out_refuses_the_file(coalition: Coalition) -> None:
    worked_example(coalition)
    coalition.settle()
    stray = PaymentRequest("PAY_OUT", Decimal("1.00"), "RF00", "somebody")
    with pytest.raises(Refused) as refused:
        coalition.import_file(bank_day("S1", "CNY", FIRST, Decimal(0), [stray]).content)
    assert refused.value.field == "entries[S1-1]"


def test_a_debtor_that_pays_late_settles_later(coalition: Coalition) -> None:
    worked_example(coalition)
    stated = coalition.settle()
    debtor = stated.legs[0].reference
    coalition.pay(stated.legs, unpaid=(debtor,))
    assert coalition.settle().window.state == pb.WINDOW_STATE_PENDING_SETTLEMENT
    assert coalition.position("aurora") == "-6.293880"
    coalition.pay(coalition.settle().legs)
    coalition.pay(coalition.settle().legs)
    assert coalition.settle().window.state == pb.WINDOW_STATE_SETTLED
    assert not coalition.findings()


@pytest.mark.parametrize("coalition", [10 * CNY], indirect=True)
def test_a_pay_out_waits_while_its_creditor_has_spent_the_credit_as_headroom(
    coalition: Coalition,
) -> None:
    worked_example(coalition)
    stated = coalition.settle()
    # 800 points cost 14.594080 with fee and tax, so 6.151734 becomes -8.442346: above the floor of
    # -10, but not once 6.15 is held as well.
    assert coalition.transfer("borealis", 800).refusal is None
    coalition.pay(stated.legs)
    waiting = coalition.settle()
    assert waiting.legs[1].state == pb.LEG_STATE_WAITING
    second = FIRST + timedelta(days=1)
    coalition.close(second)
    coalition.pay(coalition.settle(second).legs)
    assert coalition.settle().legs[1].state == pb.LEG_STATE_PENDING
    coalition.pay(coalition.settle().legs)
    assert coalition.settle().window.state == pb.WINDOW_STATE_SETTLED
    coalition.pay(coalition.settle(second).legs)
    assert coalition.settle(second).window.state == pb.WINDOW_STATE_SETTLED
    assert not coalition.findings()


def test_an_open_window_is_not_settled(coalition: Coalition) -> None:
    coalition.open()
    with pytest.raises(Refused) as refused:
        coalition.settle()
    assert refused.value.reason is Reason.WINDOW_STATE


def test_an_empty_window_settles_at_once(coalition: Coalition) -> None:
    coalition.open()
    coalition.close(FIRST)
    settled = coalition.settle()
    assert settled.window.state == pb.WINDOW_STATE_SETTLED
    assert not settled.legs
    assert read_line_file(coalition.line_file("aurora")).lines == ()
    assert not coalition.findings()


def test_a_partner_sees_its_own_papers_and_nobody_elses(coalition: Coalition) -> None:
    worked_example(coalition)
    coalition.settle()
    aurora = Caller("partner", "aurora")
    request = pb.GetStatementRequest(window_id="cny-2017-01-01", partner_id="borealis")
    with pytest.raises(Refused) as refused:
        asyncio.run(coalition.service.get_statement(request, aurora))
    assert refused.value.reason is Reason.STATEMENT_UNKNOWN
    listed = asyncio.run(coalition.service.list_windows(pb.ListWindowsRequest(), aurora)).windows
    assert [each.window_id for each in listed] == ["cny-2017-01-02", "cny-2017-01-01"]
    assert [each.partner_id for each in listed[1].net_positions] == ["aurora"]
    settle = pb.SettleWindowRequest(window_id="cny-2017-01-01")
    with pytest.raises(Refused) as denied:
        asyncio.run(coalition.service.settle_window(settle, aurora))
    assert denied.value.reason is Reason.ROLE_MISSING


def test_a_refused_order_is_in_the_stream_and_not_in_the_line_file(coalition: Coalition) -> None:
    coalition.open()
    (refused,) = coalition.run(
        replace(order("aurora", "borealis", 1000, 499), partner_reference="wrong")
    )
    assert isinstance(refused, Recorded)
    assert refused.refusal is not None
    coalition.transfer("aurora", 1000)
    coalition.close(FIRST)
    coalition.settle()
    a = coalition.statement("aurora")
    assert (a.first_stream_seq, a.last_stream_seq, a.line_count) == (1, 2, 1)


def test_two_processes_that_settle_at_once_book_everything_once(coalition: Coalition) -> None:
    worked_example(coalition)
    other = SettlementService(coalition.engine, coalition.submit, AUDIENCE, SIGNERS)
    request = pb.SettleWindowRequest(window_id="cny-2017-01-01")

    async def both() -> list[pb.SettleWindowResponse]:
        services = (coalition.service, other)
        both = await asyncio.gather(*(each.settle_window(request, OPERATOR) for each in services))
        return list(both)

    one, two = asyncio.run(both())
    assert one == two
    assert not coalition.findings()


@pytest.mark.parametrize("seed", range(3))
def test_after_any_days_with_late_payers_the_books_are_right_and_all_is_settled(
    coalition: Coalition, seed: int
) -> None:
    random = Random(seed)
    coalition.open()
    days = [FIRST + timedelta(days=n) for n in range(4)]
    for day in days:
        for _ in range(random.randrange(5)):
            coalition.transfer(random.choice(BRANDS), 10 * random.randrange(1, 200))
        coalition.close(day)
        legs = coalition.settle(day).legs
        unpaid = tuple(leg.reference for leg in legs if random.random() < 0.5)
        coalition.pay(legs, unpaid=unpaid)
        assert not coalition.findings()
    for _ in range(2):
        coalition.pay([leg for day in days for leg in coalition.settle(day).legs])
        assert not coalition.findings()
    windows = [coalition.settle(day).window for day in days]
    assert {each.state for each in windows} == {pb.WINDOW_STATE_SETTLED}
    assert 0 <= sum(int(Decimal(coalition.position(name)) * CNY) for name in BRANDS) < 20_000


def test_a_caller_that_goes_away_does_not_stop_what_it_began(coalition: Coalition) -> None:
    worked_example(coalition)
    content = coalition.bank(coalition.settle().legs).content
    request = pb.ImportBankFileRequest(currency="CNY", content=content)

    async def begin_and_leave() -> None:
        call = asyncio.create_task(coalition.service.import_bank_file(request, OPERATOR))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        # The next call waits for its turn behind the one that was left alone.
        again = await coalition.service.import_bank_file(request, OPERATOR)
        assert again.repeated_entries == 1

    asyncio.run(begin_and_leave())
    assert not coalition.findings()


def test_the_books_are_found_wrong_after_a_row_was_altered(coalition: Coalition) -> None:
    worked_example(coalition)
    coalition.settle()
    for change, rule in (
        (
            "UPDATE balance SET debits_posted = debits_posted + 1 WHERE floor IS NULL",
            "balances_are_their_postings",
        ),
        ("UPDATE window_sum SET amount = amount + 1", "nets_sum_to_zero"),
        ("UPDATE window_points SET points = points + 1", "window_points_are_their_postings"),
        ("UPDATE head SET next_index = next_index + 1", "records_are_gapless"),
        ("UPDATE stream_head SET last_seq = last_seq + 1", "streams_are_gapless"),
        ("UPDATE signing_key SET revoked_index = registered_index + 1", "keys_are_as_recorded"),
    ):
        with coalition.engine.connect() as connection:
            raw: Any = connection.connection.dbapi_connection
            with raw.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                cursor.execute(change)
            found = list(getattr(QUERIES, rule)(raw))
        assert found, rule


def test_a_leg_is_recorded_as_what_it_is(coalition: Coalition) -> None:
    worked_example(coalition)
    commands: list[Command] = []

    async def watched(command: Command) -> Result:
        commands.append(command)
        return await coalition.submit(command)

    coalition.service = SettlementService(coalition.engine, watched, AUDIENCE, SIGNERS)
    coalition.settle()
    keys = [each.entry_key for each in commands if isinstance(each, Book)]
    assert keys[0] == "approved/cny-2017-01-01"
    assert keys[1:4] == [
        "statement/cny-2017-01-01/aurora",
        "statement/cny-2017-01-01/borealis",
        "stated/cny-2017-01-01",
    ]
    leg = commands[-1]
    assert isinstance(leg, Book)
    assert json.loads(leg.body)["direction"] == "PAY_IN"
