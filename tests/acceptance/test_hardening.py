"""What hostile clients send, against a real server: bombs, idle streams, borrowed names; and what
they learn from a bug.
"""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from exchange.cli.connection import connect, open_channel
from exchange.cli.profile import Profile, load_profile
from exchange.edge import Door, service_handler
from exchange.embedded_postgres import OWNER_ROLE
from exchange.grpc_listener import listening
from exchange.host_keys import load_host_keys
from exchange.logs import log_call, start_logging
from partners.caller import Caller
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from tests.acceptance.coalition import (
    CALL_TIMEOUT_S,
    Brand,
    Coalition,
    coalition,
    make_data_dir,
    refused,
    transfer_id_of,
)
from tests.processes import Server, connection, folder, wait_until

CREATE = "/pointclear.exchange.v1.ExchangeService/CreateTransfer"
BATCH = "/pointclear.exchange.v1.ExchangeService/BatchCreateTransfers"
MB = 1024 * 1024
GROWTH_MAX_KB = 20 * 1024
IDLE_STREAMS = 50
CANARY = "canary-member-7351"
URL = "postgresql://service:secret-word@db.example/pointclear"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with folder() as home, Server(make_data_dir(home)) as running:
        yield running


@pytest.fixture(scope="module")
def members(server: Server) -> Iterator[Coalition]:
    with coalition(server, server.data_dir.parent, ("aurora", "borealis")) as founded:
        yield founded


@pytest.fixture
def aurora(members: Coalition) -> Brand:
    return members["aurora"]


def channel_of(profile: Profile) -> grpc.Channel:
    """A channel whose own end has no limit on what is sent."""
    credentials = grpc.ssl_channel_credentials(
        profile.authority, profile.tls_key, profile.certificate
    )
    options = [("grpc.max_send_message_length", -1), ("grpc.enable_http_proxy", 0)]
    return grpc.secure_channel(profile.server, credentials, options=options)


def code_of(call: Any, *arguments: Any, **options: Any) -> str:
    """The status code of a call that must fail."""
    with pytest.raises(grpc.RpcError) as failed:
        call(*arguments, timeout=CALL_TIMEOUT_S, **options)
    return str(failed.value.code().name)


# Oversize


