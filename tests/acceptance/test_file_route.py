"""A brand that takes files, told by the server itself: by a folder and over SFTP, each of the two
killed in turn.
"""

import asyncio
import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen
from uuid import UUID

import asyncssh
import pytest
import uuid_utils
import uuid_utils.compat

from adapters.file_program.instructions import ProgramName
from adapters.file_program.results import Signing, parse_results, write_results
from adapters.file_program.signature import SIGNATURE_SUFFIX, sign_results
from partners.confirmations.confirmation import Confirmation
from partners.program_port import CreditOutcome, InstructionKind
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from pointclear.exchange.v1.transfer_pb2 import TransferState
from pointclear.partners.v1 import agreement_pb2, route_pb2
from tests.acceptance.coalition import (
    AUDIENCE,
    Brand,
    Coalition,
    agree,
    check_log_and_books,
    coalition,
    make_data_dir,
    transfer_id_of,
)
from tests.processes import ROOT, Server, environment, folder, pointclear, wait_until
from tests.sftp_server import USER, Listening, serving

EXAMPLE = ROOT / "docs" / "examples" / "file-brand" / "brand.py"
QUICK = (
    *("--set", "file_batch_seconds=0", "--set", "file_visit_seconds=0.2"),
    *("--set", "file_settled_seconds=0.5"),
)
MEMBER, STRANGER = "member-of-target", "nobody"
PAGE_TIMEOUT_S = 20.0


