"""Member references are where they can be forgotten, and nowhere else. Threats 21 and 35.

The references are canaries: texts that occur nowhere by chance. Whatever the exchange writes, says
or gives out is searched for them as bytes.
"""

import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest

from exchange.cli.demo.archive import write_archive
from partners.errors import Reason
from pointclear.exchange.v1 import exchange_service_pb2 as exchange_pb
from pointclear.exchange.v1.transfer_pb2 import TransferReceipt, TransferRecord
from pointclear.partners.v1 import link_service_pb2 as pb
from pointclear.settlement.v1 import settlement_service_pb2 as settlement_pb
from tests.acceptance.coalition import (
    CALL_TIMEOUT_S,
    FIRST_DAY,
    Brand,
    Refusal,
    check_log_and_books,
    refused,
)
from tests.acceptance.test_links import Running, link, linked_order, new_id, running, start
from tests.processes import connection, pointclear

WINDOW = f"usd-{FIRST_DAY}"
PLAIN = {"source_member": "canary-plain-a", "target_member": "canary-plain-b"}
LINKED = ("canary-linked-a", "canary-linked-b")
DROPPABLE = ("request", "link_member")
"""The stores that hold references, and may."""


@pytest.fixture(scope="module")
def started() -> Iterator[Running]:
    with running(
        "--http", "127.0.0.1:0",
        "--set", "log_level=debug",
        "--set", "log_format=json",
        "--set", "simulated_programs=aurora,borealis",
        "--set", "look_up_seconds=0.02",
    ) as server:  # fmt: skip
        yield server


def stores_with(data_dir: Path, text: str) -> set[str]:
    """The tables in whose rows a text occurs, in a text column or among bytes."""
    found = set()
    with connection(data_dir) as database, database.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'p') AND NOT relispartition"
        )
        for (table,) in cursor.fetchall():
            # Bytes are shown in hex, so the text is looked for as both.
            cursor.execute(
                f"SELECT count(*) FROM {table} AS t"
                " WHERE position(%s IN t::text) > 0 OR position(%s IN t::text) > 0",
                [text, text.encode().hex()],
            )
            if cursor.fetchone()[0]:
                found.add(table)
        database.rollback()
    return found


def log_of(started: Running) -> bytes:
    """What the server has written to its log."""
    log = started.server._log
    return os.pread(log.fileno(), os.fstat(log.fileno()).st_size, 0)


def use_everything(started: Running) -> list[Refusal]:
    """Move, look up, list and be refused, with canaries in every place for a member; returns the
    refusals.
    """
    aurora, borealis = started.members["aurora"], started.members["borealis"]
    operator = started.members.operator
    good = aurora.order(**PLAIN)
    aurora.send(good)
    aurora.send(good)
    aurora.send_batch([aurora.order(**PLAIN), aurora.order(**PLAIN, source_points=101)])
    link_id = link(aurora, borealis, *LINKED)
    aurora.send(linked_order(aurora, link_id))
    spare = link(aurora, borealis, "canary-spare-a", "canary-spare-b")
    operator.call(
        operator.links.FreezeLink, pb.FreezeLinkRequest(change_id=new_id(), link_id=spare)
    )
    links, frozen = aurora.connection.links, {"source_member": "canary-spare-a"}
    asked: dict[str, Any] = {"program": "borealis", "consent_version": "sharing-1"}
    refusals = [
        aurora.refused(aurora.order(**PLAIN, source_points=101)),
        aurora.refused(aurora.order(**PLAIN, target_points=1)),
        aurora.refused(aurora.order(**PLAIN | frozen)),
        aurora.refused(linked_order(aurora, link_id, **PLAIN)),
        aurora.refused(linked_order(aurora, spare)),
        aurora.refused(aurora.order(source_member="canary@example.org")),
        aurora.refused(aurora.order(source_member="canary-" + "x" * 100)),
        aurora.refused(aurora.order(source_member="canary\u00e9")),
        refused(links.StartLink, start(aurora, member="canary@example.org")),
        refused(links.StartLink, start(aurora, member="canary-spare-a")),
        refused(links.ValidateMember, pb.ValidateMemberRequest(member="away-canary", **asked)),
        refused(links.ListLinks, pb.ListLinksRequest(member="canary\u00e9")),
        refused(operator.links.ListLinks, pb.ListLinksRequest(member="canary-plain-a")),
        refused(links.EraseMember, pb.EraseMemberRequest(program="borealis", member="canary-x")),
    ]
    for member in ("canary-asked", "unknown-canary"):
        links.ValidateMember(
            pb.ValidateMemberRequest(member=member, **asked), timeout=CALL_TIMEOUT_S
        )
    for brand in (aurora, borealis):
        brand.connection.call(brand.connection.links.ListLinks, pb.ListLinksRequest())
    return refusals


def test_t21_no_reference_is_in_a_log_a_metric_a_record_an_error_or_an_export(
    started: Running, tmp_path: Path
) -> None:
    refusals = use_everything(started)
    assert {Reason.MEMBER_FROZEN, Reason.FIELD_INVALID} <= {each.reason for each in refusals}
    assert not [each for each in refusals if b"canary" in each.status]
    assert stores_with(started.server.data_dir, "canary") == set(DROPPABLE)
    assert b"canary" not in log_of(started)
    with urllib.request.urlopen(f"http://{started.server.http}/metrics", timeout=60) as page:
        assert b"canary" not in page.read()
    write_archive(started.members.profiles, [], tmp_path, lambda _step: None)
    assert not [path for path in files_in(tmp_path) if b"canary" in path.read_bytes()]


