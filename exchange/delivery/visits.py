"""Visits programs that are not called for each instruction, one after another in time and all of
them beside each other: what holds up one visit holds up no other program's.

A crash in the middle of a visit leaves what the adapter leaves; the next visit goes on. Any number
of processes may run this: whether two may be at one program at once is the adapter's to know.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial

from exchange.at_work import ended
from exchange.logs import named
from exchange.outbound.watch import CallWatcher
from partners.routes.route import Route
from partners.visits import VisitEvent

log = logging.getLogger(__name__)

Visit = Callable[[Route], Awaitable[Sequence[VisitEvent]]]
Answered = Callable[[str], Awaitable[None]]
"""Is told of a program that has answered something."""


class Visits:
    """One process's."""

    def __init__(
        self,
        routes: Callable[[], Iterable[Route]],
        visit: Visit,
        closed: Callable[[Route], bool],
        every_s: float,
        watcher: CallWatcher,
        answered: Answered,
    ) -> None:
        """`routes` gives those of programs that are to be visited, `closed` says whether nobody
        may go there now.
        """
        self._answered = answered
        self._routes = routes
        self._visit = visit
        self._closed = closed
        self._every_s = every_s
        self._watcher = watcher
        self._under_way: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Visit until cancelled; the visits that are under way are ended then."""
        try:
            while True:
                self.begin()
                await asyncio.sleep(self._every_s)
        finally:
            await ended(self._under_way.values())

    def begin(self) -> None:
        """Begin a visit to every program to which none is under way."""
        for route in self._routes():
            if route.program in self._under_way:
                continue
            task = asyncio.create_task(self._one(route), name=f"visit {route.program}")
            self._under_way[route.program] = task
            task.add_done_callback(partial(self._ended, route.program))

    async def _one(self, route: Route) -> None:
        try:
            if self._closed(route):
                return
            events = await self._visit(route)
            for event in events:
                self._tell(route.program, event)
            if any(event.brings_answers for event in events):
                await self._answered(route.program)
        except Exception as error:
            # Nothing that one visit meets may end the visits to others.
            log.exception("visit to %s failed: %s", route.program, named(error))

    def _tell(self, program: str, event: VisitEvent) -> None:
        self._watcher.visited(program, event.name)
        if event.needs_people:
            log.error("visit to %s: %s: %s", program, event.name, event.text)
        elif event.text:
            log.warning("visit to %s: %s: %s", program, event.name, event.text)

    def _ended(self, program: str, _task: object) -> None:
        del self._under_way[program]
