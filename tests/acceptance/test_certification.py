"""From nothing to certified by the written guide, and live in production with the report of it."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import uuid_utils

from adapters.magic import Trick
from exchange.cli.agreements.agreements import find_version, list_versions
from exchange.cli.certification.scenarios import expires, mends, quotes
from exchange.cli.certification.trial import Trial
from exchange.cli.connection import connect
from exchange.cli.deployment.initialise import initialise
from exchange.cli.failure import Failed
from exchange.cli.profile import load_profile
from partners.certification import WATCHED, ScenarioName, Verdict
from partners.environment import Environment
from partners.keys import Purpose
from pointclear.client.orders import build_order, sign_order
from pointclear.exchange.v1.exchange_service_pb2 import (
    CreateTransferRequest,
    DeliveryState,
    GetTransferRequest,
)
from pointclear.exchange.v1.transfer_pb2 import TransferState
from pointclear.partners.v1 import operator_service_pb2 as operators_pb
from tests.acceptance.coalition import check_log_and_books
from tests.acceptance.test_commands import Shown, commands
from tests.acceptance.test_operators import House, action, approved, grant, sent
from tests.processes import (
    COMMAND_TIMEOUT_S,
    Server,
    environment,
    folder,
    pointclear,
    wait_until,
)

GUIDE = "docs/onboarding.md"
HEADINGS = ("## 2. To certified", "## 3. Payments and papers")
OFFLINE = (("init",), ("certify", "show"), ("verify",))
"""Commands that speak to no server."""


def followed() -> list[Shown]:
    """The guide's commands."""
    return [each for heading in HEADINGS for each in commands(GUIDE, heading)]


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A folder in which the guide was followed."""

    home: Path
    server: Server
    answers: dict[tuple[str, ...], str]

    def run(self, *arguments: str) -> Any:
        """Run one more command."""
        return pointclear(*arguments, "--server", self.server.address, cwd=self.home)


def begun(newcomer: Newcomer, *arguments: str) -> "subprocess.Popen[str]":
    """A command that runs beside others. Whatever is left of it the folder ends."""
    return subprocess.Popen(
        [sys.executable, "-m", "exchange", *arguments, "--server", newcomer.server.address],
        cwd=newcomer.home,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def own_client(newcomer: Newcomer, agreement: str = "aurora-mirror") -> Iterator[Trial]:
    """Stands for a newcomer's own program: it sends what the scenarios ask for."""
    profile = load_profile(newcomer.home / "aurora", newcomer.server.address)
    with connect(profile) as connection:
        terms = find_version(list_versions(connection), agreement, None).terms
        signer = profile.signer(Purpose.ORDERS)
        yield Trial(connection, connection, connection, terms, "A-1001", "M-77", signer)


@pytest.fixture(scope="module")
def newcomer() -> Iterator[Newcomer]:
    with folder() as home, ExitStack() as stack:
        answers: dict[tuple[str, ...], str] = {}
        server: Server | None = None
        for each in followed():
            if each.arguments[0] == "serve":
                server = stack.enter_context(Server(home / "pointclear-data"))
                continue
            offline = any(each.arguments[: len(words)] == words for words in OFFLINE)
            more = () if offline or server is None else ("--server", server.address)
            done = pointclear(*each.arguments, *more, cwd=home)
            assert done.returncode == 0, (each.arguments, done.stderr)
            answers[each.arguments] = done.stdout
        assert server is not None
        yield Newcomer(home, server, answers)
        check_log_and_books(home / "pointclear-data")


def test_by_the_guide_a_newcomer_gets_from_nothing_to_certified(newcomer: Newcomer) -> None:
    shown = [each for each in followed() if each.answer]
    assert shown
    for each in shown:
        answered = [line.rstrip() for line in newcomer.answers[each.arguments].splitlines()]
        for line in each.answer:
            assert line.rstrip() in answered, each.arguments


