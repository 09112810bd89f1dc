"""The example brand in Node.js, which was written from `docs/protocol.md` and the `.proto` files
alone, against a real server: what it sends is taken, what it keeps is proof, and what it was killed
over is done once.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest
import uuid_utils

from exchange.cli.proofs import read_proof
from partners.envelope import TRANSFER_ORDER, Envelope, from_json, payload_digest
from partners.keys import Purpose
from pointclear.exchange.v1.exchange_service_pb2 import GetPositionRequest, ListReceiptsRequest
from pointclear.exchange.v1.transfer_pb2 import TransferOrder
from pointclear.partners.v1 import agreement_pb2, route_pb2
from tests.acceptance.coalition import (
    AUDIENCE,
    BLOCK,
    BLOCK_COST,
    MAXIMUM,
    MINIMUM,
    Brand,
    Coalition,
    agree,
    check_log_and_books,
    coalition,
    make_data_dir,
)
from tests.brands import enrol, serving
from tests.node import BRAND, FOLDER, lines, node, require_node, serving_node
from tests.processes import Server, environment, folder, pointclear, wait_until

KILLED_AFTER_S = (0.15, 0.25, 0.35, 0.45, 0.55)
"""From before the order is stored until after its answer, on machines fast and slow."""


@pytest.fixture(scope="module")
def members() -> Iterator[Coalition]:
    require_node()
    with (
        folder() as home,
        Server(make_data_dir(home)) as server,
        coalition(server, home, ("aurora", "borealis")) as founded,
    ):
        yield founded
        check_log_and_books(founded.data_dir)


@pytest.fixture
def aurora(members: Coalition) -> Brand:
    return members["aurora"]


def profile_of(brand: Brand) -> tuple[str | Path, ...]:
    profile = brand.connection.profile
    return "--profile", profile.directory, "--server", profile.server


def an_order(brand: Brand, points: int = MINIMUM, *more: str) -> tuple[str | Path, ...]:
    """The command of a good order of aurora's; of an option given twice the last one counts."""
    options = ("--target", "borealis", "--points", str(points))
    members = ("--source-member", "A-1001", "--target-member", "B-77")
    return ("order", *profile_of(brand), *options, *members, *more)


def stored(journal: Path, kind: str) -> list[Envelope]:
    """The orders, or the stream's entries, that a journal holds."""
    found: list[dict[str, Any]] = [json.loads(line) for line in journal.read_text().splitlines()]
    return [from_json(json.dumps(line[kind])) for line in found if line["type"] == kind]


def stream_of(brand: Brand) -> list[bytes]:
    """The payloads of a brand's whole stream."""
    request = ListReceiptsRequest(page_size=500)
    response = brand.connection.call(brand.connection.exchange.ListReceipts, request)
    return [each.envelope.payload for each in response.entries]


def balance_of(brand: Brand) -> int:
    answer = brand.connection.call(brand.connection.exchange.GetPosition, GetPositionRequest())
    return int(answer.position.balance)


