"""Where instructions stand, in the database: `exchange/ledger/delivery.sql`. Implements
`DeliveryStore`.

The member of an instruction is read from the stored order when it is claimed, and kept nowhere
else. Times are the database's, so that processes on several hosts agree on leases.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Engine

from exchange.delivery.metrics import Backlog
from exchange.delivery.saga import Answered, Claimed, InstructionKey, was_told
from exchange.delivery.wire import Waiting, target_member
from partners.program_port import (
    Credit,
    CreditOutcome,
    DeclineReason,
    Evidence,
    ExpiryLot,
    Fault,
    InstructionKind,
    ProgramAnswer,
    Reversal,
    contradicts,
)
from partners.queries import load_queries
from partners.store import utc
from partners.transaction import in_transaction

QUERIES = load_queries(Path(__file__).parents[1] / "ledger" / "delivery.sql")

ANSWERS_MAX = 8
"""Kept of one instruction besides those that counted: a few that contradict them are enough against
its brand."""
FORGOTTEN_PAUSE = timedelta(hours=1)
"""Until an instruction whose member was forgotten is looked at again: nobody can be told of it, and
its time ends it, or people do."""

_Found = TypeVar("_Found")


def answer_digest(answer: ProgramAnswer) -> bytes:
    """SHA-256 of what was signed; where nothing was, of what the answer says."""
    if answer.evidence is not None:
        return hashlib.sha256(answer.evidence.content).digest()
    said = [answer.outcome, answer.points, answer.reason, answer.reference]
    return hashlib.sha256(json.dumps(said).encode()).digest()


class SqlDeliveryStore:
    """The database's."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def due(self) -> Sequence[str]:
        """The programs for which there is something to tell or to ask now."""
        rows = await self._do(lambda connection: list(QUERIES.due(connection)))
        return [program for (program,) in rows]

    async def claim(
        self, program: str, most: int, lease: timedelta, *, in_turn: bool = False
    ) -> Sequence[Claimed]:
        """Take instructions of a program. One whose member was forgotten is not among them: nobody
        can be told of it, and its time ends it or people do.
        """

        def take(connection: Any) -> list[Claimed]:
            rows = list(
                QUERIES.claim(connection, program=program, most=most, lease=lease, in_turn=in_turn)
            )
            claimed = [_claimed(row) for row in rows]
            for each in claimed:
                if not each.instruction.member:
                    _let_go(connection, each, Fault.FIELD_INVALID, FORGOTTEN_PAUSE, told=False)
            return [each for each in claimed if each.instruction.member]

        return await self._do(take)

    async def find(self, key: InstructionKey) -> Claimed | None:
        """An instruction as it stands, taken by nobody; None where there is none of that name. Its
        member is empty where it was forgotten.
        """
        row = await self._do(lambda connection: QUERIES.one(connection, **_named(key)))
        return None if row is None else _claimed(row)

    async def unanswered(self, claimed: Claimed, fault: Fault, pause: timedelta) -> None:
        """Let an instruction go that has no answer."""
        told = was_told(claimed, fault)
        await self._do(lambda connection: _let_go(connection, claimed, fault, pause, told=told))

    async def worked_at(self, program: str) -> None:
        """Some of what a program had at work has an answer now: ask for all of it."""
        await self._do(lambda connection: QUERIES.worked_at(connection, program=program))

    async def waiting(
        self, program: str, in_doubt: bool, after_index: int, most: int
    ) -> Sequence[Waiting]:
        """What is not concluded, the oldest first, after a log index; of all programs where none
        is named.
        """
        rows = await self._do(
            lambda connection: list(
                QUERIES.waiting(
                    connection,
                    program=program or None,
                    in_doubt=in_doubt,
                    after_index=after_index,
                    most=most,
                )
            )
        )
        return [_waiting(row) for row in rows]

    async def backlog(self) -> Sequence[Backlog]:
        """How much waits for each program."""
        rows = await self._do(lambda connection: list(QUERIES.backlog(connection)))
        return [Backlog(*row) for row in rows]

    async def fulfilment(self, transfer_id: UUID, partner_id: str) -> bytes:
        """The sealed code or certificate of a transfer, for its source; empty for none."""
        sealed = await self._do(
            lambda connection: QUERIES.fulfilment(
                connection, transfer_id=str(transfer_id), partner_id=partner_id
            )
        )
        return bytes(sealed or b"")

    async def state_of(self, key: InstructionKey) -> str:
        """How far an instruction has come; UNSPECIFIED where there is none."""
        state = await self._do(lambda connection: QUERIES.state_of(connection, **_named(key)))
        return state or "UNSPECIFIED"

    async def answered(self, key: InstructionKey, answer: ProgramAnswer) -> bool:
        """Store an answer; False where it contradicts the one that counts."""

        def store(connection: Any) -> bool:
            state, counting = QUERIES.lock(connection, **_named(key))
            before = _answers(connection, key)
            counts_now = state in ("QUEUED", "SENT")
            agrees = counting is None or not contradicts(before[bytes(counting)], answer)
            # What may still be booked is stored whatever else is: the record will name it.
            if (agrees and state != "CONCLUDED") or len(before) < ANSWERS_MAX:
                _write_answer(connection, key, answer)
            if not agrees:
                return False
            if counts_now:
                _write_fulfilment(connection, key, answer.fulfilment)
                sha256 = answer_digest(answer)
                QUERIES.answered(connection, **_named(key), sha256=sha256)
            return True

        return await self._do(store)

    async def unbooked(self, most: int, lease: timedelta) -> Sequence[Answered]:
        """Take answers that are not in the books yet."""

        def take(connection: Any) -> list[Answered]:
            found = []
            for row in list(QUERIES.unbooked(connection, most=most, lease=lease)):
                name, kind, transfer_id, program, points, committed, counting = row
                key = UUID(str(name)), InstructionKind(kind)
                answer = _answers(connection, key)[bytes(counting)]
                found.append(
                    Answered(key, UUID(str(transfer_id)), program, points, committed, answer)
                )
            return found

        return await self._do(take)

    async def booked(self, key: InstructionKey) -> None:
        """Nothing is left to do about an instruction."""
        await self._do(lambda connection: QUERIES.booked(connection, **_named(key)))

    async def unproved(self, key: InstructionKey, fault: Fault, pause: timedelta) -> None:
        """What was answered does not count: ask again after the pause."""
        await self._do(
            lambda connection: QUERIES.unproved(
                connection, **_named(key), fault=fault.value, pause=pause
            )
        )

    async def postponed(self, key: InstructionKey, pause: timedelta) -> None:
        """The books cannot take an answer now."""
        await self._do(lambda connection: QUERIES.postponed(connection, **_named(key), pause=pause))

    async def lapsed(self, most: int) -> Sequence[UUID]:
        """Reserved transfers whose time is over, and of which nothing was told."""
        rows = await self._do(lambda connection: list(QUERIES.lapsed(connection, most=most)))
        return [UUID(str(each)) for (each,) in rows]

    async def _do(self, work: Callable[[Any], _Found]) -> _Found:
        return await in_transaction(self._engine, work)