def test_a_certification_runs_again_and_is_trusted_only_under_its_sandboxs_key(
    newcomer: Newcomer,
) -> None:
    again = newcomer.run("certify", "run", "--as", "aurora", "--out", "again.json", "--json")
    assert again.returncode == 0, again.stderr
    report = json.loads(again.stdout)
    assert (report["partner_id"], report["audience"]) == ("aurora", "pointclear.local/sandbox")
    assert [each["name"] for each in report["scenarios"]] == list(ScenarioName)
    assert report["method"] == "RUN"
    trusting = ("certify", "show", "again.json", "--json", "--certifier")
    for key, status in (("operator.pub.pem", 0), ("../keys/ca.pem", 3)):
        shown = pointclear(*trusting, f"pointclear-data/operators/{key}", cwd=newcomer.home)
        assert shown.returncode == status, shown.stderr
    made = pointclear("init", "--data-dir", "other", cwd=newcomer.home)
    assert made.returncode == 0
    stranger = pointclear(*trusting, "other/operators/operator.pub.pem", cwd=newcomer.home)
    assert stranger.returncode == 1
    assert json.loads(stranger.stderr)["error"]["reason"] == "KEY_UNKNOWN"


def test_a_scenario_that_fails_is_in_the_report_and_in_the_exit_code(newcomer: Newcomer) -> None:
    newcomer.run("switches", "corridor", "aurora", "mirror", "--closed")
    failed = newcomer.run("certify", "run", "--as", "aurora", "--out", "failed.json", "--json")
    newcomer.run("switches", "corridor", "aurora", "mirror", "--open")
    assert failed.returncode == 1
    report = json.loads(failed.stdout)
    verdicts = {each["name"]: each["verdict"] for each in report["scenarios"]}
    assert not report["passed"]
    assert verdicts[ScenarioName.COMMITS] == Verdict.FAILED
    assert verdicts[ScenarioName.ADDRESSES] == Verdict.PASSED
    first = (ScenarioName.COMMITS, ScenarioName.SIMULATES, ScenarioName.REPEATS)
    assert all("CORRIDOR_CLOSED" in report["notes"][name] for name in first)
    key = "pointclear-data/operators/operator.pub.pem"
    shown = pointclear("certify", "show", "failed.json", "--certifier", key, cwd=newcomer.home)
    assert shown.returncode == 1


def test_by_the_guide_a_newcomers_own_client_is_watched_and_certified(newcomer: Newcomer) -> None:
    watch, show = commands(GUIDE, "## 4. Your own client")
    (newcomer.home / "my-client.tar.gz").write_bytes(b"a release")
    watching = begun(newcomer, *watch.arguments)
    assert watching.stderr is not None
    ticked: list[str] = []
    while not ticked or not ticked[-1].startswith("watching for"):
        ticked.append(watching.stderr.readline())
        assert ticked[-1], "the watch did not begin"
    with own_client(newcomer) as client:
        for does in (mends, expires, quotes):
            does(client)
    answer, told = watching.communicate(timeout=COMMAND_TIMEOUT_S)
    assert watching.returncode == 0, told
    assert len(told.splitlines()) == len(WATCHED)
    answered = [line.rstrip() for line in answer.splitlines()]
    assert watch.answer
    for line in watch.answer:
        assert line.rstrip() in answered
    shown = pointclear(*show.arguments, "--json", cwd=newcomer.home)
    assert shown.returncode == 0, shown.stderr
    report = json.loads(shown.stdout)
    assert (report["method"], report["passed"]) == ("WATCH", True)
    assert report["client_sha256"] == hashlib.sha256(b"a release").hexdigest()
    verdicts = {each["name"]: each["verdict"] for each in report["scenarios"]}
    assert {name for name in verdicts if verdicts[name] == Verdict.PASSED} == WATCHED
    assert {verdicts[name] for name in set(ScenarioName) - WATCHED} == {Verdict.NOT_JUDGED}


def stands(sender: Trial, transfer_id: bytes) -> tuple[str, str]:
    """How a transfer and its instruction stand."""
    own = sender.partner
    found = own.call(own.exchange.GetTransfer, GetTransferRequest(transfer_id=transfer_id))
    return (
        TransferState.Name(found.state).removeprefix("TRANSFER_STATE_"),
        DeliveryState.Name(found.delivery).removeprefix("DELIVERY_STATE_"),
    )