def test_what_node_makes_and_accepts_is_to_the_byte_what_the_page_says() -> None:
    require_node()
    done = subprocess.run(
        ["node", "--test"],
        cwd=FOLDER,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_an_order_of_the_node_brand_is_carried_out_and_its_receipts_are_proof(
    aurora: Brand, tmp_path: Path
) -> None:
    before = balance_of(aurora)
    done = node(*an_order(aurora, MINIMUM, "--reference", "till-7/1"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (said,) = lines(done)
    assert (said["state"], said["source_points"]) == ("COMMITTED", str(MINIMUM))
    assert balance_of(aurora) - before == -BLOCK_COST * MINIMUM // BLOCK
    (order,) = stored(tmp_path / "orders.jsonl", "order")
    entries = stored(tmp_path / "orders.jsonl", "entry")
    assert [each.payload for each in entries] == stream_of(aurora)
    proof = read_proof(
        entries[-1], aurora.connection.exchange_keys(Purpose.RECEIPTS), AUDIENCE, "aurora"
    )
    assert proof.record.order_sha256 == payload_digest(order)
    assert UUID(bytes=proof.record.transfer_id) == UUID(said["transfer_id"])


def test_an_order_of_the_node_brand_at_a_quote_is_carried_out_at_its_figures(
    aurora: Brand, tmp_path: Path
) -> None:
    done = node(*an_order(aurora, MINIMUM, "--quote"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (order,) = stored(tmp_path / "orders.jsonl", "order")
    named = TransferOrder.FromString(order.payload)
    assert order.payload_type == TRANSFER_ORDER
    assert (len(named.quote_id), named.agreement_id) == (16, "")
    assert lines(done)[0]["state"] == "COMMITTED"


def test_the_node_brand_tells_each_kind_of_refusal(aurora: Brand, tmp_path: Path) -> None:
    recorded = node(*an_order(aurora, MAXIMUM + BLOCK), cwd=tmp_path)
    assert recorded.returncode == 1, recorded.stderr
    (said,) = lines(recorded)
    assert (said["state"], said["reason"], said["retry"]) == ("REFUSED", "LIMIT_EXCEEDED", "NEW_ID")
    assert said["field"] == "source_points"
    assert said["log_index"]
    bare = node(*an_order(aurora, MINIMUM, "--source-member", "somebody@example.org"), cwd=tmp_path)
    (said,) = lines(bare)
    assert (bare.returncode, said["reason"], said["field"]) == (1, "FIELD_INVALID", "source_member")
    assert "log_index" not in said
    unmade = node(*an_order(aurora, MINIMUM + 1), cwd=tmp_path)
    assert (unmade.returncode, json.loads(unmade.stderr)["reason"]) == (1, "INCREMENT")
    assert len(stored(tmp_path / "orders.jsonl", "order")) == 2
    resumed = node("resume", *profile_of(aurora), cwd=tmp_path)
    assert (resumed.returncode, resumed.stdout) == (0, "")


def test_an_order_without_an_answer_is_sent_again_as_the_same_bytes(
    aurora: Brand, tmp_path: Path
) -> None:
    journal = tmp_path / "orders.jsonl"
    held = node(*an_order(aurora, MINIMUM, "--hold"), cwd=tmp_path)
    assert (held.returncode, lines(held)[0]["state"]) == (0, "UNKNOWN")
    order = journal.read_bytes()
    nobody = ("--profile", aurora.connection.profile.directory, "--server", "localhost:1")
    away = node("resume", *nobody, cwd=tmp_path)
    assert (away.returncode, journal.read_bytes()) == (3, order)
    first = node("resume", *profile_of(aurora), cwd=tmp_path)
    assert (first.returncode, lines(first)[0]["state"]) == (0, "COMMITTED"), first.stderr
    stream = stream_of(aurora)
    # As a crash leaves it that comes after the sending and before the answer.
    journal.write_bytes(order)
    again = node("resume", *profile_of(aurora), cwd=tmp_path)
    assert lines(again) == lines(first), again.stderr
    assert stream_of(aurora) == stream


def test_whenever_the_node_brand_is_killed_each_stored_order_is_done_once(
    aurora: Brand, tmp_path: Path
) -> None:
    journal = tmp_path / "orders.jsonl"
    before, chance = len(stream_of(aurora)), Random(5)
    for pause in KILLED_AFTER_S:
        process = subprocess.Popen(
            ["node", str(BRAND), *map(str, an_order(aurora))],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(pause + chance.random() / 10)
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait()
    resumed = node("resume", *profile_of(aurora), cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    read = node("stream", *profile_of(aurora), cwd=tmp_path)
    assert read.returncode == 0, read.stderr
    orders = {payload_digest(each) for each in stored(journal, "order")}
    proofs = [
        read_proof(each, aurora.connection.exchange_keys(Purpose.RECEIPTS), AUDIENCE, "aurora")
        for each in stored(journal, "entry")[before:]
    ]
    assert sorted(orders) == sorted(each.record.order_sha256 for each in proofs)


def test_the_node_brand_sees_an_order_that_it_never_made(aurora: Brand, tmp_path: Path) -> None:
    aurora.send(aurora.order())
    read = lines(node("stream", *profile_of(aurora), cwd=tmp_path))
    assert read[-2]["known"] is False
    assert read[-1]["verified_until"] == str(len(stream_of(aurora)))
    again = lines(node("stream", *profile_of(aurora), cwd=tmp_path))
    assert again == read[-1:]


def test_the_node_brand_verifies_what_was_taken_back_of_its_transfer(
    members: Coalition, aurora: Brand, tmp_path: Path
) -> None:
    (ordered,) = lines(node(*an_order(aurora), cwd=tmp_path))
    borealis = members["borealis"]
    target = borealis.connection.profile
    for points, status in ((20, 0), (MINIMUM, 1), (MINIMUM // 2 - 20, 0)):
        options = ("--transfer", ordered["transfer_id"], "--points", str(points))
        server = ("--server", target.server)
        done = pointclear("reverse", "--as", target.directory, *options, *server)
        assert done.returncode == status, done.stderr
    booked = ["COMMITTED", "COMMITTED"]
    for brand, states in ((aurora, booked), (borealis, ["COMMITTED", "REFUSED", "COMMITTED"])):
        journal = ("--journal", f"{brand.name}.jsonl")
        read = node("stream", *profile_of(brand), *journal, cwd=tmp_path)
        assert read.returncode == 0, read.stderr
        found = [each for each in lines(read)[:-1] if each["kind"] == "reversal-notice"]
        assert {each["transfer_id"] for each in found} == {ordered["transfer_id"]}
        assert [each["state"] for each in found] == states


def test_the_node_brand_believes_no_key_that_it_was_not_given(
    aurora: Brand, tmp_path: Path
) -> None:
    (key,) = lines(node("keys", *profile_of(aurora), cwd=tmp_path))
    trusting = node("stream", *profile_of(aurora), "--trust", key["key_id"], cwd=tmp_path)
    assert trusting.returncode == 0, trusting.stderr
    wary = node(
        "stream", *profile_of(aurora), "--journal", "other", "--trust", "0" * 32, cwd=tmp_path
    )
    assert wary.returncode == 1
    assert "no key" in json.loads(wary.stderr)["error"]
    assert stored(tmp_path / "other", "entry") == []


# Both ends in Node: borealis orders, and aurora's program is asked


@pytest.fixture(scope="module")
def confirming(members: Coalition) -> Coalition:
    """A transfer from borealis to aurora takes aurora's signed answer."""
    agree(members, "borealis", "aurora", 2, credit_mode=agreement_pb2.CREDIT_MODE_CONFIRMED)
    return members


@pytest.fixture
def program(members: Coalition, tmp_path: Path) -> Path:
    """The journal of aurora's program, which has one member."""
    journal = tmp_path / "program.jsonl"
    enrolled = node("enrol", "--journal", journal, "A-1001", cwd=tmp_path)
    assert enrolled.returncode == 0, enrolled.stderr
    return journal


def profile_directory(brand: Brand) -> Path:
    return brand.connection.profile.directory


def told_at(members: Coalition, address: str) -> None:
    """Set the route to aurora's program."""
    operator = members.operator
    route = route_pb2.Route(program_id="aurora", kind=route_pb2.ROUTE_KIND_GRPC, address=address)
    request = route_pb2.SetRouteRequest(change_id=uuid_utils.uuid7().bytes, route=route)
    operator.call(operator.partners.SetRoute, request)


def order_to_aurora(members: Coalition, member: str, cwd: Path) -> tuple[int, str]:
    """The status of the command, and the id of the transfer."""
    options = ("--target", "aurora", "--points", str(MINIMUM), "--source-member", "B-77")
    command = ("order", *profile_of(members["borealis"]), *options, "--target-member", member)
    done = node(*command, cwd=cwd)
    assert done.stdout, done.stderr
    return done.returncode, lines(done)[0]["transfer_id"]


def decided(
    members: Coalition, transfer_ids: tuple[str, ...], cwd: Path
) -> dict[str, tuple[str, str]]:
    """How orders ended, with the reason, once all of them did."""
    ends: dict[str, tuple[str, str]] = {}

    def all_are() -> bool:
        resumed = node("resume", *profile_of(members["borealis"]), cwd=cwd)
        assert resumed.returncode == 0, resumed.stderr
        for each in lines(resumed):
            if each["state"] != "RESERVED":
                ends[each["transfer_id"]] = each["state"], each["reason"]
        return set(transfer_ids) <= set(ends)

    wait_until(all_are, "the orders are decided")
    return ends


def test_what_the_node_program_was_away_for_is_reserved_and_credited_when_it_is_back(
    confirming: Coalition, program: Path, tmp_path: Path
) -> None:
    profile = profile_directory(confirming["aurora"])
    with serving_node(profile, program) as running:
        told_at(confirming, running.address)
        running.kill()
        status, transfer_id = order_to_aurora(confirming, "A-1001", tmp_path)
        assert status == 4
        nobody, unknown_id = order_to_aurora(confirming, "A-9999", tmp_path)
        assert nobody == 4
    with serving_node(profile, program, running.address):
        ends = decided(confirming, (transfer_id, unknown_id), tmp_path)
    assert ends == {transfer_id: ("COMMITTED", ""), unknown_id: ("ABORTED", "CREDIT_REFUSED")}
    told = [json.loads(line) for line in program.read_text().splitlines()[1:]]
    assert {(each["id"], each["outcome"]) for each in told} == {
        (UUID(transfer_id).hex, "DONE"),
        (UUID(unknown_id).hex, "DECLINED"),
    }


def test_the_node_brand_opens_the_code_that_came_in_place_of_points(
    confirming: Coalition, tmp_path: Path
) -> None:
    journal = tmp_path / "codes.db"
    enrol(journal, "A-1001")
    with serving(profile_directory(confirming["aurora"]), journal, "--codes") as running:
        told_at(confirming, running.address)
        _, transfer_id = order_to_aurora(confirming, "A-1001", tmp_path)
        borealis = profile_of(confirming["borealis"])

        def code() -> str:
            asked = node("fulfilment", *borealis, "--transfer", transfer_id, cwd=tmp_path)
            assert asked.returncode == 0, asked.stderr
            return lines(asked)[0]["fulfilment"] or ""

        wait_until(lambda: bool(code()), "the code is there")
        assert re.fullmatch(rf"[0-9a-f]{{16}} {MINIMUM // 2}", code())
    assert code() not in (tmp_path / "orders.jsonl").read_text()


def test_the_node_brand_says_how_it_is_used(tmp_path: Path) -> None:
    require_node()
    assert node("--help", cwd=tmp_path).returncode == 0
    for wrong in (("order",), ("nothing",), (), ("keys", "--nothing")):
        assert node(*wrong, cwd=tmp_path).returncode == 2, wrong
