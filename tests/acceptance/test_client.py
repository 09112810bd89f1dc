"""The partner's client library against a real exchange: what it promises, whatever crashes."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uuid_utils

from partners.errors import Retry
from partners.limits.values import CorridorLimits
from partners.limits.wire import limits_to_proto
from pointclear.client import (
    START,
    Bookmark,
    Client,
    ClientError,
    KeyUsedOtherwise,
    Order,
    Patience,
    ProofInvalid,
    RefusedForGood,
    RefusedForNow,
    Reversal,
    Role,
    State,
    Transfer,
    Unanswered,
    Unavailable,
    connect,
)
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from pointclear.partners.v1 import limits_pb2
from tests.acceptance.coalition import (
    CALL_TIMEOUT_S,
    Brand,
    Coalition,
    check_log_and_books,
    coalition,
    make_data_dir,
)
from tests.crashing_server import CRASH_AT
from tests.processes import Server, environment, folder, wait_until
from tests.redeeming_client import DIES_AT, redemption

SHORT = Patience(total_s=0.5, call_s=5.0, pause_s=0.05)
LONG = Patience(total_s=90.0, call_s=20.0, pause_s=0.05, pause_max_s=0.5)
MANY = 450
"""More than go into one call of the client."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with folder() as home, Server(make_data_dir(home)) as running:
        yield running


@pytest.fixture(scope="module")
def members(server: Server) -> Iterator[Coalition]:
    with coalition(server, server.data_dir.parent) as founded:
        yield founded


@pytest.fixture
def aurora(members: Coalition) -> Brand:
    return members["aurora"]


@pytest.fixture
def client(aurora: Brand, tmp_path: Path) -> Iterator[Client]:
    with client_of(aurora, tmp_path) as opened:
        yield opened


@contextmanager
def client_of(
    brand: Brand, home: Path, patience: Patience = LONG, **options: Any
) -> Iterator[Client]:
    """A brand's client with a journal of its own."""
    journal = home / f"{brand.name}.sqlite3"
    directory = brand.connection.profile.directory
    with connect(directory, journal=journal, patience=patience, **options) as opened:
        yield opened


def order(**changes: Any) -> Order:
    """A good order of aurora's, to borealis."""
    return replace(redemption(1), **changes)


def end_of(brand: Brand) -> int:
    """The newest position of a brand's stream."""
    request = pb.ListReceiptsRequest(page_size=1)
    return brand.connection.exchange.ListReceipts(request, timeout=CALL_TIMEOUT_S).last_stream_seq


def raised(by: Callable[[], object], kind: type[ClientError]) -> Any:
    """The error of a call that must fail."""
    with pytest.raises(kind) as failed:
        by()
    return failed.value


# One transfer


def test_a_quote_becomes_a_transfer_and_the_same_key_is_the_same_transfer(
    client: Client, aurora: Brand
) -> None:
    before = end_of(aurora)
    quote = client.quote("aurora", "borealis", source_points=200)
    assert (quote.source_points, quote.target_points) == (200, 100)
    assert quote.expires_at > datetime.now(UTC)
    wanted = Order.at(quote, source_member="A-1", target_member="B-1", reference="till-7")
    transfer = client.transfer(wanted, key="redemption")
    assert (transfer.state, transfer.target_points) == (State.COMMITTED, 100)
    assert transfer.record.quote_id == quote.quote_id.bytes
    assert transfer.source_part is not None
    assert transfer.source_part.fee == quote.terms.fee
    assert client.transfer(wanted, key="redemption") == transfer
    assert client.outcome("redemption") == transfer
    assert end_of(aurora) == before + 1 == transfer.stream_seq


def test_the_points_to_be_granted_may_be_what_is_fixed(client: Client) -> None:
    quote = client.quote("aurora", "borealis", target_points=75)
    assert (quote.source_points, quote.target_points) == (150, 75)
    told = raised(lambda: client.quote("aurora", "borealis", target_points=76), RefusedForGood)
    assert (told.reason, told.metadata["targetPointsBelow"]) == ("AMOUNT_MISMATCH", "75")
    with pytest.raises(ValueError, match="either"):
        client.quote("aurora", "borealis")