def test_magic_members_and_amounts_end_as_the_guide_says(newcomer: Newcomer) -> None:
    ends = {
        Trick.UNKNOWN: "ABORTED",
        Trick.LIMIT: "ABORTED",
        Trick.LATE: "COMMITTED",
        Trick.TWICE: "COMMITTED",
        Trick.SILENT: "COMMITTED",
        Trick.FENCED: "ABORTED",
        Trick.SPENT: "COMMITTED",
        Trick.CHANGED: "ABORTED",
    }
    open_for_ever = (Trick.NEVER, Trick.UNSIGNED)
    sent: dict[Trick, bytes] = {}
    with own_client(newcomer, "aurora-echo") as client:
        for trick in (*ends, *open_for_ever):
            sent[trick] = uuid_utils.uuid7().bytes
            by_amount = trick in (Trick.LIMIT, Trick.SILENT, Trick.CHANGED)
            points = trick.points if by_amount else 50
            member = "echo-1" if by_amount else f"{trick}-1"
            order = client.order(
                transfer_id=sent[trick],
                target_member=f"{member}-{trick}" if by_amount else member,
                source_points=2 * points,
                target_points=points,
            )
            reserved = client.verify(order, client.send(order)).record.state
            assert reserved == TransferState.TRANSFER_STATE_RESERVED
        for trick, state in ends.items():
            wait_until(
                lambda trick=trick, state=state: (  # type: ignore[misc]
                    stands(client, sent[trick]) == (state, "CONCLUDED")
                ),
                f"{trick} is {state}",
            )
        for trick in open_for_ever:
            assert stands(client, sent[trick]) == ("RESERVED", "SENT"), trick
    listing = ("delivery", "list", "--program", "echo", "--in-doubt", "--json")
    listed = json.loads(newcomer.run(*listing).stdout)["deliveries"]
    faults = {each["transfer_id"]: each["fault"] for each in listed}
    names = {trick: str(UUID(bytes=transfer_id)) for trick, transfer_id in sent.items()}
    assert faults[names[Trick.NEVER]] == "AT_WORK"
    assert faults[names[Trick.UNSIGNED]] == "SIGNATURE_INVALID"
    assert not {names[trick] for trick in ends} & set(faults)
    (newcomer.home / "letter.txt").write_text("What their ledger says.")
    for trick, found, state in (
        (Trick.UNSIGNED, "--not-credited", "ABORTED"),
        (Trick.NEVER, "--credited", "COMMITTED"),
    ):
        ending = ("delivery", "resolve", names[trick], found, "--evidence", "letter.txt")
        ended = newcomer.run(*ending, "--json")
        assert json.loads(ended.stdout)["state"] == state, ended.stderr
    checked = pointclear("fsck", "--data-dir", "pointclear-data", cwd=newcomer.home)
    assert checked.returncode == 0, checked.stdout


def test_simulating_a_program_again_changes_nothing_and_needs_its_own_brand(
    newcomer: Newcomer,
) -> None:
    first, again = (
        json.loads(
            newcomer.run("sandbox", "simulate", "echo", "--brand", "mirror", "--json").stdout
        )
        for _ in range(2)
    )
    assert first == again
    wrong = newcomer.run("sandbox", "simulate", "mirror", "--brand", "aurora", "--json")
    assert (wrong.returncode, json.loads(wrong.stderr)["error"]["field"]) == (1, "brand")


def test_a_watch_counts_what_comes_while_it_watches_and_fails_what_does_not(
    newcomer: Newcomer,
) -> None:
    watch = ("certify", "watch", "--as", "aurora", "--client", "aurora/profile.json", "--json")
    ended = newcomer.run(*watch, "--timeout", "1s", "--out", "unseen.json")
    assert ended.returncode == 1, ended.stderr
    assert ended.stderr == ""
    report = json.loads(ended.stdout)
    assert not report["passed"]
    verdicts = {each["name"]: each["verdict"] for each in report["scenarios"]}
    assert {verdicts[name] for name in WATCHED} == {Verdict.FAILED}
    assert set(report["notes"].values()) == {"not seen within 1s"}
    # All of the stream counts when it is asked for: `certify run` has left everything there.
    seen = newcomer.run(*watch, "--timeout", "1s", "--out", "seen.json", "--after", "0")
    assert seen.returncode == 0, seen.stdout
    assert json.loads(seen.stdout)["passed"]


