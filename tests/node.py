"""The example brand in Node.js, for tests: its packages, its commands and its program's process.

`.ci/run` installs Node.js where it may, and then a skip is a failure.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.brands import Serving, serving
from tests.processes import COMMAND_TIMEOUT_S, ROOT, environment

FOLDER = ROOT / "docs" / "examples" / "node-brand"
BRAND = FOLDER / "brand.js"
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
        ["node", str(BRAND), *map(str, arguments)],
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


def serving_node(
    profile: Path, journal: Path, listen: str = "127.0.0.1:0"
) -> AbstractContextManager[Serving]:
    """The brand's program as a process, killed on leaving; as `tests.brands.serving`."""
    return serving(profile, journal, script=BRAND, interpreter="node", listen=listen)


def _missing(what: str) -> None:
    assert os.environ.get("CI") != "true", what
    pytest.skip(what)
