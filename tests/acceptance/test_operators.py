"""Two operators of a deployment for production, over real channels: what one of them alone may do,
what takes both, and what stands in the trail afterwards.
"""

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import psycopg2
import pytest
import uuid_utils

from exchange.cli.connection import Connection, connect, open_channel
from exchange.cli.deployment.initialise import initialise
from exchange.cli.failure import Failed
from exchange.cli.profile import load_profile
from exchange.cli.signed_actions import act_request
from partners.certification import ScenarioName
from partners.envelope import (
    CERTIFICATION_REPORT,
    OPERATOR_ACTION,
    Envelope,
    Signature,
    pae,
    sign,
    to_json,
)
from partners.environment import Environment
from partners.errors import Reason
from partners.key_files import write_public_key
from partners.keys import Purpose, SeedSigner, Signer
from partners.wire import time_to_proto
from pointclear.common.v1 import refusal_pb2
from pointclear.exchange.v1.exchange_service_pb2 import SimulateTransferRequest
from pointclear.partners.v1 import action_service_pb2 as actions_pb
from pointclear.partners.v1 import operator_service_pb2 as pb
from pointclear.partners.v1.certification_pb2 import (
    CERTIFICATION_METHOD_RUN,
    VERDICT_FAILED,
    VERDICT_PASSED,
    CertificationReport,
    CertifiedScenario,
    Verdict,
)
from pointclear.partners.v1.operator_action_pb2 import OperatorAction
from pointclear.partners.v1.operator_service_pb2_grpc import OperatorServiceStub
from pointclear.partners.v1.partners_service_pb2 import ListPartnersRequest, PartnerState
from pointclear.settlement.v1 import settlement_service_pb2 as settlement_pb
from pointclear.settlement.v1.settlement_service_pb2_grpc import SettlementServiceStub
from tests.acceptance.coalition import (
    AUDIENCE,
    Coalition,
    check_log_and_books,
    coalition,
    make_data_dir,
    refused,
)
from tests.crashing_server import CRASH_AT
from tests.processes import Server, connection, contents, folder, pointclear, written

SANDBOX = SeedSigner(b"the key of a sandbox, for tests!")
GRANT = "pointclear.partners.v1.OperatorService/GrantRole"
OPEN = "pointclear.settlement.v1.SettlementService/OpenWindow"
TRAIL_TABLES = {"operator_action", "action_request", "record", "head"}


@dataclass(frozen=True, slots=True)
class House:
    """A deployment with two operators."""

    home: Path
    data_dir: Path
    server: Server
    ada: Connection
    ben: Connection

    def run(self, *arguments: str, as_: str = "ada", **more: str) -> Any:
        """Run a command as one of them."""
        profile = self.data_dir / "operators" / as_
        return pointclear(
            *arguments,
            *("--as", str(profile), "--server", self.server.address),
            cwd=self.home,
            POINTCLEAR_DATA_DIR=str(self.data_dir),
            **more,
        )

    def signer(self, name: str) -> Signer:
        """The signing key of one of them."""
        own = self.ada if name == "ada" else self.ben
        return own.profile.signer(Purpose.OPERATOR)


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with folder() as home, ExitStack() as stack:
        data_dir = home / "data"
        (data_dir / "certifiers").mkdir(parents=True)
        write_public_key(data_dir / "certifiers" / "sandbox.pem", SANDBOX.public_key)
        made = initialise(
            data_dir,
            AUDIENCE,
            "localhost:0",
            datetime.now(UTC),
            Environment.PRODUCTION,
            ("ada", "ben"),
        )
        server = stack.enter_context(Server(data_dir))
        ada, ben = (
            stack.enter_context(connect(load_profile(path, server.address), "for the test"))
            for path in made.operator_profiles.values()
        )
        yield House(home, data_dir, server, ada, ben)
        check_log_and_books(data_dir)


