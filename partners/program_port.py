"""The port behind which every brand's own system stands: what the exchange asks of a program.

An adapter speaks a brand's protocol and implements this one. Rules for whoever writes one:

- Whatever moves points is keyed by the instruction's id and its kind: the same one with the same
  content is carried out once and answered as it was first; with other content it is declined.
- An answer is definite: DONE, DECLINED, or NEVER, which only a look-up gives and which is a fence:
  the instruction must be declined if it comes later. Anything else is no answer: an adapter raises
  `ProgramUnavailable` and never guesses. Whoever was asked may have acted all the same.
- Points are taken back from the credit that a reversal names, and from no other: in all of them
  together at most what it gave, and nothing of a credit that never was or is another member's.
- Evidence is what the brand can be held to: bytes that its key signed. An adapter whose protocol
  signs nothing gives none, and then no transfer is decided by its answer alone.
- `validate_member` and `balance` only read. What the former tells apart, the exchange shows to
  nobody: an unknown member and an ineligible one are one answer to another brand.

`adapters/conformance.py` holds the checks that every implementation passes.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from partners.errors import PointclearError

FULFILMENT_BYTES_MAX = 1024


class Eligibility(StrEnum):
    """What a program says of a member."""

    ELIGIBLE = "ELIGIBLE"
    INELIGIBLE = "INELIGIBLE"
    UNKNOWN = "UNKNOWN"


class InstructionKind(StrEnum):
    """What an instruction asks for."""

    CREDIT = "CREDIT"
    REVERSE = "REVERSE"


class CreditOutcome(StrEnum):
    """What became of an instruction."""

    DONE = "DONE"
    DECLINED = "DECLINED"
    """For ever: nothing was moved, and nothing will be."""
    NEVER = "NEVER"
    """Never seen, and never to be carried out."""


class DeclineReason(StrEnum):
    """Why a program declined."""

    MEMBER_UNKNOWN = "MEMBER_UNKNOWN"
    MEMBER_INELIGIBLE = "MEMBER_INELIGIBLE"
    MEMBER_FROZEN = "MEMBER_FROZEN"
    LIMIT = "LIMIT"
    SPENT = "SPENT"
    """The member has spent the points that were to be taken back."""
    CONFLICT = "CONFLICT"
    """The id was used with other content."""
    OTHER = "OTHER"


class Fault(StrEnum):
    """Why there was no answer, or why what came is none; counted, and shown to operators."""

    MAINTENANCE = "MAINTENANCE"
    """Not called: the program's calendar says that it is closed."""
    CIRCUIT_OPEN = "CIRCUIT_OPEN"
    """Not called: too many of its latest calls failed."""
    NO_SLOT = "NO_SLOT"
    """Not called: as many calls as it takes at once are under way."""

    UNREACHABLE = "UNREACHABLE"
    """No connection, or it was lost on the way."""
    NOT_TRUSTED = "NOT_TRUSTED"
    """Whoever answered there did not prove to be the program: certificate expired, or another's."""
    LATE = "LATE"
    """Nothing came in time."""
    FAILED = "FAILED"
    """The program said that it cannot answer."""
    AT_WORK = "AT_WORK"
    """The program has it, and says what became of it when it is asked again. No failure."""

    MALFORMED = "MALFORMED"
    """It does not have the protocol's form, has not one signature, or is too large."""
    TYPE_WRONG = "TYPE_WRONG"
    KEY_UNKNOWN = "KEY_UNKNOWN"
    KEY_WRONG = "KEY_WRONG"
    """Another's key, or one for another purpose."""
    KEY_NOT_IN_FORCE = "KEY_NOT_IN_FORCE"
    SIGNATURE_INVALID = "SIGNATURE_INVALID"
    """It does not fit what came, or does not cover what it must."""
    AUDIENCE_WRONG = "AUDIENCE_WRONG"
    PARTNER_WRONG = "PARTNER_WRONG"
    INSTRUCTION_WRONG = "INSTRUCTION_WRONG"
    """It answers another instruction, or another kind of it."""
    PROGRAM_WRONG = "PROGRAM_WRONG"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    """Not stated, or NEVER where nobody looked up."""
    POINTS_WRONG = "POINTS_WRONG"
    REASON_WRONG = "REASON_WRONG"
    """DECLINED without a reason, or a reason without it."""
    FIELD_INVALID = "FIELD_INVALID"
    FULFILMENT_WRONG = "FULFILMENT_WRONG"
    """Not what the answer commits to, too large, or without a credit that was done."""

    @property
    def called(self) -> bool:
        """Whether the program may have heard of it."""
        return self not in {Fault.MAINTENANCE, Fault.CIRCUIT_OPEN, Fault.NO_SLOT}


