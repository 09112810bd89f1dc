"""Codes in place of points, from an order to the code: a real brand that issues vouchers and sends
nothing itself. Who pays for a code can read it, and nobody else, wherever one looks. Threat 21.
"""

import base64
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen
from uuid import UUID

import pytest
import uuid_utils

from exchange.cli.demo.archive import write_archive
from exchange.embedded_postgres import OWNER_ROLE
from partners.errors import Reason
from partners.limits.values import PartnerSwitches
from partners.program_port import FULFILMENT_BYTES_MAX
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
    refused,
    transfer_id_of,
)
from tests.acceptance.test_limits import set_switches
from tests.acceptance.test_t21_t35_members import files_in, stores_with
from tests.brands import enrol, serving
from tests.processes import Server, connection, folder, pointclear, wait_until

MEMBER = "member-of-target"
"""Of every order of the coalition."""
VOUCHERS = "vouchers"


@dataclass(frozen=True)
class Shop:
    """An exchange at its most talkative, and a brand whose credits are codes."""

    home: Path
    server: Server
    members: Coalition

    @property
    def aurora(self) -> Brand:
        """Whose members get codes."""
        return self.members["aurora"]

    def found(self, name: bytes, brand: str = "aurora") -> pb.GetTransferResponse:
        """A transfer as a brand sees it."""
        own = self.members[brand].connection
        response: pb.GetTransferResponse = own.call(
            own.exchange.GetTransfer, pb.GetTransferRequest(transfer_id=name)
        )
        return response

    def ordered(self) -> tuple[bytes, bytes]:
        """A committed transfer, and the code that came with it, sealed."""
        order = self.aurora.order(VOUCHERS, agreement_version=2)
        self.aurora.send(order)
        name = transfer_id_of(order).bytes
        committed = TransferState.TRANSFER_STATE_COMMITTED
        wait_until(lambda: self.found(name).state == committed, "the brand has answered")
        return name, self.found(name).fulfilment

    def opened(self, name: bytes, sealed: Path) -> bytes:
        """What the source's command finds in it."""
        profile = self.aurora.connection.profile.directory
        transfer = str(UUID(bytes=name))
        done = pointclear(
            *("fulfilment", "open", "--json", "--as", profile, "--transfer", transfer),
            sealed,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return base64.b64decode(json.loads(done.stdout)["base64"])


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with (
        folder() as home,
        Server(
            make_data_dir(home),
            *("--http", "127.0.0.1:0"),
            *("--set", "log_level=debug"),
            *("--set", "log_format=json"),
        ) as server,
        coalition(server, home, ("aurora", "borealis", VOUCHERS)) as members,
        ExitStack() as stack,
    ):
        journal = home / "vouchers.db"
        enrol(journal, MEMBER)
        profile = members[VOUCHERS].connection.profile.directory
        process = stack.enter_context(serving(profile, journal, "--codes"))
        agree(members, "aurora", VOUCHERS, 2, credit_mode=agreement_pb2.CREDIT_MODE_CONFIRMED)
        operator = members.operator
        operator.call(
            operator.partners.SetRoute,
            route_pb2.SetRouteRequest(
                change_id=uuid_utils.uuid7().bytes,
                route=route_pb2.Route(
                    program_id=VOUCHERS,
                    kind=route_pb2.ROUTE_KIND_GRPC,
                    address=process.address.replace("127.0.0.1", "localhost"),
                ),
            ),
        )
        set_switches(members, PartnerSwitches(VOUCHERS, sending_stopped=True))
        yield Shop(home, server, members)
        check_log_and_books(server.data_dir)


@pytest.fixture(scope="module")
def bought(shop: Shop) -> tuple[bytes, bytes, bytes]:
    """A transfer, what came with it, and the code in it."""
    name, sealed = shop.ordered()
    at = shop.home / "sealed.txt"
    at.write_bytes(base64.b64encode(sealed))
    return name, sealed, shop.opened(name, at)


def test_a_program_that_only_receives_sends_a_code_to_the_source_in_place_of_points(
    shop: Shop, bought: tuple[bytes, bytes, bytes]
) -> None:
    name, sealed, code = bought
    assert code.endswith(b" 50"), "what it is worth"
    assert code not in sealed
    assert len(sealed) <= FULFILMENT_BYTES_MAX
    own = shop.members[VOUCHERS]
    assert own.refused(own.order("aurora")).reason is Reason.PARTNER_SUSPENDED
    # The command shows the same as the call.
    profile = shop.aurora.connection.profile.directory
    looked_up = pointclear("lookup", "--json", str(UUID(bytes=name)), "--as", profile)
    assert looked_up.returncode == 0, looked_up.stdout + looked_up.stderr
    assert base64.b64decode(json.loads(looked_up.stdout)["fulfilment"]) == sealed


def test_each_code_is_the_source_brands_for_its_own_transfer_alone(
    shop: Shop, bought: tuple[bytes, bytes, bytes]
) -> None:
    name, _, code = bought
    other, other_sealed = shop.ordered()
    at = shop.home / "other.txt"
    at.write_bytes(base64.b64encode(other_sealed))
    assert shop.opened(other, at) != code
    for profile, transfer in ((shop.aurora, name), (shop.members["borealis"], other)):
        done = pointclear(
            *("fulfilment", "open", "--json", "--transfer", str(UUID(bytes=transfer))),
            *("--as", profile.connection.profile.directory, at),
        )
        assert done.returncode != 0


def test_nobody_but_the_source_is_given_what_was_sealed(
    shop: Shop, bought: tuple[bytes, bytes, bytes]
) -> None:
    name, sealed, code = bought
    assert shop.found(name, VOUCHERS).fulfilment == b""
    request = pb.GetTransferRequest(transfer_id=name)
    borealis, operator = shop.members["borealis"].connection, shop.members.operator
    assert refused(borealis.exchange.GetTransfer, request).reason is Reason.TRANSFER_UNKNOWN
    assert refused(operator.exchange.GetTransfer, request).reason is Reason.ROLE_MISSING
    seen = [
        operator.call(operator.exchange.ListDeliveries, pb.ListDeliveriesRequest()),
        shop.found(name).entry,
    ]
    for brand in ("aurora", VOUCHERS, "borealis"):
        own = shop.members[brand].connection
        seen.append(own.call(own.exchange.ListReceipts, pb.ListReceiptsRequest(page_size=500)))
        seen.append(own.call(own.exchange.ListTransfers, pb.ListTransfersRequest()))
    for each in seen:
        assert sealed not in each.SerializeToString()
        assert code not in each.SerializeToString()


def test_t21_a_code_is_in_no_log_metric_record_receipt_or_export(
    shop: Shop, bought: tuple[bytes, bytes, bytes], tmp_path: Path
) -> None:
    _, sealed, code = bought
    assert stores_with(shop.server.data_dir, code.decode()) == set()
    with connection(shop.server.data_dir) as database, database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM fulfilment WHERE sealed = %s", [sealed])
        assert cursor.fetchone() == (1,)
        cursor.execute(
            "SELECT count(*) FROM delivery_answer WHERE position(%s IN content) > 0", [sealed]
        )
        assert cursor.fetchone() == (0,)
    log = shop.server._log
    said = os.pread(log.fileno(), os.fstat(log.fileno()).st_size, 0)
    with urlopen(f"http://{shop.server.http}/metrics") as page:
        measured = page.read()
    write_archive(shop.members.profiles, [], tmp_path, lambda _step: None)
    exported = [path.read_bytes() for path in files_in(tmp_path)]
    for text in (code, sealed, base64.b64encode(sealed), sealed.hex().encode()):
        assert not [each for each in (said, measured, *exported) if text in each]


def test_when_codes_are_dropped_everything_else_stands(
    shop: Shop, bought: tuple[bytes, bytes, bytes]
) -> None:
    name, _, _ = bought
    before = shop.found(name)
    with connection(shop.server.data_dir, OWNER_ROLE) as database, database:
        database.cursor().execute("TRUNCATE fulfilment")
    after = shop.found(name)
    assert (after.fulfilment, after.entry, after.state) == (b"", before.entry, before.state)
    check_log_and_books(shop.server.data_dir)
    done = pointclear("fsck", "--json", "--data-dir", shop.server.data_dir)
    assert done.returncode == 0, done.stdout + done.stderr
    _, sealed = shop.ordered()
    assert sealed, "and those to come are kept"
