"""Any program, called within the limits of its policy.

The order of the checks, each of which keeps a call from being made:

    maintenance (MAINTENANCE) → circuit breaker (CIRCUIT_OPEN) → a free place (NO_SLOT)

Of more than one place the last is kept for questions about members: a backlog that is delivered
for an hour must not keep anybody from asking whether a member may take part.

Each program has its own of all three, so that nothing of one is another's. A call that is made
ends in its time, whatever the adapter does: LATE. State is kept by one process, for as long as it
runs: two processes find out about an outage one by one.

What opens the breaker is a system that is down or slow. A wrong answer is an answer of a system
that is up; one poisoned instruction must not hold back all the others of its program.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

from exchange.outbound.circuit import Circuit, CircuitOpen
from exchange.outbound.watch import UNWATCHED, CallWatcher
from partners.program_port import (
    Credit,
    Eligibility,
    Fault,
    InstructionKind,
    ProgramAnswer,
    ProgramPort,
    ProgramUnavailable,
    Reversal,
)
from partners.routes.maintenance import ALWAYS_OPEN, MaintenanceCalendar, in_maintenance
from partners.routes.route import Route

OUT_OF_ORDER = frozenset({Fault.UNREACHABLE, Fault.NOT_TRUSTED, Fault.LATE, Fault.FAILED})
"""What counts for the breaker."""
OPEN_FOR_S = 30.0

_Answer = TypeVar("_Answer")
_Answered = TypeVar("_Answered", bound=ProgramAnswer | None)


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """How one program is called."""

    timeout_s: float = 5.0
    """Of one call."""
    calls_max: int = 8
    """Under way at a time, from one process."""
    wait_s: float = 0.0
    """How long a call waits for a free place."""
    failures_max: int = 5
    """In a row, until the circuit opens."""
    open_for_s: float = OPEN_FOR_S
    """Then one call is tried."""
    calendar: MaintenanceCalendar = ALWAYS_OPEN


def policy_of(route: Route, open_for_s: float = OPEN_FOR_S) -> CallPolicy:
    """How a program is called by its route."""
    return CallPolicy(
        timeout_s=route.timeout.total_seconds(),
        calls_max=route.calls_max,
        open_for_s=open_for_s,
        calendar=route.maintenance,
    )


def wall_clock() -> datetime:
    """Now, by the machine's clock."""
    return datetime.now(UTC)


class GuardedProgram:
    """A program behind its policy; implements `ProgramPort`. All calls are made on one loop."""

    def __init__(
        self,
        port: ProgramPort,
        program: str,
        policy: CallPolicy,
        watcher: CallWatcher = UNWATCHED,
        now: Callable[[], datetime] = wall_clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._port = port
        self._program = program
        self._policy = policy
        self._watcher = watcher
        self._now = now
        self._monotonic = monotonic
        self._places = asyncio.Semaphore(policy.calls_max)
        self._instructions = asyncio.Semaphore(self.instructions_max)
        self._circuit = Circuit(program, policy.failures_max, policy.open_for_s, monotonic)
        watcher.watch(
            program,
            lambda: float(self._circuit.state),
            lambda: float(self.closed_until() is not None),
        )

    def closed_until(self) -> datetime | None:
        """The end of the maintenance that there is now; None where there is none."""
        return in_maintenance(self._policy.calendar, self._now())

    @property
    def instructions_max(self) -> int:
        """Instructions and look-ups under way at a time."""
        return max(1, self._policy.calls_max - 1)

    def held_back(self) -> Fault | None:
        """Why an instruction would not be sent now; None where it would. For whoever can leave what
        is due where it is, instead of trying and failing.
        """
        return self._closed() or (
            Fault.NO_SLOT if self._instructions.locked() or self._places.locked() else None
        )

    async def validate_member(self, member: str) -> Eligibility:
        """As the program says; raises ProgramUnavailable."""
        return await self._call("validate_member", lambda: self._port.validate_member(member), str)

    async def balance(self, member: str) -> int:
        """As the program says; raises ProgramUnavailable."""
        return await self._call("balance", lambda: self._port.balance(member), lambda _: "OK")

    async def credit(self, credit: Credit) -> ProgramAnswer:
        """As the program answers; raises ProgramUnavailable."""
        return await self._instruct("credit", lambda: self._port.credit(credit))

    async def reverse(self, reversal: Reversal) -> ProgramAnswer:
        """As the program answers; raises ProgramUnavailable."""
        return await self._instruct("reverse", lambda: self._port.reverse(reversal))

    async def look_up(self, instruction_id: UUID, kind: InstructionKind) -> ProgramAnswer | None:
        """As the program answers; raises ProgramUnavailable."""
        return await self._instruct("look_up", lambda: self._port.look_up(instruction_id, kind))

    async def _instruct(self, method: str, call: Callable[[], Awaitable[_Answered]]) -> _Answered:
        async with self._place(method, self._instructions):
            return await self._call(method, call, outcome_of)

    async def _call(
        self,
        method: str,
        call: Callable[[], Awaitable[_Answer]],
        outcome: Callable[[_Answer], str],
    ) -> _Answer:
        async with self._place(method, self._places):
            return await self._measured(method, call, outcome)

    @asynccontextmanager
    async def _place(self, method: str, places: asyncio.Semaphore) -> AsyncIterator[None]:
        """Hold a place for the block; raises ProgramUnavailable where no call is made."""
        fault = self._closed()
        if fault is None and not await self._taken(places):
            fault = Fault.NO_SLOT
        if fault is not None:
            self._watcher.held_back(self._program, method, fault)
            raise ProgramUnavailable(f"the program is not called now: {fault}", fault)
        try:
            yield
        finally:
            places.release()

    async def _taken(self, places: asyncio.Semaphore) -> bool:
        """Whether a place was free, or became so in time."""
        if places.locked() and self._policy.wait_s <= 0:
            return False
        try:
            async with asyncio.timeout(self._policy.wait_s or None):
                await places.acquire()
        except TimeoutError:
            return False
        return True

    def _closed(self) -> Fault | None:
        if self.closed_until() is not None:
            return Fault.MAINTENANCE
        return None if self._circuit.passes else Fault.CIRCUIT_OPEN

    async def _measured(
        self,
        method: str,
        call: Callable[[], Awaitable[_Answer]],
        outcome: Callable[[_Answer], str],
    ) -> _Answer:
        began, name = self._monotonic(), "CANCELLED"
        self._watcher.began(self._program)
        try:
            answer = await self._through(call)
            name = outcome(answer)
            return answer
        except ProgramUnavailable as nothing:
            name = nothing.fault
            raise
        except Exception:
            name = "ERROR"
            raise
        finally:
            self._watcher.ended(self._program, method, name, self._monotonic() - began)

    async def _through(self, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """One call through the breaker."""
        try:
            async with self._circuit.through():
                try:
                    return await self._in_time(call)
                except ProgramUnavailable as nothing:
                    if nothing.fault in OUT_OF_ORDER:
                        raise
                    wrong = nothing
        except CircuitOpen:
            # It opened, or somebody else took its one trial, while this waited for a place.
            raise ProgramUnavailable("the program's circuit is open", Fault.CIRCUIT_OPEN) from None
        raise wrong

    async def _in_time(self, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        try:
            async with asyncio.timeout(self._policy.timeout_s):
                return await call()
        except TimeoutError:
            raise ProgramUnavailable(
                f"no answer in {self._policy.timeout_s} s", Fault.LATE
            ) from None


def outcome_of(answer: ProgramAnswer | None) -> str:
    """As it is counted."""
    return str(answer.outcome) if answer is not None else str(Fault.AT_WORK)
