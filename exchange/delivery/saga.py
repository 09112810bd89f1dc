"""What is done next about an instruction; `booking` says what its answer asks of the books. Pure.

Rules kept here:

- A committed credit is told for ever, and so is what is to be taken back: both are repeated until
  the program answers.
- A reserved credit is told until its time is over, and from then on asked about: a look-up either
  finds the answer or fences the credit off, so that it can no longer be given.
- No answer means that nothing is known. Nothing is concluded from silence, however long it lasts.
- The first definite answer counts, of those that somebody stands behind. Another one that cannot
  be true beside it changes nothing, and somebody is told.
"""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from partners.program_port import Credit, Fault, InstructionKind, ProgramAnswer, Reversal


class Step(StrEnum):
    """What is done about an instruction now."""

    TELL = "TELL"
    ASK = "ASK"


@dataclass(frozen=True, slots=True)
class Claimed:
    """An instruction that somebody is at work on."""

    instruction: Credit | Reversal
    transfer_id: UUID
    attempts: int
    """How often it was claimed, this time included."""
    sent_before: bool
    """Whether the program may have heard of it already."""
    overdue: bool
    """Whether the time for telling a reserved credit is over."""

    @property
    def kind(self) -> InstructionKind:
        """What it asks for."""
        is_credit = isinstance(self.instruction, Credit)
        return InstructionKind.CREDIT if is_credit else InstructionKind.REVERSE

    @property
    def key(self) -> "InstructionKey":
        """Names it."""
        return self.instruction.instruction_id, self.kind

    def answered(self, answer: ProgramAnswer) -> "Answered":
        """The instruction with its answer."""
        told = self.instruction
        committed = not isinstance(told, Credit) or told.committed
        return Answered(self.key, self.transfer_id, told.program, told.points, committed, answer)

    @property
    def step(self) -> Step:
        """What is done about it now."""
        credit = self.instruction
        waits = isinstance(credit, Credit) and not credit.committed
        return Step.ASK if waits and self.overdue else Step.TELL


InstructionKey = tuple[UUID, InstructionKind]
"""A transfer's or a reversal's id, and what it asks for."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An instruction whose answer is stored, and not in the books yet."""

    key: InstructionKey
    transfer_id: UUID
    program: str
    points: int
    """How many were asked for."""
    committed: bool
    answer: ProgramAnswer


def was_told(claimed: Claimed, fault: Fault) -> bool:
    """Whether the program may have heard of an instruction, now or before."""
    return claimed.sent_before or fault.called
