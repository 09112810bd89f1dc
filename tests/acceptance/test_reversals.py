"""Reversals over two servers on one database: parts add up to the whole, of two that take the same
points one is booked, and what was settled stays settled.
"""

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import uuid_utils

from exchange.cli.connection import connect
from exchange.cli.demo.archive import write_archive
from exchange.cli.profile import load_profile
from partners.envelope import REVERSAL_NOTICE
from partners.errors import Reason
from pointclear.client.orders import build_reversal, sign_reversal
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from pointclear.exchange.v1.transfer_pb2 import TRANSFER_STATE_REFUSED, ReversalRecord
from pointclear.settlement.v1 import settlement_service_pb2 as settlement_pb
from pointclear.settlement.v1.statement_pb2 import SettlementStatement
from tests.acceptance.coalition import (
    AUDIENCE,
    CALL_TIMEOUT_S,
    MINIMUM,
    PRICE,
    Brand,
    Coalition,
    Refusal,
    agree,
    check_log_and_books,
    coalition,
    join,
    logged,
    make_data_dir,
    refusal_of,
    refused,
    transfer_id_of,
)
from tests.acceptance.test_many_clients import check_state
from tests.acceptance.test_promotions import SPONSOR, agree_by_three, promotion
from tests.model import replay
from tests.processes import Server, connection, contents, folder, pointclear, written

POINTS, TOTAL = 500, 300
"""Of an order at the rich terms: ten blocks of 25 points, and a fifth more."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two servers, and the coalition behind both."""

    first: Server
    second: Server
    members: Coalition
    home: Path

    def __getitem__(self, name: str) -> Brand:
        return self.members[name]


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with (
        folder() as home,
        Server(make_data_dir(home)) as first,
        Server(first.data_dir) as second,
        coalition(first, home) as members,
        join(members.operator, home, SPONSOR) as sponsor,
    ):
        members.brands[SPONSOR] = sponsor
        spring = promotion(
            "spring", 100_000, aurora=3_000, borealis=2_000, hub=2_000, sponsor=3_000
        )
        rich = {"promotions": [spring], "fee_refundable": True, "value_tax_code": "vat13"}
        agree_by_three(members, "aurora", "borealis", **rich)
        agree(members, "borealis", "cirrus", 2, fee_bearer=2, fee_fixed=7, fee_refundable=True)
        yield Pair(first, second, members, home)


def transferred(pair: Pair) -> UUID:
    """The id of a transfer from aurora to borealis at the rich terms."""
    order = pair["aurora"].order(
        agreement_version=2, source_points=POINTS, target_points=TOTAL, source_member="m-1"
    )
    pair["aurora"].send(order)
    return transfer_id_of(order)


def reversal(brand: Brand, of: UUID, points: int, **changes: Any) -> SignedEnvelope:
    """A brand's order to reverse so many points of a transfer; `changes` are arguments of
    `build_reversal`.
    """
    now = datetime.now(UTC)
    fields: dict[str, Any] = {
        "audience": AUDIENCE,
        "partner_id": brand.name,
        "reversal_id": uuid_utils.uuid7().bytes,
        "transfer_id": of.bytes,
        "target_points": points,
        "issued_at": now,
        "expires_at": now + timedelta(minutes=5),
        "partner_reference": "desk 3",
    }
    return sign_reversal(brand.orders, build_reversal(**fields | changes))


def reverse(brand: Brand, order: SignedEnvelope) -> SignedEnvelope:
    """The notice that answers a reversal order."""
    return brand.connection.exchange.ReverseTransfer(
        pb.ReverseTransferRequest(reversal=order), timeout=CALL_TIMEOUT_S
    ).notice


def record_in(brand: Brand, notice: SignedEnvelope) -> ReversalRecord:
    """What a notice says, its signature verified."""
    record = brand.proof(notice).record
    assert isinstance(record, ReversalRecord)
    return record


