"""What keeps a server from starting is said in one clear line with the remedy, and exit 3; nothing
is left running.
"""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exchange.embedded_postgres import OWNER_ROLE, SERVICE_ROLE
from exchange.embedded_postgres.cluster import SUPERUSER
from exchange.ledger.migration import REVISION
from tests.acceptance.coalition import coalition, make_data_dir
from tests.processes import (
    STOP_TIMEOUT_S,
    Server,
    connection,
    database_url,
    environment,
    folder,
    pids_in,
    pointclear,
)

UNAVAILABLE = 3


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with folder() as path:
        yield path


@pytest.fixture(scope="module")
def external(home: Path) -> Iterator[Server]:
    """A server whose embedded PostgreSQL plays the part of somebody else's."""
    with Server(make_data_dir(home)) as server:
        yield server


@pytest.fixture
def data_dir(external: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A deployment of its own, with keys and no database."""
    with folder() as own:
        yield make_data_dir(own)


def refuses_to_start(*arguments: str | Path, said: str, remedy: str) -> str:
    """The one line with which the command ends; fails unless it says both, and exit 3."""
    done = pointclear(*arguments)
    assert done.returncode == UNAVAILABLE, done.stderr
    assert done.stdout == ""
    # What the start logs on its way is not what is wrong.
    lines = [line for line in done.stderr.splitlines() if not is_log(line)]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("UNAVAILABLE: ")
    assert said in lines[0]
    assert remedy in lines[0]
    return lines[0]


def is_log(line: str) -> bool:
    """Whether a line is an event of the server's log."""
    return line.startswith("{") and json.loads(line)["level"] == "info"


@contextmanager
def database(external: Server, name: str) -> Iterator[tuple[str, str]]:
    """An empty database as somebody else's administrator makes it; gives the owner's URL and the
    service's.
    """
    with connection(external.data_dir, SUPERUSER, "postgres") as opened:
        opened.autocommit = True
        with opened.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name} OWNER {OWNER_ROLE}")
    yield (
        database_url(external.data_dir, OWNER_ROLE, name),
        database_url(external.data_dir, SERVICE_ROLE, name),
    )


# The database


@pytest.mark.parametrize(
    ("command", "url", "said"),
    [
        ("serve", "nonsense", "none of PostgreSQL"),
        ("serve", "postgresql://nobody@localhost:port/pointclear", "none of PostgreSQL"),
        ("serve", "postgresql://nobody:secret-word@/pointclear?host=/nowhere", "no connection to"),
        ("migrate", "postgresql://nobody@127.0.0.1:1/pointclear", "no connection to"),
    ],
)
def test_a_wrong_database_url_is_said(command: str, url: str, said: str, data_dir: Path) -> None:
    line = refuses_to_start(
        *(command, "--data-dir", data_dir, "--database-url", url),
        said=said,
        remedy="--database-url",
    )
    assert "secret-word" not in line
    assert pids_in(data_dir) == ()


def test_a_database_that_is_not_there_is_said(external: Server, data_dir: Path) -> None:
    url = database_url(external.data_dir, SERVICE_ROLE, "dusk")
    refuses_to_start(
        "serve", "--data-dir", data_dir, "--database-url", url, said="dusk", remedy="--database-url"
    )


def test_an_empty_database_is_sent_to_migrate(external: Server, data_dir: Path) -> None:
    with database(external, "empty") as (_, service):
        refuses_to_start(
            *("serve", "--data-dir", data_dir, "--database-url", service),
            said="the database is empty",
            remedy="pointclear migrate --database-url",
        )


def test_an_older_or_newer_schema_is_refused_with_the_way_out(
    external: Server, data_dir: Path
) -> None:
    with database(external, "of_another_time") as (owner, service):
        assert pointclear("migrate", "--database-url", owner).returncode == 0
        serve = ("serve", "--data-dir", data_dir, "--database-url", service)
        set_revision(external, "of_another_time", REVISION - 1)
        refuses_to_start(*serve, said=f"revision {REVISION - 1}", remedy="pointclear migrate")
        set_revision(external, "of_another_time", REVISION + 1)
        newer = "install the newer Pointclear"
        refuses_to_start(*serve, said=f"revision {REVISION + 1}", remedy=newer)
        migrate = ("migrate", "--database-url", owner)
        refuses_to_start(*migrate, said=f"revision {REVISION + 1}", remedy=newer)


def set_revision(external: Server, name: str, revision: int) -> None:
    """Make a database say that another program migrated it."""
    with connection(external.data_dir, OWNER_ROLE, name) as opened, opened:
        opened.cursor().execute("UPDATE deployment SET schema_revision = %s", (revision,))


def test_an_external_database_is_migrated_by_its_owner_served_and_never_stopped(
    external: Server, data_dir: Path
) -> None:
    with database(external, "theirs") as (owner, service):
        for expected in ("making the schema", f"at revision {REVISION}"):
            migrated = pointclear("migrate", "--database-url", owner)
            assert migrated.returncode == 0, migrated.stderr
            assert expected in migrated.stderr
        with Server(data_dir, "--database-url", service) as server:
            with coalition(server, data_dir.parent, ("aurora", "borealis")) as members:
                aurora = members["aurora"]
                sent = aurora.order()
                receipt = aurora.send(sent)
            assert server.stop() == 0
        assert not (data_dir / "pg").exists()
        # It is still there, and so is what was booked in it.
        with Server(data_dir, "--database-url", service, listen=server.listen):
            assert aurora_again(data_dir, sent) == receipt
        with connection(external.data_dir, SERVICE_ROLE, "theirs") as opened, opened:
            cursor = opened.cursor()
            cursor.execute("SELECT count(*) FROM record WHERE transfer_id IS NOT NULL")
            assert cursor.fetchone() == (1,)


