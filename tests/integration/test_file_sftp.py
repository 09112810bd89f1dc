"""A brand whose files lie on an SFTP server: the same as in a folder, whatever breaks off."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import asyncssh
import pytest

from adapters.file_program.intake import Taken, Turned
from adapters.file_program.opening import open_program, place_at
from adapters.file_program.places import LocalPlace
from adapters.file_program.program import FileProgram, Visit
from adapters.file_program.sftp import SftpPlace
from partners.errors import Reason, Refused
from partners.program_port import Credit, Reversal
from tests.factories import NOW, order_signer
from tests.file_brand import brand_of
from tests.file_program import (
    NAME,
    answer,
    batches,
    credit,
    done,
    hand_over,
    hand_over_many,
    keys_of,
    lay,
    program,
    reversal,
)
from tests.sftp_server import USER, Behaviour, Listening, serving

CLIENT_KEY = asyncssh.generate_private_key("ssh-ed25519")


def place_of(folder: Path, at: Listening) -> SftpPlace:
    key_file = folder / "ssh_key"
    key_file.write_bytes(CLIENT_KEY.export_private_key())
    key_file.chmod(0o600)
    (folder / "known_hosts").write_text(at.known_hosts)
    place = place_at(f"sftp://{USER}@127.0.0.1:{at.port}/", folder)
    assert isinstance(place, SftpPlace)
    return place


def over_sftp(
    folder: Path,
    scenario: Callable[[FileProgram], Awaitable[None]],
    behaviour: Behaviour | None = None,
) -> None:
    """Play a scenario with a program whose files lie on a server."""

    async def played() -> None:
        (folder / "shared").mkdir(exist_ok=True)
        async with serving(folder / "shared", CLIENT_KEY, behaviour) as at:
            await scenario(program(folder, place=place_of(folder, at)))

    asyncio.run(played())


def test_files_go_to_a_server_and_come_from_it(tmp_path: Path) -> None:
    async def scenario(made: FileProgram) -> None:
        await hand_over(made, credit(1), credit(2))
        assert await made.visit(NOW) == Visit(cut=(1,), sent=(1,))
        lay(tmp_path, done(1), signer=order_signer("fuel"))
        lay(tmp_path, done(2, points=1), file_id="r-2")
        first, second = (await made.visit(NOW)).found
        assert first == Taken("r-1.results.csv", 1, repeated=False)
        assert isinstance(second, Turned)
        found = await answer(made, credit(1))
        assert found is not None
        assert found.evidence is not None
        names = {
            each.name: sorted(file.name for file in each.iterdir())
            for each in (tmp_path / "shared").iterdir()
        }
        assert names == {
            "instructions": ["fuel-00000001.instructions.csv", "journal.id"],
            "results": [],
            "taken": ["r-1.results.csv", "r-1.results.csv.dsse.json"],
            "refused": ["r-2.results.csv", "r-2.results.csv.refused.json"],
        }
        lay(tmp_path, done(2), file_id="r-2")
        assert (await made.visit(NOW)).found == (Taken("r-2.results.csv", 1, repeated=False),)
        # A month later the instructions are removed, and their members forgotten.
        assert (await made.visit(NOW + timedelta(days=31))).forgotten == (1,)
        assert not batches(tmp_path)

    over_sftp(tmp_path, scenario)


def test_a_server_without_openssh_s_extensions_will_do(tmp_path: Path) -> None:
    async def scenario(made: FileProgram) -> None:
        await hand_over(made, credit(1))
        assert (await made.visit(NOW)).sent == (1,)
        for _ in range(2):
            # The second time there is a file under the name already.
            lay(tmp_path, done(1, points=1))
            assert isinstance((await made.visit(NOW)).found[0], Turned)

    over_sftp(tmp_path, scenario, Behaviour(extensions=False))


def test_a_brand_s_own_program_works_on_the_folder_that_the_server_shows(tmp_path: Path) -> None:
    async def played() -> None:
        (tmp_path / "shared").mkdir()
        async with serving(tmp_path / "shared", CLIENT_KEY) as at:
            with brand_of(tmp_path, place_of(tmp_path, at)) as (brand, made):
                instructions: list[Credit | Reversal] = [
                    *(credit(number, member="member-1") for number in range(1, 9)),
                    reversal(9, of=1, member="member-1"),
                ]
                await hand_over(made, *instructions)
                while not all([await answer(made, each) for each in instructions]):
                    assert not (await made.visit(datetime.now(UTC))).failed
                assert brand.points("member-1") == 700

    asyncio.run(played())


@pytest.mark.parametrize("after_doing_it", [False, True])
@pytest.mark.parametrize(
    ("only", "breaks_at"),
    [
        # To look for the journal's id and the batch, to write it, and to read what came.
        *(("open", number) for number in (1, 2, 3, 4, 5)),
        ("write", 1),
        ("write", 2),
        *(("read", number) for number in (1, 2, 4)),
        ("fsync", 1),
        # The batch, a file that is taken, with its signature, and one that is refused.
        *(("rename", number) for number in range(1, 6)),
    ],
)
def test_wherever_a_server_breaks_off_a_later_visit_goes_on(
    tmp_path: Path, only: str, breaks_at: int, after_doing_it: bool
) -> None:
    behaviour = Behaviour(only="never")

    async def scenario(made: FileProgram) -> None:
        local = program(tmp_path, place=LocalPlace(tmp_path / "shared"))
        await hand_over_many(local, range(1, 400))
        await local.visit(NOW)
        await hand_over_many(local, range(400, 800))
        lay(tmp_path, *(done(number) for number in range(1, 400)), signer=order_signer("fuel"))
        lay(tmp_path, done(1), done(2, points=1), file_id="r-2")
        behaviour.only, behaviour.breaks_at = only, breaks_at
        behaviour.after_doing_it = after_doing_it
        assert (await made.visit(NOW)).failed
        shared = tmp_path / "shared"
        whole = {each.name for each in (shared / "instructions").glob("*.csv")}
        behaviour.only = "never"
        assert not (await made.visit(NOW)).failed
        for each in whole:
            assert (shared / "instructions" / each).read_text().rstrip().endswith(",,,")
        assert batches(tmp_path) == [f"fuel-{number:08d}.instructions.csv" for number in (1, 2)]
        assert not [*(shared / "results").iterdir()]
        assert len([*(shared / "taken").iterdir()]) == 2
        assert len([*(shared / "refused").iterdir()]) == 2
        found = await answer(made, credit(1))
        assert found is not None
        assert found.evidence is not None
        assert await answer(made, credit(400)) is None

    over_sftp(tmp_path, scenario, behaviour)


def failure(folder: Path, change: Callable[[SftpPlace], object]) -> str:
    """How a visit fails; nothing is to be found on the server after it."""
    said: list[str] = []

    async def scenario(made: FileProgram) -> None:
        await hand_over(made, credit(1))
        place = made.place
        assert isinstance(place, SftpPlace)
        changed = change(place)
        again = program(folder, place=changed if isinstance(changed, SftpPlace) else place)
        visit = await again.visit(NOW)
        assert not visit.sent
        said.append(visit.failed)
        assert not batches(folder)

    over_sftp(folder, scenario)
    return said[0]


def other_host_key(place: SftpPlace) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    place.known_hosts.write_text(f"[127.0.0.1]:{place.port} {other}")


def other_client_key(place: SftpPlace) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519")
    place.key_file.write_bytes(other.export_private_key())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (other_host_key, "HostKeyNotVerifiable"),
        (lambda place: place.known_hosts.write_text(""), "HostKeyNotVerifiable"),
        (lambda place: place.known_hosts.unlink(), "FileNotFoundError"),
        (lambda place: place.known_hosts.write_text("???"), "Invalid known hosts"),
        (other_client_key, "PermissionDenied"),
        (lambda place: place.key_file.unlink(), "FileNotFoundError"),
        (lambda place: place.key_file.write_text("no key"), "KeyImportError"),
        (lambda place: place.key_file.chmod(0o640), "may be read by others"),
        (lambda place: replace(place, port=1), "ConnectionRefusedError"),
        (lambda place: replace(place, folder=PurePosixPath("/results/x.csv")), "SFTP"),
    ],
)
def test_a_server_is_believed_and_opened_by_keys_alone(
    tmp_path: Path, change: Callable[[SftpPlace], object], says: str
) -> None:
    (tmp_path / "shared" / "results").mkdir(parents=True)
    (tmp_path / "shared" / "results" / "x.csv").touch()
    assert says in failure(tmp_path, change)


def test_a_server_that_answers_no_more_ends_a_visit(tmp_path: Path) -> None:
    behaviour = Behaviour(stalls=True)

    async def scenario(made: FileProgram) -> None:
        await hand_over(made, credit(1))
        assert isinstance(made.place, SftpPlace)
        hurried = program(tmp_path, place=replace(made.place, timeout_s=1))
        assert "within 1 s" in (await hurried.visit(NOW)).failed
        parts = [each.name for each in (tmp_path / "shared" / "instructions").iterdir()]
        assert parts == ["journal.id.part"]
        behaviour.stalls = False
        while behaviour.at_work:
            await asyncio.sleep(0.02)
        assert (await made.visit(NOW)).sent == (1,)

    over_sftp(tmp_path, scenario, behaviour)


def test_nothing_is_written_over_what_stands_on_the_server(tmp_path: Path) -> None:
    async def scenario(made: FileProgram) -> None:
        await hand_over(made, credit(1))
        other = tmp_path / "shared" / "instructions" / "fuel-00000001.instructions.csv"
        other.write_bytes(b"another batch")
        assert (await made.visit(NOW)).differs
        assert other.read_bytes() == b"another batch"

    over_sftp(tmp_path, scenario)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "fuel",
        "/srv/fuel",
        "ftp://user@host/points",
        "sftp://host/points",
        "sftp://user:secret@host/points",
        "sftp://user@host",
        "sftp:///points",
        "sftp://user@host:port/points",
        "sftp://user@host:70000/points",
        "sftp://user@host/points?x=1",
        "file://host/points",
        "file:points",
    ],
)
def test_an_address_that_is_none_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(Refused) as refused:
        place_at(address, tmp_path)
    assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, "address")
    assert "secret" not in str(refused.value)


def test_an_address_names_a_folder_here_or_on_a_server(tmp_path: Path) -> None:
    assert place_at("file:///srv/fuel%20one", tmp_path) == LocalPlace(Path("/srv/fuel one"))
    place = place_at("sftp://ann@files.example/in/points", tmp_path)
    assert place == SftpPlace(
        "files.example",
        22,
        "ann",
        PurePosixPath("/in/points"),
        tmp_path / "ssh_key",
        tmp_path / "known_hosts",
    )
    program(tmp_path / "own")
    made = open_program(tmp_path / "own", NAME, "file:///srv/fuel", keys_of(), lambda: NOW)
    assert made.place == LocalPlace(Path("/srv/fuel"))