def test_a_refusal_that_was_recorded_is_an_answer_for_ever(client: Client, aurora: Brand) -> None:
    before = end_of(aurora)
    told = raised(lambda: client.transfer(order(target_points=51), key="k"), RefusedForGood)
    assert (told.reason, told.field, told.retry) == (
        "AMOUNT_MISMATCH",
        "target_points",
        Retry.NEVER,
    )
    assert told.remedy.endswith(".")
    assert told.metadata["targetPoints"] == "50"
    assert (told.recorded.state, told.recorded.reason) == (State.REFUSED, "AMOUNT_MISMATCH")
    again = raised(lambda: client.outcome("k"), RefusedForGood)
    assert (str(again), again.recorded, again.metadata) == (str(told), told.recorded, told.metadata)
    assert end_of(aurora) == before + 1


def test_what_may_succeed_later_with_a_new_order_says_so(client: Client) -> None:
    late = order(valid_for=timedelta(microseconds=1))
    told = raised(lambda: client.transfer(late, key="late"), RefusedForNow)
    assert (told.reason, told.retry, told.recorded.state) == (
        "ORDER_EXPIRED",
        Retry.NEW_ID,
        State.REFUSED,
    )
    assert client.transfer(order(), key="late/2").is_committed


def test_a_refusal_at_the_door_leaves_nothing(client: Client, aurora: Brand) -> None:
    before = end_of(aurora)
    wrong = order(source_member="somebody@example.com")
    for _ in range(2):
        told = raised(lambda: client.transfer(wrong, key="wrong"), RefusedForGood)
        assert (told.reason, told.field, told.recorded) == ("FIELD_INVALID", "source_member", None)
    assert client.resume() == {}
    assert end_of(aurora) == before


def test_a_key_stands_for_one_order(client: Client) -> None:
    transfer = client.transfer(order(), key="one")
    told = raised(lambda: client.transfer(order(source_points=150), key="one"), KeyUsedOtherwise)
    assert str(transfer.transfer_id) in str(told)
    # How long an order is good is no part of what is asked for.
    assert client.transfer(order(valid_for=timedelta(hours=1)), key="one") == transfer
    with pytest.raises(ValueError, match="a redemption's id"):
        client.transfer(order(), key="")
    assert client.outcome("none") is None


def test_a_transfer_that_is_held_is_no_success_and_is_asked_for_again(
    client: Client, members: Coalition
) -> None:
    operator = members.operator

    def limit(review_above_points: int) -> None:
        limits = CorridorLimits("aurora", "cirrus", review_above_points=review_above_points)
        request = limits_pb2.SetLimitsRequest(
            change_id=uuid_utils.uuid7().bytes, limits=limits_to_proto(limits)
        )
        operator.call(operator.partners.SetLimits, request)

    wanted = order(target_program="cirrus", agreement_id="aurora-cirrus", source_points=200)
    wanted = replace(wanted, target_points=100)
    limit(100)
    try:
        held = client.transfer(wanted, key="held")
        assert (held.state, held.is_committed, held.reason) == (
            State.HELD,
            False,
            "HELD_FOR_REVIEW",
        )
        assert client.resume() == {"held": held}
        request = pb.ReleaseTransferRequest(transfer_id=held.transfer_id.bytes)
        operator.call(operator.exchange.ReleaseTransfer, request)
        released = client.transfer(wanted, key="held")
        assert (released.state, released.transfer_id) == (State.COMMITTED, held.transfer_id)
        assert client.resume() == {}
        assert client.outcome("held") == released
    finally:
        limit(0)


