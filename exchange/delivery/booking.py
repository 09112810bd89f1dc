"""What a definite answer asks of the books. Pure.

Rules kept here:

- A committed credit that was given asks for nothing: the books say so already.
- A committed credit that will never be given is booked back, all of it: the brand broke its
  promise, and its signed answer says so.
- What was taken back on a source's request is booked as far as it was taken.
- Only what the program's key signed moves anything. Without that, people decide.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from exchange.commands import Command, Conclude, Proof, Reverse, TakeBack, Undo, Verdict
from exchange.delivery.saga import Answered
from partners.program_port import CreditOutcome, InstructionKind, ProgramAnswer

VERDICTS = {
    CreditOutcome.DONE: Verdict.CREDITED,
    CreditOutcome.DECLINED: Verdict.DECLINED,
    CreditOutcome.NEVER: Verdict.LAPSED,
}
"""How a reservation ends by each answer."""
SIGNATURE_BYTES = 64


@dataclass(frozen=True, slots=True)
class Nothing:
    """The books say so already."""


@dataclass(frozen=True, slots=True)
class ForPeople:
    """Nobody signed it, and it would move something."""


NOTHING, FOR_PEOPLE = Nothing(), ForPeople()


def booking_of(
    answered: Answered,
    digest: Callable[[ProgramAnswer], bytes],
    partner_of: Callable[[str], str],
    now: datetime,
) -> Command | Nothing | ForPeople:
    """What has the books say it."""
    answer, (instruction_id, kind) = answered.answer, answered.key
    done = answer.outcome is CreditOutcome.DONE
    if kind is InstructionKind.CREDIT and answered.committed and done:
        return NOTHING
    if answer.evidence is None:
        return FOR_PEOPLE
    proof = Proof(digest(answer), answer.evidence.key_id)
    if kind is InstructionKind.REVERSE:
        return TakeBack(instruction_id, answer.points if done else 0, proof)
    if not answered.committed:
        return Conclude(answered.transfer_id, VERDICTS[answer.outcome], proof)
    return Undo(undoing(answered, partner_of(answered.program), proof, now), proof)


def undoing(answered: Answered, partner_id: str, proof: Proof, now: datetime) -> Reverse:
    """The order that the target would have sent: its answer stands for it. The same answer gives
    the same id each time, of the transfer's own day.
    """
    evidence = answered.answer.evidence
    assert evidence is not None, "what nobody signed undoes nothing"
    return Reverse(
        undo_id(answered.transfer_id),
        partner_id,
        answered.transfer_id,
        answered.points,
        now,
        now + timedelta(minutes=1),
        "",
        proof.key_id,
        b"",
        proof.sha256,
        evidence.signature.ljust(SIGNATURE_BYTES, b"\0")[:SIGNATURE_BYTES],
    )


def undo_id(transfer_id: UUID) -> UUID:
    """A UUID version 7 that follows from a transfer's: of its time, and of nobody's making."""
    number = int.from_bytes(hashlib.sha256(b"undo" + transfer_id.bytes).digest()[:10])
    version, variant = 0x7 << 76, 0x2 << 62
    number = number & ~(0xF << 76) & ~(0x3 << 62) | version | variant
    return UUID(bytes=transfer_id.bytes[:6] + number.to_bytes(10))
