"""The scheduler: opens a currency's first window and closes each at its cut-off, while it runs.

Two clocks must have passed a cut-off. The scheduler looks at the database's, which all server
processes share, so that they agree on what is due whatever their hosts' clocks show. The fold then
holds the close to the log's clock, which never steps back: no close is in the log before its
cut-off. A host whose own clock is behind is refused, and another server closes, or it does later.

Any number of processes may look at once: the close names the window, and the sequencer closes each
once. A crash before the close leaves the window open for the next look; after it, the next look
finds the next window.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from sqlalchemy import Engine

from exchange.at_work import keep_looking
from exchange.commands import Command
from exchange.logs import named
from exchange.outcomes import Booked, Result, WindowClosed, WindowOpened
from partners.errors import Refused
from settlement.calendar import store
from settlement.calendar.metrics import WindowMetrics
from settlement.calendar.schedule import Due, Standing, due_step

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
LATE = timedelta(minutes=5)
"""Beyond it a close is told as a warning: the server was down, or something held it up."""


class Scheduler:
    """One process's."""

    def __init__(
        self,
        engine: Engine,
        submit: Callable[[Command], Awaitable[Result]],
        metrics: WindowMetrics,
    ) -> None:
        """`submit` hands a command to the sequencer."""
        self._engine = engine
        self._submit = submit
        self._metrics = metrics
        self._told = ""

    async def run(self) -> None:
        """Look until cancelled."""
        await keep_looking(self.look, LOOK_EVERY_S, "windows", log)

    async def look(self) -> None:
        """Take every step that is due now."""
        standings, now = await asyncio.to_thread(self._read)
        troubles = []
        for standing in standings:
            currency = standing.scheme.currency
            try:
                due = due_step(standing, now)
                self._metrics.overdue(currency, due.late if due else timedelta())
                trouble = await self._take(due) if due else ""
            except Exception as error:
                # A zone that this host does not know keeps no other currency's windows open.
                trouble = named(error)
            if trouble:
                troubles.append(f"{standing.window_id or currency} waits: {trouble}")
        self._tell("; ".join(troubles))

    def _read(self) -> tuple[tuple[Standing, ...], datetime]:
        with self._engine.begin() as transaction:
            connection = transaction.connection.dbapi_connection
            return store.standings(connection), store.now(connection)

    async def _take(self, due: Due) -> str:
        """Take a step; returns why it has to wait, empty where it has not."""
        result = await self._submit(due.command)
        if isinstance(result, Refused):
            return result.reason
        # A repeat: another process, or an operator, was faster.
        match result:
            case Booked(effect=WindowOpened(opened=opened)):
                log.info("window %s opened by schedule", opened.window_id)
            case Booked(effect=WindowClosed(closed=closed, opened=opened)):
                self._metrics.closed(closed.currency)
                log.log(
                    logging.WARNING if due.late > LATE else logging.INFO,
                    "window %s closed by schedule, %d s after its cut-off, at log index %d;"
                    " %s is open",
                    closed.window_id,
                    due.late.total_seconds(),
                    closed.end_index,
                    opened.window_id,
                )
        return ""

    def _tell(self, trouble: str) -> None:
        """Log what keeps windows open, once."""
        if trouble and trouble != self._told:
            log.warning("%s", trouble)
        self._told = trouble
