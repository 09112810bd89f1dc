"""Keys over their life, on two servers that share one database: rotated, revoked, stolen, lost."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exchange.cli.connection import Connection, connect
from exchange.cli.deployment.initialise import ensure_client_tls, load_authority
from exchange.cli.profile import (
    ensure_key,
    ensure_passphrase,
    key_path,
    load_profile,
    write_profile_document,
)
from partners.errors import Reason
from partners.key_files import write_public_key
from partners.keys import Purpose
from partners.wire import envelope_from_proto
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.exchange.v1.exchange_service_pb2 import (
    CreateTransferRequest,
    GetTransferRequest,
    ListReceiptsRequest,
)
from pointclear.partners.v1 import partners_service_pb2 as partners_pb
from tests.acceptance.coalition import (
    AUDIENCE,
    CALL_TIMEOUT_S,
    Brand,
    Coalition,
    check_log_and_books,
    coalition,
    make_data_dir,
    refused,
    transfer_id_of,
)
from tests.processes import Server, connection, contents, folder, pointclear, written


@dataclass
class House:
    """Two servers, the coalition behind both, and a second operator."""

    home: Path
    first: Server
    second: Server
    members: Coalition

    def run(self, *arguments: str | Path, at: Server | None = None, exit_code: int = 0) -> Any:
        """A command against a server; what it prints for machines."""
        server = ("--server", (at or self.first).address)
        done = pointclear(*arguments, *server, "--json", cwd=self.home)
        assert done.returncode == exit_code, done.stderr
        return json.loads(done.stderr)["error"] if exit_code else json.loads(done.stdout)

    def verify(self, *paths: str) -> str:
        """`pointclear verify` with the keys as they are now; what it says."""
        self.run("key", "list", "--holder", "exchange", "--as", self.operator, "--out", "papers")
        own = self.run("key", "list", "--as", "aurora", "--out", "own")["keys"]
        exchange = json.loads((self.home / "papers/keys.json").read_text())
        partner = json.loads((self.home / "own/keys.json").read_text())
        assert len(own) == len(partner)
        (self.home / "all-keys.json").write_text(json.dumps([*exchange, *partner]))
        done = pointclear("verify", *paths, "--keys", "all-keys.json", cwd=self.home)
        return f"{done.returncode}: {done.stdout}{done.stderr}"

    @property
    def operator(self) -> Path:
        """The first operator's profile."""
        return self.first.data_dir / "operator"

    @property
    def li_na(self) -> Path:
        """The second operator's profile."""
        return self.home / "li-na"


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with folder() as home:
        data_dir = make_data_dir(home)
        a_second_operator(home / "li-na", data_dir)
        with (
            Server(data_dir) as first,
            Server(data_dir) as second,
            coalition(first, home, ("aurora", "borealis")) as members,
        ):
            opened = House(home, first, second, members)
            yield opened
            opened.first.stop()
            opened.second.stop()


def a_second_operator(directory: Path, data_dir: Path) -> None:
    """What the host configures for an operator beside the first."""
    identity = "pointclear://operator/li-na"
    ensure_client_tls(directory, load_authority(data_dir), identity, datetime.now(UTC))
    signer = ensure_key(key_path(directory, Purpose.OPERATOR), ensure_passphrase(directory))
    write_public_key(data_dir / "operators" / "li-na.pub.pem", signer.public_key)
    write_profile_document(directory, identity, "localhost:0", AUDIENCE)


def at(server: Server, directory: Path) -> Any:
    """A connection to a server under a profile."""
    return connect(load_profile(directory, server.address))


def profile_of(brand: Brand) -> Path:
    """A brand's profile directory."""
    return brand.connection.profile.directory


def send(own: Connection, order: SignedEnvelope) -> SignedEnvelope:
    """The receipt that a server gives for an order."""
    request = CreateTransferRequest(order=order)
    return own.exchange.CreateTransfer(request, timeout=CALL_TIMEOUT_S).receipt


def signing_key(brand: Brand, receipt: SignedEnvelope) -> str:
    """The key under a receipt that verifies."""
    proof = brand.proof(receipt)
    assert proof.body.signing_key_id == receipt.signatures[0].key_id
    return receipt.signatures[0].key_id