def files_in(folder: Path) -> list[Path]:
    """Every file of an archive."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    assert found
    return found


def stream(brand: Brand) -> list[exchange_pb.StreamEntry]:
    """A brand's whole stream."""
    request = exchange_pb.ListReceiptsRequest(page_size=500)
    return list(brand.connection.exchange.ListReceipts(request, timeout=CALL_TIMEOUT_S).entries)


def erase(connected: Any, **named: Any) -> pb.EraseMemberResponse:
    """Forget a member."""
    request = pb.EraseMemberRequest(salt=os.urandom(32), **named)
    answer: pb.EraseMemberResponse = connected.call(connected.links.EraseMember, request)
    return answer


def test_t35_what_proves_is_the_same_when_a_person_was_forgotten(
    started: Running, tmp_path: Path
) -> None:
    aurora, borealis = started.members["aurora"], started.members["borealis"]
    data_dir, operator = started.server.data_dir, started.members.operator
    members = {"source_member": "erased-a", "target_member": "erased-b"}
    order, other = aurora.order(**members), aurora.order(**members | {"source_member": "kept-a"})
    receipt, _ = aurora.send(order), aurora.send(other)
    link_id = link(aurora, borealis, "erased-a", "erased-b")
    by_link = aurora.send(linked_order(aurora, link_id))
    before = {brand.name: stream(brand) for brand in (aurora, borealis)}
    assert stores_with(data_dir, "erased-a") == set(DROPPABLE)

    gone = erase(aurora.connection, program="aurora", member="erased-a")
    assert (gone.links_ended, gone.orders_emptied) == (1, 1)
    gone = erase(operator, link_id=link_id)
    assert (gone.links_ended, gone.orders_emptied) == (1, 1)
    for text in ("erased-a", "erased-b"):
        assert stores_with(data_dir, text) == set()
    assert stores_with(data_dir, "kept-a") == set()

    # A repeat is answered as before; other content under the id is told no more than that.
    assert aurora.send(order) == receipt
    transfer_id = TransferReceipt.FromString(receipt.payload).record
    changed = aurora.refused(
        aurora.order(transfer_id=record_id(transfer_id), source_points=200, **members)
    )
    assert (changed.reason, changed.field) == (Reason.MODIFIED_REQUEST, "transfer_id")
    again = aurora.refused(linked_order(aurora, link_id))
    assert again.reason is Reason.LINK_STATE
    for brand in (aurora, borealis):
        after = stream(brand)
        assert [each.envelope for each in after[: len(before[brand.name])]] == [
            each.envelope for each in before[brand.name]
        ]
        assert not [each.member for each in after if each.member.startswith("erased")]
    assert aurora.proof(by_link).record.source_points

    # The window closes over it, and everything that the brands hold verifies.
    operator.call(
        operator.settlement.CloseWindow, settlement_pb.CloseWindowRequest(window_id=WINDOW)
    )
    operator.call(
        operator.settlement.SettleWindow, settlement_pb.SettleWindowRequest(window_id=WINDOW)
    )
    write_archive(started.members.profiles, [WINDOW], tmp_path, lambda _step: None)
    done = pointclear("verify", "--json", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["faults"] == []
    check_log_and_books(data_dir)
    assert b"erased" not in log_of(started)


def record_id(record: bytes) -> bytes:
    """The transfer id of a record."""
    return bytes(TransferRecord.FromString(record).transfer_id)


def test_t35_a_brand_forgets_its_own_members_and_nobody_elses(started: Running) -> None:
    aurora, borealis = started.members["aurora"], started.members["borealis"]
    link_id = link(aurora, borealis, "own-a", "own-b")
    salted: dict[str, Any] = {"salt": bytes(32)}
    for request, reason in (
        (pb.EraseMemberRequest(program="aurora", member="own-a", **salted), Reason.PROGRAM_UNKNOWN),
        (pb.EraseMemberRequest(link_id=new_id(), **salted), Reason.LINK_UNKNOWN),
        (pb.EraseMemberRequest(program="borealis", **salted), Reason.FIELD_INVALID),
        (pb.EraseMemberRequest(program="borealis", member="own-b"), Reason.FIELD_INVALID),
    ):
        assert refused(borealis.connection.links.EraseMember, request).reason is reason
    assert erase(borealis.connection, link_id=link_id).links_ended == 1
    assert stores_with(started.server.data_dir, "own-a") == {"link_member"}
    assert stores_with(started.server.data_dir, "own-b") == set()
    (left,) = aurora.connection.call(
        aurora.connection.links.ListLinks, pb.ListLinksRequest(member="own-a")
    ).links
    assert (left.state, left.member) == (pb.LINK_STATE_REVOKED, "own-a")
    assert UUID(bytes=left.link_id).version == 7
    with pytest.raises(grpc.RpcError):
        aurora.send(linked_order(aurora, link_id))