def stream(brand: Brand, after: int = 0) -> list[pb.StreamEntry]:
    """A brand's stream after a position."""
    found: list[pb.StreamEntry] = []
    while True:
        page = brand.connection.exchange.ListReceipts(
            pb.ListReceiptsRequest(after_stream_seq=after + len(found)), timeout=CALL_TIMEOUT_S
        )
        found += page.entries
        if after + len(found) >= page.last_stream_seq:
            return found


def accounts(pair: Pair) -> Counter[str]:
    """What is posted on every account."""
    with connection(pair.members.data_dir) as database, database.cursor() as cursor:
        cursor.execute(
            "SELECT name, (credits_posted - debits_posted)::bigint"
            " FROM account JOIN balance USING (account_number)"
        )
        return Counter(dict(cursor.fetchall()))


def how_refused(brand: Brand, order: SignedEnvelope) -> Refusal:
    """How a reversal order is refused."""
    request = pb.ReverseTransferRequest(reversal=order)
    return refused(brand.connection.exchange.ReverseTransfer, request)


# Parts and the whole


def test_three_parts_leave_the_books_as_if_there_had_been_no_transfer(pair: Pair) -> None:
    before, ends = accounts(pair), {name: len(stream(b)) for name, b in pair.members.brands.items()}
    transfer_id = transferred(pair)
    borealis = pair["borealis"]
    records = [
        record_in(borealis, reverse(borealis, reversal(borealis, transfer_id, points)))
        for points in (1, 149, 150)
    ]
    assert [each.reversed_points for each in records] == [1, 150, 300]
    assert [each.source_points for each in records] == [1, 249, 250]
    assert sum(each.value for each in records) == 250 * PRICE
    assert accounts(pair) == before
    # Source, target and funder hold the same records; the first point was none of the bonus.
    held = {"aurora": records, "borealis": records, SPONSOR: records[1:], "cirrus": []}
    for name, of_reversals in held.items():
        brand = pair[name]
        entries = stream(brand, ends[name])
        proofs = [brand.proof(each.envelope) for each in entries]
        assert len(proofs) == len(of_reversals) + (name != "cirrus")
        assert [each.record for each in proofs[1:]] == of_reversals
        if name == "aurora":
            parts = [each.reversal_part for each in proofs[1:]]
            assert sum(each.fee for each in parts if each) == 50_000
        assert {each.member for each in entries[1:]} <= {""}
    # Either side sees at the transfer how much of it is reversed.
    for name in ("aurora", "borealis"):
        stub = pair[name].connection.exchange
        found = stub.GetTransfer(
            pb.GetTransferRequest(transfer_id=transfer_id.bytes), timeout=CALL_TIMEOUT_S
        )
        assert found.reversed_points == TOTAL
        (newest, *_) = stub.ListTransfers(
            pb.ListTransfersRequest(page_size=1), timeout=CALL_TIMEOUT_S
        ).transfers
        assert newest.record.transfer_id == transfer_id.bytes
        assert newest.reversed_points == TOTAL
    # A reversal's id is no transfer's.
    unknown = refused(
        pair["borealis"].connection.exchange.GetTransfer,
        pb.GetTransferRequest(transfer_id=records[0].reversal_id),
    )
    assert unknown.reason is Reason.TRANSFER_UNKNOWN


