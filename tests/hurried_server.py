"""The tests' composition root: the real server, at another time than ours.

`POINTCLEAR_AHEAD_SECONDS=259200` has it live three days from now: its host's clock and, as far as
windows are concerned, its database's. No other program reads this variable.
"""

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from exchange import server
from exchange.__main__ import main
from settlement.calendar import store

AHEAD = "POINTCLEAR_AHEAD_SECONDS"
ahead = timedelta(seconds=float(os.environ.get(AHEAD, "0")))
_now = store.now


def hurried() -> datetime:
    """The host's clock."""
    return datetime.now(UTC) + ahead


def hurried_too(connection: Any) -> datetime:
    """The database's clock."""
    return _now(connection) + ahead


if __name__ == "__main__":
    # The server asks these for the time, and nothing else need be replaced.
    server.now = hurried
    store.now = hurried_too
    main()
