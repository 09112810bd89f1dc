"""What a program answers is held against what was asked of it, whichever way it came."""

import asyncio
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from adapters.memory import MemoryProgram
from exchange.delivery.courier import call
from exchange.delivery.saga import Claimed
from partners.program_port import (
    Credit,
    CreditOutcome,
    Fault,
    InstructionKind,
    ProgramAnswer,
    ProgramUnavailable,
    Reversal,
)

TRANSFER = UUID("019b8d99-69fa-7000-8000-00000000002a")
REVERSAL = UUID("019b8d99-69fa-7000-8000-00000000002b")
CREDIT = Credit(TRANSFER, "mirror", "m-1", 500, bytes(32), committed=False)
TAKING = Reversal(REVERSAL, TRANSFER, "mirror", "m-1", 200)


@dataclass(slots=True)
class Saying(MemoryProgram):
    """Answers everything in one way."""

    answer: ProgramAnswer = field(default_factory=lambda: ProgramAnswer(CreditOutcome.DONE, 500))

    async def credit(self, credit: Credit) -> ProgramAnswer:
        return self.answer

    async def reverse(self, reversal: Reversal) -> ProgramAnswer:
        return self.answer

    async def look_up(self, instruction_id: UUID, kind: InstructionKind) -> ProgramAnswer | None:
        return self.answer


def claimed(instruction: Credit | Reversal, *, overdue: bool) -> Claimed:
    return Claimed(instruction, TRANSFER, 1, sent_before=True, overdue=overdue)


@pytest.mark.parametrize("overdue", [False, True], ids=["told", "asked"])
@pytest.mark.parametrize(
    "points", [500, 499, 501, 0, -500], ids=["all", "fewer", "more", "none", "negative"]
)
def test_a_credit_of_other_points_is_no_answer(points: int, overdue: bool) -> None:
    port = Saying(answer=ProgramAnswer(CreditOutcome.DONE, points))
    asking = call(claimed(CREDIT, overdue=overdue), port)
    if points == CREDIT.points:
        assert asyncio.run(asking) == port.answer
        return
    with pytest.raises(ProgramUnavailable) as raised:
        asyncio.run(asking)
    assert raised.value.fault is Fault.POINTS_WRONG


@pytest.mark.parametrize(("points", "taken"), [(200, True), (1, True), (201, False), (0, False)])
def test_at_most_as_many_as_were_asked_for_are_taken_back(points: int, taken: bool) -> None:
    port = Saying(answer=ProgramAnswer(CreditOutcome.DONE, points))
    asking = call(claimed(TAKING, overdue=False), port)
    if taken:
        assert asyncio.run(asking) == port.answer
        return
    with pytest.raises(ProgramUnavailable) as raised:
        asyncio.run(asking)
    assert raised.value.fault is Fault.POINTS_WRONG