def test_a_fee_that_the_target_bore_goes_back_to_the_target_alone(pair: Pair) -> None:
    borealis, cirrus = pair["borealis"], pair["cirrus"]
    before = accounts(pair)
    order = borealis.order("cirrus", agreement_version=2)
    borealis.send(order)
    notice = reverse(cirrus, reversal(cirrus, transfer_id_of(order), MINIMUM // 2))
    part = cirrus.proof(notice).reversal_part
    assert part is not None
    assert part.fee == 10_000 + 7
    assert borealis.proof(stream(borealis)[-1].envelope).reversal_part is None
    assert accounts(pair) == before


# Refusals, each over a real channel


def test_every_refusal_is_recorded_and_has_a_notice_in_its_senders_stream_alone(
    pair: Pair,
) -> None:
    aurora, borealis, cirrus = (pair[name] for name in ("aurora", "borealis", "cirrus"))
    transfer_id = transferred(pair)
    wrong = aurora.order(agreement_version=2, source_points=101)
    aurora.refused(wrong)
    refused_id = transfer_id_of(wrong)
    ahead = datetime.now(UTC) + timedelta(hours=1)
    late = datetime.now(UTC) - timedelta(minutes=9)
    cases: tuple[tuple[Brand, dict[str, Any], Reason], ...] = (
        (borealis, {"transfer_id": uuid_utils.uuid7().bytes}, Reason.TRANSFER_UNKNOWN),
        (cirrus, {}, Reason.TRANSFER_UNKNOWN),
        (borealis, {"transfer_id": refused_id.bytes}, Reason.TRANSFER_UNKNOWN),
        (aurora, {"transfer_id": refused_id.bytes}, Reason.TRANSFER_STATE),
        (aurora, {}, Reason.TARGET_REVERSES),
        (borealis, {"target_points": TOTAL + 1}, Reason.ALREADY_REVERSED),
        (
            borealis,
            {"issued_at": ahead, "expires_at": ahead + timedelta(minutes=1)},
            Reason.ORDER_FROM_FUTURE,
        ),
        (
            borealis,
            {"issued_at": late, "expires_at": late + timedelta(minutes=1)},
            Reason.ORDER_EXPIRED,
        ),
    )
    before = accounts(pair)
    ends = {name: len(stream(each)) for name, each in pair.members.brands.items()}
    for brand, changes, reason in cases:
        order = reversal(brand, transfer_id, 7, **changes)
        refusal = how_refused(brand, order)
        assert refusal.reason is reason
        assert refusal.receipt is not None
        record = record_in(brand, refusal.receipt)
        assert record.state == TRANSFER_STATE_REFUSED
        # What is not the sender's to know stands nowhere in it.
        known = reason in (Reason.TRANSFER_STATE, Reason.TARGET_REVERSES, Reason.ALREADY_REVERSED)
        clock = reason in (Reason.ORDER_FROM_FUTURE, Reason.ORDER_EXPIRED)
        assert bool(record.source_partner) == bool(record.transfer_log_index) == (known or clock)
        assert stream(brand)[-1].envelope == refusal.receipt
        # A repeat gets the very same answer.
        again = how_refused(brand, order)
        assert (again.reason, again.field, again.receipt) == (
            refusal.reason,
            refusal.field,
            refusal.receipt,
        )
        if reason is Reason.ALREADY_REVERSED:
            assert refusal.metadata == {"leftPoints": str(TOTAL)}
    assert accounts(pair) == before
    grown = {name: len(stream(each)) - ends[name] for name, each in pair.members.brands.items()}
    assert grown == {"aurora": 2, "borealis": 5, "cirrus": 1, SPONSOR: 0}


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"target_points": 0}, Reason.FIELD_INVALID, "target_points"),
        ({"target_points": -1}, Reason.FIELD_INVALID, "target_points"),
        ({"reversal_id": b"short"}, Reason.FIELD_INVALID, "reversal_id"),
        ({"reversal_id": uuid.uuid4().bytes}, Reason.FIELD_INVALID, "reversal_id"),
        ({"transfer_id": b""}, Reason.FIELD_INVALID, "transfer_id"),
        ({"partner_reference": "a@example.com"}, Reason.FIELD_INVALID, "partner_reference"),
        ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, Reason.FIELD_INVALID, "expires_at"),
        ({"audience": "pointclear.test/other"}, Reason.AUDIENCE_WRONG, "audience"),
        ({"partner_id": "aurora"}, Reason.SIGNER_NOT_CALLER, "signatures"),
    ],
)
def test_what_is_malformed_is_refused_at_the_door_and_writes_nothing(
    pair: Pair, changes: dict[str, Any], reason: Reason, field: str
) -> None:
    borealis = pair["borealis"]
    with connection(pair.members.data_dir) as database:
        before = contents(database)
        some_transfer = UUID(bytes=uuid_utils.uuid7().bytes)
        refusal = how_refused(borealis, reversal(borealis, some_transfer, 7, **changes))
        assert written(before, contents(database)) == {}
    assert (refusal.reason, refusal.field, refusal.receipt) == (reason, field, None)