def action(request: bytes, method: str = GRANT, maker: str = "ada", **changes: Any) -> bytes:
    """The bytes of a good action."""
    now = datetime.now(UTC)
    fields: dict[str, Any] = {
        "audience": AUDIENCE,
        "action_id": uuid_utils.uuid7().bytes,
        "operator": maker,
        "method": method,
        "request_sha256": hashlib.sha256(request).digest(),
        "reason": "for the test",
        "issued_at": time_to_proto(now - timedelta(seconds=5)),
        "expires_at": time_to_proto(now + timedelta(minutes=5)),
    }
    return OperatorAction(**fields | changes).SerializeToString(deterministic=True)


def sent(payload: bytes, request: bytes, *signers: Signer) -> actions_pb.ActRequest:
    """What an operator sends."""
    message = pae(OPERATOR_ACTION, payload)
    signatures = tuple(Signature(each.key_id, each.sign(message)) for each in signers)
    return act_request(Envelope(OPERATOR_ACTION, payload, signatures), request)


def grant(name: str, role: pb.Role.ValueType) -> bytes:
    """The request that gives a role."""
    return pb.GrantRoleRequest(operator=name, role=role).SerializeToString()


def test_the_first_operators_of_production_have_the_one_role_that_gives_others(
    house: House,
) -> None:
    listed = house.ben.call(house.ben.operators.ListOperators, pb.ListOperatorsRequest())
    assert {each.name: list(each.roles) for each in listed.operators} == {
        "ada": [pb.ROLE_OPERATOR],
        "ben": [pb.ROLE_OPERATOR],
    }


def test_a_bare_call_of_what_takes_an_action_is_refused_and_writes_nothing(house: House) -> None:
    opening = settlement_pb.OpenWindowRequest(currency="USD", business_date="2026-01-01")
    granting = pb.GrantRoleRequest(operator="ada", role=pb.ROLE_RATES)
    with (
        connection(house.data_dir) as database,
        open_channel(house.ada.profile) as channel,
    ):
        before = contents(database)
        for method, request in (
            (SettlementServiceStub(channel).OpenWindow, opening),
            (OperatorServiceStub(channel).GrantRole, granting),
        ):
            refusal = refused(method, request)
            assert (refusal.reason, refusal.code) == (Reason.ACTION_REQUIRED, "PERMISSION_DENIED")
        assert written(before, contents(database)) == {}


def test_what_takes_two_is_recorded_for_one_and_carried_out_for_both(house: House) -> None:
    request = grant("ben", pb.ROLE_RATES)
    payload = action(request)
    alone = sent(payload, request, house.signer("ada"))
    both = sent(payload, request, house.signer("ada"), house.signer("ben"))
    with connection(house.data_dir) as database:
        before = contents(database)
        waiting = house.ada.call(house.ada.actions.Act, alone)
        assert (waiting.state, waiting.response) == (actions_pb.ACTION_STATE_PENDING, b"")
        assert written(before, contents(database)).keys() == TRAIL_TABLES
        carried_out = house.ben.call(house.ben.actions.Act, both)
        assert carried_out.state == actions_pb.ACTION_STATE_CARRIED_OUT
        held = pb.GrantRoleResponse.FromString(carried_out.response).operator
        assert (held.name, set(held.roles)) == ("ben", {pb.ROLE_OPERATOR, pb.ROLE_RATES})
        after = contents(database)
        assert house.ada.call(house.ada.actions.Act, alone) == carried_out
        assert house.ben.call(house.ben.actions.Act, both) == carried_out
        assert written(after, contents(database)) == {}


