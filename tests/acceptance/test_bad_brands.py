"""What brands' own systems do wrong, through the front door: a real server, real programs over gRPC
and HTTPS that act and then answer wrongly, and a brand that calls.

Each ends in a defined state and nothing is lost: the source sees it, operators see the fault, the
metrics count it, and as soon as the brand answers rightly its own record and the books say the
same. `test_delivery` has what a brand that fetches its credits is refused.
"""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen
from uuid import UUID

import pytest
import uuid_utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from prometheus_client.parser import text_string_to_metric_families

from exchange.cli.deployment.initialise import ensure_serving_tls, load_authority
from exchange.cli.profile import key_path
from partners.caller import partner_uri
from partners.errors import Reason
from partners.key_files import load_key_file, read_passphrase_file, write_public_key
from partners.keys import Purpose
from partners.program_port import CreditOutcome
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
from tests.acceptance.test_delivery import confirm, confirming, fetched, said, stands
from tests.brands import BRAND as GRPC_BRAND
from tests.brands import FAULTY_BRAND, fault_file, serving
from tests.http_brand import EXAMPLE as HTTP_BRAND
from tests.http_brand import FAULTY as FAULTY_HTTP_BRAND
from tests.processes import Server, environment, folder, pointclear, wait_until

MEMBER = "member-of-target"
"""Of every order of the coalition."""
POINTS = 50
"""What each order gives."""
GRPC, HTTP, PULL = "borealis", "cirrus", "delta"
"""The brands, named for what they are called by."""
KINDS = {GRPC: "GRPC", HTTP: "HTTP", PULL: "PULL"}
DONE, DECLINED, NEVER = CreditOutcome