def test_an_order_to_transfer_is_no_order_to_reverse(pair: Pair) -> None:
    borealis = pair["borealis"]
    assert how_refused(borealis, borealis.order("aurora")).reason is Reason.PAYLOAD_TYPE_WRONG
    misplaced = reversal(borealis, uuid.UUID(bytes=uuid_utils.uuid7().bytes), 7)
    assert borealis.refused(misplaced).reason is Reason.PAYLOAD_TYPE_WRONG


def test_a_repeat_is_one_reversal_and_other_content_is_told_where_it_differs(pair: Pair) -> None:
    borealis, transfer_id = pair["borealis"], transferred(pair)
    own_id = uuid_utils.uuid7().bytes
    order = reversal(borealis, transfer_id, 7, reversal_id=own_id)
    notice = reverse(borealis, order)
    assert notice.payload_type == REVERSAL_NOTICE
    before = accounts(pair)
    assert reverse(borealis, order) == notice
    other = how_refused(borealis, reversal(borealis, transfer_id, 8, reversal_id=own_id))
    assert (other.reason, other.field) == (Reason.MODIFIED_REQUEST, "target_points")
    ids = {"transfer_id": own_id, "agreement_version": 1}
    taken = borealis.refused(borealis.order("aurora", **ids))
    assert (taken.reason, taken.field) == (Reason.MODIFIED_REQUEST, "transfer_id")
    anothers = how_refused(
        pair["aurora"], reversal(pair["aurora"], transfer_id, 7, reversal_id=own_id)
    )
    assert (anothers.reason, anothers.field) == (Reason.MODIFIED_REQUEST, "reversal_id")
    assert accounts(pair) == before


# At once


def test_of_reversals_that_take_the_same_points_over_two_servers_exactly_one_is_booked(
    pair: Pair,
) -> None:
    borealis, before = pair["borealis"], accounts(pair)
    transfer_id = transferred(pair)
    same = reversal(borealis, transfer_id, TOTAL)
    orders = [same, *(reversal(borealis, transfer_id, TOTAL) for _ in range(20))]

    def send_to(server: Server) -> list[bytes | Reason]:
        profile = load_profile(borealis.connection.profile.directory, server.address)
        with connect(profile) as own:
            calls = [
                own.exchange.ReverseTransfer.future(
                    pb.ReverseTransferRequest(reversal=order), timeout=CALL_TIMEOUT_S
                )
                for order in orders
            ]
            return [answer(call) for call in calls]

    def answer(call: Any) -> bytes | Reason:
        error = call.exception()
        if error is not None:
            return refusal_of(error).reason
        notice: bytes = call.result().notice.SerializeToString()
        return notice

    with ThreadPoolExecutor(2) as pool:
        from_first, from_second = pool.map(send_to, (pair.first, pair.second))
    # Both servers say of each order the same.
    assert from_first == from_second
    booked = [each for each in from_first if isinstance(each, bytes)]
    assert len(booked) == 1
    assert Counter(each for each in from_first if isinstance(each, Reason)) == {
        Reason.ALREADY_REVERSED: len(orders) - 1
    }
    assert accounts(pair) == before


# After settlement


def statement_of(pair: Pair, name: str, window_id: str) -> SettlementStatement:
    response = pair.members.operator.call(
        pair.members.operator.settlement.GetStatement,
        settlement_pb.GetStatementRequest(window_id=window_id, partner_id=name),
    )
    return SettlementStatement.FromString(response.statement.payload)