def test_the_maker_cannot_approve_nor_can_the_database_be_told_so(house: House) -> None:
    request = grant("ada", pb.ROLE_RATES)
    payload = action(request)
    first = house.signer("ada")
    house.ada.call(house.ada.actions.Act, sent(payload, request, first))
    twice = refused(house.ada.actions.Act, sent(payload, request, first, first))
    assert twice.reason is Reason.ENVELOPE_MALFORMED
    with connection(house.data_dir) as database, database.cursor() as cursor:
        cursor.execute("SELECT action_id, maker, key_id FROM operator_action LIMIT 1")
        action_id, maker, key_id = cursor.fetchone()
        for checker in (maker, "ben" if maker == "ada" else "ada"):
            # The wrong maker is no way round the constraint either.
            claimed = maker if checker == maker else checker
            with pytest.raises(psycopg2.IntegrityError):
                cursor.execute(
                    "INSERT INTO action_approval VALUES (%s, %s, %s, %s, %s, 10000, now())",
                    (action_id, claimed, maker, key_id, bytes(64)),
                )
            database.rollback()


def test_refusals_by_name(house: House) -> None:
    request = grant("ada", pb.ROLE_RATES)
    ada, ben, act = house.signer("ada"), house.signer("ben"), house.ada.actions.Act
    last_week = datetime.now(UTC) - timedelta(days=3)
    expired = action(
        request,
        issued_at=time_to_proto(last_week),
        expires_at=time_to_proto(last_week + timedelta(days=1)),
    )
    settle = settlement_pb.SettleWindowRequest(window_id="usd-2026-01-01").SerializeToString()
    settling = action(settle, "pointclear.settlement.v1.SettlementService/SettleWindow")
    cases = {
        Reason.ACTION_EXPIRED: sent(expired, request, ada),
        Reason.ROLE_MISSING: sent(settling, settle, ada),
        Reason.SIGNER_NOT_CALLER: sent(action(request, maker="ben"), request, ben),
        Reason.FIELD_INVALID: sent(action(request, reason=""), request, ada),
        Reason.SIGNATURE_INVALID: sent(action(request), request, ada),
        Reason.AUDIENCE_WRONG: sent(action(request, audience="elsewhere"), request, ada),
    }
    cases[Reason.SIGNATURE_INVALID].action.signatures[0].signature = bytes(64)
    with connection(house.data_dir) as database:
        before = contents(database)
        for reason, wrong in cases.items():
            refusal = refused(act, wrong)
            assert refusal.reason is reason
            if reason is Reason.ROLE_MISSING:
                assert refusal.metadata == {"role": "finance-maker"}
        unknown = actions_pb.GetActionRequest(action_id=bytes(16))
        assert refused(house.ada.actions.GetAction, unknown).reason is Reason.ACTION_UNKNOWN
        assert written(before, contents(database)) == {}


def test_a_refusal_of_the_call_itself_is_kept_and_given_again(house: House) -> None:
    request = grant("nobody", pb.ROLE_RATES)
    payload = action(request)
    both = sent(payload, request, house.signer("ada"), house.signer("ben"))
    first = refused(house.ben.actions.Act, both)
    assert first.reason is Reason.OPERATOR_UNKNOWN
    with connection(house.data_dir) as database:
        before = contents(database)
        assert refused(house.ben.actions.Act, both).status == first.status
        assert written(before, contents(database)) == {}
    modified = action(request, action_id=OperatorAction.FromString(payload).action_id, reason="x")
    again = refused(house.ada.actions.Act, sent(modified, request, house.signer("ada")))
    assert again.reason is Reason.MODIFIED_REQUEST


def test_what_was_approved_and_not_carried_out_is_carried_out_when_it_is_sent_again(
    house: House,
) -> None:
    """What a crash leaves between the approval and the answer."""
    request = grant("ben", pb.ROLE_FINANCE_MAKER)
    both = sent(action(request), request, house.signer("ada"), house.signer("ben"))
    first = house.ben.call(house.ben.actions.Act, both)
    action_id = str(uuid_of(both))
    with connection(house.data_dir, "pointclear_owner") as owner, owner, owner.cursor() as cursor:
        cursor.execute("ALTER TABLE action_outcome DISABLE TRIGGER append_only")
        cursor.execute("DELETE FROM action_outcome WHERE action_id = %s", (action_id,))
        cursor.execute("ALTER TABLE action_outcome ENABLE ALWAYS TRIGGER append_only")
    with connection(house.data_dir) as database:
        before = contents(database)
        assert house.ben.call(house.ben.actions.Act, both) == first
        assert written(before, contents(database)) == {"action_outcome": 1}


