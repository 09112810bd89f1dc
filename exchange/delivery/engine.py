"""Keeps at it: finds what is due, has it carried, and finishes what a crash left.

Any number of processes may run one: what is claimed by one is not given to another. Each program
has so many places of its own; what waits in one never takes another's.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from exchange.at_work import ended
from exchange.database import CONNECTION_ERRORS
from exchange.delivery.courier import Courier
from exchange.delivery.saga import Claimed
from exchange.logs import named
from exchange.outbound.guarded import GuardedProgram
from partners.program_port import Fault
from partners.routes.route import Route

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
"""How often it looks for what other processes left, or what is due again."""
SWEEP_MOST = 100
"""Of what is finished or ended in one look."""
LEASE_SPARE = timedelta(seconds=10)
"""What a lease has beyond one call: for storing its answer."""


class Engine:
    """One process's."""

    def __init__(
        self,
        courier: Courier,
        route_of: Callable[[str], Route],
        port_of: Callable[[Route], GuardedProgram | None],
        woken: asyncio.Event,
    ) -> None:
        """`port_of` gives what calls a program; None where nothing does. `woken` is set when there
        is something new to tell.
        """
        self._courier = courier
        self._store = courier.store
        self._route_of = route_of
        self._port_of = port_of
        self._woken = woken
        self._under_way: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Work until cancelled; what is under way is ended then, and its leases end by
        themselves.
        """
        try:
            await self._keep_at_it()
        finally:
            await ended(self._tasks)

    async def _keep_at_it(self) -> None:
        swept_at = -LOOK_EVERY_S
        while True:
            self._woken.clear()
            try:
                await self.begin_due()
                if time.monotonic() >= swept_at + LOOK_EVERY_S:
                    await self.sweep()
                    swept_at = time.monotonic()
            except CONNECTION_ERRORS as error:
                log.warning("delivery lost the database: %s", named(error))
            except Exception as error:
                # Nothing that one look meets may end all others.
                log.exception("delivery could not look: %s", named(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), LOOK_EVERY_S)

    async def begin_due(self) -> None:
        """Begin what is due, as far as there are places."""
        for program in await self._store.due():
            try:
                await self._begin(program)
            except CONNECTION_ERRORS:
                raise
            except Exception as error:
                # What is wrong with one program is no reason to leave the others waiting.
                log.exception("delivery to %s could not begin: %s", program, named(error))

    async def sweep(self) -> None:
        """End what has lapsed, and book what was answered and is not in the books."""
        await self._courier.let_lapse(SWEEP_MOST)
        for answered in await self._store.unbooked(SWEEP_MOST, LEASE_SPARE):
            await self._courier.book(answered)

    async def _begin(self, program: str) -> None:
        route = self._route_of(program)
        port = self._port_of(route)
        if port is None or port.held_back() in (Fault.MAINTENANCE, Fault.CIRCUIT_OPEN):
            return
        free = port.instructions_max - self._under_way[program]
        if free <= 0:
            return
        claimed = await self._store.claim(
            program, free, route.timeout + LEASE_SPARE, in_turn=route.is_in_turn
        )
        for each in claimed:
            self._under_way[program] += 1
            task = asyncio.create_task(self._carry(each, port))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, claimed: Claimed, port: GuardedProgram) -> None:
        program = claimed.instruction.program
        try:
            await self._courier.carry(claimed, port)
        except CONNECTION_ERRORS as error:
            # The lease ends, and somebody tries again.
            log.warning("delivery lost the database: %s", named(error))
        except Exception as error:
            log.exception("delivery to %s failed: %s", program, named(error))
        finally:
            self._under_way[program] -= 1
            self._woken.set()