def _named(key: InstructionKey) -> dict[str, str]:
    return {"instruction_id": str(key[0]), "kind": key[1].value}


def _let_go(
    connection: Any, claimed: Claimed, fault: Fault, pause: timedelta, *, told: bool
) -> None:
    QUERIES.unanswered(
        connection,
        **_named(claimed.key),
        attempts=claimed.attempts,
        told=told or claimed.sent_before,
        fault=fault.value,
        pause=pause,
    )


def _answers(connection: Any, key: InstructionKey) -> dict[bytes, ProgramAnswer]:
    """What was answered so far, by its digest; of the same answer the newest signature."""
    newest_last = reversed(list(QUERIES.answers(connection, **_named(key))))
    return {bytes(row[0]): _answer(row[1:]) for row in newest_last}


def _write_fulfilment(connection: Any, key: InstructionKey, sealed: bytes) -> None:
    """Keep what came with the answer that counts, and nothing of one that counted before."""
    if key[1] is InstructionKind.CREDIT:
        QUERIES.forget_fulfilment(connection, transfer_id=str(key[0]))
        if sealed:
            QUERIES.write_fulfilment(connection, transfer_id=str(key[0]), sealed=sealed)


def _write_answer(connection: Any, key: InstructionKey, answer: ProgramAnswer) -> None:
    evidence = answer.evidence
    QUERIES.write_answer(
        connection,
        **_named(key),
        sha256=answer_digest(answer),
        outcome=answer.outcome.value,
        points=answer.points,
        reason=answer.reason.value if answer.reason else None,
        reference=answer.reference,
        media_type=evidence.media_type if evidence else "",
        content=evidence.content if evidence else b"",
        key_id=evidence.key_id if evidence else "",
        signature=evidence.signature if evidence else b"",
    )


def _waiting(row: Any) -> Waiting:
    (
        instruction_id,
        kind,
        transfer_id,
        program,
        points,
        committed,
        state,
        attempts,
        fault,
        sent_at,
        next_at,
        answer_by,
        log_index,
    ) = row
    return Waiting(
        UUID(str(instruction_id)),
        InstructionKind(kind),
        UUID(str(transfer_id)),
        program,
        points,
        committed,
        state,
        attempts,
        fault,
        utc(sent_at) if sent_at else None,
        utc(next_at),
        utc(answer_by) if answer_by else None,
        log_index,
    )


def _claimed(row: Any) -> Claimed:
    (
        instruction_id,
        kind,
        transfer_id,
        program,
        points,
        lots,
        committed,
        attempts,
        state_before,
        overdue,
        payload,
        order_sha256,
        linked_member,
        source_key,
    ) = row
    member = linked_member or target_member(bytes(payload or b""))
    instruction: Credit | Reversal
    if InstructionKind(kind) is InstructionKind.CREDIT:
        instruction = Credit(
            UUID(str(instruction_id)),
            program,
            member,
            points,
            bytes(order_sha256),
            committed,
            tuple(
                ExpiryLot(each, datetime.fromisoformat(ends) if ends else None)
                for each, ends in json.loads(lots)
            ),
            bytes(source_key or b""),
        )
    else:
        instruction = Reversal(
            UUID(str(instruction_id)), UUID(str(transfer_id)), program, member, points
        )
    return Claimed(
        instruction,
        UUID(str(transfer_id)),
        attempts,
        state_before != "QUEUED",
        overdue,
    )


def _answer(row: Any) -> ProgramAnswer:
    outcome, points, reason, reference, media_type, content, key_id, signature = row
    return ProgramAnswer(
        CreditOutcome(outcome),
        points,
        DeclineReason(reason) if reason else None,
        reference,
        Evidence(media_type, bytes(content), key_id, bytes(signature)) if media_type else None,
    )