@dataclass
class Scene:
    """An exchange, and brands whose signed answers commit what comes from aurora."""

    home: Path
    server: Server
    members: Coalition
    running: dict[str, ExitStack] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)

    @property
    def aurora(self) -> Brand:
        """The source."""
        return self.members["aurora"]

    def profile(self, name: str) -> Path:
        """A brand's profile."""
        return self.members[name].connection.profile.directory

    def journal(self, name: str) -> Path:
        """A brand's own record."""
        return self.home / f"{name}.db"

    def start(self, name: str) -> None:
        """Serve a brand's program, where it served before."""
        options = ["--exchange-key", str(self.home / "receipts.pem")] if name == HTTP else []
        self.running[name] = ExitStack()
        process = self.running[name].enter_context(
            serving(
                self.profile(name),
                self.journal(name),
                *options,
                script=FAULTY_HTTP_BRAND if name == HTTP else FAULTY_BRAND,
                listen=self.addresses.get(name, "127.0.0.1:0"),
            )
        )
        self.addresses[name] = process.address

    def stop(self, name: str) -> None:
        """Kill -9."""
        self.running.pop(name).close()

    def misbehave(self, name: str, fault: str) -> None:
        """From the next call on a brand does this; nothing wrong, if empty."""
        at = self.profile(name) / "fault" if name == HTTP else fault_file(self.journal(name))
        at.write_text(fault)

    def certify(self, name: str, days_ago: int = 0) -> None:
        """Serve with a certificate that was made so long ago."""
        self.stop(name)
        profile = self.profile(name)
        for each in ("serving-tls.pem", "serving-tls-key.pem"):
            (profile / each).unlink()
        at = datetime.now(UTC) - timedelta(days=days_ago)
        ensure_serving_tls(profile, load_authority(self.server.data_dir), partner_uri(name), at)
        self.start(name)

    def route(self, name: str, **changes: Any) -> None:
        """Have the exchange reach a brand where it serves."""
        operator = self.members.operator
        address = self.addresses.get(name, "")
        route = route_pb2.Route(
            program_id=name,
            kind=route_pb2.RouteKind.Value(f"ROUTE_KIND_{KINDS[name]}"),
            address=f"https://{address}/"
            if name == HTTP
            else address.replace("127.0.0.1", "localhost"),
            **({} if name == PULL else {"timeout_ms": 1_500}) | changes,
        )
        request = route_pb2.SetRouteRequest(change_id=uuid_utils.uuid7().bytes, route=route)
        operator.call(operator.partners.SetRoute, request)

    def order(self, target: str) -> bytes:
        """The id of a transfer that waits for its target's answer."""
        order = self.aurora.order(target, agreement_version=2)
        record = self.aurora.proof(self.aurora.send(order)).record
        assert record.state == TransferState.TRANSFER_STATE_RESERVED
        return transfer_id_of(order).bytes

    def ends(self, name: bytes, state: str) -> None:
        """Wait until a transfer has ended so."""
        wait_until(lambda: stands(self.aurora, name) == (state, "CONCLUDED"), f"it is {state}")

    def shown(self, target: str, name: bytes) -> str:
        """The fault of a transfer that operators are shown as in doubt; empty for none."""
        operator = self.members.operator
        listed = operator.call(
            operator.exchange.ListDeliveries,
            pb.ListDeliveriesRequest(program=target, in_doubt=True),
        )
        return next((each.fault for each in listed.deliveries if each.transfer_id == name), "")

    def faulty(self, target: str, name: bytes, fault: str) -> None:
        """Wait until operators are shown this fault, and hold everybody's view to it."""
        wait_until(lambda: self.shown(target, name) == fault, f"operators see {fault}")
        assert stands(self.aurora, name) == ("RESERVED", "SENT")
        assert self.reserved() > 0
        assert self.measured("program_calls_total", program=target, outcome=fault) >= 1
        wait_until(lambda: self.measured("transfers_in_doubt", program=target) == 1, "it shows")
        check_log_and_books(self.server.data_dir)

    def reserved(self) -> int:
        """What is reserved on aurora's position."""
        own = self.aurora.connection
        return int(own.call(own.exchange.GetPosition, pb.GetPositionRequest()).position.reserved)

    def measured(self, metric: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        with urlopen(f"http://{self.server.http}/metrics") as page:
            families = list(text_string_to_metric_families(page.read().decode()))
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == f"pointclear_{metric}" and labels.items() <= sample.labels.items()
        )

    def credited(self, target: str, name: bytes) -> int:
        """What a brand's own record says that it gave."""
        key: str | bytes = name
        query = "SELECT points FROM credit WHERE transfer_id = ?"
        if target == HTTP:
            key = str(UUID(bytes=name))
            query = "SELECT points FROM instruction WHERE kind = 'CREDIT' AND id = ?"
        with closing(sqlite3.connect(self.journal(target))) as journal:
            rows = journal.execute(query, (key,)).fetchall()
        return sum(points for (points,) in rows)


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with (
        folder() as home,
        Server(make_data_dir(home), "--http", "127.0.0.1:0") as server,
        coalition(server, home, (*BRANDS, PULL)) as members,
    ):
        keys = server.data_dir / "keys"
        receipts = load_key_file(keys / "receipts.pem", read_passphrase_file(keys / "passphrase"))
        write_public_key(home / "receipts.pem", receipts.public_key)
        made = Scene(home, server, members)
        # What the faulty brand signs with when it signs with another's key.
        for seed, owner, purpose in (
            ("other-brands-seed", "aurora", Purpose.ORDERS),
            ("agreements-seed", HTTP, Purpose.AGREEMENTS),
        ):
            (made.profile(HTTP) / seed).write_bytes(raw_key(made.profile(owner), purpose))
        for name, script in ((GRPC, GRPC_BRAND), (HTTP, HTTP_BRAND)):
            command = [sys.executable, str(script), "enrol", "--journal", str(made.journal(name))]
            subprocess.run([*command, MEMBER], env=environment(), check=True)
            made.start(name)
        for name in KINDS:
            agree(members, "aurora", name, 2, credit_mode=agreement_pb2.CREDIT_MODE_CONFIRMED)
            made.route(name)
        yield made
        for name in tuple(made.running):
            made.stop(name)


def raw_key(profile: Path, purpose: Purpose) -> bytes:
    """The secret bytes of a brand's key."""
    passphrase = read_passphrase_file(profile / "passphrase")
    key = load_pem_private_key(key_path(profile, purpose).read_bytes(), passphrase)
    assert isinstance(key, Ed25519PrivateKey)
    return key.private_bytes_raw()


