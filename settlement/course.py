"""The course of a settlement: carries its steps out, over the sequencer and the database.

The order of effects of a settlement:

    line files and legs kept → each statement booked → the window stated → pay-ins recorded
    → a bank file booked whole, which confirms legs → pay-outs recorded that it covers
    → a bank file that confirms those → the window settled

Each arrow is a transaction of its own, and each step is repeated harmlessly: after a crash
anywhere, the same call picks up where the log ends.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import Engine

from exchange.commands import Book, Command
from exchange.fold import InvariantBroken
from exchange.outcomes import Booked, Repeated, Result
from partners.errors import Reason, Refused
from partners.keys import Purpose
from partners.signers import Signers
from settlement import settling, store
from settlement.stating import state_window
from settlement.windows import Leg, LegState, SettlementWindow, WindowState

_T = TypeVar("_T")


class Course:
    """Settles one window at a time, and keeps the turn of whoever else books for settlement."""

    def __init__(
        self,
        engine: Engine,
        submit: Callable[[Command], Awaitable[Result]],
        audience: str,
        signers: Signers,
    ) -> None:
        """`signers` holds the exchange's keys for statements."""
        self._engine = engine
        self._submit = submit
        self._audience = audience
        self._signers = signers
        self._turn = asyncio.Lock()

    async def settle(self, window_id: str) -> tuple[Leg, ...]:
        """Take a closed window as far as it can go now; returns its legs.

        Raises Refused(WINDOW_UNKNOWN, or WINDOW_STATE while it is open or an earlier one is not
        stated), InvariantBroken where the books contradict themselves.
        """
        async with self.settling():
            window = await self.read(store.window_named, window_id)
            if window.state is WindowState.OPEN:
                settling.check_stateable(window, None)
            if window.state is WindowState.CLOSED:
                await self._state(window)
                window = await self.read(store.window_named, window_id)
            if window.state is WindowState.PENDING_SETTLEMENT:
                await self.square_up(window)
            return await self.read(store.legs, window)

    async def _signing_key_id(self) -> str:
        """The key in use for statements; where that was revoked, the one that took its place."""
        held = self._signers.key_ids(Purpose.STATEMENTS)
        revoked = await self.read(store.revoked_keys, held)
        if revoked.issuperset(held):
            self._signers.read_again()
            held = self._signers.key_ids(Purpose.STATEMENTS)
        good = [each for each in held if each not in revoked]
        if not good:
            raise InvariantBroken("every key for statements that this server holds was revoked")
        return good[0]

    async def _state(self, window: SettlementWindow) -> None:
        signing_key_id = await self._signing_key_id()
        payloads = await self.read(state_window, window, self._audience, signing_key_id)
        # A crash between two statements leaves some booked; the next run books the rest, with the
        # same bytes.
        await all_of(
            self.book(settling.statement_entry(window.window_id, partner_id, payload))
            for partner_id, payload in payloads.items()
        )
        await self.book(settling.stated_entry(window, payloads))

    async def square_up(self, window: SettlementWindow) -> None:
        """Record the legs that can be recorded, and settle the window when all are confirmed."""
        legs = await self.read(store.legs, window)
        balances = await self.read(store.bank_balances, window.unit)
        recordable = settling.legs_to_record(legs, balances.payable)
        # Handed over together, so that the sequencer can book them as one batch; each is decided on
        # its own.
        await all_of(
            self._record_leg(settling.leg_entry(leg, window.currency.code, window.unit))
            for leg in recordable
        )
        if all(leg.state is LegState.CONFIRMED for leg in legs):
            await self.book(settling.settled_entry(window, legs))

    async def _record_leg(self, entry: Book) -> None:
        try:
            await self.book(entry)
        except Refused as refusal:
            # The position has no room for the pay-out yet, so it waits. Nothing was written.
            if refusal.reason is not Reason.LIMIT_EXCEEDED:
                raise

    async def read(self, read: Callable[..., _T], *arguments: Any) -> _T:
        """Run a blocking function on a connection in a transaction of its own, off the loop."""

        def in_transaction() -> _T:
            with self._engine.begin() as transaction:
                return read(transaction.connection.dbapi_connection, *arguments)

        return await asyncio.to_thread(in_transaction)

    async def book(self, command: Command) -> Booked | Repeated:
        """Submit a command; raises the Refused that answers it."""
        result = await self._submit(command)
        if isinstance(result, Refused):
            raise result
        assert isinstance(result, Booked | Repeated), "settlement submits no orders"
        return result

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