class ProgramUnavailable(PointclearError):
    """The program gave no answer, or none that means anything. Nothing is known."""

    def __init__(self, text: str, fault: Fault = Fault.UNREACHABLE) -> None:
        super().__init__(text)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class ExpiryLot:
    """Points that will expire together."""

    points: int
    expires_at: datetime | None
    """None where the program's own rule says."""


@dataclass(frozen=True, slots=True)
class Credit:
    """An instruction to give points to a member. Its id is the transfer's."""

    instruction_id: UUID
    program: str
    member: str
    points: int
    order_sha256: bytes
    committed: bool = field(compare=False)
    """Whether the transfer is committed, so that the brand has promised to honour this; else its
    answer decides. It may become so, and the instruction stays the same."""
    expiry_lots: tuple[ExpiryLot, ...] = ()
    source_key: bytes = field(default=b"", compare=False)
    """The source brand's public key for which a fulfilment is sealed, 32 bytes: see
    `partners/fulfilment.py`. It may be exchanged, and the instruction stays the same."""


@dataclass(frozen=True, slots=True)
class Reversal:
    """An instruction to take points of an earlier credit back: as many as the member still has, at
    most `points`. Its id is its own.
    """

    instruction_id: UUID
    transfer_id: UUID
    program: str
    member: str
    points: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a brand's key signed: its answer, verbatim. The adapter has verified it."""

    media_type: str
    """What `content` is: a payload type of an envelope, or another protocol's name for it."""
    content: bytes
    """The bytes that were signed, without member references."""
    key_id: str
    """Of the brand's registered key."""
    signature: bytes


@dataclass(frozen=True, slots=True)
class ProgramAnswer:
    """A definite answer to one instruction."""

    outcome: CreditOutcome
    points: int = 0
    """With DONE: given, or taken back. A reversal may take fewer than were asked for."""
    reason: DeclineReason | None = None
    """With DECLINED."""
    reference: str = ""
    """The brand's own id of its booking; not personal data."""
    evidence: Evidence | None = None
    fulfilment: bytes = b""
    """A code or certificate in place of points, sealed for the source brand; in no log, record or
    report."""


def contradicts(first: ProgramAnswer, later: ProgramAnswer) -> bool:
    """Whether a brand took its word back: two answers to one instruction that cannot both be true.

    A brand may sign the same answer anew, and what it fenced off it declines when it comes. An
    answer without a reference may be about any booking: who speaks in a brand's place knows none.
    """
    if _moved(first) != _moved(later):
        return True
    references = {first.reference, later.reference} - {""}
    return _moved(first) is not None and len(references) > 1


def _moved(answer: ProgramAnswer) -> int | None:
    return answer.points if answer.outcome is CreditOutcome.DONE else None


class ProgramPort(Protocol):
    """A program, whoever runs it. Every method may raise ProgramUnavailable."""

    async def validate_member(self, member: str) -> Eligibility:
        """Whether a member of the program may take part."""

    async def balance(self, member: str) -> int:
        """Points that a member may spend."""

    async def credit(self, credit: Credit) -> ProgramAnswer:
        """Give points: DONE with as many as were asked for, or DECLINED."""

    async def reverse(self, reversal: Reversal) -> ProgramAnswer:
        """Take points back: DONE with 1 to as many as were asked for, or DECLINED."""

    async def look_up(self, instruction_id: UUID, kind: InstructionKind) -> ProgramAnswer | None:
        """What became of an instruction; None while the program is still at work on it."""
