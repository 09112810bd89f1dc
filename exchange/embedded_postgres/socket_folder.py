"""The private folder of the server's socket, with a path short enough for one.

Rules: mode 0700 and the server user's own, so no other user reaches the socket or can pretend to be
the server; below the system's temporary folder, since a socket's path has at most 107 bytes and a
data directory's path may be longer; remembered in a record file, and made again at the same path
when lost, so that the URLs of all users stay good over a restart.
"""

import contextlib
import os
import re
import socket
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from exchange.embedded_postgres.binaries import Account
from exchange.embedded_postgres.errors import EmbeddedPostgresError

PORT = 5432
"""Part of the socket's name only; nothing listens on TCP."""
_SOCKET = f".s.PGSQL.{PORT}"
_PATH_BYTES_MAX = 107


@dataclass(frozen=True, slots=True)
class SocketFolder:
    """The folder remembered in `record`, for a server that runs as `account`."""

    record: Path
    account: Account

    def find(self) -> Path | None:
        """The remembered folder, whether it still exists or not."""
        try:
            return Path(self.record.read_text().strip())
        except FileNotFoundError:
            return None

    def make(self) -> Path:
        """An empty folder for a server to be launched; no server may live."""
        if (folder := self.find()) is not None:
            with contextlib.suppress(OSError):
                folder.mkdir(mode=0o700)
                self.account.give(folder)
            if self._is_private(folder):
                _empty(folder)
                return folder
        folder = self._make_new()
        draft = self.record.with_suffix(".new")
        draft.write_text(f"{folder}\n")
        # A crash before this leaves an empty folder in the system's temporary folder.
        draft.replace(self.record)
        return folder

    def remove(self) -> None:
        """Remove the folder of a server that has ended, and forget it."""
        if (folder := self.find()) is not None and self._is_private(folder):
            _empty(folder)
            with contextlib.suppress(OSError):
                folder.rmdir()
        self.record.unlink(missing_ok=True)

    def listening(self) -> bool:
        """Whether a server listens on the socket; also true while it starts up or shuts down."""
        if (folder := self.find()) is None:
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            # A full queue means a busy server, so there is nothing to wait for.
            probe.setblocking(False)
            try:
                probe.connect(str(folder / _SOCKET))
            except BlockingIOError:
                return True
            except OSError:
                return False
        return True

    def _make_new(self) -> Path:
        for parent in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp")):
            longest = len(os.fsencode(f"{parent}/pc-12345678/{_SOCKET}"))
            # The setting is a list with separators, so only plain names are safe in it.
            if longest > _PATH_BYTES_MAX or not re.fullmatch(r"[\w./-]+", parent):
                continue
            if not os.access(parent, os.W_OK | os.X_OK) or self.account.first_blocked(Path(parent)):
                continue
            folder = Path(tempfile.mkdtemp(prefix="pc-", dir=parent))
            self.account.give(folder)
            return folder
        raise EmbeddedPostgresError(
            "no temporary folder has a short path that the database's user can reach",
            "set TMPDIR to one",
        )

    def _is_private(self, folder: Path) -> bool:
        try:
            status = folder.lstat()
        except OSError:
            return False
        closed = stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o700
        return closed and status.st_uid == self.account.uid


def _empty(folder: Path) -> None:
    for left in folder.glob(f"{_SOCKET}*"):
        left.unlink(missing_ok=True)
