"""A program that keeps everything in memory: for tests, and for sandboxes, where nobody is real.

It takes any member and any amount, but for those that are magic: `adapters.magic` lists them, and
what they make it do.

Given a brand's key, it signs its answers with it. Without one it signs nothing, and its answers
decide no transfer whose credit has to be confirmed. What it knows goes with the process.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from adapters.magic import DECLINES, LATE_S, STANDING, Trick, trick_of
from partners.confirmations.confirmation import Confirmation
from partners.confirmations.verification import evidence_of, signed_confirmation
from partners.keys import Signer
from partners.program_port import (
    Credit,
    CreditOutcome,
    DeclineReason,
    Eligibility,
    Fault,
    InstructionKind,
    ProgramAnswer,
    ProgramUnavailable,
    Reversal,
)

Key = tuple[UUID, InstructionKind]
CONFLICT = ProgramAnswer(CreditOutcome.DECLINED, reason=DeclineReason.CONFLICT)
NEVER = ProgramAnswer(CreditOutcome.NEVER)


@dataclass(frozen=True, slots=True)
class Seal:
    """By whom, and as what, a simulated program's answers are signed."""

    audience: str
    partner_id: str
    program: str
    signer: Signer
    """The brand's key for orders."""
    now: Callable[[], datetime]

    def signed(self, key: Key, answer: ProgramAnswer) -> ProgramAnswer:
        """The answer with its evidence."""
        said = Confirmation(
            self.audience,
            self.partner_id,
            *key,
            self.program,
            answer.outcome,
            self.now(),
            answer.points,
            answer.reason,
            answer.reference,
        )
        return replace(answer, evidence=evidence_of(signed_confirmation(self.signer, said)))


