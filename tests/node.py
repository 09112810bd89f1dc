"""The example brand in Node.js, for tests: its packages, its commands and its program's process.

`.ci/run` installs Node.js where it may, and then a skip is a failure.
"""

import fcntl
import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.processes import (
    COMMAND_TIMEOUT_S,
    READY_TIMEOUT_S,
    ROOT,
    STOP_TIMEOUT_S,
    environment,
)

FOLDER = ROOT / "docs" / "examples" / "node-brand"
LOCK = FOLDER / "package-lock.json"
INSTALL_TIMEOUT_S = 300
OFFLINE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH", "ENOTCACHED")


def require_node() -> None:
    """Have the example's packages installed, or skip the test: in CI, fail it."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        _missing("Node.js is not installed (Debian: apt-get install nodejs npm)")
    stamp = FOLDER / "node_modules" / ".installed"
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    # Other test processes may want the same at the same time.
    with LOCK.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == wanted:
            return
        done = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"],
            cwd=FOLDER,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
            check=False,
        )
        if done.returncode and any(word in done.stderr for word in OFFLINE):
            _missing(f"the packages of the Node.js example are not to be had here: {done.stderr}")
        assert done.returncode == 0, done.stderr
        stamp.write_text(wanted)


def node(*arguments: str | Path, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Run one command of the brand to its end; its status is the caller's to judge."""
    return subprocess.run(
        ["node", str(FOLDER / "brand.js"), *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )


def lines(done: "subprocess.CompletedProcess[str]") -> list[dict[str, Any]]:
    """What a command printed: JSON lines."""
    return [json.loads(line) for line in done.stdout.splitlines()]


class NodeProgram:
    """A brand's program that takes calls; a context manager that stops it."""

    def __init__(
        self, profile: Path, journal: Path, members: Path, listen: str = "127.0.0.1:0"
    ) -> None:
        """Start it, and wait until it is ready."""
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `_ended`
        self.process = subprocess.Popen(
            [
                *("node", str(FOLDER / "brand.js"), "serve", "--profile", str(profile)),
                *("--journal", str(journal), "--members", str(members), "--listen", listen),
            ],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        try:
            assert self.process.stdout is not None
            readable, _, _ = select.select([self.process.stdout], [], [], READY_TIMEOUT_S)
            line = self.process.stdout.readline() if readable else b""
            assert line, f"the brand did not start: {self.said}"
            self.address: str = json.loads(line)["address"]
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
        self.kill()

    @property
    def said(self) -> str:
        """What it wrote to standard error so far."""
        number = self._log.fileno()
        return os.pread(number, os.fstat(number).st_size, 0).decode("utf-8", "replace")

    def kill(self) -> None:
        """`kill -9`. Harmless when it has ended."""
        self._ended(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to stop; returns its status."""
        return self._ended(signal.SIGTERM)

    def _ended(self, by: signal.Signals) -> int:
        if self.process.poll() is None:
            self.process.send_signal(by)
        status = self.process.wait(STOP_TIMEOUT_S)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._log.close()
        return status


def _missing(what: str) -> None:
    assert os.environ.get("CI") != "true", what
    pytest.skip(what)