def uuid_of(request: actions_pb.ActRequest) -> Any:
    """The id of an action."""
    stated = OperatorAction.FromString(request.action.payload)
    return uuid_utils.UUID(bytes=stated.action_id)


def test_the_commands_wait_are_approved_and_end_when_they_are_repeated(house: House) -> None:
    adding = ("operator", "add", "eve", "--role", "auditor", "--out", "eve", "--reason", "audits")
    waits = house.run(*adding, "--json")
    assert waits.returncode == 4, waits.stderr
    action_id = json.loads(waits.stderr)["error"]["metadata"]["actionId"]
    pending = json.loads(house.run("actions", "list", "--pending", "--json").stdout)
    assert action_id in {each["action_id"] for each in pending["actions"]}
    own = house.run("actions", "approve", action_id, "--yes")
    assert own.returncode == 1
    assert "ENVELOPE_MALFORMED" in own.stderr
    shown = json.loads(house.run("actions", "show", action_id, "--json", as_="ben").stdout)
    assert shown["action"]["request"]["operator"] == {"name": "eve", "roles": ["ROLE_AUDITOR"]}
    assert house.run("actions", "approve", action_id, "--yes", as_="ben").returncode == 0
    done = house.run(*adding)
    assert (done.returncode, done.stdout) == (0, "eve: auditor\n")
    unexplained = house.run("operator", "grant", "eve", "rates")
    assert unexplained.returncode == 1
    assert "FIELD_INVALID (reason)" in unexplained.stderr


def test_an_auditor_exports_the_trail_and_changes_nothing(house: House) -> None:
    eve = house.home / "eve"
    arguments = ("--as", eve, "--server", house.server.address)
    for form in ("json", "csv"):
        out = house.home / f"trail.{form}"
        exported = pointclear("trail", "export", "--format", form, "--out", out, *arguments)
        assert exported.returncode == 0, exported.stderr
    documents = json.loads((house.home / "trail.json").read_text())
    with (house.home / "trail.csv").open(newline="", encoding="utf-8") as written_rows:
        rows = list(csv.DictReader(written_rows))
    assert [each["action_id"] for each in rows] == [each["action_id"] for each in documents]
    added = next(each for each in documents if each["method"].endswith("/AddOperator"))
    assert (added["maker"], added["checker"], added["reason"]) == ("ada", "ben", "audits")
    assert len(added["envelope"]["signatures"]) == 2
    profile = load_profile(eve, house.server.address)
    with connect(profile, "to see") as own, pytest.raises(Failed) as failed:
        own.call(own.settlement.CloseWindow, settlement_pb.CloseWindowRequest(window_id="usd-1"))
    assert failed.value.failure.reason == "ROLE_MISSING"


def test_production_does_not_start_with_one_person_for_two(house: House) -> None:
    made = house.home / "other"
    refused = pointclear("init", "--production", "--operator", "ada", "--data-dir", made)
    assert (refused.returncode, made.exists()) == (1, False)
    both = ("--operator", "ada", "--operator", "ben")
    assert pointclear("init", "--production", *both, "--data-dir", made).returncode == 0
    started = pointclear("serve", "--data-dir", made, "--set", "four_eyes=off")
    assert started.returncode == 3
    assert "four_eyes" in started.stderr


# The life of a partner


