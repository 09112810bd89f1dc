"""A brand's signed answer to an instruction, and what it must say to be an answer at all. Pure.

Rules kept here:

- What is wrong in any way is no answer: nothing is known of the instruction, and whoever asked goes
  on asking. Each way has a name, a `Fault` of the port, so that it can be counted and somebody be
  told.
- A credit is DONE with exactly the points that were asked for; what is taken back, with 1 to as
  many. A credit in parts, or of nothing, is not in the protocol.
- NEVER is the answer to a look-up and to nothing else.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from partners.errors import Reason, Refused
from partners.points import check_reference_form
from partners.program_port import (
    FULFILMENT_BYTES_MAX,
    CreditOutcome,
    DeclineReason,
    Evidence,
    Fault,
    InstructionKind,
    ProgramAnswer,
    ProgramUnavailable,
)

REASONS: Mapping[Fault, Reason] = MappingProxyType(
    {
        Fault.MALFORMED: Reason.ENVELOPE_MALFORMED,
        Fault.TYPE_WRONG: Reason.PAYLOAD_TYPE_WRONG,
        Fault.KEY_UNKNOWN: Reason.KEY_UNKNOWN,
        Fault.KEY_WRONG: Reason.SIGNER_NOT_CALLER,
        Fault.KEY_NOT_IN_FORCE: Reason.KEY_NOT_IN_FORCE,
        Fault.SIGNATURE_INVALID: Reason.SIGNATURE_INVALID,
        Fault.AUDIENCE_WRONG: Reason.AUDIENCE_WRONG,
    }
)
"""As what a fault is refused where a brand calls us; every other is FIELD_INVALID."""


class NoAnswer(ProgramUnavailable):
    """What came means nothing, and why."""

    def __init__(self, fault: Fault, field: str, text: str) -> None:
        super().__init__(f"{fault}: {field}: {text}", fault)
        self.field = field
        self.text = text

    def refusal(self) -> Refused:
        """The same for a caller who sent it."""
        return Refused(REASONS.get(self.fault, Reason.FIELD_INVALID), self.field, self.text)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a `credit-confirmation` says."""

    audience: str
    partner_id: str
    instruction_id: UUID
    kind: InstructionKind
    program: str
    outcome: CreditOutcome
    decided_at: datetime
    """By the brand's clock; nothing is decided by it."""
    points: int = 0
    """With DONE."""
    reason: DeclineReason | None = None
    """With DECLINED."""
    program_reference: str = ""
    fulfilment_sha256: bytes = b""
    """Of the sealed fulfilment; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The question that a confirmation has to answer."""

    audience: str
    partner_id: str
    program: str
    instruction_id: UUID
    kind: InstructionKind
    points: int | None = None
    """How many were asked for; None where whoever looks up does not know, and then whoever does
    must call `check_points`."""
    looked_up: bool = False
    """Whether this was a look-up."""


def check_answers(said: Confirmation, asked: Asked) -> None:
    """Raise NoAnswer unless a confirmation, whose signature was verified, answers the question."""
    for fault, field, wrong in (
        (Fault.AUDIENCE_WRONG, "audience", said.audience != asked.audience),
        (Fault.PARTNER_WRONG, "partner_id", said.partner_id != asked.partner_id),
        (Fault.INSTRUCTION_WRONG, "instruction_id", said.instruction_id != asked.instruction_id),
        (Fault.INSTRUCTION_WRONG, "kind", said.kind is not asked.kind),
        (Fault.PROGRAM_WRONG, "program", said.program != asked.program),
    ):
        if wrong:
            raise NoAnswer(fault, field, "it answers another question")
    if said.outcome is CreditOutcome.NEVER and not asked.looked_up:
        raise NoAnswer(Fault.OUTCOME_UNKNOWN, "outcome", "NEVER answers a look-up only")
    check_points(said.outcome, said.kind, said.points, asked.points)
    if (said.outcome is CreditOutcome.DECLINED) is (said.reason is None):
        raise NoAnswer(Fault.REASON_WRONG, "reason", "a reason belongs to DECLINED")
    try:
        check_reference_form(said.program_reference, "program_reference", required=False)
    except Refused as refusal:
        raise NoAnswer(Fault.FIELD_INVALID, refusal.field, refusal.text) from None


def check_points(
    outcome: CreditOutcome, kind: InstructionKind, points: int, asked: int | None
) -> None:
    """Raise NoAnswer unless these are as many points as this outcome may come with. `asked` None:
    any number.
    """
    if outcome is not CreditOutcome.DONE:
        fits = points == 0
    elif kind is InstructionKind.CREDIT:
        fits = points > 0 and asked in (None, points)
    else:
        fits = points > 0 and (asked is None or points <= asked)
    if not fits:
        raise NoAnswer(Fault.POINTS_WRONG, "points", f"{outcome} cannot come with {points} points")


def check_fulfilment(said: Confirmation, fulfilment: bytes) -> None:
    """Raise NoAnswer unless a fulfilment is what the confirmation commits to."""
    committed = hashlib.sha256(fulfilment).digest() if fulfilment else b""
    granted = said.outcome is CreditOutcome.DONE and said.kind is InstructionKind.CREDIT
    if (
        said.fulfilment_sha256 != committed
        or len(fulfilment) > FULFILMENT_BYTES_MAX
        or (fulfilment and not granted)
    ):
        raise NoAnswer(
            Fault.FULFILMENT_WRONG, "fulfilment", "it is not what the confirmation commits to"
        )


def answer_of(said: Confirmation, evidence: Evidence, fulfilment: bytes) -> ProgramAnswer:
    """The answer that a checked confirmation gives."""
    return ProgramAnswer(
        said.outcome, said.points, said.reason, said.program_reference, evidence, fulfilment
    )
