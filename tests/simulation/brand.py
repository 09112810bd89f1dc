"""A brand's own system, exact and, unless it is told to lie, honest: it keeps a record of what it
gave, in its order, and the rules of `partners/program_port.py`. What the way there does to messages
is `network.py`'s.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from uuid import UUID

from exchange.delivery.saga import InstructionKey
from partners.program_port import (
    Credit,
    CreditOutcome,
    DeclineReason,
    Evidence,
    Fault,
    InstructionKind,
    ProgramAnswer,
    ProgramUnavailable,
    Reversal,
)

FENCED = ProgramAnswer(CreditOutcome.NEVER)


@dataclass(frozen=True, slots=True)
class Given:
    """Points that the brand gave."""

    transfer_id: UUID
    member: str
    points: int


@dataclass(frozen=True, slots=True)
class Taken:
    """Points of a transfer that the brand took back."""

    transfer_id: UUID
    points: int


@dataclass(slots=True)
class Brand:
    """One brand's system."""

    name: str
    now: Callable[[], int]
    signing_key: Callable[[], str]
    """The key with which it signs at present; empty where it signs nothing."""
    declines: frozenset[str] = frozenset()
    """Members to whom it gives nothing."""
    spends: Callable[[], bool] = lambda: False
    """Whether a member spends half of what is given to it now."""
    lies: Callable[[], bool] = lambda: False
    """Whether it signs the opposite of what is so, now."""
    record: list[Given] = field(default_factory=list)
    """What it gave, in its order."""
    taken: list[Taken] = field(default_factory=list)
    balances: Counter[str] = field(default_factory=Counter)
    """Points by member."""
    answers: dict[InstructionKey, ProgramAnswer] = field(default_factory=dict)
    seen: dict[InstructionKey, Credit | Reversal] = field(default_factory=dict)
    deciding: dict[InstructionKey, int] = field(default_factory=dict)
    """Until when it is at work on an instruction."""
    heard: set[InstructionKey] = field(default_factory=set)
    """What was ever put on the way to it, arrived or not."""

    def credit(self, credit: Credit, takes: int = 0) -> ProgramAnswer:
        """Give points; raises ProgramUnavailable while it is at work, which `takes` so long."""
        key = credit.instruction_id, InstructionKind.CREDIT
        self.decide(key)
        before = self.answers.get(key)
        if before is FENCED:
            return self.signed(key, declined(DeclineReason.OTHER))
        known = self.seen.setdefault(key, credit)
        if known != credit:
            return self.signed(key, declined(DeclineReason.CONFLICT))
        if before is None:
            self.deciding.setdefault(key, self.now() + takes)
            self.decide(key)
        if key in self.deciding:
            raise ProgramUnavailable("at work", Fault.AT_WORK)
        return self.signed(key, self.answers[key])

    def reverse(self, reversal: Reversal) -> ProgramAnswer:
        """Take back what the member still has of a credit."""
        key = reversal.instruction_id, InstructionKind.REVERSE
        before = self.answers.get(key)
        if before is FENCED:
            return self.signed(key, declined(DeclineReason.OTHER))
        if self.seen.setdefault(key, reversal) != reversal:
            return self.signed(key, declined(DeclineReason.CONFLICT))
        if before is None:
            points = self.take(reversal.transfer_id, reversal.points)
            done = ProgramAnswer(CreditOutcome.DONE, points)
            self.answers[key] = done if points else declined(DeclineReason.SPENT)
        return self.signed(key, self.answers[key])

    def take(self, transfer_id: UUID, most: int) -> int:
        """Take back as much of a credit as is left of it and as its member has."""
        given = next((each for each in self.record if each.transfer_id == transfer_id), None)
        if given is None:
            return 0
        points = min(most, given.points - self.taken_of(transfer_id), self.balances[given.member])
        if points:
            self.balances[given.member] -= points
            self.taken.append(Taken(transfer_id, points))
        return points

    def taken_of(self, transfer_id: UUID) -> int:
        """How many points of a transfer were taken back."""
        return sum(each.points for each in self.taken if each.transfer_id == transfer_id)

    def look_up(self, key: InstructionKey) -> ProgramAnswer | None:
        """What became of an instruction; what never came is fenced off."""
        self.decide(key)
        if key in self.deciding:
            return None
        return self.signed(key, self.answers.setdefault(key, FENCED))

    def decide(self, key: InstructionKey) -> None:
        """Finish what it has been at work on for long enough."""
        if self.deciding.get(key, self.now() + 1) > self.now():
            return
        del self.deciding[key]
        credit = self.seen[key]
        assert isinstance(credit, Credit), "what is taken back is decided at once"
        if credit.member in self.declines:
            self.answers[key] = declined(DeclineReason.MEMBER_INELIGIBLE)
            return
        self.record.append(Given(credit.instruction_id, credit.member, credit.points))
        self.balances[credit.member] += credit.points
        if self.spends():
            self.balances[credit.member] -= credit.points // 2
        reference = f"{self.name}-{len(self.record)}"
        self.answers[key] = ProgramAnswer(CreditOutcome.DONE, credit.points, reference=reference)

    def signed(self, key: InstructionKey, answer: ProgramAnswer) -> ProgramAnswer:
        """An answer with the signature of this moment, if it signs."""
        if self.lies() and key in self.seen:
            done = answer.outcome is CreditOutcome.DONE
            opposite = ProgramAnswer(CreditOutcome.DONE, self.seen[key].points)
            answer = declined(DeclineReason.OTHER) if done else opposite
        key_id = self.signing_key()
        if not key_id:
            return answer
        content = f"{key} {answer} by {key_id}".encode()
        return replace(answer, evidence=Evidence("text/plain", content, key_id, b"signature"))


def declined(reason: DeclineReason) -> ProgramAnswer:
    """A refusal for ever."""
    return ProgramAnswer(CreditOutcome.DECLINED, reason=reason)