@pytest.fixture(autouse=True)
def nothing_is_lost(scene: Scene) -> Iterator[None]:
    """After every test nothing is reserved any more, and the books and the log are right."""
    yield
    assert scene.reserved() == 0
    check_log_and_books(scene.server.data_dir)


# Programs that the exchange calls

WRONG = [
    (GRPC, "other-instruction", "INSTRUCTION_WRONG"),
    (GRPC, "strangers-key", "KEY_UNKNOWN"),
    (GRPC, "altered", "SIGNATURE_INVALID"),
    (GRPC, "never", "OUTCOME_UNKNOWN"),
    (GRPC, "fewer-points", "POINTS_WRONG"),
    (GRPC, "late", "LATE"),
    (HTTP, "other_id", "INSTRUCTION_WRONG"),
    (HTTP, "by_another_brands_key", "KEY_WRONG"),
    (HTTP, "by_the_agreements_key", "KEY_WRONG"),
    (HTTP, "forged", "SIGNATURE_INVALID"),
    (HTTP, "never", "OUTCOME_UNKNOWN"),
    (HTTP, "cut", "UNREACHABLE"),
    (HTTP, "late", "LATE"),
]


@pytest.mark.parametrize(("target", "does", "fault"), WRONG)
def test_an_answer_that_is_none_leaves_the_transfer_in_doubt_until_there_is_one(
    scene: Scene, target: str, does: str, fault: str
) -> None:
    scene.misbehave(target, does)
    name = scene.order(target)
    scene.faulty(target, name, fault)
    # It acted before it answered wrongly: whoever had voided the transfer had lost these points.
    assert scene.credited(target, name) == POINTS
    scene.misbehave(target, "")
    scene.ends(name, "COMMITTED")
    assert scene.credited(target, name) == POINTS


@pytest.mark.parametrize(("slow", "other"), [(GRPC, HTTP), (HTTP, GRPC)])
def test_a_brand_that_answers_in_a_minute_holds_nobody_else_up(
    scene: Scene, slow: str, other: str
) -> None:
    scene.misbehave(slow, "late")
    name = scene.order(slow)
    wait_until(lambda: stands(scene.aurora, name) == ("RESERVED", "SENT"), "it is called")
    for _ in range(3):
        scene.ends(scene.order(other), "COMMITTED")
    assert stands(scene.aurora, name)[0] == "RESERVED"
    scene.misbehave(slow, "")
    scene.ends(name, "COMMITTED")


def test_a_brand_that_dies_in_the_middle_of_an_answer_is_asked_again_when_it_is_back(
    scene: Scene,
) -> None:
    scene.misbehave(GRPC, "dies")
    name = scene.order(GRPC)
    scene.faulty(GRPC, name, "UNREACHABLE")
    assert scene.credited(GRPC, name) == POINTS
    scene.misbehave(GRPC, "")
    scene.stop(GRPC)
    scene.start(GRPC)
    scene.ends(name, "COMMITTED")
    assert scene.credited(GRPC, name) == POINTS


@pytest.mark.parametrize("target", [GRPC, HTTP])
def test_a_brand_with_an_expired_certificate_is_told_nothing_until_it_has_a_new_one(
    scene: Scene, target: str
) -> None:
    scene.certify(target, days_ago=900)
    name = scene.order(target)
    scene.faulty(target, name, "NOT_TRUSTED")
    assert scene.credited(target, name) == 0
    scene.certify(target)
    scene.ends(name, "COMMITTED")
    assert scene.credited(target, name) == POINTS


@pytest.mark.parametrize(("target", "does"), [(GRPC, "late"), (HTTP, "late")])
def test_an_answer_after_the_deadline_counts_when_it_is_definite(
    scene: Scene, target: str, does: str
) -> None:
    scene.route(target, answer_within_seconds=1)
    scene.misbehave(target, does)
    name = scene.order(target)
    asked = partial_looked_up(scene, target)
    wait_until(lambda: asked() > 0, "its time is over, and it is asked")
    assert stands(scene.aurora, name) == ("RESERVED", "SENT")
    scene.misbehave(target, "")
    scene.ends(name, "COMMITTED")
    assert scene.credited(target, name) == POINTS
    scene.route(target)


