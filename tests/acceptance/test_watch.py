"""A partner watches its stream: whichever server commits, whatever breaks, it gets every entry once
and in order, and its own alone.
"""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.request import urlopen

import grpc
import pytest

from exchange.cli.connection import Connection, connect
from partners.errors import Reason
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from tests.acceptance.coalition import (
    CALL_TIMEOUT_S,
    Brand,
    Coalition,
    agree,
    coalition,
    code_of,
    join,
    make_data_dir,
    refusal_of,
    refused,
)
from tests.processes import (
    Server,
    environment,
    folder,
    kill_postmaster,
    wait_until,
)

WATCHES = 60
"""As many as a partner may have here."""
IDLE = 50
BACKLOG = 5_000
BATCH = 500
SETTINGS = {"watches_per_partner": WATCHES, "grace_seconds": 3600, "orders_burst": 20_000}
"""A stop that waited for watches would never end."""


@dataclass
class House:
    """Two servers on one database, and the coalition."""

    servers: list[Server]
    members: Coalition


def options() -> list[str]:
    """The settings as flags."""
    flags = ["--http", "127.0.0.1:0"]
    for name, value in SETTINGS.items():
        flags += ["--set", f"{name}={value}"]
    return flags


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with (
        folder() as home,
        Server(make_data_dir(home), *options()) as first,
        Server(first.data_dir, *options()) as second,
        coalition(first, home) as members,
        join(members.operator, home, "dusk") as dusk,
    ):
        members.brands["dusk"] = dusk
        agree(members, "dusk", "aurora")
        yield House([first, second], members)


@contextmanager
def at(server: Server, brand: Brand) -> Iterator[Connection]:
    """A channel of a brand to one of the servers."""
    with connect(replace(brand.connection.profile, server=server.address)) as own:
        yield own


def watch(own: Connection, after: int = 0, heartbeat_s: int = 1, **options: Any) -> Any:
    """A watch that is open; its responses are read one by one."""
    request = pb.WatchTransfersRequest(after_stream_seq=after, heartbeat_seconds=heartbeat_s)
    return own.exchange.WatchTransfers(request, timeout=CALL_TIMEOUT_S, **options)


def take(watching: Any, until: int) -> list[pb.StreamEntry]:
    """The entries of a watch up to a position."""
    entries: list[pb.StreamEntry] = []
    for response in watching:
        entries += response.entries
        if entries and entries[-1].stream_seq >= until:
            return entries
    raise AssertionError("a watch has no end of its own")


def until_it_broke(watching: Any) -> tuple[grpc.StatusCode, list[pb.StreamEntry]]:
    """What came before a watch broke, and with what it did."""
    entries: list[pb.StreamEntry] = []
    try:
        for response in watching:
            entries += response.entries
    except grpc.RpcError as error:
        return code_of(error), entries
    raise AssertionError("a watch has no end of its own")


def stream(brand: Brand, after: int = 0) -> list[pb.StreamEntry]:
    """The stream by pages."""
    entries: list[pb.StreamEntry] = []
    while True:
        request = pb.ListReceiptsRequest(after_stream_seq=after, page_size=500)
        page = brand.connection.exchange.ListReceipts(request, timeout=CALL_TIMEOUT_S)
        entries += page.entries
        if not page.entries:
            return entries
        after = page.entries[-1].stream_seq


def end_of(brand: Brand) -> int:
    """The newest position."""
    request = pb.ListReceiptsRequest(page_size=1)
    return brand.connection.exchange.ListReceipts(request, timeout=CALL_TIMEOUT_S).last_stream_seq


def seqs(entries: Sequence[pb.StreamEntry]) -> list[int]:
    return [each.stream_seq for each in entries]


def watches_open(server: Server) -> int:
    """How many the server counts."""
    with urlopen(f"http://{server.http}/metrics", timeout=CALL_TIMEOUT_S) as page:
        (line,) = (each for each in page if each.startswith(b"pointclear_watches "))
    return int(float(line.split()[1]))


# What it gives