def test_a_rotated_key_signs_beside_the_one_before_it(house: House) -> None:
    aurora = house.members["aurora"]
    before = aurora.orders
    key = house.run("key", "rotate", "--purpose", "orders", "--as", "aurora")["key"]
    after = load_profile(profile_of(aurora)).signer(Purpose.ORDERS)
    assert key["key_id"] == after.key_id != before.key_id
    with at(house.second, profile_of(aurora)) as own:
        send(own, aurora.order())
        send(own, Brand("aurora", own, after, aurora.agreements).order())


def test_t05_from_the_revocation_on_a_key_is_good_for_nothing_new_and_for_all_that_was(
    house: House,
) -> None:
    aurora = house.members["aurora"]
    stolen, now = aurora.orders, datetime.now(UTC)
    good = aurora.order()
    receipt = aurora.send(good)
    for name, envelope in (("order", good), ("receipt", receipt)):
        write_envelope(house.home / f"{name}.json", envelope)

    key = house.run("key", "revoke", stolen.key_id, "--reason", "compromised", "--as", "aurora")
    revoked_index = key["key"]["revoked_index"]
    assert revoked_index > aurora.proof(receipt).record.log_index
    earlier = now - timedelta(hours=1)
    dated_back = aurora.order(issued_at=earlier, expires_at=now + timedelta(hours=1))
    with connection(house.first.data_dir) as database:
        before = contents(database)
        for server in (house.second, house.first):
            with at(server, profile_of(aurora)) as own:
                refusal = refused(
                    own.exchange.CreateTransfer, CreateTransferRequest(order=dated_back)
                )
                assert refusal.reason is Reason.KEY_NOT_IN_FORCE
                assert refusal.receipt is None
                assert send(own, good) == receipt
        assert written(before, contents(database)) == {}
    said = house.verify("receipt.json")
    assert said.startswith("0: "), said
    said = house.verify("order.json")
    assert said.startswith("0: "), said
    assert f"whether order.json came before its key was revoked at {revoked_index}" in said
    assert_listed(house, stolen.key_id, revoked_index)


def assert_listed(house: House, key_id: str, revoked_index: int) -> None:
    listed = house.run("key", "list", "--as", "aurora", at=house.second)["keys"]
    (key,) = (each for each in listed if each["key_id"] == key_id)
    assert key["registered_index"] < key["revoked_index"] == revoked_index


def write_envelope(path: Path, envelope: SignedEnvelope) -> None:
    """A file as `pointclear verify` reads it."""
    from partners.envelope import to_json

    path.write_text(to_json(envelope_from_proto(envelope)) + "\n")


def test_a_lost_last_key_is_recovered_by_two_operators_and_by_no_fewer(house: House) -> None:
    borealis = profile_of(house.members["borealis"])
    lost = load_profile(borealis).signer(Purpose.AGREEMENTS).key_id
    # Another may revoke it: nobody can any more sign with it.
    house.run(
        *("key", "revoke", lost, "--reason", "lost", "--holder", "partner/borealis"),
        *("--as", house.operator),
    )
    recover = ("key", "recover", "--purpose", "agreements", "--as", "borealis")
    asked = house.run(*recover, "--out", "event.json")["event"]
    assert asked["signed_by_keys"] == [asked["key_id"]]
    for event, signer, out in (
        ("event.json", house.operator, "one.json"),
        ("one.json", house.li_na, "two.json"),
    ):
        pointclear("key", "sign", event, "--as", signer, "--out", out, cwd=house.home)
    alone = house.run("key", "register", "one.json", "--as", house.operator, exit_code=1)
    assert (alone["reason"], alone["field"]) == (
        Reason.COUNTER_SIGNATURE_MISSING,
        "key_event.signatures",
    )
    asleep = house.run(*recover)["event"]
    assert asleep == asked
    key = house.run("key", "register", "two.json", "--as", house.li_na)["key"]
    assert (key["key_id"], key["holder"]) == (asked["key_id"], "partner/borealis")
    assert house.run(*recover, at=house.second)["key"]["key_id"] == key["key_id"]
    assert load_profile(borealis).signer(Purpose.AGREEMENTS).key_id == key["key_id"]
    house.run("key", "rotate", "--purpose", "statements", "--as", "borealis")