@pytest.mark.parametrize(
    ("option", "value", "status", "says"),
    [
        ("--client", "no-such-file", 3, "no-such-file"),
        ("--timeout", "soon", 2, "soon"),
        ("--after", "-1", 2, "--after"),
    ],
)
def test_a_watch_that_cannot_begin_says_why_and_writes_no_report(
    newcomer: Newcomer, option: str, value: str, status: int, says: str
) -> None:
    good = {"--client": "aurora/profile.json", "--timeout": "1s"}
    options = (each for pair in (good | {option: value}).items() for each in pair)
    ended = newcomer.run("certify", "watch", "--as", "aurora", "--out", "no.json", *options)
    assert ended.returncode == status
    assert says in ended.stderr
    assert not (newcomer.home / "no.json").exists()


def test_two_certifications_at_once_do_not_close_each_others_day(newcomer: Newcomer) -> None:
    """Each looks for its transfers in the windows that counted them, whoever closed those."""
    running = [
        begun(newcomer, "certify", "run", "--as", "aurora", "--out", f"{name}.json", "--json")
        for name in ("one", "other")
    ]
    for each in running:
        answer, errors = each.communicate(timeout=COMMAND_TIMEOUT_S)
        assert each.returncode == 0, (answer, errors)


@pytest.mark.parametrize("directory", ["aurora", "nobody", "pointclear-data/operator"])
def test_a_link_takes_the_profile_of_the_agreements_target(
    newcomer: Newcomer, directory: str
) -> None:
    run = ("certify", "run", "--as", "aurora", "--out", "no.json", "--json")
    refused = newcomer.run(*run, "--counterparty", directory)
    error = json.loads(refused.stderr)["error"]
    if directory == "nobody":
        assert (refused.returncode, error["reason"]) == (3, "UNAVAILABLE")
        assert "--counterparty" in error["text"]
    else:
        assert (refused.returncode, error["field"]) == (1, "counterparty")
    assert not (newcomer.home / "no.json").exists()


def test_the_simulated_bank_takes_only_its_own_files(newcomer: Newcomer) -> None:
    bank = ("sandbox", "bank", "cny-2026-11-21", "--mode", "late", "--out", "late.csv", "--json")
    wrong = newcomer.run(*bank, "--after", "aurora-report.json")
    assert wrong.returncode == 3
    right = newcomer.run(*bank, "--after", "full.csv")
    assert json.loads(right.stdout)["mode"] == "late", right.stderr
    assert (newcomer.home / "late.csv").read_text().startswith("POINTCLEAR-BANK-STATEMENT,1")
    for form, start in (("camt.053", "<?xml"), ("mt940", "{1:")):
        written = newcomer.run(*bank, "--after", "full.csv", "--format", form)
        assert written.returncode == 0, written.stderr
        assert (newcomer.home / "late.csv").read_text().startswith(start)


def test_a_seed_gives_the_same_papers_again_and_no_folder_is_written_over(
    newcomer: Newcomer,
) -> None:
    papers = ("sandbox", "statements", "--as", "aurora", "--json", "-o")
    again = newcomer.run(*papers, "again")
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout)
    assert (told["partner_id"], told["seed"]) == ("aurora", 1)
    kinds = ["MISSING_AT_PARTNER", "DUPLICATE_AT_PARTNER", "POINTS_MISMATCH", "TIMING"]
    assert [each["break"] for each in told["planted"]] == kinds
    first, second = (newcomer.home / name for name in ("sample", "again"))
    written = {str(path.relative_to(second)) for path in second.rglob("*") if path.is_file()}
    assert written == set(told["files"])
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in written)
    page = (second / "README.md").read_text()
    assert all(each["transfer_id"] in page for each in told["planted"])
    assert newcomer.run(*papers, "again").returncode == 2
    other = newcomer.run(*papers, "other-seed", "--seed", "2")
    assert json.loads(other.stdout)["planted"] != told["planted"]
    assert newcomer.run(*papers, "no", "--seed", "-1").returncode == 2
    lines = second / "aurora" / "cny-2026-03-02.lines.csv"
    lines.write_bytes(lines.read_bytes().replace(b"-43", b"-44", 1))
    assert pointclear("verify", "again", cwd=newcomer.home).returncode == 1