def no_seal() -> Seal | None:
    """Nothing is signed."""
    return None


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
    magic_amounts: bool = False
    """Whether amounts are magic, too."""
    seal: Callable[[], Seal | None] = no_seal
    """Asked for each answer: a key may come later."""
    monotonic: Callable[[], float] = time.monotonic
    told: dict[Key, tuple[Credit, float]] = field(default_factory=dict)
    """What the program was told first of each credit, and when."""

    async def validate_member(self, member: str) -> Eligibility:
        """What the reference says; raises ProgramUnavailable where it says so."""
        trick = trick_of(member)
        await keep_away(trick)
        return STANDING.get(trick, Eligibility.ELIGIBLE) if trick else Eligibility.ELIGIBLE

    async def balance(self, member: str) -> int:
        """Points that were given and not taken back."""
        await keep_away(trick_of(member))
        return self.balances.get(member, 0)

    async def credit(self, credit: Credit) -> ProgramAnswer:
        """Give the points, unless the member or the amount is magic."""
        key = credit.instruction_id, InstructionKind.CREDIT
        again = key in self.told
        self.told.setdefault(key, (credit, self.monotonic()))
        trick = self._trick(key)
        await keep_away(trick)
        if trick is Trick.FENCED and key not in self.answers:
            raise lost("it never came")
        if trick is Trick.NEVER or not self._is_ready(key):
            raise ProgramUnavailable("the program is at work on it", Fault.AT_WORK)
        answer = self._credited(key, credit)
        if trick is Trick.SILENT or (trick is Trick.TWICE and not again):
            raise lost("its answer never came")
        if trick is Trick.CHANGED and again:
            return self._signed(key, declined(DeclineReason.OTHER))
        return answer

    async def reverse(self, reversal: Reversal) -> ProgramAnswer:
        """Take back what the member still has of it."""
        await keep_away(trick_of(reversal.member))
        key = reversal.instruction_id, InstructionKind.REVERSE
        if (before := self.answers.get(key)) is not None:
            return self._repeated(key, before, reversal)
        origin = reversal.transfer_id, InstructionKind.CREDIT
        credited = self.instructions.get(origin)
        if credited is None or credited.member != reversal.member:
            return self._keep(key, reversal, declined(DeclineReason.OTHER))
        given = self.answers[origin].points
        before_it = self.taken_back.get(reversal.transfer_id, 0)
        spent = trick_of(reversal.member) is Trick.SPENT or self._trick(origin) is Trick.SPENT
        has = 0 if spent else self.balances.get(reversal.member, 0)
        taken = min(has, given - before_it, reversal.points)
        if not taken:
            return self._keep(key, reversal, declined(DeclineReason.SPENT))
        self.balances[reversal.member] -= taken
        self.taken_back[reversal.transfer_id] = before_it + taken
        return self._keep(key, reversal, ProgramAnswer(CreditOutcome.DONE, taken))

    async def look_up(self, instruction_id: UUID, kind: InstructionKind) -> ProgramAnswer | None:
        """What was answered; an instruction that never came is fenced off."""
        key = instruction_id, kind
        trick = self._trick(key)
        await keep_away(trick)
        if trick is Trick.NEVER or not self._is_ready(key):
            return None
        if trick is Trick.LATE:
            return self._credited(key, self.told[key][0])
        if trick is Trick.CHANGED:
            return self._signed(key, declined(DeclineReason.OTHER))
        if key not in self.answers:
            self.answers[key] = self._signed(key, NEVER)
        return self.answers[key]

    def _trick(self, key: Key) -> Trick | None:
        """What is done about an instruction, however often it comes."""
        if key not in self.told:
            return None
        credit, _ = self.told[key]
        return trick_of(credit.member, credit.points if self.magic_amounts else 0)

    def _is_ready(self, key: Key) -> bool:
        late = self._trick(key) is Trick.LATE
        return not late or self.monotonic() >= self.told[key][1] + LATE_S

    def _credited(self, key: Key, credit: Credit) -> ProgramAnswer:
        """The points are given, or declined, once."""
        if (before := self.answers.get(key)) is not None:
            return self._repeated(key, before, credit)
        trick = self._trick(key)
        if trick in DECLINES:
            return self._keep(key, credit, declined(DECLINES[trick]))
        if trick is not Trick.CHANGED:
            self.balances[credit.member] = self.balances.get(credit.member, 0) + credit.points
        done = ProgramAnswer(CreditOutcome.DONE, credit.points)
        signs = trick not in (Trick.UNSIGNED, Trick.CHANGED)
        return self._keep(key, credit, done, signs=signs)

    def _keep(
        self, key: Key, instruction: Credit | Reversal, answer: ProgramAnswer, *, signs: bool = True
    ) -> ProgramAnswer:
        self.instructions[key] = instruction
        self.answers[key] = self._signed(key, answer) if signs else answer
        return self.answers[key]

    def _repeated(self, key: Key, before: ProgramAnswer, again: Credit | Reversal) -> ProgramAnswer:
        """The first answer to the same one; declined where it was fenced off, or differs."""
        known = self.instructions.get(key)
        if known is None:
            return self._signed(key, declined(DeclineReason.OTHER))
        return before if known == again else self._signed(key, CONFLICT)

    def _signed(self, key: Key, answer: ProgramAnswer) -> ProgramAnswer:
        seal = self.seal()
        return seal.signed(key, answer) if seal else answer


async def keep_away(trick: Trick | None) -> None:
    """Do what is magic about the connection; raises ProgramUnavailable."""
    if trick is Trick.SLOW:
        # Cancelled by whoever does not want to wait any longer.
        await asyncio.Event().wait()
    if trick is Trick.AWAY:
        raise ProgramUnavailable("the program is away")


def lost(what: str) -> ProgramUnavailable:
    """Nothing came of a call."""
    return ProgramUnavailable(what, Fault.LATE)


def declined(reason: DeclineReason) -> ProgramAnswer:
    """A refusal for ever."""
    return ProgramAnswer(CreditOutcome.DECLINED, reason=reason)