def partial_looked_up(scene: Scene, target: str) -> Callable[[], float]:
    """How often a brand was asked since now."""
    before = scene.measured("program_calls_total", program=target, method="look_up")
    return lambda: scene.measured("program_calls_total", program=target, method="look_up") - before


@pytest.mark.parametrize("target", [GRPC, HTTP])
def test_a_brand_is_held_to_its_own_never_seen_and_never_will_be(scene: Scene, target: str) -> None:
    scene.route(target, answer_within_seconds=1)
    scene.stop(target)
    name = scene.order(target)
    scene.faulty(target, name, "UNREACHABLE")
    asked = partial_looked_up(scene, target)
    wait_until(lambda: asked() > 0, "its time is over, and it is asked")
    scene.start(target)
    scene.ends(name, "ABORTED")
    assert scene.credited(target, name) == 0
    contradicted(scene, target, name, DONE)
    assert stands(scene.aurora, name) == ("ABORTED", "CONCLUDED")
    scene.route(target)


@pytest.mark.parametrize("target", [GRPC, HTTP])
def test_a_brand_that_declined_is_held_to_that_whatever_it_did(scene: Scene, target: str) -> None:
    scene.misbehave(target, "changed")
    name = scene.order(target)
    scene.ends(name, "ABORTED")
    assert scene.credited(target, name) == POINTS, "it did what it declined"
    scene.misbehave(target, "")
    contradicted(scene, target, name, DONE)
    assert stands(scene.aurora, name) == ("ABORTED", "CONCLUDED")


def contradicted(scene: Scene, target: str, name: bytes, outcome: CreditOutcome) -> None:
    """The brand says something else of its own accord: it is refused, counted, and kept."""
    before = scene.measured("delivery_contradictions_total", program=target)
    refusal = confirming(scene.members[target], said(scene.members[target], name, outcome))
    assert refusal.reason is Reason.MODIFIED_REQUEST
    assert scene.measured("delivery_contradictions_total", program=target) == before + 1


# Brands that fetch


@pytest.mark.parametrize("first", [NEVER, DONE])
def test_a_brand_that_fetches_is_held_to_its_first_answer(
    scene: Scene, first: CreditOutcome
) -> None:
    name, delta = scene.order(PULL), scene.members[PULL]
    fetched(delta, name)
    confirm(delta, said(delta, name, first))
    ended = stands(scene.aurora, name)
    contradicted(scene, PULL, name, DECLINED if first is DONE else DONE)
    assert stands(scene.aurora, name) == ended
    assert ended == ("COMMITTED" if first is DONE else "ABORTED", "CONCLUDED")


def test_a_brand_that_confirms_what_was_refused_or_void_changes_nothing(scene: Scene) -> None:
    delta, aurora = scene.members[PULL], scene.aurora
    refused = aurora.order(PULL, agreement_version=2, target_points=POINTS + 1)
    assert aurora.refused(refused).receipt is not None
    answer = said(delta, transfer_id_of(refused).bytes)
    assert confirming(delta, answer).reason is Reason.TRANSFER_UNKNOWN
    scene.route(PULL, answer_within_seconds=1)
    lapsed = scene.order(PULL)
    scene.ends(lapsed, "ABORTED")
    scene.route(PULL)
    before = scene.measured("delivery_contradictions_total", program=PULL)
    assert confirming(delta, said(delta, lapsed)).reason is Reason.TRANSFER_STATE
    assert scene.measured("delivery_contradictions_total", program=PULL) == before + 1
    assert stands(aurora, lapsed) == ("ABORTED", "CONCLUDED")


# Everything


def test_in_the_end_nothing_is_in_doubt_and_everything_that_was_signed_verifies(
    scene: Scene,
) -> None:
    operator = scene.members.operator
    left = operator.call(operator.exchange.ListDeliveries, pb.ListDeliveriesRequest())
    assert not left.deliveries
    done = pointclear("fsck", "--json", "--data-dir", scene.server.data_dir)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["faults"] == []
