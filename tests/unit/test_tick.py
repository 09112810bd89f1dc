"""An answer comes at its tick: the scheduled one, whatever was found and however soon.

The loop's clock moves only when there is nothing left to do, straight to what is due next, so that
the tests say when something happens and wait for nothing.
"""

import asyncio
import heapq
from collections.abc import Coroutine
from typing import Any

import pytest

from adapters.memory import MemoryProgram
from partners.links.tick import at_tick
from partners.program_port import Eligibility, ProgramUnavailable

AFTER_S = 0.5


class Stepping(asyncio.SelectorEventLoop):
    """A loop with a clock of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        scheduled: list[Any] = self._scheduled  # type: ignore[attr-defined]
        if not self._ready and scheduled:  # type: ignore[attr-defined]
            self.now = max(self.now, heapq.nsmallest(1, scheduled)[0].when())
        super()._run_once()  # type: ignore[misc]


async def after(seconds: float, found: Eligibility) -> Eligibility:
    await asyncio.sleep(seconds)
    return found


async def failing() -> Eligibility:
    raise ProgramUnavailable("away")


def answered(work: Coroutine[Any, Any, Eligibility]) -> tuple[object, float]:
    """What a call came to, and when on the loop's clock."""
    loop = Stepping()
    try:
        return loop.run_until_complete(at_tick(work, AFTER_S)), loop.now
    except (ProgramUnavailable, TimeoutError) as error:
        return type(error), loop.now
    finally:
        loop.close()


@pytest.mark.parametrize(
    ("work", "found"),
    [
        (after(0, Eligibility.ELIGIBLE), Eligibility.ELIGIBLE),
        (after(0.1, Eligibility.UNKNOWN), Eligibility.UNKNOWN),
        (after(0.49, Eligibility.INELIGIBLE), Eligibility.INELIGIBLE),
        (after(0.51, Eligibility.ELIGIBLE), TimeoutError),
        (failing(), ProgramUnavailable),
        (MemoryProgram().validate_member("slow-1"), TimeoutError),
    ],
)
def test_t34_every_answer_is_given_at_the_tick_that_was_set_before_the_work_began(
    work: Coroutine[Any, Any, Eligibility], found: object
) -> None:
    assert answered(work) == (found, AFTER_S)


def test_a_caller_who_goes_away_takes_the_work_along() -> None:
    loop, ended = Stepping(), []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(loop.time())

    async def leave() -> None:
        call = asyncio.ensure_future(at_tick(work(), AFTER_S))
        await asyncio.sleep(0.2)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

    loop.run_until_complete(leave())
    loop.close()
    assert ended == [0.2]


@pytest.mark.parametrize(
    ("member", "found"),
    [
        ("anybody", Eligibility.ELIGIBLE),
        ("unknown-1", Eligibility.UNKNOWN),
        ("ineligible-1", Eligibility.INELIGIBLE),
    ],
)
def test_a_made_up_programs_members_say_what_they_are(member: str, found: Eligibility) -> None:
    assert asyncio.run(MemoryProgram().validate_member(member)) is found


def test_a_made_up_program_is_away_when_its_member_says_so() -> None:
    with pytest.raises(ProgramUnavailable):
        asyncio.run(MemoryProgram().validate_member("away-1"))
