"""Whether what decided a transfer is stored, and is what a brand's key signed. Read only.

Rules that are asked here, each naming the row that breaks it:

- Every stored answer with a signature is what the brand's key for orders signed, answers the
  instruction that it is stored under, and its columns say what was signed.
- The digest of every stored answer is that of its content.
- Every record that names a proof has a stored answer of that digest by that key; the key was in
  force at the record's place in the log; and the transfer or reversal ended as the answer says.
- The answer that counts for an instruction is stored.
- What may have been told to a program ended by an answer alone.

What two operators decided has a digest and no key: it is evidence that people saw, and nothing in
it can be verified by a program. An answer that nobody signed ends no reservation.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from exchange.delivery.sql_store import answer_digest
from partners.confirmations.confirmation import (
    Asked,
    Confirmation,
    NoAnswer,
    check_answers,
    check_points,
)
from partners.confirmations.evidence import said_in
from partners.keys import Purpose, VerifyKey
from partners.program_port import (
    CreditOutcome,
    DeclineReason,
    Evidence,
    InstructionKind,
    ProgramAnswer,
)
from partners.queries import load_queries
from partners.registry import RegisteredKey
from settlement.checks.invariants import Finding
from settlement.checks.wire import Ended

QUERIES = load_queries(Path(__file__).with_name("evidence.sql"))
CHUNK = 2_000
"""Rows that are read at once."""


def answers_off(
    connection: Any, audience: str, keys: dict[str, RegisteredKey]
) -> Iterator[Finding]:
    """Stored answers that are not what was signed, and what ended and lacks the answer for it."""
    after: tuple[object, ...] = (str(UUID(int=0)), "", b"", "")
    while rows := list(
        QUERIES.answers(
            connection,
            instruction_id=after[0],
            kind=after[1],
            sha256=after[2],
            key_id=after[3],
            rows_max=CHUNK,
        )
    ):
        for row in rows:
            subject = f"delivery_answer {row[0]} {row[1]} {bytes(row[2]).hex()[:16]}"
            if found := answer_fault(row, audience, keys):
                yield Finding("answers_are_as_signed", subject, found)
        after = tuple(rows[-1][:4])
    for name, kind, digest in QUERIES.answers_that_count(connection):
        found = f"its answer of digest {digest[:16]} is not stored"
        yield Finding("instructions_name_their_answer", f"delivery {name} {kind}", found)
    for name, verdict in QUERIES.ended_without_answer(connection):
        yield Finding(
            "reservations_end_by_an_answer",
            f"reservation {name}",
            f"it ended as {verdict} without an answer",
        )


def answer_fault(row: Any, audience: str, keys: dict[str, RegisteredKey]) -> str:
    """In what an answer's row is not what was signed; empty where it is."""
    instruction_id, kind, sha256, key_id, program, partner, asked_points, *rest = row
    answer = answer_of(*rest, key_id=key_id)
    if answer_digest(answer) != bytes(sha256):
        return "its digest is another answer's"
    try:
        check_points(answer.outcome, InstructionKind(kind), answer.points, asked_points)
        if answer.evidence is None or not key_id:
            # Nobody signed it: it ends no reservation, or operators saw it.
            return ""
        key = keys.get(key_id)
        if key is None or key.holder != f"partner/{partner}" or key.purpose is not Purpose.ORDERS:
            return f"{key_id} is no key of {partner}'s for orders"
        said = said_in(answer.evidence, VerifyKey(key.key_id, key.public_key))
        name = UUID(instruction_id), InstructionKind(kind)
        check_answers(said, Asked(audience, partner, program, *name, asked_points, looked_up=True))
    except NoAnswer as fault:
        return str(fault)
    return "" if says(answer, said) else "its columns do not say what was signed"


def answer_of(
    outcome: str,
    points: int,
    reason: str | None,
    reference: str,
    media_type: str,
    content: bytes,
    signature: bytes,
    *,
    key_id: str,
) -> ProgramAnswer:
    """An answer as its row holds it."""
    return ProgramAnswer(
        CreditOutcome(outcome),
        points,
        DeclineReason.__members__.get(reason or ""),
        reference,
        Evidence(media_type, bytes(content), key_id, bytes(signature)) if media_type else None,
    )


def says(answer: ProgramAnswer, said: Confirmation) -> bool:
    """Whether a row's columns are what was signed."""
    return (answer.outcome, answer.points, answer.reason, answer.reference) == (
        said.outcome,
        said.points,
        said.reason,
        said.program_reference,
    )


def proofs_off(
    connection: Any, ends: Iterable[Ended], keys: dict[str, RegisteredKey]
) -> Iterator[Finding]:
    """Records whose proof is not stored, or proves something else, and those that waited for an
    answer, moved points and name none.
    """
    proved = [each for each in ends if each.sha256]
    unproved = {each.name: each for each in ends if not each.sha256 and each.points}
    stored = _answers_to(connection, [each.instruction[0] for each in proved])
    for each in proved:
        answer = stored.get((*each.instruction, each.sha256, each.key_id))
        if found := proof_fault(each, answer, keys):
            yield Finding("transfers_ended_as_was_answered", each.subject, found)
    for name in _waited(connection, list(unproved)):
        yield Finding(
            "transfers_ended_as_was_answered",
            unproved[name].subject,
            "it waited for an answer, and names none",
        )


def proof_fault(
    ended: Ended, answer: tuple[CreditOutcome, int] | None, keys: dict[str, RegisteredKey]
) -> str:
    """In what a record's proof does not prove it; empty where it does. `answer` is outcome and
    points of the stored one, None where there is none.
    """
    signer = ended.key_id or "operators"
    if answer is None:
        return f"no answer of digest {ended.sha256.hex()[:16]} by {signer} is stored"
    outcome, points = answer
    if outcome not in ended.outcomes or points != ended.points:
        return f"it did not end as was answered by {signer}: {outcome}, {points} points"
    key = keys.get(ended.key_id)
    if ended.key_id and (
        key is None
        or key.holder != f"partner/{ended.target_partner}"
        or not key.in_force(ended.log_index, ended.recorded_at)
    ):
        return f"{ended.key_id} was not a key of {ended.target_partner}'s in force at that place"
    return ""


def _answers_to(
    connection: Any, ids: list[UUID]
) -> dict[tuple[UUID, InstructionKind, bytes, str], tuple[CreditOutcome, int]]:
    if not ids:
        return {}
    rows = QUERIES.answers_to(connection, instruction_ids=[str(each) for each in ids])
    return {
        (UUID(name), InstructionKind(kind), bytes(sha256), key_id): (CreditOutcome(outcome), points)
        for name, kind, sha256, key_id, outcome, points in rows
    }


def _waited(connection: Any, names: list[UUID]) -> list[UUID]:
    if not names:
        return []
    rows = QUERIES.reserved_of(connection, names=[str(each) for each in names])
    return [UUID(name) for (name,) in rows]
