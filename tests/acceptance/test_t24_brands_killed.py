"""A server and the brands' own systems, real processes each, killed in turn under load: at the end
the books and the brands' own records say the same of every transfer.

Borealis is the example brand in Python, whose signed answer commits; cirrus is the one in Node.js,
and delta the one that takes files: both honour what was committed. `POINTCLEAR_SOAK_SECONDS` says
for how long the load lasts.
"""

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import grpc
import pytest
import uuid_utils

from pointclear.exchange.v1 import exchange_service_pb2 as pb
from pointclear.exchange.v1.transfer_pb2 import TransferState
from pointclear.partners.v1 import agreement_pb2, route_pb2
from tests.acceptance.coalition import (
    BRANDS,
    Brand,
    Coalition,
    agree,
    check_log_and_books,
    coalition,
    make_data_dir,
    transfer_id_of,
)
from tests.acceptance.test_file_route import QUICK, FileBrand
from tests.brands import Serving, enrol, serving
from tests.node import node, require_node, serving_node
from tests.processes import Server, folder, wait_until

SECONDS = float(os.environ.get("POINTCLEAR_SOAK_SECONDS", "8"))
MEMBERS = tuple(f"member-{number}" for number in range(6))
STRANGER = "nobody-knows"
POINTS = 50
"""What the smallest order gives."""


@dataclass
class Stage:
    """Everything that runs, each where it first ran."""

    home: Path
    members: Coalition
    server: Server
    running: dict[str, ExitStack] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    sent: list[tuple[str, bytes]] = field(default_factory=list)
    """Target and id of every order, whether it was answered or not."""

    @property
    def files(self) -> FileBrand:
        """The brand that takes files."""
        profile = self.members["delta"].connection.profile.directory
        return FileBrand(profile, self.home / "delta-files", "delta", MEMBERS)

    def start(self, name: str) -> None:
        """Serve a brand's own program, where it served before."""
        if name == "delta":
            brand, stack = self.files, ExitStack()
            brand.start()
            stack.callback(brand.kill)
            self.running[name] = stack
            return
        listen = self.addresses.get(name, "127.0.0.1:0")
        profile, journal = self.members[name].connection.profile.directory, self.journal(name)
        stack = self.running[name] = ExitStack()
        serve = serving_node if name == "cirrus" else serving
        process: Serving = stack.enter_context(serve(profile, journal, listen=listen))
        self.addresses[name] = process.address

    def kill(self, name: str) -> None:
        """Kill -9."""
        self.running.pop(name).close()

    def restart_server(self) -> None:
        """Kill -9 the server, and start it where it was."""
        self.server.kill()
        self.server = Server(self.server.data_dir, *QUICK, listen=self.server.listen)

    def journal(self, name: str) -> Path:
        """A brand's own record."""
        return self.home / f"{name}.journal"

    def send(self, target: str, number: int) -> None:
        """One order, sent until it is answered."""
        aurora = self.members["aurora"]
        version = 2 if target == "borealis" else 1
        member = STRANGER if number % 9 == 8 else MEMBERS[number % len(MEMBERS)]
        order = aurora.order(target, agreement_version=version, target_member=member)
        self.sent.append((target, transfer_id_of(order).bytes))
        while True:
            try:
                aurora.send(order)
            except grpc.RpcError as error:
                if error.code() not in (
                    grpc.StatusCode.UNAVAILABLE,
                    grpc.StatusCode.DEADLINE_EXCEEDED,
                    grpc.StatusCode.CANCELLED,
                ):
                    return
                time.sleep(0.1)
            else:
                return


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    require_node()
    with folder() as home, ExitStack() as stack:
        data_dir = make_data_dir(home)
        server = Server(data_dir, *QUICK)
        members = stack.enter_context(coalition(server, home, (*BRANDS, "delta")))
        agree(
            members,
            *("aurora", "borealis", 2),
            credit_mode=agreement_pb2.CREDIT_MODE_CONFIRMED,
        )
        made = Stage(home, members, server)
        enrol(made.journal("borealis"), *MEMBERS)
        done = node("enrol", "--journal", made.journal("cirrus"), *MEMBERS, cwd=home)
        assert done.returncode == 0, done.stderr
        for name in ("borealis", "cirrus"):
            made.start(name)
            at = made.addresses[name].replace("127.0.0.1", "localhost")
            route(made, name, route_pb2.ROUTE_KIND_GRPC, at)
        made.start("delta")
        at = f"file://{made.files.folder / 'shared'}"
        route(made, "delta", route_pb2.ROUTE_KIND_FILE, at)
        yield made
        for name in tuple(made.running):
            made.kill(name)
        made.server.stop()