def test_what_is_there_comes_first_and_then_what_either_server_commits(house: House) -> None:
    aurora, borealis = house.members["aurora"], house.members["borealis"]
    aurora.send(aurora.order())
    aurora.refused(aurora.order(target_points=1))
    borealis.send(borealis.order("aurora"))
    there = end_of(aurora)
    with ExitStack() as stack:
        watching = [watch(stack.enter_context(at(each, aurora))) for each in house.servers]
        first = [take(each, there) for each in watching]
        for server in house.servers:
            own = stack.enter_context(at(server, aurora))
            for _ in range(2):
                request = pb.CreateTransferRequest(order=aurora.order())
                own.exchange.CreateTransfer(request, timeout=CALL_TIMEOUT_S)
        live = [take(each, there + 4) for each in watching]
    for before, after in zip(first, live, strict=True):
        assert seqs(before + after) == list(range(1, there + 5))
        assert before + after == stream(aurora)


def test_a_watch_goes_on_after_any_position(house: House) -> None:
    aurora = house.members["aurora"]
    for _ in range(3):
        aurora.send(aurora.order())
    last = end_of(aurora)
    for after in (0, 1, last - 1):
        with at(house.servers[0], aurora) as own:
            assert take(watch(own, after), last) == stream(aurora, after)


def test_it_speaks_at_once_and_then_at_every_heartbeat(house: House) -> None:
    aurora = house.members["aurora"]
    last = end_of(aurora)
    with at(house.servers[0], aurora) as own:
        for after in (last, last + 7):
            watching = watch(own, after)
            for _ in range(3):
                response = next(watching)
                assert (list(response.entries), response.last_stream_seq) == ([], last)
            watching.cancel()


def test_t20_each_sees_its_own_stream_and_no_other(house: House) -> None:
    aurora, cirrus, dusk = (house.members[name] for name in ("aurora", "cirrus", "dusk"))
    with at(house.servers[0], dusk) as own, at(house.servers[0], cirrus) as other:
        watching, beside = watch(own), watch(other, end_of(cirrus))
        assert next(watching).last_stream_seq == end_of(dusk)
        aurora.send(aurora.order("cirrus"))
        (notice,) = take(beside, end_of(cirrus))
        assert cirrus.proof(notice.envelope).record.source_partner == "aurora"
        assert notice.member == "member-of-target"
        # What is aurora's and cirrus's is not told to dusk: it hears of its own order first.
        dusk.send(dusk.order("aurora"))
        (own_entry,) = take(watching, 1)
        assert dusk.proof(own_entry.envelope).record.source_partner == "dusk"
    request = pb.WatchTransfersRequest()
    told = refused(house.members.operator.exchange.WatchTransfers, request)
    assert told.reason is Reason.ROLE_MISSING


@pytest.mark.parametrize(
    ("field", "value"),
    [("after_stream_seq", -1), ("heartbeat_seconds", -1), ("heartbeat_seconds", 61)],
)
def test_a_field_that_breaks_its_rule_is_named(house: House, field: str, value: int) -> None:
    request = pb.WatchTransfersRequest(**{field: value})
    told = refused(house.members["aurora"].connection.exchange.WatchTransfers, request)
    assert (told.reason, told.field) == (Reason.FIELD_INVALID, field)


# What it costs others


def test_t16_idle_watches_leave_normal_calls_alone(house: House) -> None:
    aurora, borealis = house.members["aurora"], house.members["borealis"]
    with at(house.servers[0], borealis) as own:
        watching = [watch(own, end_of(borealis), heartbeat_s=60) for _ in range(IDLE)]
        for each in watching:
            assert not next(each).entries
        assert watches_open(house.servers[0]) == IDLE
        before = end_of(borealis)
        for _ in range(100):
            aurora.send(aurora.order("cirrus"))
        assert all(each.is_active() for each in watching)
        # They are as good as new.
        aurora.send(aurora.order("borealis"))
        for each in watching:
            assert seqs(take(each, before + 1)) == [before + 1]
    wait_until(lambda: watches_open(house.servers[0]) == 0, "the watches were over")


def test_t18_one_watch_more_than_a_partner_may_have_is_refused(house: House) -> None:
    dusk, aurora = house.members["dusk"], house.members["aurora"]
    with ExitStack() as stack:
        channels = [stack.enter_context(at(house.servers[0], dusk)) for _ in range(3)]
        held = [watch(channels[number % 3], heartbeat_s=60) for number in range(WATCHES)]
        for each in held:
            next(each)
        told = refused(channels[0].exchange.WatchTransfers, pb.WatchTransfersRequest())
        assert (told.reason, told.code) == (Reason.WATCHES_EXCEEDED, "RESOURCE_EXHAUSTED")
        assert told.metadata == {"watches": str(WATCHES)}
        # Others have their own, and so has it at the other server.
        for server, brand in ((house.servers[0], aurora), (house.servers[1], dusk)):
            with at(server, brand) as own:
                next(watch(own))
        held.pop().cancel()
        wait_until(lambda: watches_open(house.servers[0]) < WATCHES, "one was over")
        next(watch(channels[0]))
    wait_until(lambda: watches_open(house.servers[0]) == 0, "the watches were over")


