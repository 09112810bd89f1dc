"""The files of one data directory, and the server on them: make, launch, probe, shut down.

    <data-dir>/pg/          the PostgreSQL cluster, owned by the user that runs it
    <data-dir>/pg.log       what the server says
    <data-dir>/run/change   lock: held while a process starts or stops the server
    <data-dir>/run/users    lock: held shared by every process that uses the server
    <data-dir>/run/server   lock: inherited by the server, held while any process of it lives
    <data-dir>/run/socket   the path of the socket folder

Rules: no TCP; only the operating-system users named in pg_ident.conf get in, as any role; data
checksums on. Sources: PostgreSQL 18 manual, "Creating a Database Cluster", "User Name Maps".
"""

import os
import shlex
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from exchange.embedded_postgres.binaries import MAJOR, Account
from exchange.embedded_postgres.errors import EmbeddedPostgresError
from exchange.embedded_postgres.socket_folder import PORT, SocketFolder

SUPERUSER = "postgres"
_LOG_TAIL_BYTES = 65_536
_MAP = "pointclear"
_SETTINGS = (
    # Written once: an operator may tune them in pg/postgresql.conf.
    "shared_buffers=128MB",
    "max_connections=64",
    "wal_compression=on",
    "jit=off",
    "synchronous_commit=on",
    "timezone=UTC",
    "log_timezone=UTC",
    "log_line_prefix=%m [%p] %q%u@%d ",
)


