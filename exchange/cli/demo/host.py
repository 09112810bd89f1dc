"""A deployment of its own for the demo: a data directory, and a server process on a free port."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from exchange.cli.deployment.initialise import initialise
from exchange.cli.failure import unavailable
from exchange.cli.profile import DEFAULT_SERVER
from partners.errors import PointclearError

AUDIENCE = "pointclear.local/demo"
STOP_TIMEOUT_S = 60
UNLIMITED = 1_000_000
"""Orders a second that nobody here can send."""
LEFT_ALONE_S = 1
"""For how long a brand's program that failed is not called: nobody waits half a minute here."""

VISIT_EVERY_S = 0.2
"""How often a brand's folder is visited: nor do they wait for the next batch."""


@dataclass(frozen=True, slots=True)
class Served:
    """Where the server is."""

    address: str
    """For calls."""
    http: str
    """For its metrics."""


@contextmanager
def running_server(data_dir: Path, operators: Sequence[str]) -> Iterator[Served]:
    """Make the data directory with these operators, and serve from it, with four eyes on whatever
    takes two.

    The server is stopped on leaving, and killed if it does not stop. Raises Failed when it does not
    start.
    """
    initialise(data_dir, AUDIENCE, DEFAULT_SERVER, datetime.now(UTC), operators=operators)
    log_path = data_dir / "server.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [
                *serve_command(data_dir),
                *("--set", "four_eyes=on", "--set", "http=127.0.0.1:0"),
                *("--set", f"circuit_open_seconds={LEFT_ALONE_S}"),
                *("--set", "file_batch_seconds=0"),
                *("--set", f"file_visit_seconds={VISIT_EVERY_S}"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=without_settings(os.environ),
        )
    try:
        yield _served(process, log_path)
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without settings of an exchange: the user's own database, say, is not for the
    demo.
    """
    return {name: each for name, each in environment.items() if not name.startswith("POINTCLEAR_")}


def serve_command(data_dir: Path) -> list[str]:
    """The command line of a server on a free port of this machine, for brands that send as fast as
    they can.
    """
    return [
        *(sys.executable, "-m", "exchange", "serve", "--json"),
        *("--data-dir", str(data_dir), "--listen", "127.0.0.1:0"),
        *("--set", f"orders_per_second={UNLIMITED}", "--set", f"orders_burst={UNLIMITED}"),
    ]


def _served(process: "subprocess.Popen[bytes]", log_path: Path) -> Served:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise server_did_not_start(log_path)
    ready = json.loads(line)
    port = ready["address"].rpartition(":")[2]
    return Served(f"localhost:{port}", ready["http"])


def server_did_not_start(log_path: Path) -> PointclearError:
    """The error with the last that the server said."""
    said = log_path.read_text("utf-8", "replace").strip().splitlines()
    return unavailable(
        f"the server did not start: {said[-1] if said else 'it said nothing'}",
        f"Its log is {log_path}.",
    )
