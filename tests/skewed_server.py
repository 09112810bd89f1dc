"""The tests' composition root: the real server, on a host whose clock is wrong.

`POINTCLEAR_SKEW_SECONDS=-3600` sets it back by an hour. No other program reads this variable.
"""

import os
from datetime import UTC, datetime, timedelta

from exchange import server
from exchange.__main__ import main

SKEW = "POINTCLEAR_SKEW_SECONDS"


def wrong() -> datetime:
    """The host's clock, as wrong as the environment says."""
    return datetime.now(UTC) + timedelta(seconds=float(os.environ[SKEW]))


if __name__ == "__main__":
    # The server asks this for the time, and nothing else need be replaced.
    server.now = wrong
    main()
