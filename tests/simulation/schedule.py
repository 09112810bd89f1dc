"""Virtual time: coroutines that are sent on by hand, one step after the other.

A coroutine says by `Pause` when it is to go on; nothing else suspends it. What happens at one
instant happens in the order in which it was planned, so that the same course gives the same end.
"""

import heapq
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from tests import factories as make

SECOND = 1_000
"""Time is counted in milliseconds since the beginning."""
MINUTE = 60 * SECOND

CRASH = -1
"""As a pause: the whole process ends here."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Suspends whoever awaits it for so long."""

    milliseconds: int

    def __await__(self) -> Generator[int, None, None]:
        yield self.milliseconds


@dataclass(slots=True)
class Crew:
    """What ends together: the tasks of a process."""

    name: str
    on_crash: Callable[[], None] | None = None
    """What happens when the crew ends in the middle of something; None where it cannot."""
    tasks: "set[Task]" = field(default_factory=set)

    def crash(self) -> None:
        """End all of it where it stands; what it has done remains."""
        for task in self.tasks:
            task.is_dropped = True
            task.coroutine.close()
        self.tasks.clear()
        if self.on_crash is not None:
            self.on_crash()


@dataclass(slots=True, eq=False)
class Task:
    """A coroutine on its way."""

    coroutine: Coroutine[Any, Any, None]
    crew: Crew
    is_dropped: bool = False


class Schedule:
    """What will happen when."""

    def __init__(self) -> None:
        self.clock = 0
        self._planned: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()

    @property
    def now(self) -> datetime:
        """The time as the exchange reads it."""
        return make.NOW + timedelta(milliseconds=self.clock)

    def after(self, milliseconds: int, what: Callable[[], None]) -> None:
        """Plan something."""
        heapq.heappush(self._planned, (self.clock + milliseconds, next(self._order), what))

    def start(self, crew: Crew, coroutine: Coroutine[Any, Any, None]) -> None:
        """Have a coroutine begin as the next thing that happens now."""
        task = Task(coroutine, crew)
        crew.tasks.add(task)
        self.after(0, lambda: self._go_on(task))

    def run(self, until: int, is_over: Callable[[], bool] = lambda: False) -> None:
        """Let time pass."""
        while self._planned and self._planned[0][0] <= until and not is_over():
            self.clock, _, what = heapq.heappop(self._planned)
            what()
        self.clock = max(self.clock, until) if not is_over() else self.clock

    def _go_on(self, task: Task) -> None:
        if task.is_dropped:
            return
        try:
            pause = task.coroutine.send(None)
        except StopIteration:
            task.crew.tasks.discard(task)
            return
        if pause == CRASH:
            task.crew.crash()
        else:
            self.after(pause, lambda: self._go_on(task))
