"""What the exchange asks of a brand, and the brand's answers.

Rules, all from docs/protocol.md:

- An instruction is its id and its kind. The same again gets the first answer; with other content it
  is declined, and what was done under it stands.
- A look-up of what never came is a fence, in the journal like any answer.
- Of each credit no more is taken back than it gave, and no more than the member still has.
"""

import hashlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from journal import Journal
from partners.confirmations.confirmation import Confirmation
from partners.confirmations.wire import confirmation_payload
from partners.errors import Refused
from partners.fulfilment import seal
from partners.program_port import CreditOutcome, DeclineReason, InstructionKind
from pointclear.partners.v1 import program_service_pb2 as pb

Answer = tuple[bytes, bytes]
"""The payload of a confirmation, and what is sealed for the source brand."""


@dataclass(frozen=True)
class Outcome:
    """What an instruction comes to."""

    points: int = 0
    declined: DeclineReason | None = None
    fulfilment: bytes = b""


class Program:
    """One brand's program."""

    def __init__(self, journal: Journal, audience: str, brand: str, name: str) -> None:
        self._journal = journal
        self.audience = audience
        self.brand = brand
        self.name = name
        self.make_code: Callable[[int], bytes] | None = None
        """For a brand that issues codes in place of points: makes one that is worth so many."""

    def credit(self, request: pb.CreditRequest) -> Answer:
        """Give points, once."""

        def carry_out(db: sqlite3.Connection) -> Outcome:
            member = db.execute(
                "SELECT eligible FROM member WHERE reference = ?", (request.member,)
            ).fetchone()
            if member is None:
                return Outcome(declined=DeclineReason.MEMBER_UNKNOWN)
            if not member[0]:
                return Outcome(declined=DeclineReason.MEMBER_INELIGIBLE)
            if self.make_code is not None:
                code = self.make_code(request.points)
                transfer_id = UUID(bytes=request.instruction_id)
                try:
                    sealed = seal(code, request.source_key, self.audience, transfer_id)
                except Refused:  # There is nobody whom it could be sealed for.
                    return Outcome(declined=DeclineReason.OTHER)
                return Outcome(request.points, fulfilment=sealed)
            db.execute(
                "UPDATE member SET points = points + ? WHERE reference = ?",
                (request.points, request.member),
            )
            db.execute(
                "INSERT INTO credit (transfer_id, member, points) VALUES (?, ?, ?)",
                (request.instruction_id, request.member, request.points),
            )
            return Outcome(request.points)

        return self._once(
            request.instruction_id, InstructionKind.CREDIT, credit_content(request), carry_out
        )

    def reverse(self, request: pb.ReverseRequest) -> Answer:
        """Take points back, once, as many as there are."""

        def carry_out(db: sqlite3.Connection) -> Outcome:
            credit = db.execute(
                "SELECT credit.points - taken_back, member.points FROM credit"
                " JOIN member ON member.reference = credit.member"
                " WHERE transfer_id = ? AND member = ?",
                (request.transfer_id, request.member),
            ).fetchone()
            if credit is None:
                return Outcome(declined=DeclineReason.OTHER)
            taken = min(request.points, *credit)
            if taken <= 0:
                return Outcome(declined=DeclineReason.SPENT)
            db.execute(
                "UPDATE member SET points = points - ? WHERE reference = ?",
                (taken, request.member),
            )
            db.execute(
                "UPDATE credit SET taken_back = taken_back + ? WHERE transfer_id = ?",
                (taken, request.transfer_id),
            )
            return Outcome(taken)

        return self._once(
            request.instruction_id, InstructionKind.REVERSE, reversal_content(request), carry_out
        )

    def look_up(self, instruction_id: bytes, kind: InstructionKind) -> Answer:
        """What became of an instruction. One that never came will never be carried out."""
        with self._journal.transaction() as db:
            found = stored(db, instruction_id, kind)
            if found is None:
                never = self._confirmation(instruction_id, kind, CreditOutcome.NEVER)
                keep(db, instruction_id, kind, None, (never, b""))
                return never, b""
            return found[1]

    def _once(
        self,
        instruction_id: bytes,
        kind: InstructionKind,
        content: bytes,
        carry_out: Callable[[sqlite3.Connection], Outcome],
    ) -> Answer:
        with self._journal.transaction() as db:
            found = stored(db, instruction_id, kind)
            if found is not None:
                asked, answer = found
                if asked == content:
                    return answer
                reason = DeclineReason.OTHER if asked is None else DeclineReason.CONFLICT
                declined = CreditOutcome.DECLINED
                return self._confirmation(instruction_id, kind, declined, reason=reason), b""
            outcome = carry_out(db)
            confirmation = self._confirmation(
                instruction_id,
                kind,
                CreditOutcome.DECLINED if outcome.declined else CreditOutcome.DONE,
                outcome.points,
                outcome.declined,
                outcome.fulfilment,
            )
            keep(db, instruction_id, kind, content, (confirmation, outcome.fulfilment))
        return confirmation, outcome.fulfilment

    def _confirmation(
        self,
        instruction_id: bytes,
        kind: InstructionKind,
        outcome: CreditOutcome,
        points: int = 0,
        reason: DeclineReason | None = None,
        fulfilment: bytes = b"",
    ) -> bytes:
        return confirmation_payload(
            Confirmation(
                self.audience,
                self.brand,
                UUID(bytes=instruction_id),
                kind,
                self.name,
                outcome,
                datetime.now(UTC),
                points,
                reason,
                f"{self.brand}-{instruction_id.hex()}",
                hashlib.sha256(fulfilment).digest() if fulfilment else b"",
            )
        )


def stored(
    db: sqlite3.Connection, instruction_id: bytes, kind: InstructionKind
) -> tuple[bytes | None, Answer] | None:
    """What was asked under an id, and how it was answered."""
    row = db.execute(
        "SELECT asked, confirmation, fulfilment FROM answer WHERE instruction_id = ? AND kind = ?",
        (instruction_id, kind),
    ).fetchone()
    return (row[0], (row[1], row[2])) if row else None


def keep(
    db: sqlite3.Connection,
    instruction_id: bytes,
    kind: InstructionKind,
    asked: bytes | None,
    answer: Answer,
) -> None:
    """Write an answer down, before it is given."""
    db.execute("INSERT INTO answer VALUES (?, ?, ?, ?, ?)", (instruction_id, kind, asked, *answer))


def credit_content(request: pb.CreditRequest) -> bytes:
    """What makes two credits the same. That a transfer is committed by now, and the key for a
    fulfilment, make no difference.
    """
    content = pb.CreditRequest()
    content.CopyFrom(request)
    for name in ("audience", "committed", "source_key"):
        content.ClearField(name)
    return hashlib.sha256(content.SerializeToString(deterministic=True)).digest()


def reversal_content(request: pb.ReverseRequest) -> bytes:
    """What makes two reversals the same."""
    content = pb.ReverseRequest()
    content.CopyFrom(request)
    content.ClearField("audience")
    return hashlib.sha256(content.SerializeToString(deterministic=True)).digest()
