"""A circuit breaker for one program: purgatory's, with two rules of our own.

- How long it stays open is counted by the monotonic clock. purgatory reads the wall clock, by which
  an hour that is set back would be an hour without calls.
- While it is half open one call is let through, not all that are waiting.

It counts failures in a row. Which failures count, the caller says.
"""

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import IntEnum

from purgatory import AsyncCircuitBreakerFactory, ContextChanged, Event
from purgatory.domain.model import Context, HalfOpenedState


class CircuitState(IntEnum):
    """As it is measured."""

    CLOSED = 0
    """Calls pass."""
    HALF_OPEN = 1
    """One call may pass, and decides."""
    OPEN = 2
    """No call passes."""


class CircuitOpen(Exception):
    """The call was not made."""


class Circuit:
    """One breaker; all calls are made on one event loop."""

    def __init__(
        self, name: str, failures_max: int, open_for_s: float, monotonic: Callable[[], float]
    ) -> None:
        """It opens at `failures_max` failures in a row, for `open_for_s`."""
        self._name = name
        self._open_for_s = open_for_s
        self._monotonic = monotonic
        self._opened_at = -math.inf
        self._trying = False
        self._context: Context | None = None
        # It never half opens by itself: its clock is not ours.
        self._factory = AsyncCircuitBreakerFactory(failures_max, default_ttl=math.inf)
        self._factory.add_listener(self._changed)

    @property
    def state(self) -> CircuitState:
        """As of now. It changes with time, too."""
        known = self._context.state if self._context else "closed"
        if known == "closed":
            return CircuitState.CLOSED
        if known == "opened" and self._monotonic() < self._opened_at + self._open_for_s:
            return CircuitState.OPEN
        return CircuitState.HALF_OPEN

    @property
    def passes(self) -> bool:
        """Whether a call would be let through now."""
        return self.state is CircuitState.CLOSED or (
            self.state is CircuitState.HALF_OPEN and not self._trying
        )

    @asynccontextmanager
    async def through(self) -> AsyncIterator[None]:
        """A block that is one call; raising from it is a failure. Raises CircuitOpen."""
        breaker = await self._factory.get_breaker(self._name)
        self._context = breaker.context
        if not self.passes:
            raise CircuitOpen
        tries = self.state is CircuitState.HALF_OPEN
        if breaker.context.state == "opened":
            breaker.context.set_state(HalfOpenedState())
        self._trying = self._trying or tries
        try:
            async with breaker:
                yield
        finally:
            if tries:
                self._trying = False

    def _changed(self, _name: str, what: str, event: Event) -> None:
        if isinstance(event, ContextChanged) and event.state == "opened":
            self._opened_at = self._monotonic()