def test_each_command_says_when_it_has_the_others_role(external: Server, data_dir: Path) -> None:
    with database(external, "not_mine") as (owner, service):
        remedy = "`migrate` takes the owner's"
        migrate = ("migrate", "--database-url")
        done = pointclear(*migrate, service)
        assert done.returncode == UNAVAILABLE, done.stderr
        assert remedy in done.stderr.splitlines()[-1]
        assert pointclear(*migrate, owner).returncode == 0
        with connection(external.data_dir, OWNER_ROLE, "not_mine") as opened, opened:
            opened.cursor().execute(f"REVOKE SELECT ON deployment FROM {SERVICE_ROLE}")
        serve = ("serve", "--data-dir", data_dir, "--database-url", service)
        refuses_to_start(*serve, said="permission denied", remedy=remedy)


def test_a_database_of_another_deployment_is_refused(external: Server, data_dir: Path) -> None:
    with folder() as other:
        assert (
            pointclear(
                "init", "--data-dir", other / "data", "--audience", "pointclear.test/other"
            ).returncode
            == 0
        )
        refuses_to_start(
            *("serve", "--data-dir", other / "data", "--database-url"),
            database_url(external.data_dir),
            said="belongs to",
            remedy="a database of its own",
        )


def aurora_again(data_dir: Path, sent: object) -> object:
    """What a new connection of aurora's is answered for an order that was sent before."""
    from exchange.cli.connection import connect
    from exchange.cli.profile import load_profile
    from pointclear.exchange.v1.exchange_service_pb2 import CreateTransferRequest

    with connect(load_profile(data_dir.parent / "aurora")) as own:
        return own.call(own.exchange.CreateTransfer, CreateTransferRequest(order=sent)).receipt  # type: ignore[arg-type]


# The data directory and its keys


def test_a_missing_data_directory_is_sent_to_init(data_dir: Path) -> None:
    missing = data_dir.parent / "nowhere"
    refuses_to_start("serve", "--data-dir", missing, said="is missing", remedy="pointclear init")
    assert not missing.exists()


@pytest.mark.parametrize("name", ["receipts.pem", "passphrase", "tls-key.pem"])
def test_t22_a_key_that_others_may_read_is_refused(data_dir: Path, name: str) -> None:
    path = data_dir / "keys" / name
    path.chmod(0o644)
    refuses_to_start("serve", "--data-dir", data_dir, said=str(path), remedy="chmod 600")
    assert not (data_dir / "pg").exists()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data_dir: (data_dir / "deployment.json").unlink(), id="no deployment"),
        pytest.param(
            lambda data_dir: (data_dir / "deployment.json").write_text("{"), id="cut deployment"
        ),
        pytest.param(lambda data_dir: (data_dir / "keys" / "tls.pem").unlink(), id="no TLS"),
        pytest.param(
            lambda data_dir: (data_dir / "keys" / "passphrase").write_text("another passphrase\n"),
            id="another passphrase",
        ),
        pytest.param(
            lambda data_dir: (data_dir / "keys" / "tls.pem").write_text("no certificate\n"),
            id="rubbish for TLS",
        ),
    ],
)
def test_a_damaged_data_directory_is_said_in_one_line(
    data_dir: Path, damage: Callable[[Path], object]
) -> None:
    damage(data_dir)
    refuses_to_start(
        *("serve", "--data-dir", data_dir, "--listen", "127.0.0.1:0"),
        said=str(data_dir),
        remedy=": ",
    )
    assert pids_in(data_dir) == ()


# The port


def test_a_port_in_use_is_said_and_the_database_is_stopped_again(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        refuses_to_start(
            *("serve", "--data-dir", data_dir, "--listen", address),
            said=f"cannot listen on {address}",
            remedy="--listen",
        )
    assert pids_in(data_dir) == ()


@pytest.mark.parametrize("listen", ["127.0.0.1", "127.0.0.1:port"])
def test_an_address_that_is_none_is_said(data_dir: Path, listen: str) -> None:
    refuses_to_start(
        *("serve", "--data-dir", data_dir, "--listen", listen),
        said="the setting listen",
        remedy="HOST:PORT",
    )
    assert pids_in(data_dir) == ()


def test_a_server_told_to_stop_ends_its_database_and_exits_0(data_dir: Path) -> None:
    server = Server(data_dir)
    assert len(pids_in(data_dir)) > 1
    assert server.stop() == 0
    assert pids_in(data_dir) == ()


@pytest.mark.parametrize("seconds", [0.2, 0.6, 0.9, 1.2, 1.6, 2.5])
def test_a_server_told_to_stop_while_it_starts_leaves_nothing_behind(
    data_dir: Path, seconds: float
) -> None:
    command = [sys.executable, "-m", "exchange", "serve", "--data-dir", str(data_dir)]
    starting = subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0"],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with pytest.raises(subprocess.TimeoutExpired):
        starting.wait(seconds)
    starting.terminate()
    # The second: Python itself was not ready to be told.
    assert starting.wait(STOP_TIMEOUT_S) in {0, -signal.SIGTERM}
    assert pids_in(data_dir) == ()