def test_many_orders_go_in_few_calls_and_each_has_its_own_end(
    client: Client, aurora: Brand
) -> None:
    before = end_of(aurora)
    orders = {f"{number}": redemption(number) for number in range(MANY)}
    orders["short"] = order(target_points=49)
    orders["door"] = order(target_member="+86 138 0013 8000")
    orders["last"] = order()
    ended = client.transfer_batch(orders)
    assert list(ended) == list(orders)
    short, door = ended.pop("short"), ended.pop("door")
    assert isinstance(short, RefusedForGood)
    assert (short.reason, short.recorded is None) == ("AMOUNT_MISMATCH", False)
    assert isinstance(door, RefusedForGood)
    assert (door.reason, door.field, door.recorded) == ("FIELD_INVALID", "target_member", None)
    assert all(isinstance(each, Transfer) and each.is_committed for each in ended.values())
    again = client.transfer_batch(orders)
    assert {key: again[key] for key in ended} == ended
    assert str(again["short"]) == str(short)
    assert end_of(aurora) == before + MANY + 2


def test_what_was_taken_back_is_booked_once_for_a_key_and_both_sides_learn_of_it(
    client: Client, members: Coalition, tmp_path: Path
) -> None:
    transfer = client.transfer(order(source_points=200, target_points=100), key="taken-back")
    with client_of(members["borealis"], tmp_path) as target:
        name = transfer.transfer_id
        part = target.reverse(name, 25, key="refund-1", reference="till-7")
        assert (part.state, part.transfer_id) == (State.COMMITTED, name)
        assert (part.source_points, part.target_points, part.reversed_points) == (50, 25, 25)
        assert target.reverse(name, 25, key="refund-1", reference="till-7") == part
        assert target.outcome("refund-1") == part
        rest = target.reverse(name, 75, key="refund-2")
        assert (rest.source_points, rest.reversed_points) == (150, 100)
        told = raised(lambda: target.reverse(name, 1, key="refund-3"), RefusedForGood)
        assert (told.reason, isinstance(told.recorded, Reversal)) == ("ALREADY_REVERSED", True)
        raised(lambda: target.reverse(name, 2, key="refund-1"), KeyUsedOtherwise)
        assert target.resume() == {}
        own = list(target.watch(START, follow=False))[-3:]
        assert [each.event for each in own] == [part, rest, told.recorded]
    seen = list(client.watch(START, follow=False))[-2:]
    assert [each.role for each in seen] == [Role.SOURCE, Role.SOURCE]
    given_back = [each.event for each in seen if isinstance(each.event, Reversal)]
    assert [each.source_points for each in given_back] == [50, 150]


# What is read


def test_one_transfer_is_read_from_either_side_and_by_nobody_else(
    client: Client, members: Coalition, tmp_path: Path
) -> None:
    transfer = client.transfer(order(), key="seen")
    own = client.get(transfer.transfer_id)
    assert (own.role, own.member, own.event) == (Role.SOURCE, "A-1", transfer)
    with client_of(members["borealis"], tmp_path) as target:
        other = target.get(transfer.transfer_id)
        assert (other.role, other.member) == (Role.TARGET, "B-1")
        assert isinstance(other.event, Transfer)
        assert other.event.record == transfer.record
    with client_of(members["cirrus"], tmp_path) as stranger:
        told = raised(lambda: stranger.get(transfer.transfer_id), RefusedForGood)
    assert told.reason == "TRANSFER_UNKNOWN"


def test_the_position_follows_what_was_transferred(client: Client) -> None:
    before = client.position()
    transfer = client.transfer(order(), key="cost")
    after = client.position()
    assert after.partner_id == client.partner_id == "aurora"
    assert transfer.source_part is not None
    cost = transfer.record.value + transfer.source_part.fee + transfer.source_part.tax
    assert before.balance - after.balance == cost


def test_the_stream_is_read_whole_and_on_from_any_bookmark(client: Client, aurora: Brand) -> None:
    sent = [client.transfer(order(), key=f"{number}") for number in range(3)]
    whole = list(client.watch(START, follow=False))
    assert [each.bookmark.stream_seq for each in whole] == list(range(1, end_of(aurora) + 1))
    assert [each.event for each in whole[-3:]] == sent
    middle = whole[-2].bookmark
    assert list(client.watch(middle, follow=False)) == whole[-1:]
    assert list(client.watch(whole[-1].bookmark, follow=False)) == []