@dataclass(slots=True)
class FileBrand:
    """The example brand on a brand's profile."""

    profile: Path
    folder: Path
    name: str = "cirrus"
    members: Sequence[str] = (MEMBER,)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def journal(self) -> Path:
        return self.folder / "brand.sqlite"

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "members.txt").write_text("\n".join(self.members))
        command: list[str | Path] = [
            *(sys.executable, EXAMPLE, "--every", "0.05", "--folder", self.folder / "shared"),
            *("--journal", self.journal, "--members", self.folder / "members.txt"),
            *("--audience", AUDIENCE, "--partner", self.name, "--program", self.name),
            *("--key", self.profile / "keys" / "orders.pem"),
            *("--passphrase", self.profile / "passphrase"),
        ]
        self.process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def kill(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        assert self.process.poll() is None, "it ended by itself"
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def given(self) -> dict[UUID, int]:
        """Points by transfer, as its own journal has them."""
        query = "SELECT instruction_id, points FROM decision WHERE kind = 'CREDIT' AND points > 0"
        with closing(sqlite3.connect(self.journal)) as rows:
            return {UUID(name): points for name, points in rows.execute(query)}

    def balance(self) -> int:
        with closing(sqlite3.connect(self.journal)) as rows:
            return int(rows.execute("SELECT coalesce(sum(points), 0) FROM account").fetchone()[0])


@dataclass(slots=True)
class Trading:
    """A server, the brands, and the one that takes files."""

    home: Path
    server: Server
    members: Coalition
    brand: FileBrand
    sender: dict[UUID, Brand] = field(default_factory=dict)
    """By transfer."""

    @property
    def aurora(self) -> Brand:
        return self.members["aurora"]

    def route(self, address: str, **changes: object) -> None:
        """Have cirrus told by files that lie there."""
        operator = self.members.operator
        route = route_pb2.Route(
            program_id="cirrus",
            kind=route_pb2.ROUTE_KIND_FILE,
            address=address,
            **changes,  # type: ignore[arg-type]
        )
        request = route_pb2.SetRouteRequest(change_id=uuid_utils.uuid7().bytes, route=route)
        operator.call(operator.partners.SetRoute, request)

    def send(self, *, promised: bool, member: str = MEMBER) -> UUID:
        """The id of an order that the exchange took: from borealis where cirrus has promised to
        honour it, else from aurora.
        """
        sender = self.members["borealis" if promised else "aurora"]
        version = 1 if promised else 2
        order = sender.order("cirrus", agreement_version=version, target_member=member)
        sender.send(order)
        self.sender[transfer_id_of(order)] = sender
        return transfer_id_of(order)

    def stands(self, name: UUID) -> tuple[str, str]:
        own = self.sender[name].connection
        found = own.call(own.exchange.GetTransfer, pb.GetTransferRequest(transfer_id=name.bytes))
        return (
            TransferState.Name(found.state).removeprefix("TRANSFER_STATE_"),
            pb.DeliveryState.Name(found.delivery).removeprefix("DELIVERY_STATE_"),
        )

    def ends(self, state: str, *names: UUID) -> None:
        for name in names:
            wait_until(lambda name=name: self.stands(name) == (state, "CONCLUDED"), state)  # type: ignore[misc]


@pytest.fixture(scope="module")
def trading() -> Iterator[Trading]:
    with (
        folder() as home,
        Server(make_data_dir(home), *QUICK, "--set", "http=127.0.0.1:0") as server,
        coalition(server, home) as members,
    ):
        agree(members, "aurora", "cirrus", 2, credit_mode=agreement_pb2.CREDIT_MODE_CONFIRMED)
        profile = members["cirrus"].connection.profile.directory
        brand = FileBrand(profile, home / "brand")
        made = Trading(home, server, members, brand)
        made.route(f"file://{brand.folder / 'shared'}")
        wait_until((brand.folder / "shared" / "results").exists, "the folder is made")
        brand.start()
        yield made
        brand.kill()


def test_a_brand_that_takes_files_gives_points_and_its_signed_results_decide(
    trading: Trading,
) -> None:
    promised = trading.send(promised=True)
    assert trading.stands(promised)[0] == "COMMITTED"
    reserved, declined = trading.send(promised=False), trading.send(promised=False, member=STRANGER)
    assert trading.stands(reserved)[0] == "RESERVED"
    trading.ends("COMMITTED", promised, reserved)
    trading.ends("ABORTED", declined)
    given = trading.brand.given()
    assert (given[promised], given[reserved]) == (50, 50)
    assert declined not in given
    own = trading.aurora.connection
    found = own.call(own.exchange.GetTransfer, pb.GetTransferRequest(transfer_id=reserved.bytes))
    record = trading.aurora.proof(found.entry.envelope).record
    assert record.proof_key_id == trading.members["cirrus"].orders.key_id
    with urlopen(f"http://{trading.server.http}/metrics", timeout=PAGE_TIMEOUT_S) as page:
        counted = page.read().decode()
    for event in ("CUT", "SENT", "TAKEN"):
        name = "pointclear_program_visit_events_total"
        assert f'{name}{{event="{event}",program="cirrus"}}' in counted


def test_a_wrong_result_file_is_refused_and_told_and_holds_nothing_up(trading: Trading) -> None:
    shared = trading.brand.folder / "shared"
    wrong = shared / "results" / "odd.results.csv"
    wrong.write_text("this is no result file\r\n")
    trading.ends("COMMITTED", trading.send(promised=False))
    why = shared / "refused" / f"{wrong.name}.refused.json"
    wait_until(why.exists, "it is refused")
    wait_until(lambda: not wrong.exists(), "it is out of the way")


def test_one_bad_line_among_ten_thousand_has_the_whole_file_refused_and_nothing_decided(
    trading: Trading,
) -> None:
    trading.brand.kill()
    name = trading.send(promised=False)
    wait_until(lambda: trading.stands(name) == ("RESERVED", "SENT"), "it is handed over")
    own = ProgramName(AUDIENCE, "cirrus", "cirrus")
    said = Confirmation(
        *(AUDIENCE, "cirrus", name, InstructionKind.CREDIT, "cirrus", CreditOutcome.DONE),
        datetime.now(UTC),
        50,
    )
    others = [replace(said, instruction_id=uuid_utils.compat.uuid7()) for _ in range(9_999)]
    signer = trading.members["cirrus"].orders
    content = write_results(own, "many", datetime.now(UTC), Signing.DSSE, [said, *others])
    shared = trading.brand.folder / "shared"
    path = shared / "results" / "many.results.csv"
    signature = path.with_name(path.name + SIGNATURE_SUFFIX)
    signature.write_bytes(sign_results(signer, parse_results(content)))
    path.write_bytes(content)
    why = shared / "refused" / f"{path.name}.refused.json"
    wait_until(why.exists, "it is refused")
    refused = json.loads(why.read_text())
    assert refused["line"] > 0
    assert trading.stands(name) == ("RESERVED", "SENT")
    trading.brand.start()
    trading.ends("COMMITTED", name)
    assert trading.brand.given()[name] == 50


def test_a_result_file_that_comes_again_has_no_effect(trading: Trading) -> None:
    name = trading.send(promised=False)
    trading.ends("COMMITTED", name)
    shared = trading.brand.folder / "shared"
    taken = sorted((shared / "taken").glob("*.results.csv"))[-1]
    before = own_balance(trading)
    for suffix in ("", SIGNATURE_SUFFIX):
        again = shared / "results" / (taken.name + suffix)
        again.write_bytes(taken.with_name(taken.name + suffix).read_bytes())
    wait_until(lambda: not (shared / "results" / taken.name).exists(), "it is taken away")
    assert trading.stands(name) == ("COMMITTED", "CONCLUDED")
    assert own_balance(trading) == before


def own_balance(trading: Trading) -> int:
    """What stands on aurora's account."""
    own = trading.aurora.connection
    return int(own.call(own.exchange.GetPosition, pb.GetPositionRequest()).position.balance)


def test_what_either_side_forgets_when_it_is_killed_is_done_once(trading: Trading) -> None:
    names: list[UUID] = []
    for turn in range(4):
        names += [trading.send(promised=turn % 2 == 0) for _ in range(3)]
        trading.brand.kill()
        names += [trading.send(promised=turn % 2 == 0) for _ in range(3)]
        trading.brand.start()
    trading.ends("COMMITTED", *names)
    given = trading.brand.given()
    assert {given[name] for name in names} == {50}
    assert trading.brand.balance() == sum(given.values())


@contextmanager
def sftp_over(shared: Path, client_key: asyncssh.SSHKey) -> Iterator[Listening]:
    """An SFTP server over a folder, on a loop of its own."""
    loop, told, found = asyncio.new_event_loop(), asyncio.Event(), []
    ready = threading.Event()

    async def serve() -> None:
        async with serving(shared, client_key) as listening:
            found.append(listening)
            ready.set()
            await told.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(PAGE_TIMEOUT_S)
        yield found[0]
    finally:
        loop.call_soon_threadsafe(told.set)
        thread.join()
        loop.close()


def lay_keys(own: Path, key: asyncssh.SSHKey, at: Listening) -> None:
    """What opens the brand's server to the exchange."""
    (own / "ssh_key").write_bytes(key.export_private_key())
    (own / "ssh_key").chmod(0o600)
    (own / "known_hosts").write_text(at.known_hosts)


def test_the_same_brand_is_reached_over_sftp_as_soon_as_its_server_is_known(
    trading: Trading,
) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    own = trading.members.data_dir / "deliveries" / "cirrus"
    assert (own / "journal.sqlite").stat().st_mode & 0o777 == 0o600
    with sftp_over(trading.brand.folder / "shared", key) as at:
        trading.route(f"sftp://{USER}@127.0.0.1:{at.port}/")
        name = trading.send(promised=False)
        wait_until(lambda: "UNREACHED" in trading.server.said, "an unknown server is not trusted")
        assert trading.stands(name)[0] == "RESERVED"
        lay_keys(own, key, at)
        trading.ends("COMMITTED", name)
    trading.route(f"file://{trading.brand.folder / 'shared'}")


def test_nobody_goes_there_while_it_is_closed(trading: Trading) -> None:
    always = [route_pb2.WeeklyWindow(weekday=day, minutes=24 * 60) for day in range(1, 8)]
    calendar = route_pb2.MaintenanceCalendar(weekly=always)
    trading.route(f"file://{trading.brand.folder / 'shared'}", maintenance=calendar)
    name = trading.send(promised=False)
    batches = sorted(each.name for each in instructions(trading))
    assert trading.stands(name) == ("RESERVED", "QUEUED")
    trading.route(f"file://{trading.brand.folder / 'shared'}")
    trading.ends("COMMITTED", name)
    assert batches < sorted(each.name for each in instructions(trading))


def instructions(trading: Trading) -> Sequence[Path]:
    return tuple((trading.brand.folder / "shared" / "instructions").glob("*.csv"))


def test_a_killed_server_goes_on_where_it_was(trading: Trading) -> None:
    names = [trading.send(promised=each) for each in (True, False, False, True)]
    listen = trading.server.listen
    trading.server.kill()
    with Server(trading.members.data_dir, *QUICK, listen=listen):
        names += [trading.send(promised=each) for each in (True, False)]
        trading.ends("COMMITTED", *names)
        given = trading.brand.given()
        assert {given[name] for name in names} == {50}
        assert trading.brand.balance() == sum(given.values())
        check_log_and_books(trading.members.data_dir)
        checked = pointclear("fsck", "--data-dir", str(trading.members.data_dir))
        assert checked.returncode == 0, checked.stdout