def test_sample_papers_are_only_for_a_sandbox(newcomer: Newcomer) -> None:
    path = newcomer.home / "mirror" / "profile.json"
    right = path.read_text()
    path.write_text(right.replace("/sandbox", "/production"))
    refused = newcomer.run("sandbox", "statements", "--as", "mirror", "-o", "none", "--json")
    path.write_text(right)
    assert json.loads(refused.stderr)["error"]["field"] == "audience"
    assert (refused.returncode, (newcomer.home / "none").exists()) == (1, False)


def test_nobody_is_certified_but_in_a_sandbox(newcomer: Newcomer) -> None:
    path = newcomer.home / "aurora" / "profile.json"
    right = path.read_text()
    path.write_text(right.replace("/sandbox", "/production"))
    refused = newcomer.run("certify", "run", "--as", "aurora", "--out", "no.json", "--json")
    path.write_text(right)
    error = json.loads(refused.stderr)["error"]
    assert (refused.returncode, error["reason"], error["field"]) == (1, "FIELD_INVALID", "audience")
    assert not (newcomer.home / "no.json").exists()


@pytest.fixture(scope="module")
def house(newcomer: Newcomer) -> Iterator[House]:
    """Production, which trusts the newcomer's sandbox."""
    with folder() as home, ExitStack() as stack:
        data_dir = home / "data"
        (data_dir / "certifiers").mkdir(parents=True)
        public = newcomer.home / "pointclear-data" / "operators" / "operator.pub.pem"
        (data_dir / "certifiers" / "sandbox.pem").write_bytes(public.read_bytes())
        made = initialise(
            data_dir,
            "pointclear.test/acceptance",
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


def test_with_the_report_a_partner_goes_live_and_its_sandbox_orders_stay_void(
    newcomer: Newcomer, house: House
) -> None:
    request = grant("ben", operators_pb.ROLE_FINANCE_CHECKER)
    both = sent(action(request), request, house.signer("ada"), house.signer("ben"))
    house.ben.call(house.ben.actions.Act, both)
    adding = ("partner", "add", "aurora", "--name", "Aurora Air", "--program", "aurora")
    terms = ("--currency", "CNY", "--cap", "5000.00", "--out", "aurora", "--reason", "joins")
    approved(house, *adding, *terms)
    report = str(newcomer.home / "aurora-report.json")
    live = ("partner", "live", "aurora", "--reason", "passed", "--certification", report)
    assert approved(house, *live)["partner"]["state"] == "LIVE"

    profile = replace(load_profile(house.home / "aurora"), server=house.server.address)
    now = datetime.now(UTC)
    payload = build_order(
        audience="pointclear.local/sandbox",
        partner_id="aurora",
        transfer_id=uuid_utils.uuid7().bytes,
        source_program="aurora",
        target_program="mirror",
        source_member="A-1001",
        target_member="M-77",
        source_points=100,
        target_points=50,
        agreement_id="aurora-mirror",
        agreement_version=1,
        issued_at=now,
        expires_at=now + timedelta(minutes=5),
    )
    order = sign_order(profile.signer(Purpose.ORDERS), payload)
    with connect(profile) as connection, pytest.raises(Failed) as void:
        connection.call(connection.exchange.CreateTransfer, CreateTransferRequest(order=order))
    assert (void.value.failure.reason, void.value.failure.field) == ("AUDIENCE_WRONG", "audience")
    assert void.value.failure.receipt is None