def test_the_journal_holds_the_place_of_a_reader_that_holds_none(
    aurora: Brand, tmp_path: Path
) -> None:
    with client_of(aurora, tmp_path) as client:
        client.transfer(order(), key="a")
        whole = list(client.watch(follow=False))
        assert list(client.watch(follow=False)) == []
        client.transfer_batch({name: order() for name in ("b", "c", "d")})
        reading = client.watch(follow=False)
        first, second = next(reading), next(reading)
        # The second is in hand, and a crash now must not lose it.
        reading.close()
    with client_of(aurora, tmp_path) as client:
        rest = list(client.watch(follow=False))
    assert rest[0] == second
    assert [each.bookmark.stream_seq for each in (*whole, first, *rest)] == list(
        range(1, end_of(aurora) + 1)
    )


def test_a_watch_gives_what_comes_to_a_brands_members_while_it_waits(
    client: Client, members: Coalition, tmp_path: Path
) -> None:
    with client_of(members["borealis"], tmp_path) as target, ThreadPoolExecutor(1) as pool:
        after = list(target.watch(START, follow=False))[-1].bookmark
        watching = target.watch(after, heartbeat_s=1)
        coming = pool.submit(next, watching)
        transfer = client.transfer(order(source_member="A-9", target_member="B-9"), key="live")
        entry = coming.result(CALL_TIMEOUT_S)
        assert (entry.role, entry.member) == (Role.TARGET, "B-9")
        assert isinstance(entry.event, Transfer)
        assert entry.event.transfer_id == transfer.transfer_id
        # A client that closes ends its watches.
        ended = pool.submit(list, watching)
        target.close()
        assert ended.result(CALL_TIMEOUT_S) == []


# What is believed


def test_a_stream_that_does_not_go_on_from_the_bookmark_is_not_believed(
    client: Client, aurora: Brand
) -> None:
    client.transfer(order(), key="any")
    last = list(client.watch(START, follow=False))[-1].bookmark
    other = Bookmark(last.stream_seq - 1, bytes(32))
    told = raised(lambda: list(client.watch(other, follow=False)), ProofInvalid)
    assert told.field == "previous_sha256"
    ahead = Bookmark(last.stream_seq + 5, last.sha256)
    told = raised(lambda: list(client.watch(ahead, follow=False)), ProofInvalid)
    assert told.field == "last_stream_seq"


def test_only_the_keys_that_a_partner_was_given_count(aurora: Brand, tmp_path: Path) -> None:
    with client_of(aurora, tmp_path, trusted_keys=["0" * 32]) as suspicious:
        told = raised(lambda: suspicious.transfer(order(), key="k"), ProofInvalid)
    assert told.field == "signatures[0].key_id"
    keys = [each.key_id for each in aurora.connection.keys("exchange")]
    with client_of(aurora, tmp_path, trusted_keys=keys) as client:
        # It was carried out, and only now is it believed.
        (transfer,) = client.resume().values()
        assert isinstance(transfer, Transfer)
        assert transfer.is_committed


# What breaks


def test_nobody_at_the_other_end_is_unanswered_and_then_answered_by_the_same_bytes(
    server: Server, aurora: Brand, tmp_path: Path
) -> None:
    before = end_of(aurora)
    with client_of(aurora, tmp_path, SHORT, server="localhost:1") as client:
        told = raised(lambda: client.transfer(order(), key="lost"), Unanswered)
        assert (told.key, str(told.order_id) in str(told)) == ("lost", True)
        (ended,) = client.transfer_batch({"also": order()}).values()
        assert isinstance(ended, Unanswered)
        raised(client.position, Unavailable)
        raised(lambda: list(client.watch(START, patience_s=0.2)), Unavailable)
    with client_of(aurora, tmp_path) as client:
        ended_now = client.resume()
        assert list(ended_now) == ["lost", "also"]
        lost = client.outcome("lost")
        assert lost == ended_now["lost"]
        assert lost is not None
        assert lost.transfer_id == told.order_id
    assert end_of(aurora) == before + 2


