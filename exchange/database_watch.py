"""Watches the database of a running server, and brings an embedded one back when it dies.

It looks about once a second, and at once when a call or a batch lost the database. It never gives
up. Meanwhile calls find no connection and answer TRY_LATER by themselves; a crash of this process
in here leaves a database that the next start takes over.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import TypeVar

from exchange.database import CONNECTION_ERRORS, Database
from exchange.logs import Logger, named
from exchange.metrics import Metrics

LOOK_EVERY_S = 1.0
TRY_EVERY_S = 0.5
SAY_EVERY = 20
"""Of the attempts that fail, how many pass between two lines in the log."""

_Found = TypeVar("_Found")
Turned = Callable[[bool], Awaitable[None]]


class DatabaseWatch:
    """Knows whether the database answers."""

    def __init__(self, database: Database, metrics: Metrics, log: Logger, turned: Turned) -> None:
        """`turned` is told whenever the database goes or comes back."""
        self._database = database
        self._metrics = metrics
        self._log = log
        self._turned = turned
        self._lost = asyncio.Event()
        # A thread of its own: those of the loop may all be waiting for connections.
        self._thread = ThreadPoolExecutor(1, "database-watch")
        self._started_at: datetime | None = None
        self.up = True
        metrics.database_is(up=True)

    def lost(self) -> None:
        """A call or a batch lost the database: look at once. Call on the loop's thread."""
        self._lost.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        with suppress(*CONNECTION_ERRORS):
            self._started_at = await self._off_loop(self._database.started_at)
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._lost.wait(), LOOK_EVERY_S)
            lost = self._lost.is_set()
            self._lost.clear()
            if await self._off_loop(self._database.has_died):
                await self._turn(up=False)
                lost = True
            if lost:
                await self._bring_back()

    async def _bring_back(self) -> None:
        failed = 0
        while True:
            try:
                started_at = await self._off_loop(self._database.revive)
                break
            except Exception as error:
                # Whatever it is, a disk that is full or a server that still recovers, it may pass.
                if failed % SAY_EVERY == 0:
                    self._log.warning("database unreachable", error=named(error))
                failed += 1
                await self._turn(up=False)
                await asyncio.sleep(TRY_EVERY_S)
        # Whoever started it, this server or another on the same data directory.
        if self._started_at is not None and started_at != self._started_at:
            self._metrics.database_restarted()
            self._log.warning("database restarted")
        self._started_at = started_at
        await self._turn(up=True)

    async def _turn(self, *, up: bool) -> None:
        if up == self.up:
            return
        self.up = up
        self._metrics.database_is(up)
        self._log.warning("database back" if up else "database lost")
        await self._turned(up)

    async def _off_loop(self, work: Callable[[], _Found]) -> _Found:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
