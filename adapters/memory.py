"""A program that keeps everything in memory: for tests, and for sandboxes, where nobody is real.

It takes any member, except for those whose reference says what is to happen:

| reference | what happens |
| --- | --- |
| `unknown-…` | there is no such member |
| `ineligible-…` | the member may not take part |
| `away-…` | the program cannot be reached |
| `slow-…` | no answer comes before the exchange gives up |
| `spent-…` | the member has spent what is to be taken back |

It signs nothing, so its answers decide no transfer whose credit has to be confirmed.
"""

import asyncio
from dataclasses import dataclass, field
from uuid import UUID

from partners.program_port import (
    Credit,
    CreditOutcome,
    DeclineReason,
    Eligibility,
    InstructionKind,
    ProgramAnswer,
    ProgramUnavailable,
    Reversal,
)

UNKNOWN, INELIGIBLE, AWAY, SLOW, SPENT = "unknown-", "ineligible-", "away-", "slow-", "spent-"
"""How magic references begin."""

Key = tuple[UUID, InstructionKind]
CONFLICT = ProgramAnswer(CreditOutcome.DECLINED, reason=DeclineReason.CONFLICT)
NEVER = ProgramAnswer(CreditOutcome.NEVER)


@dataclass(slots=True)
class MemoryProgram:
    """A program with magic members; implements `ProgramPort`."""

    balances: dict[str, int] = field(default_factory=dict)
    """Points by member."""
    instructions: dict[Key, Credit | Reversal] = field(default_factory=dict)
    """What was carried out or declined."""
    answers: dict[Key, ProgramAnswer] = field(default_factory=dict)
    """With what; a fence has an answer and no instruction."""
    taken_back: dict[UUID, int] = field(default_factory=dict)
    """Points of each transfer."""

    async def validate_member(self, member: str) -> Eligibility:
        """What the reference says; raises ProgramUnavailable where it says so."""
        await obey(member)
        if member.startswith(UNKNOWN):
            return Eligibility.UNKNOWN
        if member.startswith(INELIGIBLE):
            return Eligibility.INELIGIBLE
        return Eligibility.ELIGIBLE

    async def balance(self, member: str) -> int:
        """Points that were given and not taken back."""
        await obey(member)
        return self.balances.get(member, 0)

    async def credit(self, credit: Credit) -> ProgramAnswer:
        """Give the points, unless the reference says otherwise."""
        await obey(credit.member)
        key = credit.instruction_id, InstructionKind.CREDIT
        if (before := self.answers.get(key)) is not None:
            return repeated(before, self.instructions.get(key), credit)
        if credit.member.startswith(UNKNOWN):
            return self._keep(key, credit, declined(DeclineReason.MEMBER_UNKNOWN))
        if credit.member.startswith(INELIGIBLE):
            return self._keep(key, credit, declined(DeclineReason.MEMBER_INELIGIBLE))
        self.balances[credit.member] = self.balances.get(credit.member, 0) + credit.points
        return self._keep(key, credit, ProgramAnswer(CreditOutcome.DONE, credit.points))

    async def reverse(self, reversal: Reversal) -> ProgramAnswer:
        """Take back what the member still has of it."""
        await obey(reversal.member)
        key = reversal.instruction_id, InstructionKind.REVERSE
        if (before := self.answers.get(key)) is not None:
            return repeated(before, self.instructions.get(key), reversal)
        credited = self.instructions.get((reversal.transfer_id, InstructionKind.CREDIT))
        if credited is None or credited.member != reversal.member:
            return self._keep(key, reversal, declined(DeclineReason.OTHER))
        given = self.answers[(reversal.transfer_id, InstructionKind.CREDIT)].points
        before_it = self.taken_back.get(reversal.transfer_id, 0)
        has = 0 if reversal.member.startswith(SPENT) else self.balances.get(reversal.member, 0)
        taken = min(has, given - before_it, reversal.points)
        if not taken:
            return self._keep(key, reversal, declined(DeclineReason.SPENT))
        self.balances[reversal.member] -= taken
        self.taken_back[reversal.transfer_id] = before_it + taken
        return self._keep(key, reversal, ProgramAnswer(CreditOutcome.DONE, taken))

    async def look_up(self, instruction_id: UUID, kind: InstructionKind) -> ProgramAnswer | None:
        """What was answered; an instruction that never came is fenced off."""
        return self.answers.setdefault((instruction_id, kind), NEVER)

    def _keep(
        self, key: Key, instruction: Credit | Reversal, answer: ProgramAnswer
    ) -> ProgramAnswer:
        self.instructions[key] = instruction
        self.answers[key] = answer
        return answer


async def obey(member: str) -> None:
    """Do what a magic reference says of the connection; raises ProgramUnavailable."""
    if member.startswith(SLOW):
        # Cancelled by whoever does not want to wait any longer.
        await asyncio.Event().wait()
    if member.startswith(AWAY):
        raise ProgramUnavailable("the program is away, as its member's reference says")


def declined(reason: DeclineReason) -> ProgramAnswer:
    """A refusal for ever."""
    return ProgramAnswer(CreditOutcome.DECLINED, reason=reason)


def repeated(
    before: ProgramAnswer, known: Credit | Reversal | None, again: Credit | Reversal
) -> ProgramAnswer:
    """The first answer to the same instruction; declined where it was fenced off, or differs."""
    if known is None:
        return declined(DeclineReason.OTHER)
    return before if known == again else CONFLICT