def status_kb(pid: int, name: str) -> int:
    """A figure of the kernel's account of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{name}:")))


@pytest.mark.parametrize("method", [CREATE, BATCH])
@pytest.mark.parametrize(
    ("size", "compression"),
    [(200 * MB, grpc.Compression.NoCompression), (40 * MB, grpc.Compression.Gzip)],
    ids=["200 MB plain", "40 MB of zeros in gzip"],
)
def test_t15_a_message_beyond_the_limit_is_refused_without_being_held(
    server: Server, aurora: Brand, method: str, size: int, compression: grpc.Compression
) -> None:
    aurora.send(aurora.order())
    pid = server.process.pid
    # The kernel counts the most that was held from here on.
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    before_kb = status_kb(pid, "VmRSS")
    with channel_of(aurora.connection.profile) as channel:
        call: Any = channel.unary_unary(method)
        assert code_of(call, bytes(size), compression=compression) == "RESOURCE_EXHAUSTED"
    assert status_kb(pid, "VmHWM") - before_kb < GROWTH_MAX_KB
    aurora.send(aurora.order())


def test_t15_metadata_beyond_the_limit_are_refused(aurora: Brand) -> None:
    with channel_of(aurora.connection.profile) as channel:
        call: Any = channel.unary_unary(CREATE)
        many = [(f"x-{number}", "v" * 1024) for number in range(64)]
        assert code_of(call, b"", metadata=many) == "RESOURCE_EXHAUSTED"
    aurora.send(aurora.order())


# Idle streams


def open_idle(channel: grpc.Channel, idle: Event) -> Any:
    """A call that sends its headers and never its request."""
    call: Any = channel.stream_unary(CREATE)

    def never() -> Iterator[bytes]:
        idle.wait()
        yield from ()

    return call.future(never())


def test_t16_normal_calls_are_answered_while_idle_streams_are_held(aurora: Brand) -> None:
    idle = Event()
    with channel_of(aurora.connection.profile) as channel:
        held = [open_idle(channel, idle) for _ in range(IDLE_STREAMS)]
        try:
            for _call in range(100):
                aurora.send(aurora.order())
            assert not any(each.done() for each in held)
        finally:
            idle.set()
    # None of them was a request, and none was answered as one.
    assert all(each.done() for each in held)


def test_t16_an_idle_stream_ends_when_its_connection_is_old() -> None:
    ages = ("connection_age_seconds=1", "connection_age_grace_seconds=1")
    with (
        folder() as home,
        Server(make_data_dir(home), *(part for age in ages for part in ("--set", age))) as server,
    ):
        profile = load_profile(server.data_dir / "operator", server.address)
        idle = Event()
        with channel_of(profile) as channel:
            held = open_idle(channel, idle)
            wait_until(held.done, "the connection was closed")
            idle.set()
            assert held.code() is grpc.StatusCode.UNAVAILABLE
        with connect(profile) as own:
            assert own.keys("exchange")


# Identity


@pytest.mark.parametrize(
    "name",
    ["x-partner-id", "x-forwarded-client-cert", "x-spiffe-id", "peer_uri", "authorization"],
)
def test_t19_what_metadata_say_of_the_caller_counts_for_nothing(
    members: Coalition, aurora: Brand, name: str
) -> None:
    order = members["borealis"].order("aurora")
    members["borealis"].send(order)
    metadata = ((name, "pointclear://partner/borealis"),)
    # aurora sees its own side of what borealis sent, and cannot send in its name.
    wanted = pb.GetTransferRequest(transfer_id=transfer_id_of(order).bytes)
    mine = aurora.connection.exchange.GetTransfer(wanted, metadata=metadata, timeout=CALL_TIMEOUT_S)
    assert mine.entry.member == "member-of-target"
    request = pb.CreateTransferRequest(order=members["borealis"].order("aurora"))
    told = refused(aurora.connection.exchange.CreateTransfer, request, metadata=metadata)
    assert told.reason == "SIGNER_NOT_CALLER"


# Bugs


class Faulty:
    """A service of which every method meets a bug that quotes what nobody should see."""

    def __getattr__(self, name: str) -> Any:
        async def fails(request: Message, caller: Caller) -> Message:
            raise RuntimeError(f"cannot connect to {URL} for {CANARY}")

        return fails


def test_t28_a_bug_tells_its_caller_an_id_and_the_log_where_it_happened() -> None:
    stream = io.StringIO()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    with folder() as home:
        data_dir = make_data_dir(home)
        try:
            log = start_logging("json", "info", stream)
            error = asyncio.run(call_faulty(data_dir, Door(ended=partial(log_call, log))))
        finally:
            root.handlers[:] = before
            root.setLevel(level)
    assert error.code() is grpc.StatusCode.INTERNAL
    text, _, incident = error.details().rpartition(" ")
    assert text == "internal error; quote"
    told = [str(error), *map(repr, error.trailing_metadata())]
    (event,) = map(json.loads, stream.getvalue().splitlines())
    assert (event["event"], event["incident"]) == ("call failed", incident)
    assert "RuntimeError" in event["exception"]
    assert "in fails" in event["exception"]
    for each in (*told, stream.getvalue()):
        assert "secret-word" not in each
        assert "db.example" not in each
        assert CANARY not in each


async def call_faulty(data_dir: Path, door: Door) -> Any:
    """The error of a call to a service with a bug, over mutual TLS."""
    handler = service_handler(pb.DESCRIPTOR.services_by_name["ExchangeService"], Faulty(), door)
    async with listening((handler,), load_host_keys(data_dir), "127.0.0.1:0") as address:
        port = address.rpartition(":")[2]
        profile = load_profile(data_dir / "operator", f"localhost:{port}")

        def call() -> Any:
            with open_channel(profile) as channel:
                method: Any = channel.unary_unary(CREATE)
                with pytest.raises(grpc.RpcError) as failed:
                    method(b"", timeout=CALL_TIMEOUT_S)
                return failed.value

        return await asyncio.to_thread(call)


def test_t28_a_database_that_refuses_is_a_bug_of_ours_that_tells_no_sql(
    server: Server, members: Coalition, aurora: Brand
) -> None:
    order = aurora.order(source_member=CANARY)
    aurora.send(order)

    def tell(statement: str) -> None:
        with connection(server.data_dir, OWNER_ROLE) as database, database:
            database.cursor().execute(statement)

    tell("REVOKE SELECT ON stream_entry FROM pointclear_service")
    try:
        request = pb.GetTransferRequest(transfer_id=transfer_id_of(order).bytes)
        with pytest.raises(grpc.RpcError) as failed:
            aurora.connection.exchange.GetTransfer(request, timeout=CALL_TIMEOUT_S)
    finally:
        tell("GRANT SELECT ON stream_entry TO pointclear_service")
    error: Any = failed.value
    assert error.code() is grpc.StatusCode.INTERNAL
    incident = error.details().removeprefix("internal error; quote ")
    assert "stream_entry" not in str(error)
    wait_until(lambda: incident in server.said, "the incident was logged")
    (event,) = [json.loads(line) for line in server.said.splitlines() if incident in line]
    assert event["event"] == "call failed"
    assert event["transfer_id"] == str(transfer_id_of(order))
    assert "InsufficientPrivilege: 42501" in event["exception"]
    assert CANARY not in server.said
