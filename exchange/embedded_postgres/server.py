"""A running embedded PostgreSQL, shared by the processes that use one data directory.

Rules: the first user starts the server, later ones attach to it, the last living one stops it. A
user is a process that holds the `users` lock, so one killed with -9 no longer counts; what it left
running is taken over by the next start, whose stop ends it. Waiting has no fixed limit, since
recovery after a crash can be long, and says what it waits for.
"""

import logging
import os
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg2
import psycopg2.extensions
from sqlalchemy import URL

from exchange.embedded_postgres import binaries
from exchange.embedded_postgres.cluster import SUPERUSER, Cluster
from exchange.embedded_postgres.errors import EmbeddedPostgresError
from exchange.embedded_postgres.locks import POLL_S, locked, try_lock
from exchange.embedded_postgres.socket_folder import PORT

DATABASE = "pointclear"
OWNER_ROLE = "pointclear_owner"
SERVICE_ROLE = "pointclear_service"

_log = logging.getLogger(__name__)
_SAY_EVERY_S = 5.0


class _Wait:
    """Says what is waited for: after a second, then every few seconds."""

    def __init__(self, say: Callable[[str], None], reason: str) -> None:
        self._say, self._reason = say, reason
        self._began = time.monotonic()
        self._next = self._began + 1.0

    def __call__(self, detail: str = "") -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _SAY_EVERY_S
            self._say(f"{self._reason} for {now - self._began:.0f} s{detail and f' ({detail})'}")


