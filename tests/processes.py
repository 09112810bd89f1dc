"""Processes for tests: a server or a command of ours, stopped whatever happens.

Rules kept here: no fixed port (a server takes a free one and says which); folders that the embedded
PostgreSQL's system user can pass through; on leaving a folder nothing that was started in it runs
any longer, also after `kill -9`. What still runs is found by the folder's path in /proc.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg2

from exchange.embedded_postgres import SERVICE_ROLE
from exchange.embedded_postgres.socket_folder import PORT

ROOT = Path(__file__).parents[1]
READY_TIMEOUT_S = 120
STOP_TIMEOUT_S = 60
COMMAND_TIMEOUT_S = 300


def environment(**more: str) -> dict[str, str]:
    """This process's environment without settings of ours, so that a test means what it says."""
    kept = {name: value for name, value in os.environ.items() if "POINTCLEAR" not in name}
    return {**kept, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proto'}", **more}


@contextmanager
def folder() -> Iterator[Path]:
    """A folder of one's own; on leaving, whatever still runs in it is killed, and it is removed."""
    # Not pytest's own: that one is closed to the user that PostgreSQL runs as.
    path = Path(tempfile.mkdtemp(prefix="pc-test-"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        sockets = list(path.glob("**/run/socket"))
        kill_all_in(path)
        for record in sockets:
            with suppress(FileNotFoundError):
                shutil.rmtree(record.read_text().strip(), ignore_errors=True)
        shutil.rmtree(path, ignore_errors=True)


def pids_in(path: Path) -> tuple[int, ...]:
    """The processes that name the folder on their command line or work in it, this one left out."""
    wanted = os.fsencode(path.resolve())
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            working = os.fsencode(os.readlink(entry / "cwd"))
            if wanted in (entry / "cmdline").read_bytes() or wanted in working:
                found.append(int(entry.name))
    return tuple(pid for pid in found if pid != os.getpid())


def kill_all_in(path: Path) -> None:
    """End all processes that were started in a folder of ours; returns when they are gone."""
    while pids := pids_in(path):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def pointclear(
    *arguments: str | Path, cwd: Path | None = None, **more: str
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end; its status is the caller's to judge. `more` is environment."""
    return subprocess.run(
        [sys.executable, "-m", "exchange", *map(str, arguments)],
        cwd=cwd,
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )


class Server:
    """One server process that takes calls; a context manager that stops it."""

    def __init__(
        self,
        data_dir: Path,
        *options: str,
        listen: str = "127.0.0.1:0",
        program: str = "exchange",
        **more: str,
    ) -> None:
        """Start it, and wait until it is ready; fails with what it said when it does not start.

        `program` is the composition root, `more` is environment.
        """
        self.data_dir = data_dir
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `_ended`
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", program, "serve", "--json"),
                *("--data-dir", str(data_dir), "--listen", listen, *options),
            ],
            env=environment(PYTHONFAULTHANDLER="1", **more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        try:
            ready = self._ready()
            self.address = f"localhost:{ready['address'].rpartition(':')[2]}"
            self.http = ready["http"]
        except BaseException:
            self.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def listen(self) -> str:
        """Where another server must listen to take its place."""
        return f"127.0.0.1:{self.address.rpartition(':')[2]}"

    @property
    def said(self) -> str:
        """What it wrote to standard error so far."""
        # The server shares the file's position, so reading must leave that where it is.
        number = self._log.fileno()
        return os.pread(number, os.fstat(number).st_size, 0).decode("utf-8", "replace")

    def kill(self) -> None:
        """`kill -9`. The embedded database, if it has one, is left running."""
        self.process.kill()
        self._ended()

    def stop(self) -> int:
        """Ask it to stop and wait; returns its status. Harmless when it has ended."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                # With its threads' stacks, so that a run that cannot be repeated explains itself.
                self.process.send_signal(signal.SIGABRT)
                self.process.wait()
                said = self.said
                self._ended()
                raise AssertionError(f"the server did not stop: {said}") from None
        return self._ended()

    def _ended(self) -> int:
        status = self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        if not self._log.closed:
            self._log.close()
        return status

    def _ready(self) -> dict[str, str]:
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], READY_TIMEOUT_S)
        line = self.process.stdout.readline() if readable else b""
        assert line, f"the server did not start: {self.said}"
        said: dict[str, str] = json.loads(line)
        return said


def socket_dir(data_dir: Path) -> Path:
    """The folder of the embedded database's socket."""
    return Path((data_dir / "run" / "socket").read_text().strip())


def database_url(data_dir: Path, role: str = SERVICE_ROLE, database: str = "pointclear") -> str:
    """A URL by which the embedded database of a running deployment is reached from outside."""
    return f"postgresql://{role}@/{database}?host={socket_dir(data_dir)}&port={PORT}"


@contextmanager
def connection(
    data_dir: Path, role: str = SERVICE_ROLE, database: str = "pointclear"
) -> Iterator[Any]:
    """A psycopg2 connection to the embedded database of a running deployment, closed at the end."""
    opened = psycopg2.connect(database_url(data_dir, role, database))
    try:
        yield opened
    finally:
        opened.close()


def kill_postmaster(data_dir: Path) -> None:
    """`kill -9` of the embedded PostgreSQL's first process."""
    first_line = (data_dir / "pg" / "postmaster.pid").read_text().splitlines()[0]
    os.kill(int(first_line), signal.SIGKILL)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that another process brings about; fails when it never comes."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.05)


# What is stored

Contents = Mapping[str, tuple[int, str]]
"""Rows and a digest of all rows, by table."""

_TABLES = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    ORDER BY relname
"""
_CONTENT = "SELECT count(*), md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {} t"


def contents(opened: Any) -> Contents:
    """Everything that the database holds, as the service's role sees it, in one snapshot."""
    with opened, opened.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute(_TABLES)
        tables = [name for (name,) in cursor.fetchall()]
        found: dict[str, tuple[int, str]] = {}
        for table in tables:
            cursor.execute(_CONTENT.format(table))
            count, digest = cursor.fetchone()
            found[table] = (int(count), str(digest))
        return found


def written(before: Contents, after: Contents) -> dict[str, int]:
    """The tables whose content differs, with the number of rows that came."""
    return {
        table: after[table][0] - before[table][0]
        for table in after
        if after[table] != before[table]
    }
