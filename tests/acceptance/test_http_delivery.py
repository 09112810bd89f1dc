"""A brand that is called over HTTPS, from an order to points in its own journal: real processes."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen
from uuid import UUID

import pytest
import uuid_utils

from partners.key_files import load_key_file, read_passphrase_file, write_public_key
from partners.wire import time_to_proto
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from pointclear.exchange.v1.transfer_pb2 import TransferState
from pointclear.partners.v1 import agreement_pb2, route_pb2
from tests.acceptance.coalition import (
    Brand,
    Coalition,
    agree,
    check_log_and_books,
    coalition,
    make_data_dir,
    transfer_id_of,
)
from tests.brands import Serving, enrol, serving
from tests.http_brand import EXAMPLE
from tests.processes import Server, folder, wait_until

MEMBER = "member-of-target"
"""Of every order of the coalition."""


@dataclass
class Called:
    """An exchange, and cirrus, whose signed answers over HTTPS commit what comes from aurora."""

    home: Path
    server: Server
    members: Coalition
    running: ExitStack = field(default_factory=ExitStack)
    address: str = "127.0.0.1:0"

    @property
    def journal(self) -> Path:
        """The brand's own record."""
        return self.home / "cirrus.db"

    def start(self) -> None:
        """Serve, where it served before."""
        profile = self.members["cirrus"].connection.profile.directory
        key = str(self.home / "receipts.pem")
        process: Serving = self.running.enter_context(
            serving(
                profile,
                self.journal,
                *("--exchange-key", key),
                script=EXAMPLE,
                listen=self.address,
            )
        )
        self.address = process.address

    def stop(self) -> None:
        """Kill -9."""
        self.running.close()

    def route(self, **changes: Any) -> None:
        """Have the exchange call it where it serves."""
        operator = self.members.operator
        route = route_pb2.Route(
            program_id="cirrus",
            kind=route_pb2.ROUTE_KIND_HTTP,
            address=f"https://{self.address}/",
            timeout_ms=3_000,
            **changes,
        )
        operator.call(
            operator.partners.SetRoute,
            route_pb2.SetRouteRequest(change_id=uuid_utils.uuid7().bytes, route=route),
        )

    def order(self, member: str = MEMBER) -> bytes:
        """The id of a transfer that waits for the brand's answer."""
        aurora = self.members["aurora"]
        order = aurora.order("cirrus", agreement_version=2, target_member=member)
        aurora.send(order)
        return transfer_id_of(order).bytes

    def stands(self, name: bytes) -> tuple[str, str]:
        """How a transfer and its instruction stand."""
        found = self.found(name)
        return (
            TransferState.Name(found.state).removeprefix("TRANSFER_STATE_"),
            pb.DeliveryState.Name(found.delivery).removeprefix("DELIVERY_STATE_"),
        )

    def found(self, name: bytes) -> pb.GetTransferResponse:
        """A transfer as its sender sees it."""
        own = self.members["aurora"].connection
        response: pb.GetTransferResponse = own.call(
            own.exchange.GetTransfer, pb.GetTransferRequest(transfer_id=name)
        )
        return response

    def measured(self, name: str) -> float:
        """A metric of the program."""
        with urlopen(f"http://{self.server.http}/metrics") as page:
            lines = page.read().decode().splitlines()
        start = f'pointclear_program_{name}{{program="cirrus"}} '
        return next((float(each[len(start) :]) for each in lines if each.startswith(start)), 0.0)

    def credited(self, name: bytes) -> int:
        """What the brand's own journal says that it gave."""
        with sqlite3.connect(self.journal) as journal:
            row = journal.execute(
                "SELECT points FROM instruction WHERE kind = 'CREDIT' AND id = ?",
                (str(UUID(bytes=name)),),
            ).fetchone()
        journal.close()
        return int(row[0]) if row else 0


@pytest.fixture(scope="module")
def called() -> Iterator[Called]:
    with (
        folder() as home,
        Server(make_data_dir(home), "--http", "127.0.0.1:0") as server,
        coalition(server, home) as members,
    ):
        agree(members, *("aurora", "cirrus", 2), credit_mode=agreement_pb2.CREDIT_MODE_CONFIRMED)
        keys = server.data_dir / "keys"
        receipts = load_key_file(keys / "receipts.pem", read_passphrase_file(keys / "passphrase"))
        write_public_key(home / "receipts.pem", receipts.public_key)
        made = Called(home, server, members)
        enrol(made.journal, MEMBER, script=EXAMPLE)
        made.start()
        made.route()
        yield made
        made.stop()
        check_log_and_books(server.data_dir)


@pytest.fixture
def aurora(called: Called) -> Brand:
    return called.members["aurora"]


def test_the_brands_signed_answer_commits(called: Called, aurora: Brand) -> None:
    name = called.order()
    wait_until(lambda: called.stands(name) == ("COMMITTED", "CONCLUDED"), "it is committed")
    assert called.credited(name) == 50
    record = aurora.proof(called.found(name).entry.envelope).transfer
    assert record.proof_key_id == called.members["cirrus"].orders.key_id


def test_the_brands_signed_refusal_aborts(called: Called) -> None:
    name = called.order(member="nobody-knows")
    wait_until(lambda: called.stands(name) == ("ABORTED", "CONCLUDED"), "it is aborted")
    assert called.credited(name) == 0


def test_a_brand_that_is_down_leaves_its_transfer_in_doubt_until_it_is_back(
    called: Called,
) -> None:
    called.stop()
    name = called.order()
    wait_until(lambda: called.stands(name) == ("RESERVED", "SENT"), "somebody tried")
    called.start()
    wait_until(lambda: called.stands(name) == ("COMMITTED", "CONCLUDED"), "it is committed")
    assert called.credited(name) == 50


def test_nothing_is_sent_during_a_brands_maintenance(called: Called) -> None:
    now = datetime.now(UTC)
    closed = route_pb2.MaintenanceInterval(
        begins=time_to_proto(now - timedelta(hours=1)), ends=time_to_proto(now + timedelta(hours=1))
    )
    called.route(maintenance=route_pb2.MaintenanceCalendar(once=[closed]))
    waiting = called.order()
    wait_until(lambda: called.measured("in_maintenance") == 1, "somebody looked at the calendar")
    assert called.stands(waiting) == ("RESERVED", "QUEUED")
    called.route()
    wait_until(lambda: called.stands(waiting) == ("COMMITTED", "CONCLUDED"), "it is committed")
    assert called.credited(waiting) == 50
