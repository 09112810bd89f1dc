"""Your own program, for a brand that fetches what it has to do: what it is given and answers.

Write a class with the three methods of `Program`, and hand it to `Client.pull`. Its rules:

- An instruction has an id and a kind. The same one again is carried out once, and answered as it
  was first: note the id in the transaction that moves the points. An instruction comes again when
  its answer was lost, or your program ended before it gave one.
- DONE and DECLINED are for ever. Who cannot say yet raises an exception: it comes again.
- NEVER answers a look-up of what your program has never seen. It is a fence: note that too, and
  decline the instruction if it comes later.
"""

from typing import Protocol
from uuid import UUID

from partners.program_port import (
    Credit,
    CreditOutcome,
    DeclineReason,
    ExpiryLot,
    InstructionKind,
    ProgramAnswer,
    Reversal,
)

__all__ = [
    "Credit",
    "CreditOutcome",
    "DeclineReason",
    "ExpiryLot",
    "InstructionKind",
    "Program",
    "ProgramAnswer",
    "Reversal",
]


class Program(Protocol):
    """What a brand's system does with instructions."""

    def credit(self, credit: Credit) -> ProgramAnswer:
        """Give points: DONE with as many as were asked for, or DECLINED with the reason."""

    def reverse(self, reversal: Reversal) -> ProgramAnswer:
        """Take points back: DONE with 1 to as many as were asked for, or DECLINED."""

    def look_up(self, instruction_id: UUID, kind: InstructionKind) -> ProgramAnswer | None:
        """What became of an instruction; None while you are still at work on it."""
