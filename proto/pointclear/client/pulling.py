"""Fetching instructions, carrying them out by the brand's own program, and answering them signed.

Effects: the network, and whatever the program does. An instruction is leased to whoever fetches it
and handed out again when the lease is over: a crash before the answer costs a repetition, which the
program knows by the instruction's id.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from partners.confirmations.confirmation import Confirmation
from partners.confirmations.verification import signed_confirmation
from partners.confirmations.wire import kind_from_proto
from partners.errors import PointclearError
from partners.wire import envelope_to_proto
from pointclear.client.errors import ProofInvalid
from pointclear.client.line import Identity, Line
from pointclear.client.program import (
    Credit,
    ExpiryLot,
    InstructionKind,
    Program,
    ProgramAnswer,
    Reversal,
)
from pointclear.client.reading import moment
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from pointclear.partners.v1 import program_service_pb2 as program_pb

log = logging.getLogger("pointclear.client")


@dataclass(frozen=True, slots=True)
class Pulled:
    """An instruction that was fetched, and what came of it."""

    instruction_id: UUID
    kind: InstructionKind
    answer: ProgramAnswer | None = None
    """What the program said; None where it cannot say yet."""
    error: Exception | None = None
    """What the program raised, or why the exchange did not take the answer."""


@dataclass(frozen=True, slots=True)
class Pulling:
    """What fetching takes."""

    identity: Identity
    line: Line
    now: Callable[[], datetime]

    def pull(self, program_id: str, program: Program, most: int) -> list[Pulled]:
        """Fetch some instructions and answer them. Raises RequestRefused and Unavailable."""
        request = pb.PullCreditsRequest(program=program_id, page_size=most)
        # Fetched again after a lost answer, they are leased already, and come when that is over.
        fetched = self.line.ask(self.line.exchange.PullCredits, request)
        return [self._carried_out(each, program_id, program) for each in fetched.instructions]

    def _carried_out(
        self, pulled: pb.PulledInstruction, program_id: str, program: Program
    ) -> Pulled:
        instruction_id, kind = self._named(pulled, program_id)
        try:
            answer = asked(pulled, instruction_id, kind, program)
        except Exception as error:
            # The others' points do not wait for a bug in this one's way.
            log.exception("%s %s: the program gave no answer", kind.value, instruction_id)
            return Pulled(instruction_id, kind, error=error)
        if answer is None:
            return Pulled(instruction_id, kind)
        try:
            self._confirm(instruction_id, kind, program_id, answer)
        except PointclearError as error:
            log.warning("%s %s: the answer was not taken: %s", kind.value, instruction_id, error)
            return Pulled(instruction_id, kind, answer, error)
        return Pulled(instruction_id, kind, answer)

    def _named(self, pulled: pb.PulledInstruction, program_id: str) -> tuple[UUID, InstructionKind]:
        """Which instruction it is. Raises ProofInvalid for one that is not this program's."""
        which = pulled.WhichOneof("instruction")
        message: program_pb.CreditRequest | program_pb.ReverseRequest | program_pb.LookUpRequest
        if which == "credit":
            message, kind = pulled.credit, InstructionKind.CREDIT
        elif which == "reverse":
            message, kind = pulled.reverse, InstructionKind.REVERSE
        else:
            message = pulled.look_up
            known = kind_from_proto(pulled.look_up.kind)
            if known is None:
                raise ProofInvalid("an instruction of a kind that this version does not know")
            kind = known
        if (message.audience, message.program) != (self.identity.audience, program_id):
            raise ProofInvalid("an instruction is for another program", "program")
        if len(message.instruction_id) != 16:
            raise ProofInvalid("an instruction's id has not 16 bytes", "instruction_id")
        return UUID(bytes=message.instruction_id), kind

    def _confirm(
        self, instruction_id: UUID, kind: InstructionKind, program_id: str, answer: ProgramAnswer
    ) -> None:
        me = self.identity
        sealed = answer.fulfilment
        said = Confirmation(
            me.audience,
            me.partner_id,
            instruction_id,
            kind,
            program_id,
            answer.outcome,
            self.now(),
            answer.points,
            answer.reason,
            answer.reference,
            hashlib.sha256(sealed).digest() if sealed else b"",
        )
        signed = envelope_to_proto(signed_confirmation(me.signer, said))
        request = pb.ConfirmCreditRequest(confirmation=signed, fulfilment=sealed)
        self.line.ask(self.line.exchange.ConfirmCredit, request)


def asked(
    pulled: pb.PulledInstruction, instruction_id: UUID, kind: InstructionKind, program: Program
) -> ProgramAnswer | None:
    """What the program says to an instruction."""
    if pulled.HasField("credit"):
        credit = pulled.credit
        lots = tuple(
            ExpiryLot(each.points, moment(each.expires_at) if each.HasField("expires_at") else None)
            for each in credit.expiry_lots
        )
        return program.credit(
            Credit(
                instruction_id,
                credit.program,
                credit.member,
                credit.points,
                credit.order_sha256,
                credit.committed,
                lots,
                credit.source_key,
            )
        )
    if pulled.HasField("reverse"):
        back = pulled.reverse
        transfer_id = UUID(bytes=back.transfer_id)
        return program.reverse(
            Reversal(instruction_id, transfer_id, back.program, back.member, back.points)
        )
    return program.look_up(instruction_id, kind)
