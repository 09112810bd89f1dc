"""Child processes that say on standard output, in a line of JSON, when they are ready."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from exchange.cli.failure import unavailable

STOP_TIMEOUT_S = 30
SETTINGS_PREFIX = "POINTCLEAR_"


class Child:
    """A running child process."""

    def __init__(
        self, command: Sequence[str], log_path: Path, settings: Mapping[str, str] | None = None
    ) -> None:
        """Start it; what it says on standard error goes to `log_path`.

        Of the exchange's settings it sees these and not the caller's own: another database, say,
        would be neither what is meant nor what is measured.
        """
        kept = {k: v for k, v in os.environ.items() if not k.startswith(SETTINGS_PREFIX)}
        given = {SETTINGS_PREFIX + name: value for name, value in (settings or {}).items()}
        self._name = " ".join(command[1:4])
        self._log_path = log_path
        with log_path.open("ab") as log:
            # A session of its own, so that Ctrl-C reaches it through `stop` alone.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=kept | given,
                text=True,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ask(self, **request: Any) -> Any:
        """Send a line of JSON and wait for the line that answers it. Raises Failed."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None
        return self.answer()

    def answer(self) -> Any:
        """Wait for a line of JSON. Raises Failed when the process ends instead."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        return json.loads(line)

    def _ended(self) -> Exception:
        said = self._log_path.read_text("utf-8", "replace").strip().splitlines()
        return unavailable(
            f"`{self._name}` ended early: {said[-1] if said else 'it said nothing'}",
            "Run the benchmark again; if it stays, run that command by itself.",
        )

    def stop(self) -> None:
        """End it, and wait until it is gone."""
        self._process.terminate()
        try:
            self._process.communicate(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


@contextmanager
def child(
    command: Sequence[str], log_path: Path, settings: Mapping[str, str] | None = None
) -> Iterator[Child]:
    """A child process that is ended on leaving, however that happens."""
    started = Child(command, log_path, settings)
    try:
        yield started
    finally:
        started.stop()
