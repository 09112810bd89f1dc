"""The tests' composition root: the real server, ended by `kill -9` at a point that has a name.

`POINTCLEAR_CRASH_AT=before-commit:3` ends it when a batch comes to its commit for the third time;
without a number, for the first. Points are `before-` and `after-` each step that an observer of the
sequencer is told. No other program reads this variable.
"""

import os
import signal
from itertools import count
from typing import get_args

from exchange import metrics
from exchange.__main__ import main
from exchange.observer import Step

CRASH_AT = "POINTCLEAR_CRASH_AT"
POINTS = tuple(f"{side}-{step}" for step in get_args(Step) for side in ("before", "after"))


class CrashingMetrics(metrics.Metrics):
    """Counts what a server does, and ends it at the point that the environment names."""

    _point, _, _times = os.environ.get(CRASH_AT, "").partition(":")
    _passes = count(1)

    def reached(self, point: str) -> None:
        """End the process here, if this is the point and the time."""
        # Signing threads come here too; `next` of a count is one step for all of them.
        if point == self._point and next(self._passes) == int(self._times or 1):
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    assert os.environ[CRASH_AT].partition(":")[0] in POINTS, "there is no such point"
    # The server takes its metrics from there when it starts, and nothing else need be replaced.
    metrics.Metrics = CrashingMetrics  # type: ignore[misc]
    main()