@dataclass(frozen=True, slots=True)
class Cluster:
    """One data directory, the programs for it and the user they run as."""

    data_dir: Path
    """Absolute, symbolic links resolved."""
    bin_dir: Path
    account: Account
    fsync: bool

    @property
    def pg(self) -> Path:
        return self.data_dir / "pg"

    @property
    def log(self) -> Path:
        return self.data_dir / "pg.log"

    @property
    def socket(self) -> SocketFolder:
        return SocketFolder(self.data_dir / "run" / "socket", self.account)

    def lock(self, name: str) -> Path:
        """One of the locks `change`, `users`, `server`."""
        return self.data_dir / "run" / name

    def check(self) -> None:
        """Make the data directory when missing; raise when its user could not work in it."""
        if set(str(self.data_dir)) & set('"$`\\\n'):
            # pg_ctl hands the path to a shell between double quotes.
            raise EmbeddedPostgresError(
                f"a data directory's path has no quotes, $ or backslash ({self.data_dir})",
                "choose another data directory",
            )
        if not self.data_dir.exists():
            self.data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
            # The server's user must pass through; what is private below has a mode of its own.
            self.data_dir.chmod(0o711 if self.account.switched else 0o700)
        if blocked := self.account.first_blocked(self.data_dir):
            raise EmbeddedPostgresError(
                f"the database's user {self.account.name} cannot reach {self.data_dir}",
                f"chmod o+x {shlex.quote(str(blocked))}, or choose another data directory",
            )
        (self.data_dir / "run").mkdir(mode=0o700, exist_ok=True)
        if self.pg.exists() and (owner := self.pg.stat().st_uid) != self.account.uid:
            raise EmbeddedPostgresError(
                f"{self.pg} belongs to user id {owner}, not to {self.account.name}",
                "run as the user that made it, or choose another data directory",
            )

    def ready(self) -> bool:
        """Whether the server takes sessions now. Starts no process and leaves no line in its log.

        The pid file of a server killed with -9 still says "ready", but nothing listens then.
        """
        return self._status() == "ready" and self.socket.listening()

    def lost_socket(self) -> bool:
        """Whether a server calls itself ready while its socket folder is not to be seen."""
        folder = self.socket.find()
        return self._status() == "ready" and (folder is None or not folder.exists())

    def _status(self) -> str:
        """The server's word on itself: line 8 of its pid file, as in PostgreSQL's pidfile.h."""
        try:
            return (self.pg / "postmaster.pid").read_text().splitlines()[7].strip()
        except (FileNotFoundError, IndexError):
            return ""

    def initialise(self, server_lock: int) -> None:
        """Make `pg` when missing. The caller holds the server lock.

        initdb inherits the lock, so that one orphaned by a crash is waited for.
        """
        if self.pg.exists():
            version = (self.pg / "PG_VERSION").read_text().strip()
            if version != MAJOR:
                raise EmbeddedPostgresError(
                    f"{self.pg} was made by PostgreSQL {version}, this is {MAJOR}",
                    "use the release that made it, or dump and restore",
                )
            return
        draft = self.data_dir / "pg.new"
        if draft.exists():
            shutil.rmtree(draft)
        draft.mkdir(mode=0o700)
        self.account.give(draft)
        command: list[str | Path] = [self.bin_dir / "initdb", "-D", draft, "-U", SUPERUSER]
        command += ["--data-checksums", "--auth=peer", "--no-instructions", "--encoding=UTF8"]
        # The built-in locale sorts the same on every machine and after every system upgrade.
        command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command += [f"--set={setting}" for setting in _SETTINGS]
        command += [] if self.fsync else ["--no-sync"]
        done = self.account.run(command, keep_open=(server_lock,))
        if done.returncode:
            raise EmbeddedPostgresError(
                f"initdb failed in {self.data_dir} ({_last_line(done.stderr)})",
                "mend that and start again, or use --database-url",
            )
        # A crash before this leaves pg.new, which the next start throws away.
        draft.rename(self.pg)

    def launch(self, server_lock: int) -> int:
        """Start the server without waiting; returns the size of the log before, in bytes.

        The caller holds the server lock: no process of an earlier server lives, so its pid file is
        stale even when the process id in it is a zombie's or has gone to another process.
        """
        self._write_access()
        folder = self.socket.make()
        (self.pg / "postmaster.pid").unlink(missing_ok=True)
        self.log.touch(mode=0o600)
        self.account.give(self.log)
        log_bytes = self.log.stat().st_size
        settings = {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": str(folder),
            "unix_socket_permissions": "0700",
            "fsync": "on" if self.fsync else "off",
        }
        options = shlex.join(p for k, v in settings.items() for p in ("-c", f"{k}={v}"))
        command: list[str | Path] = [self.bin_dir / "pg_ctl", "start", "-W", "-s", "-o", options]
        command += ["-D", self.pg, "-l", self.log]
        done = self.account.run(command, keep_open=(server_lock,))
        if done.returncode:
            raise self.failure(_last_line(done.stderr))
        return log_bytes

    def shut_down(self) -> None:
        """Ask the server for a fast shutdown without waiting (sessions are ended, nothing lost)."""
        self.account.run([self.bin_dir / "pg_ctl", "stop", "-W", "-s", "-m", "fast", "-D", self.pg])

    def failure(self, why: str) -> EmbeddedPostgresError:
        why = why or "it ended without a word, as when killed"
        return EmbeddedPostgresError(f"PostgreSQL does not start ({why})", f"see {self.log}")

    def last_words(self, kinds: tuple[str, ...], log_bytes: int = 0) -> str:
        """The last line of one of these `kinds` in the log from the byte `log_bytes` on, or ""."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(log_bytes, self.log.stat().st_size - _LOG_TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
        return next((line for line in reversed(lines) if any(k in line for k in kinds)), "")

    def _write_access(self) -> None:
        names = {self.account.name} | ({"root"} if self.account.switched else set())
        self._replace("pg_hba.conf", f"local all all peer map={_MAP}\n")
        self._replace("pg_ident.conf", "".join(f'{_MAP} "{name}" all\n' for name in sorted(names)))

    def _replace(self, name: str, text: str) -> None:
        # Written outside pg and renamed in: root follows no link that the server's user could lay.
        descriptor, draft = tempfile.mkstemp(dir=self.data_dir / "run")
        with open(descriptor, "w") as file:
            file.write(text)
        self.account.give(Path(draft))
        os.replace(draft, self.pg / name)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else "no word why"