class RunningPostgres:
    """One user's share in the running server. Made by `start`; a context manager that stops it."""

    def __init__(self, cluster: Cluster, say: Callable[[str], None]) -> None:
        self._cluster, self._say = cluster, say
        self._share: int | None = None

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
    def bin_dir(self) -> Path:
        """The folder of psql, pgbench, pg_dump and their like."""
        return self._cluster.bin_dir

    @property
    def socket_dir(self) -> Path:
        """The folder of the server's socket: the `host` of a connection."""
        folder = self._cluster.socket.find()
        if self._share is None or folder is None:
            raise EmbeddedPostgresError("the embedded database was stopped", "start it again")
        return folder

    def url(self, role: str, database: str = DATABASE) -> str:
        """The SQLAlchemy URL of a role. It stays good when the server is restarted."""
        query = {"host": str(self.socket_dir), "port": str(PORT)}
        url = URL.create("postgresql+psycopg2", username=role, database=database, query=query)
        return url.render_as_string(hide_password=False)

    def is_alive(self) -> bool:
        """Whether a server listens. Cheap; starts no process."""
        return self._cluster.socket.listening()

    def ensure_running(self) -> None:
        """Start the server again if it died; returns when it takes sessions.

        Raises EmbeddedPostgresError when it does not come up.
        """
        with self._changing():
            if self._share is None:
                raise EmbeddedPostgresError("the embedded database was stopped", "start it again")
            self._bring_up()

    def run(self, tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of the wheel's programs against this server, as the server's user.

        Its output is captured; its status is the caller's to judge. Paths must be absolute.
        """
        place = {"PGHOST": str(self.socket_dir), "PGPORT": str(PORT)}
        return self._cluster.account.run([self.bin_dir / tool, *arguments], environment=place)

    def stop(self) -> None:
        """Give up this share; the last living user stops the server. Harmless when repeated."""
        with self._changing():
            self._leave()

    def _join(self) -> None:
        with self._changing():
            # Nobody else can have this lock alone: that needs the `change` lock, which is ours.
            self._share = try_lock(self._cluster.lock("users"), shared=True)
            try:
                self._bring_up()
                self._prepare()
            except BaseException:
                self._leave()
                raise

    def _changing(self) -> AbstractContextManager[None]:
        wait = _Wait(self._say, "waiting for another process that starts or stops the database")
        return locked(self._cluster.lock("change"), wait)

    def _bring_up(self) -> None:
        """Attach to the running server or start one; the caller holds the `change` lock."""
        wait = _Wait(self._say, "waiting for the database")
        log_bytes: int | None = None
        while not self._cluster.ready():
            # The lock is free only when no process of any earlier server is left, so a start never
            # meets orphans that still write. While it is held: starting, recovering or ending.
            if (server_lock := try_lock(self._cluster.lock("server"))) is not None:
                try:
                    if log_bytes is not None:
                        raise self._cluster.failure(
                            self._cluster.last_words(("FATAL", "PANIC"), log_bytes)
                        )
                    self._cluster.initialise(server_lock)
                    log_bytes = self._cluster.launch(server_lock)
                finally:
                    os.close(server_lock)
                continue
            if self._cluster.lost_socket():
                self._end_unreachable()
            wait(self._cluster.last_words(("LOG:",)))
            time.sleep(POLL_S)

    def _end_unreachable(self) -> None:
        """A server whose socket folder is gone: end it, unless another process may see the folder.

        It may see one that we do not: in a container, or under a private /tmp.
        """
        self._drop_share()
        alone = self._nobody_shares()
        self._share = try_lock(self._cluster.lock("users"), shared=True)
        if not alone:
            raise EmbeddedPostgresError(
                f"a server runs in {self._cluster.data_dir}, its socket folder is not visible here",
                "stop the other processes that use it, or run where they run",
            )
        self._say("the server's socket folder is gone: starting the server again")
        self._cluster.shut_down()

    def _prepare(self) -> None:
        """Make the roles and the database where missing; repeats harmlessly after a crash."""
        try:
            connection = psycopg2.connect(
                host=str(self.socket_dir), port=PORT, user=SUPERUSER, dbname="postgres"
            )
            try:
                # CREATE DATABASE cannot run inside a transaction.
                connection.autocommit = True
                with connection.cursor() as cursor:
                    _prepare_database(cursor)
                    cursor.execute("SHOW fsync")
                    durable = cursor.fetchone() == ("on",)
            finally:
                connection.close()
        except psycopg2.Error as error:
            raise EmbeddedPostgresError(
                f"cannot prepare the embedded database ({error})", f"see {self._cluster.log}"
            ) from error
        if self._cluster.fsync and not durable:
            raise EmbeddedPostgresError(
                f"the server in {self._cluster.data_dir} runs without fsync",
                "stop the test that started it",
            )

    def _leave(self) -> None:
        """Drop the share and stop the server if it was the last; `change` is held by the caller.

        A crash anywhere in here leaves a server without users, which the next start takes over.
        """
        if self._share is None:
            return
        self._drop_share()
        if not self._nobody_shares():
            return
        wait = _Wait(self._say, "waiting for the database to stop")
        ask_again_at = 0.0
        while (server_lock := try_lock(self._cluster.lock("server"))) is None:
            # Asked again now and then: a server that is only just starting has no pid file yet.
            if time.monotonic() >= ask_again_at:
                self._cluster.shut_down()
                ask_again_at = time.monotonic() + 1.0
            wait()
            time.sleep(POLL_S)
        try:
            self._cluster.socket.remove()
        finally:
            os.close(server_lock)

    def _drop_share(self) -> None:
        if self._share is not None:
            os.close(self._share)
            self._share = None

    def _nobody_shares(self) -> bool:
        if (alone := try_lock(self._cluster.lock("users"))) is None:
            return False
        os.close(alone)
        return True


def start(
    data_dir: Path,
    *,
    say: Callable[[str], None] = _log.info,
    fsync: bool = True,
) -> RunningPostgres:
    """Start the embedded PostgreSQL of `data_dir`, or attach to the one that runs there.

    Returns when it takes sessions and has its roles and its database. `say` is told, a line at a
    time, what is waited for. `fsync=False` is for tests: a power cut may then lose everything.
    Raises EmbeddedPostgresError, one line with the remedy.
    """
    try:
        account = binaries.account(say)
        bin_dir = binaries.bin_dir(account, say)
        cluster = Cluster(data_dir.resolve(), bin_dir, account, fsync)
        cluster.check()
        running = RunningPostgres(cluster, say)
        running._join()
    except OSError as error:
        raise EmbeddedPostgresError(
            f"cannot use the data directory {data_dir} ({error})",
            "mend that, choose another data directory, or use --database-url",
        ) from error
    return running


def _prepare_database(cursor: psycopg2.extensions.cursor) -> None:
    cursor.execute("SELECT rolname FROM pg_roles")
    present = {name for (name,) in cursor.fetchall()}
    for role in (OWNER_ROLE, SERVICE_ROLE):
        if role not in present:
            cursor.execute(f"CREATE ROLE {role} LOGIN")
    cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
    if cursor.fetchone() is None:
        cursor.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER_ROLE} TEMPLATE template0")
    # By default every role may connect to every database and make temporary tables there.
    cursor.execute(f"REVOKE ALL ON DATABASE {DATABASE}, postgres, template1 FROM PUBLIC")
    cursor.execute(f"GRANT CONNECT ON DATABASE {DATABASE} TO {SERVICE_ROLE}")