def test_the_exchanges_own_keys_rotate_and_old_receipts_keep_their_signature(
    house: House,
) -> None:
    aurora, data_dir = house.members["aurora"], house.first.data_dir
    fresh = load_profile(profile_of(aurora)).signer(Purpose.ORDERS)
    own_orders = Brand("aurora", aurora.connection, fresh, aurora.agreements)
    old_order = own_orders.order()
    old = aurora.send(old_order)
    old_key = signing_key(aurora, old)
    rotate = ("key", "rotate", "--purpose", "receipts", "--data-dir", data_dir, "--json")
    made = json.loads(pointclear(*rotate, cwd=house.home).stdout)["key"]
    listen = house.second.listen
    house.second.stop()
    house.second = Server(data_dir, listen=listen)
    with at(house.second, profile_of(aurora)) as own:
        order = own_orders.order()
        new = send(own, order)
        assert signing_key(aurora, new) == made["key_id"] != old_key
        # The server that was started anew and the one that was not: each has both.
        for asked in (own, aurora.connection):
            assert send(asked, old_order) == old
            assert send(asked, order) == new
            wanted = GetTransferRequest(transfer_id=transfer_id_of(old_order).bytes)
            assert asked.exchange.GetTransfer(wanted).entry.envelope == old
            stream = asked.exchange.ListReceipts(ListReceiptsRequest(page_size=500)).entries
            assert {each.envelope.signatures[0].key_id for each in stream} == {
                old_key,
                made["key_id"],
            }
    house.run("receipts", "--as", "aurora", "--out", "receipts.jsonl")
    said = house.verify("receipts.jsonl")
    assert said.startswith("0: "), said


def test_a_key_of_the_exchange_is_revoked_by_two_operators_and_old_receipts_stay_good(
    house: House,
) -> None:
    aurora = house.members["aurora"]
    fresh = load_profile(profile_of(aurora)).signer(Purpose.ORDERS)
    own_orders = Brand("aurora", aurora.connection, fresh, aurora.agreements)
    keys = house.run("key", "list", "--holder", "exchange", "--as", house.operator)["keys"]
    old_key, new_key = (each["key_id"] for each in keys if each["purpose"] == "RECEIPTS")
    needed = next(each["key_id"] for each in keys if each["purpose"] == "STATEMENTS")

    def revoke(key_id: str, exit_code: int = 0) -> Any:
        pointclear(
            *("key", "revoke", key_id, "--holder", "exchange", "--as", house.operator),
            *("--out", "half.json"),
            cwd=house.home,
        )
        alone = house.run(
            "key", "revoke", "--event", "half.json", "--as", house.operator, exit_code=1
        )
        assert alone["reason"] == Reason.COUNTER_SIGNATURE_MISSING
        sign = ("key", "sign", "half.json", "--as", house.li_na, "--out", "whole.json")
        assert pointclear(*sign, cwd=house.home).returncode == 0
        event = ("key", "revoke", "--event", "whole.json", "--as", house.li_na)
        return house.run(*event, exit_code=exit_code)

    assert revoke(needed, exit_code=1)["reason"] == Reason.KEY_NEEDED
    revoked = revoke(old_key)["key"]
    # The first server was started with the old key. It signs nothing new with it.
    receipt = aurora.send(own_orders.order())
    house.run("receipts", "--as", "aurora", "--out", "receipts.jsonl")
    said = house.verify("receipts.jsonl")
    assert said.startswith("0: "), said
    assert signing_key(aurora, receipt) == new_key
    assert aurora.proof(receipt).record.log_index > revoked["revoked_index"]
    check_log_and_books(house.first.data_dir)


def test_an_operator_whose_last_key_is_revoked_is_nobody_on_any_server_at_once(
    house: House,
) -> None:
    request = partners_pb.ListPartnersRequest()
    with at(house.second, house.li_na) as second, at(house.first, house.li_na) as first:
        second.partners.ListPartners(request)
        own = load_profile(house.li_na).signer(Purpose.OPERATOR).key_id
        house.run("key", "revoke", own, "--reason", "ceased", "--as", house.li_na)
        for each in (second, first):
            refusal = refused(each.partners.ListPartners, request)
            assert refusal.reason is Reason.CALLER_UNKNOWN