def route(stage: Stage, name: str, kind: route_pb2.RouteKind.ValueType, address: str) -> None:
    """Have the exchange tell a brand's program where it is."""
    operator = stage.members.operator
    operator.call(
        operator.partners.SetRoute,
        route_pb2.SetRouteRequest(
            change_id=uuid_utils.uuid7().bytes,
            route=route_pb2.Route(
                program_id=name,
                kind=kind,
                address=address,
                timeout_ms=2_000,
                answer_within_seconds=4,
            ),
        ),
    )


def test_t24_killed_one_by_one_the_books_and_the_brands_say_the_same(stage: Stage) -> None:
    ending = threading.Event()
    threads = [
        threading.Thread(target=load, args=(stage, ending, target))
        for target in ("borealis", "cirrus", "delta", "borealis", "cirrus")
    ]
    for each in threads:
        each.start()
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        for brand in ("borealis", "cirrus", "delta"):
            stage.kill(brand)
            time.sleep(0.4)
            stage.start(brand)
            time.sleep(0.3)
        stage.restart_server()
        time.sleep(0.5)
    ending.set()
    for each in threads:
        each.join()
    assert len(stage.sent) > 20
    aurora = stage.members["aurora"]
    wait_until(lambda: not waiting(stage), "nothing is under way any more")
    ended = {name: stands(aurora, name) for _, name in stage.sent}
    assert set(ended.values()) <= {"COMMITTED", "ABORTED"}
    given = {
        "borealis": python_credits(stage),
        "cirrus": node_credits(stage),
        "delta": stage.files.given(),
    }
    for target, name in stage.sent:
        credited = given[target].get(UUID(bytes=name), 0)
        if target == "borealis":
            assert credited == (POINTS if ended[name] == "COMMITTED" else 0), UUID(bytes=name)
        else:
            assert ended[name] == "COMMITTED"
            assert credited == POINTS - reversed_points(aurora, name), UUID(bytes=name)
    assert {points for each in given.values() for points in each.values()} == {POINTS}
    position = aurora.connection.call(
        aurora.connection.exchange.GetPosition, pb.GetPositionRequest()
    ).position
    assert position.reserved == 0
    check_log_and_books(stage.members.data_dir)


def load(stage: Stage, ending: threading.Event, target: str) -> None:
    """Order one after the other until told to end."""
    number = 0
    while not ending.is_set():
        stage.send(target, number)
        number += 1
        time.sleep(0.02)


def waiting(stage: Stage) -> list[pb.Delivery]:
    """What is not concluded. A credit that was promised and declined is booked back by itself."""
    operator = stage.members.operator
    found = operator.call(operator.exchange.ListDeliveries, pb.ListDeliveriesRequest(page_size=500))
    return list(found.deliveries)


def stands(brand: Brand, name: bytes) -> str:
    """How a transfer ended."""
    own = brand.connection
    found = own.call(own.exchange.GetTransfer, pb.GetTransferRequest(transfer_id=name))
    return TransferState.Name(found.state).removeprefix("TRANSFER_STATE_")


def reversed_points(brand: Brand, name: bytes) -> int:
    """How many points of a transfer were booked back."""
    own = brand.connection
    found = own.call(own.exchange.GetTransfer, pb.GetTransferRequest(transfer_id=name))
    return int(found.reversed_points)


def python_credits(stage: Stage) -> dict[UUID, int]:
    """What borealis gave, by its own record."""
    with sqlite3.connect(stage.journal("borealis")) as journal:
        rows = journal.execute("SELECT transfer_id, points FROM credit").fetchall()
    return {UUID(bytes=name): points for name, points in rows}


def node_credits(stage: Stage) -> dict[UUID, int]:
    """What cirrus gave, by its own record; fails where it gave twice."""
    given: dict[UUID, int] = {}
    for line in stage.journal("cirrus").read_text().splitlines():
        entry = json.loads(line)
        if entry["kind"] == "CREDIT" and entry.get("outcome") == "DONE":
            name = UUID(entry["id"])
            assert name not in given, f"{name} was credited twice"
            given[name] = int(entry["points"])
    return given