@pytest.fixture(scope="module")
def members() -> Iterator[Coalition]:
    """Two brands in a deployment for development."""
    with folder() as home, Server(make_data_dir(home)) as server:
        with coalition(server, home, ("aurora", "borealis")) as founded:
            yield founded
        check_log_and_books(server.data_dir)


def step(members: Coalition, name: str, partner_id: str) -> str:
    """Take a partner a step further; returns its state."""
    request = getattr(pb, f"{name}PartnerRequest")(partner_id=partner_id)
    response = members.operator.call(getattr(members.operator.operators, f"{name}Partner"), request)
    return PartnerState.Name(response.partner.state).removeprefix("PARTNER_STATE_")


def test_a_partner_trades_while_it_is_live_and_leaves_for_good(members: Coalition) -> None:
    aurora, borealis = members["aurora"], members["borealis"]
    assert step(members, "Activate", "aurora") == "LIVE"
    assert aurora.send(aurora.order())
    assert step(members, "Suspend", "aurora") == "SUSPENDED"
    assert aurora.refused(aurora.order()).reason is Reason.PARTNER_SUSPENDED
    towards = borealis.refused(borealis.order("aurora"))
    assert (towards.reason, towards.field) == (Reason.PARTNER_SUSPENDED, "target_program")
    simulated = SimulateTransferRequest(
        source_program="aurora", target_program="borealis", source_points=100
    )
    answer = aurora.connection.exchange.SimulateTransfer(simulated)
    assert answer.refusal.reason == refusal_pb2.REASON_PARTNER_SUSPENDED
    assert step(members, "Resume", "aurora") == "LIVE"
    assert aurora.send(aurora.order())
    assert step(members, "Exit", "aurora") == "EXITED"
    back = pb.ResumePartnerRequest(partner_id="aurora")
    refusal = refused(members.operator.operators.ResumePartner, back)
    assert (refusal.reason, refusal.field) == (Reason.PARTNER_STATE, "partner_id")
    assert aurora.refused(aurora.order()).reason is Reason.PARTNER_SUSPENDED


def test_a_partner_sees_its_own_state_and_not_another_ones(members: Coalition) -> None:
    own = members["borealis"].connection
    listed = own.call(own.partners.ListPartners, ListPartnersRequest())
    assert {each.partner_id: bool(each.state) for each in listed.partners} == {
        "aurora": False,
        "borealis": True,
    }


def report(
    verdict: Verdict.ValueType = VERDICT_PASSED,
    names: Sequence[str] = tuple(ScenarioName),
    audience: str = "pointclear.test/sandbox",
) -> bytes:
    """What a sandbox found of aurora; `verdict` is that of the first scenario."""
    return CertificationReport(
        audience=audience,
        partner_id="aurora",
        client_sha256=bytes(32),
        scenarios=[
            CertifiedScenario(name=name, verdict=verdict if place == 0 else VERDICT_PASSED)
            for place, name in enumerate(names)
        ],
        method=CERTIFICATION_METHOD_RUN,
        issued_at=time_to_proto(datetime.now(UTC) - timedelta(hours=1)),
    ).SerializeToString(deterministic=True)