WATCHER = """
import sys
from pathlib import Path
from exchange.cli.connection import connect
from exchange.cli.profile import load_profile
from pointclear.exchange.v1.exchange_service_pb2 import WatchTransfersRequest

with connect(load_profile(Path(sys.argv[1]), sys.argv[2])) as own:
    for response in own.exchange.WatchTransfers(WatchTransfersRequest(heartbeat_seconds=60)):
        print("alive", flush=True)
"""


def test_the_place_of_a_client_that_was_killed_is_free_again(house: House) -> None:
    aurora, server = house.members["aurora"], house.servers[0]
    directory = aurora.connection.profile.directory
    with subprocess.Popen(
        [sys.executable, "-c", WATCHER, str(directory), server.address],
        env=environment(),
        stdout=subprocess.PIPE,
    ) as client:
        assert client.stdout is not None
        assert client.stdout.readline()
        assert watches_open(server) == 1
        client.kill()
    wait_until(lambda: watches_open(server) == 0, "the watch was over")


# What breaks


def test_a_watch_is_resumed_after_the_server_was_killed(house: House) -> None:
    aurora, borealis = house.members["aurora"], house.members["borealis"]
    start = end_of(aurora)
    doomed = Server(house.members.data_dir, *options())
    with at(doomed, aurora) as own:
        watching = watch(own, start)
        aurora.send(aurora.order())
        got = take(watching, start + 1)
        doomed.kill()
        code, rest = until_it_broke(watching)
        assert code is grpc.StatusCode.UNAVAILABLE
        got += rest
    for _ in range(3):
        borealis.send(borealis.order("aurora"))
    with at(house.servers[1], aurora) as own:
        got += take(watch(own, got[-1].stream_seq), end_of(aurora))
    assert got == stream(aurora, start)


def test_a_server_that_stops_ends_its_watches_so_that_they_are_resumed(house: House) -> None:
    aurora = house.members["aurora"]
    stopping = Server(house.members.data_dir, *options())
    with at(stopping, aurora) as own:
        watching = [watch(own, end_of(aurora), heartbeat_s=60) for _ in range(3)]
        for each in watching:
            next(each)
        assert stopping.stop() == 0
        for each in watching:
            with pytest.raises(grpc.RpcError) as failed:
                next(each)
            told = refusal_of(failed.value)
            assert (told.reason, told.code) == (Reason.TRY_LATER, "UNAVAILABLE")


def test_a_slow_reader_is_waited_for_and_nothing_piles_up_for_it(house: House) -> None:
    dusk = house.members["dusk"]
    start = end_of(dusk)
    for _ in range(BACKLOG // BATCH):
        dusk.send_batch([dusk.order("aurora") for _ in range(BATCH)])
    last = start + BACKLOG
    with at(house.servers[0], dusk) as own:
        whole = take(watch(own, start), last)
        assert seqs(whole) == list(range(start + 1, last + 1))
    doomed = Server(house.members.data_dir, *options())
    with at(doomed, dusk) as own:
        slow = watch(own, start)
        got = list(next(slow).entries)
        # Time enough to send it all, if anybody would.
        time.sleep(2)
        doomed.kill()
        got += until_it_broke(slow)[1]
    assert got == whole[: len(got)]
    assert len(got) < BACKLOG / 2, "a reader that does not read was sent it all"
    with at(house.servers[1], dusk) as own:
        assert got + take(watch(own, got[-1].stream_seq), last) == whole


def test_a_watch_that_lost_the_database_says_try_later_and_is_resumed(house: House) -> None:
    aurora = house.members["aurora"]
    start = end_of(aurora)
    with at(house.servers[0], aurora) as own:
        watching = watch(own, start)
        next(watching)
        kill_postmaster(house.members.data_dir)
        with pytest.raises(grpc.RpcError) as failed:
            list(watching)
        assert refusal_of(failed.value).reason is Reason.TRY_LATER

        def back() -> bool:
            try:
                aurora.send(aurora.order())
            except grpc.RpcError:
                return False
            return True

        wait_until(back, "the database was back")
        assert take(watch(own, start), start + 1) == stream(aurora, start)[:1]