def test_t24_an_answer_that_died_with_the_server_is_given_by_the_next(
    members: Coalition, aurora: Brand, tmp_path: Path
) -> None:
    before = end_of(aurora)
    mortal = Server(members.data_dir, program="tests.crashing_server", **{CRASH_AT: "after-commit"})
    with (
        ThreadPoolExecutor(2) as pool,
        client_of(aurora, tmp_path, server=mortal.address) as client,
    ):
        watched = client.watch(START, heartbeat_s=1)
        for _ in range(before):
            next(watched)
        entry = pool.submit(next, watched)
        asked = pool.submit(client.transfer, order(), key="twice")
        assert mortal.process.wait(CALL_TIMEOUT_S) == -signal.SIGKILL
        with Server(members.data_dir, listen=mortal.listen):
            transfer = asked.result(CALL_TIMEOUT_S)
            assert transfer.is_committed
            # The watch went on by itself, too.
            assert entry.result(CALL_TIMEOUT_S).event == transfer
        mortal.kill()
    assert end_of(aurora) == before + 1


# Real programs, killed


def redeem(aurora: Brand, journal: Path, count: int, dies_at: str = "") -> "subprocess.Popen[str]":
    """The redeeming program, started."""
    profile = aurora.connection.profile
    arguments = [str(profile.directory), profile.server, str(journal), str(count)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.redeeming_client", *arguments],
        env=environment(**({DIES_AT: dies_at} if dies_at else {})),
        stdout=subprocess.PIPE,
        text=True,
    )


def ids_of(program: "subprocess.Popen[str]") -> list[str]:
    """What a program that lives to its end wrote."""
    out, _ = program.communicate(timeout=CALL_TIMEOUT_S)
    assert program.returncode == 0
    return out.splitlines()


@pytest.mark.parametrize("moment", ["written-down", "answered", "written-down:3", "answered:3"])
def test_t24_a_client_that_is_killed_in_the_middle_of_a_transfer_orders_it_once(
    aurora: Brand, tmp_path: Path, moment: str
) -> None:
    before, journal = end_of(aurora), tmp_path / "journal.sqlite3"
    program = redeem(aurora, journal, 5, moment)
    program.communicate(timeout=CALL_TIMEOUT_S)
    assert program.returncode == -signal.SIGKILL
    redeemed = ids_of(redeem(aurora, journal, 5))
    assert len(set(redeemed)) == 5
    assert end_of(aurora) == before + 5
    # And once more, with nothing left to do.
    assert ids_of(redeem(aurora, journal, 5)) == redeemed
    assert end_of(aurora) == before + 5


def test_t24_a_client_that_is_killed_at_any_moment_orders_each_transfer_once(
    aurora: Brand, members: Coalition, tmp_path: Path
) -> None:
    before, journal = end_of(aurora), tmp_path / "journal.sqlite3"
    count = 60
    for redeemed in range(5, count, 15):
        program = redeem(aurora, journal, count)
        wait_until(lambda: end_of(aurora) >= before + redeemed, "some were redeemed")  # noqa: B023
        program.kill()
        program.communicate()
    assert len(set(ids_of(redeem(aurora, journal, count)))) == count
    assert end_of(aurora) == before + count
    check_log_and_books(members.data_dir)


def test_two_programs_at_one_journal_order_each_transfer_once(
    aurora: Brand, tmp_path: Path
) -> None:
    before, journal = end_of(aurora), tmp_path / "journal.sqlite3"
    both = [redeem(aurora, journal, 30) for _ in range(2)]
    first, second = (ids_of(each) for each in both)
    assert first == second
    assert end_of(aurora) == before + 30