def test_after_settlement_it_lands_in_the_open_window_and_the_papers_say_so(pair: Pair) -> None:
    operator, borealis = pair.members.operator, pair["borealis"]
    transfer_id = transferred(pair)
    # Another stays whole, so that the first window has both.
    transferred(pair)
    windows = ["usd-2017-01-01", "usd-2017-01-02"]

    def close_and_state(window_id: str) -> None:
        stub = operator.settlement
        operator.call(stub.CloseWindow, settlement_pb.CloseWindowRequest(window_id=window_id))
        operator.call(stub.SettleWindow, settlement_pb.SettleWindowRequest(window_id=window_id))

    close_and_state(windows[0])
    first = statement_of(pair, "borealis", windows[0])
    reverse(borealis, reversal(borealis, transfer_id, 100))
    reverse(borealis, reversal(borealis, transfer_id, 200))
    close_and_state(windows[1])
    second = statement_of(pair, "borealis", windows[1])
    assert (second.incoming_value, second.outgoing_value) == (0, 0)
    assert second.reversals.incoming_value == -250 * PRICE
    assert second.line_count == 2
    assert second.brought_forward == first.carried_forward
    aurora = statement_of(pair, "aurora", windows[1])
    assert aurora.reversals.outgoing_value == 250 * PRICE
    assert aurora.reversals.fees == 50_000
    sponsor = statement_of(pair, SPONSOR, windows[1])
    assert sponsor.net == sponsor.reversals.promotions == 50 * PRICE * 3 // 10
    # The offline verifier, which is written apart, holds all of it together.
    out = pair.home / "archive"
    write_archive(pair.members.profiles, windows, out, lambda _step: None)
    verified = pointclear("verify", "--json", out)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    checked = json.loads(verified.stdout)["checked"]
    assert checked["reversal notices"] > 15
    assert checked["windows"] == 2


# The command


def test_the_command_reverses_and_shows_what_goes_back(pair: Pair, tmp_path: Path) -> None:
    borealis, transfer_id = pair["borealis"], transferred(pair)
    profile = borealis.connection.profile.directory
    kept, notice = tmp_path / "order.json", tmp_path / "notice.json"
    own = ("--as", profile, "--server", pair.second.address)
    asked = ("reverse", *own, "--transfer", str(transfer_id), "--points")
    done = pointclear(*asked, "30", "--order", kept, "--out", notice, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["target_points"], document["source_points"]) == (30, 50)
    assert document["reversed_points"] == 30
    # The same order again is answered with the same notice.
    again = pointclear(*asked, "30", "--order", kept, "--json")
    assert json.loads(again.stdout)["log_index"] == document["log_index"]
    people = pointclear(*asked, "30")
    assert "30 borealis points taken back: 50 aurora points go back" in people.stdout
    seen = pointclear("lookup", str(transfer_id), *own, "--json")
    assert json.loads(seen.stdout)["reversed_points"] == 60
    listed = pointclear("receipts", *own, "--json")
    assert json.loads(listed.stdout)["receipts"][-1]["kind"] == "reversal-notice"
    too_many = pointclear(*asked, "300")
    assert too_many.returncode == 1
    assert "ALREADY_REVERSED" in too_many.stderr
    alone = pointclear("verify", notice, "--keys", pair.home / "archive" / "keys.json")
    assert alone.returncode == 0, alone.stdout


# All of it


def test_the_books_are_what_a_model_says_and_fsck_finds_nothing(pair: Pair) -> None:
    check_log_and_books(pair.members.data_dir)
    model, verdicts = replay(logged(pair.members.data_dir))
    check_state(pair.members.data_dir, model)
    assert {"ALREADY_REVERSED", "TARGET_REVERSES", ""} <= {v.reason for v in verdicts.values()}
    checked = pointclear("fsck", "--data-dir", pair.members.data_dir)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_what_was_reversed_is_refused_the_same_at_a_server_that_starts_anew(pair: Pair) -> None:
    borealis, transfer_id = pair["borealis"], transferred(pair)
    reverse(borealis, reversal(borealis, transfer_id, TOTAL))
    with Server(pair.members.data_dir) as third:
        profile = load_profile(borealis.connection.profile.directory, third.address)
        request = pb.ReverseTransferRequest(reversal=reversal(borealis, transfer_id, 1))
        with connect(profile) as own:
            refusal = refused(own.exchange.ReverseTransfer, request)
    assert refusal.reason is Reason.ALREADY_REVERSED
    assert refusal.metadata == {"leftPoints": "0"}
