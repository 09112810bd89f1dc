"""What the exchange asks a brand over HTTP, and how a fulfilment comes back. Pure.

Everything is a POST: a look-up too, since an answer of NEVER is a fence and thus an effect, and the
members' calls, since a reference does not belong into a URL, which servers and proxies log.

A fulfilment comes in a header, outside of what is kept as evidence; the answer has its digest.
"""

import base64
import binascii
from dataclasses import dataclass
from uuid import UUID

from partners.confirmations.confirmation import NoAnswer
from partners.confirmations.json_form import time_text, to_json
from partners.program_port import Credit, Fault, InstructionKind, Reversal

CREDITS = "/credits"
REVERSALS = "/reversals"
LOOK_UPS = "/look-ups"
VALIDATE_MEMBER = "/members/validate"
BALANCE = "/members/balance"

FULFILMENT = "Pointclear-Fulfilment"
"""A header: a Structured Field byte sequence (RFC 9651)."""


@dataclass(frozen=True, slots=True)
class Question:
    """One call: where to, with what."""

    path: str
    """Behind the base URL."""
    body: bytes
    idempotency_key: UUID | None = None
    """Of what moves points; the body says the same."""


def credit_question(audience: str, credit: Credit) -> Question:
    """Asks to give points."""
    lots = [
        {"points": str(lot.points)}
        | ({"expires_at": time_text(lot.expires_at)} if lot.expires_at else {})
        for lot in credit.expiry_lots
    ]
    body: dict[str, object] = {
        "audience": audience,
        "instruction_id": str(credit.instruction_id),
        "program": credit.program,
        "member": credit.member,
        "points": str(credit.points),
        "expiry_lots": lots,
        "committed": credit.committed,
        "order_sha256": credit.order_sha256.hex(),
    }
    if credit.source_key:
        body["source_key"] = credit.source_key.hex()
    return Question(CREDITS, to_json(body), credit.instruction_id)


def reversal_question(audience: str, reversal: Reversal) -> Question:
    """Asks to take points back."""
    body = {
        "audience": audience,
        "instruction_id": str(reversal.instruction_id),
        "transfer_id": str(reversal.transfer_id),
        "program": reversal.program,
        "member": reversal.member,
        "points": str(reversal.points),
    }
    return Question(REVERSALS, to_json(body), reversal.instruction_id)


def look_up_question(
    audience: str, program: str, instruction_id: UUID, kind: InstructionKind
) -> Question:
    """Asks what became of an instruction."""
    body = {
        "audience": audience,
        "instruction_id": str(instruction_id),
        "kind": kind,
        "program": program,
    }
    return Question(LOOK_UPS, to_json(body))


def member_question(path: str, audience: str, program: str, member: str) -> Question:
    """Asks about a member."""
    return Question(path, to_json({"audience": audience, "program": program, "member": member}))


def fulfilment_of(header: str | None) -> bytes:
    """The sealed fulfilment that an answer's header holds; raises NoAnswer(FULFILMENT_WRONG)."""
    if header is None:
        return b""
    try:
        if len(header) < 2 or not (header[0] == header[-1] == ":"):
            raise ValueError
        return base64.b64decode(header[1:-1], validate=True)
    except (ValueError, binascii.Error):
        raise NoAnswer(Fault.FULFILMENT_WRONG, FULFILMENT, "is no byte sequence") from None
