"""Lets silence accept: looks, while a server runs, whether a stated window's clock has run out, and
takes what is due then as far as it goes.

Any number of processes may look at once; the settlement's turn is one's at a time. A crash leaves
nothing that the next look does not find.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from exchange.database import CONNECTION_ERRORS
from exchange.logs import named
from settlement import store
from settlement.course import Course

log = logging.getLogger(__name__)

LOOK_EVERY_S = 15.0


class Silence:
    """One process's."""

    def __init__(self, course: Course) -> None:
        self._course = course

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except CONNECTION_ERRORS as error:
                log.warning("stated windows could not be looked at: %s", named(error))
            except Exception as error:
                # Nothing that one look meets may end all others.
                log.exception("stated windows could not be looked at: %s", named(error))

    async def look(self) -> None:
        """Take every currency on that has windows of which not all statements are accepted."""
        for currency in await self._course.read(store.currencies_unaccepted):
            await self._course.advance(currency)


@asynccontextmanager
async def awaiting_silence(silence: Silence) -> AsyncIterator[None]:
    """At work for the length of the block."""
    task = asyncio.create_task(silence.run(), name="silence")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
