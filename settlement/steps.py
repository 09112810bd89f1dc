"""What every step of a settlement does: it reads the books, books an entry, and waits its turn."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import Engine

from exchange.commands import Book, Command
from exchange.outcomes import Booked, Repeated, Result
from partners.errors import Refused
from partners.transaction import in_transaction
from settlement import store

_T = TypeVar("_T")


class Steps:
    """Reads and books for one settlement at a time."""

    def __init__(self, engine: Engine, submit: Callable[[Command], Awaitable[Result]]) -> None:
        """`submit` hands a command to the sequencer."""
        self._engine = engine
        self._submit = submit
        self._turn = asyncio.Lock()

    async def read(self, read: Callable[..., _T], *arguments: Any) -> _T:
        """Run a blocking function on a connection in a transaction of its own, off the loop."""
        return await in_transaction(self._engine, read, *arguments)

    async def book(self, command: Command) -> Booked | Repeated:
        """Submit a command; raises the Refused that answers it."""
        result = await self._submit(command)
        if isinstance(result, Refused):
            raise result
        assert isinstance(result, Booked | Repeated), "settlement submits no orders"
        return result

    async def book_due(self, due: Callable[..., Book | None], *arguments: Any) -> None:
        """Book the entry that is due as the books stand; `due` gives None where none is."""
        entry = await self.read(due, *arguments)
        if entry is not None:
            await self.book(entry)

    async def book_due_in_turn(self, due: Callable[..., Book | None], *arguments: Any) -> None:
        """The same while nobody else settles."""

        async def turn() -> None:
            async with self.settling():
                await self.book_due(due, *arguments)

        # Shielded: a caller that goes away must not end the turn while its booking is queued.
        await asyncio.shield(turn())

    @asynccontextmanager
    async def settling(self) -> AsyncIterator[None]:
        """One settlement at a time, over all processes on this database.

        Between reading what is due and booking it nobody else may book the same. A process that
        dies leaves no lock behind: the database releases it with the connection.
        """
        async with self._turn:
            connection = await asyncio.to_thread(self._engine.connect)
            try:
                raw = connection.connection.dbapi_connection
                await asyncio.to_thread(store.take_turn, raw)
                yield
            finally:
                # Going back to the pool ends the transaction, and with it the turn.
                await asyncio.to_thread(connection.close)


async def all_of(steps: Iterable[Awaitable[object]]) -> None:
    """Start the steps in their order and wait for all; raises what the first that failed raised."""
    ended = await asyncio.gather(*steps, return_exceptions=True)
    for each in ended:
        if isinstance(each, BaseException):
            raise each
