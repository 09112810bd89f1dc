"""A brand's own system, honest and exact: it keeps a record of what it gave, in its order, and the
rules of `partners/program_port.py`. What the way there does to messages is `network.py`'s.
"""

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
)

FENCED = ProgramAnswer(CreditOutcome.NEVER)


@dataclass(frozen=True, slots=True)
class Given:
    """Points that the brand gave."""

    transfer_id: UUID
    member: str
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
    record: list[Given] = field(default_factory=list)
    """What it gave, in its order."""
    answers: dict[InstructionKey, ProgramAnswer] = field(default_factory=dict)
    seen: dict[InstructionKey, Credit] = field(default_factory=dict)
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
        if credit.member in self.declines:
            self.answers[key] = declined(DeclineReason.MEMBER_INELIGIBLE)
            return
        self.record.append(Given(credit.instruction_id, credit.member, credit.points))
        reference = f"{self.name}-{len(self.record)}"
        self.answers[key] = ProgramAnswer(CreditOutcome.DONE, credit.points, reference=reference)

    def signed(self, key: InstructionKey, answer: ProgramAnswer) -> ProgramAnswer:
        """An answer with the signature of this moment, if it signs."""
        key_id = self.signing_key()
        if not key_id:
            return answer
        content = f"{key} {answer} by {key_id}".encode()
        return replace(answer, evidence=Evidence("text/plain", content, key_id, b"signature"))


def declined(reason: DeclineReason) -> ProgramAnswer:
    """A refusal for ever."""
    return ProgramAnswer(CreditOutcome.DECLINED, reason=reason)
