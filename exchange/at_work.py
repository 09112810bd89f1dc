"""What a server does beside its calls, for as long as a block lasts."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from exchange.database import CONNECTION_ERRORS
from exchange.logs import named


class Work(Protocol):
    """Something that goes on until it is cancelled, and then ends what it has under way."""

    async def run(self) -> None:
        """Work until cancelled."""


@asynccontextmanager
async def at_work(*works: Work) -> AsyncIterator[None]:
    """These at work for the length of the block."""
    tasks = [asyncio.create_task(each.run(), name=type(each).__name__) for each in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel these, and wait until they have ended, however they end."""
    under_way = tuple(tasks)
    for task in under_way:
        task.cancel()
    await asyncio.gather(*under_way, return_exceptions=True)


async def keep_looking(
    look: Callable[[], Awaitable[None]], every_s: float, seen: str, log: logging.Logger
) -> None:
    """Look until cancelled, whatever one look meets. `seen` names what is looked at, for the log:
    a database that is away is told of once, until a look succeeds.
    """
    away = ""
    while True:
        try:
            await look()
            away = ""
        except CONNECTION_ERRORS as error:
            if named(error) != away:
                away = named(error)
                log.warning("%s could not be looked at: %s", seen, away)
        except Exception as error:
            # Nothing that one look meets may end all others.
            log.exception("%s could not be looked at: %s", seen, named(error))
        await asyncio.sleep(every_s)
