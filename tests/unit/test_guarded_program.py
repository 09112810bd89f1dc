"""Any program, called within the limits of its policy; nothing of one program is another's."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import uuid_utils
from prometheus_client import CollectorRegistry

from adapters.conformance import Subject, run_checks
from adapters.memory import MemoryProgram
from exchange.outbound.circuit import CircuitState
from exchange.outbound.guarded import OUT_OF_ORDER, CallPolicy, GuardedProgram, policy_of
from exchange.outbound.watch import ProgramMetrics
from partners.program_port import (
    Credit,
    CreditOutcome,
    Eligibility,
    Fault,
    InstructionKind,
    ProgramAnswer,
    ProgramUnavailable,
    Reversal,
)
from partners.routes.maintenance import Interval, MaintenanceCalendar
from partners.routes.route import Route

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
DONE = ProgramAnswer(CreditOutcome.DONE, 5)
CREDIT = Credit(UUID(int=1), "fuel", "m", 5, bytes(32), committed=True)
POLICY = CallPolicy(timeout_s=60, calls_max=4, failures_max=3, open_for_s=30)


def new_id() -> UUID:
    return UUID(bytes=uuid_utils.uuid7().bytes)


@dataclass
class Clocks:
    """A wall clock and a monotonic one, which a test moves."""

    wall: datetime = NOW
    ticks: float = 1000.0


@dataclass
class Scripted:
    """A program that answers, fails or hangs as it is told; counts its calls."""

    behave: Callable[[], Awaitable[ProgramAnswer]]
    calls: int = 0
    hanging: asyncio.Event = field(default_factory=asyncio.Event)

    async def credit(self, credit: Credit) -> ProgramAnswer:
        self.calls += 1
        return await self.behave()

    async def reverse(self, reversal: Reversal) -> ProgramAnswer:
        return await self.credit(CREDIT)

    async def look_up(self, instruction_id: UUID, kind: InstructionKind) -> ProgramAnswer | None:
        await self.credit(CREDIT)
        return None

    async def validate_member(self, member: str) -> Eligibility:
        await self.credit(CREDIT)
        return Eligibility.UNKNOWN

    async def balance(self, member: str) -> int:
        await self.credit(CREDIT)
        return 7


async def answers() -> ProgramAnswer:
    return DONE


def faults(fault: Fault) -> Callable[[], Awaitable[ProgramAnswer]]:
    async def behave() -> ProgramAnswer:
        raise ProgramUnavailable("as told", fault)

    return behave


async def hangs() -> ProgramAnswer:
    await asyncio.Event().wait()
    raise AssertionError


@dataclass
class Guarded:
    """A scripted program behind a policy."""

    script: Scripted
    port: GuardedProgram
    clocks: Clocks
    registry: CollectorRegistry

    def measured(self, name: str, **labels: str) -> float:
        value = self.registry.get_sample_value(
            f"pointclear_program_{name}", {"program": "fuel"} | labels
        )
        return value or 0.0

    async def fault(self) -> Fault:
        with pytest.raises(ProgramUnavailable) as caught:
            await self.port.credit(CREDIT)
        return caught.value.fault


def guarded(behave: Callable[[], Awaitable[ProgramAnswer]] = answers, **policy: Any) -> Guarded:
    clocks, registry, script = Clocks(), CollectorRegistry(), Scripted(behave)
    port = GuardedProgram(
        script,
        "fuel",
        replace(POLICY, **policy),
        ProgramMetrics(registry),
        lambda: clocks.wall,
        lambda: clocks.ticks,
    )
    return Guarded(script, port, clocks, registry)


async def under_way(count: int, guard: Guarded) -> list["asyncio.Task[ProgramAnswer]"]:
    """So many calls that hang; cancel them."""
    tasks = [asyncio.create_task(guard.port.credit(CREDIT)) for _ in range(count)]
    while guard.script.calls < count:
        await asyncio.sleep(0)
    return tasks


def test_a_program_behind_its_policy_conforms_as_it_does_without() -> None:
    async def verdicts() -> None:
        port = GuardedProgram(MemoryProgram(), "fuel", CallPolicy())
        subject = Subject(port, "fuel", "m", new_id, unknown_member="unknown-1", signs=False)
        found = await run_checks(subject)
        assert found
        assert [each for each in found if not each.passed] == []

    asyncio.run(verdicts())


def test_answers_pass_and_are_counted_by_what_they_are() -> None:
    async def calls() -> None:
        guard = guarded()
        assert await guard.port.credit(CREDIT) == DONE
        assert await guard.port.reverse(Reversal(UUID(int=2), UUID(int=1), "fuel", "m", 5)) == DONE
        assert await guard.port.look_up(UUID(int=1), InstructionKind.CREDIT) is None
        assert await guard.port.validate_member("m") is Eligibility.UNKNOWN
        assert await guard.port.balance("m") == 7
        for method, outcome in (
            ("credit", "DONE"),
            ("reverse", "DONE"),
            ("look_up", "AT_WORK"),
            ("validate_member", "UNKNOWN"),
            ("balance", "OK"),
        ):
            assert guard.measured("calls_total", method=method, outcome=outcome) == 1
        assert guard.measured("call_duration_seconds_count") == 5
        assert guard.measured("calls_in_flight") == 0

    asyncio.run(calls())


def test_a_call_ends_in_its_time_whatever_the_program_does() -> None:
    async def late() -> None:
        guard = guarded(hangs, timeout_s=0.01)
        assert await guard.fault() is Fault.LATE
        assert guard.measured("calls_total", method="credit", outcome="LATE") == 1
        assert guard.port.held_back() is None

    asyncio.run(late())


def test_a_bug_of_an_adapter_frees_its_place_and_is_counted() -> None:
    async def broken() -> ProgramAnswer:
        raise KeyError("bug")

    async def calls() -> None:
        guard = guarded(broken, calls_max=1, failures_max=9)
        for _ in range(2):
            with pytest.raises(KeyError):
                await guard.port.credit(CREDIT)
        assert guard.measured("calls_total", method="credit", outcome="ERROR") == 2
        assert guard.measured("calls_in_flight") == 0

    asyncio.run(calls())


def test_no_more_calls_are_under_way_than_the_policy_allows() -> None:
    async def calls() -> None:
        guard = guarded(hangs)
        tasks = await under_way(3, guard)
        assert guard.port.held_back() is Fault.NO_SLOT
        assert await guard.fault() is Fault.NO_SLOT
        assert guard.script.calls == 3
        assert guard.measured("calls_in_flight") == 3
        tasks[0].cancel()
        await asyncio.gather(tasks[0], return_exceptions=True)
        assert guard.port.held_back() is None
        tasks += [asyncio.create_task(guard.port.credit(CREDIT))]
        while guard.script.calls < 4:
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert guard.measured("calls_in_flight") == 0
        assert guard.measured("calls_total", method="credit", outcome="NO_SLOT") == 1

    asyncio.run(calls())


def test_the_last_place_is_for_questions_about_members() -> None:
    async def calls() -> None:
        guard = guarded(hangs)
        tasks = await under_way(3, guard)
        assert await guard.fault() is Fault.NO_SLOT
        guard.script.behave = answers
        assert await guard.port.validate_member("m") is Eligibility.UNKNOWN
        assert await guard.port.balance("m") == 7
        guard.script.behave = hangs
        tasks.append(asyncio.create_task(guard.port.credit(CREDIT)))
        question = asyncio.create_task(guard.port.validate_member("m"))
        while guard.script.calls < 6:
            await asyncio.sleep(0)
        with pytest.raises(ProgramUnavailable) as caught:
            await guard.port.validate_member("m")
        assert caught.value.fault is Fault.NO_SLOT
        for task in (*tasks, question):
            task.cancel()
        await asyncio.gather(*tasks, question, return_exceptions=True)
        assert guard.measured("calls_in_flight") == 0

    asyncio.run(calls())


@pytest.mark.parametrize(("calls_max", "instructions"), [(1, 1), (2, 1), (8, 7)])
def test_a_single_place_is_for_all(calls_max: int, instructions: int) -> None:
    assert guarded(calls_max=calls_max).port.instructions_max == instructions


def test_a_call_that_may_wait_gets_the_place_that_becomes_free() -> None:
    async def calls() -> None:
        guard = guarded(hangs, calls_max=1, wait_s=60)
        (first,) = await under_way(1, guard)
        second = asyncio.create_task(guard.port.credit(CREDIT))
        await asyncio.sleep(0)
        assert guard.script.calls == 1
        guard.script.behave = answers
        first.cancel()
        assert await second == DONE

    asyncio.run(calls())


def test_a_call_that_waited_in_vain_was_not_made() -> None:
    async def calls() -> None:
        guard = guarded(hangs, calls_max=1, wait_s=0.01)
        (first,) = await under_way(1, guard)
        assert await guard.fault() is Fault.NO_SLOT
        assert guard.script.calls == 1
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)

    asyncio.run(calls())


@pytest.mark.parametrize("fault", sorted(OUT_OF_ORDER))
def test_failures_in_a_row_open_the_circuit_and_calls_are_not_made(fault: Fault) -> None:
    async def calls() -> None:
        guard = guarded(faults(fault))
        for _ in range(3):
            assert guard.port.held_back() is None
            assert await guard.fault() is fault
        assert guard.measured("circuit") == CircuitState.OPEN
        assert guard.port.held_back() is Fault.CIRCUIT_OPEN
        assert await guard.fault() is Fault.CIRCUIT_OPEN
        assert guard.script.calls == 3
        assert guard.measured("calls_total", method="credit", outcome="CIRCUIT_OPEN") == 1

    asyncio.run(calls())


@pytest.mark.parametrize(
    "fault", sorted(each for each in Fault if each.called and each not in OUT_OF_ORDER)
)
def test_an_answer_that_is_none_never_opens_the_circuit(fault: Fault) -> None:
    async def calls() -> None:
        guard = guarded(faults(fault))
        for _ in range(10):
            assert await guard.fault() is fault
        assert guard.measured("circuit") == CircuitState.CLOSED

    asyncio.run(calls())


def test_an_answer_between_two_failures_begins_the_count_anew() -> None:
    async def calls() -> None:
        guard = guarded(faults(Fault.UNREACHABLE))
        for _ in range(4):
            guard.script.behave = faults(Fault.UNREACHABLE)
            for _ in range(2):
                assert await guard.fault() is Fault.UNREACHABLE
            guard.script.behave = answers
            assert await guard.port.credit(CREDIT) == DONE
        assert guard.measured("circuit") == CircuitState.CLOSED

    asyncio.run(calls())


def test_one_call_is_tried_when_the_circuit_has_been_open_for_its_time() -> None:
    async def calls() -> None:
        guard = guarded(faults(Fault.UNREACHABLE))
        for _ in range(3):
            await guard.fault()
        guard.clocks.ticks += 29.9
        assert await guard.fault() is Fault.CIRCUIT_OPEN
        guard.clocks.ticks += 0.2
        assert guard.measured("circuit") == CircuitState.HALF_OPEN
        assert await guard.fault() is Fault.UNREACHABLE
        assert guard.measured("circuit") == CircuitState.OPEN
        guard.clocks.ticks += 29.9
        assert await guard.fault() is Fault.CIRCUIT_OPEN
        guard.clocks.ticks += 0.2
        guard.script.behave = answers
        assert await guard.port.credit(CREDIT) == DONE
        assert guard.measured("circuit") == CircuitState.CLOSED

    asyncio.run(calls())


def test_while_one_call_is_tried_no_other_is_made() -> None:
    async def calls() -> None:
        guard = guarded(faults(Fault.UNREACHABLE))
        for _ in range(3):
            await guard.fault()
        guard.clocks.ticks += 31
        guard.script.behave = hangs
        trial = asyncio.create_task(guard.port.credit(CREDIT))
        while guard.script.calls < 4:
            await asyncio.sleep(0)
        assert guard.port.held_back() is Fault.CIRCUIT_OPEN
        assert await guard.fault() is Fault.CIRCUIT_OPEN
        assert guard.script.calls == 4
        trial.cancel()
        await asyncio.gather(trial, return_exceptions=True)
        # A trial that nobody waited for proved nothing: it is open again, for its time.
        assert guard.measured("circuit") == CircuitState.OPEN
        guard.clocks.ticks += 31
        guard.script.behave = answers
        assert await guard.port.credit(CREDIT) == DONE

    asyncio.run(calls())


def test_t23_a_clock_that_is_set_back_does_not_keep_a_circuit_open() -> None:
    async def calls() -> None:
        guard = guarded(faults(Fault.UNREACHABLE))
        for _ in range(3):
            await guard.fault()
        guard.clocks.wall -= timedelta(hours=1)
        guard.clocks.ticks += 31
        guard.script.behave = answers
        assert await guard.port.credit(CREDIT) == DONE

    asyncio.run(calls())


def test_nothing_is_called_during_maintenance_and_its_end_is_told() -> None:
    ends = NOW + timedelta(hours=1)
    calendar = MaintenanceCalendar(once=(Interval(NOW, ends),))

    async def calls() -> None:
        guard = guarded(calendar=calendar)
        assert guard.port.closed_until() == ends
        assert guard.port.held_back() is Fault.MAINTENANCE
        assert guard.measured("in_maintenance") == 1
        assert await guard.fault() is Fault.MAINTENANCE
        assert guard.script.calls == 0
        guard.clocks.wall = ends
        assert guard.port.closed_until() is None
        assert guard.measured("in_maintenance") == 0
        assert await guard.port.credit(CREDIT) == DONE

    asyncio.run(calls())


def test_one_programs_open_circuit_and_full_places_hold_no_other_back() -> None:
    async def calls() -> None:
        full = guarded(hangs, wait_s=60)
        waiting = await under_way(3, full)
        waiting += [asyncio.create_task(full.port.credit(CREDIT)) for _ in range(100)]
        down = guarded(faults(Fault.UNREACHABLE))
        for _ in range(4):
            await down.fault()
        well = guarded()
        for _ in range(100):
            assert await well.port.credit(CREDIT) == DONE
        assert (full.script.calls, down.script.calls, well.script.calls) == (3, 3, 100)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(calls())


def test_a_program_is_called_as_its_route_says() -> None:
    calendar = MaintenanceCalendar(once=(Interval(NOW, NOW + timedelta(hours=1)),))
    route = Route("fuel", timeout=timedelta(milliseconds=1500), calls_max=4, maintenance=calendar)
    policy = policy_of(route)
    assert (policy.timeout_s, policy.calls_max, policy.calendar) == (1.5, 4, calendar)