def test_going_live_in_production_takes_a_report_that_is_trusted(house: House) -> None:
    by_sandbox = sign(SANDBOX, CERTIFICATION_REPORT, report())
    reports = {
        "": None,
        "failed": sign(SANDBOX, CERTIFICATION_REPORT, report(VERDICT_FAILED)),
        "older": sign(SANDBOX, CERTIFICATION_REPORT, report(names=tuple(ScenarioName)[1:])),
        "no sandbox": sign(SANDBOX, CERTIFICATION_REPORT, report(audience="pointclear.test/here")),
        "stranger": sign(SeedSigner(bytes(32)), CERTIFICATION_REPORT, report()),
    }
    for name, envelope in {**reports, "good": by_sandbox}.items():
        if envelope is not None:
            (house.home / f"{name}.json").write_text(to_json(envelope))
    request = grant("ben", pb.ROLE_FINANCE_CHECKER)
    both = sent(action(request), request, house.signer("ada"), house.signer("ben"))
    house.ben.call(house.ben.actions.Act, both)
    adding = ("partner", "add", "aurora", "--name", "Aurora Air", "--program", "aurora")
    terms = ("--currency", "USD", "--cap", "5000.00", "--out", "aurora", "--reason", "joins")
    assert approved(house, *adding, *terms)["partner"]["state"] == "SANDBOX"
    live = ("partner", "live", "aurora", "--reason", "passed")
    missing = "CERTIFICATION_MISSING"
    wrong = {
        "": (missing, "certification"),
        "failed": (missing, "certification.scenarios"),
        "older": (missing, "certification.scenarios"),
        "no sandbox": (missing, "certification.audience"),
        "stranger": ("KEY_UNKNOWN", "signatures[0].key_id"),
    }
    for name, (reason, field) in wrong.items():
        options = ("--certification", f"{name}.json") if name else ()
        waits = house.run(*live, *options, "--json")
        action_id = json.loads(waits.stderr)["error"]["metadata"]["actionId"]
        refusal = house.run("actions", "approve", action_id, "--json", as_="ben")
        error = json.loads(refusal.stderr)["error"]
        assert (error["reason"], error["field"]) == (reason, field)
    done = approved(house, *live, "--certification", "good.json")
    assert done["partner"]["state"] == "LIVE"
    listed = json.loads(house.run("actions", "list", "--json").stdout)["actions"]
    refusals = [each["refusal"] for each in listed if each["method"].endswith("/ActivatePartner")]
    assert refusals == [*(reason for reason, _ in wrong.values()), ""]


def approved(house: House, *command: str) -> Any:
    """What a command prints that ada runs, ben approves, and ada runs again."""
    waits = house.run(*command, "--json")
    assert waits.returncode == 4, waits.stderr
    action_id = json.loads(waits.stderr)["error"]["metadata"]["actionId"]
    approval = house.run("actions", "approve", action_id, "--json", as_="ben")
    assert approval.returncode == 0, approval.stderr
    done = house.run(*command, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# Crashes


@pytest.mark.parametrize(("commits", "outcomes"), [(1, 0), (2, 0)], ids=["recorded", "done"])
def test_t24_what_a_crash_leaves_is_carried_out_when_the_same_action_is_sent_again(
    commits: int, outcomes: int
) -> None:
    """The server is killed after the action's own commit, or after the commit of what it did."""
    with folder() as home:
        data_dir = make_data_dir(home)
        Server(data_dir).stop()
        crash = {CRASH_AT: f"after-commit:{commits}"}
        with Server(data_dir, program="tests.crashing_server", **crash) as server:
            profile = load_profile(data_dir / "operator", server.address)
            signer = profile.signer(Purpose.OPERATOR)
            request = grant("operator", pb.ROLE_AUDITOR)
            acting = sent(action(request, maker="operator"), request, signer)
            with connect(profile) as own, pytest.raises(grpc.RpcError):
                own.actions.Act(acting, timeout=60)
            server.process.wait(60)
        with Server(data_dir) as server:
            assert counted(data_dir, "operator_action") == 1
            assert counted(data_dir, "action_outcome") == outcomes
            with connect(load_profile(data_dir / "operator", server.address)) as own:
                answer = own.call(own.actions.Act, acting)
                assert answer.state == actions_pb.ACTION_STATE_CARRIED_OUT
                before = counted(data_dir, "record")
                assert own.call(own.actions.Act, acting) == answer
                assert counted(data_dir, "record") == before
            assert counted(data_dir, "action_outcome") == 1
            check_log_and_books(data_dir)


def counted(data_dir: Path, table: str) -> int:
    """The rows of a table."""
    with connection(data_dir) as database, database.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        (count,) = cursor.fetchone()
        return int(count)
