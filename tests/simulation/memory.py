"""An exchange's database in memory: the fold decides, and instructions stand where the SQL store
would have them. `MemoryDeliveryStore` implements `DeliveryStore`.

Each call is one transaction: nothing else happens meanwhile. It is written from the store's
interface and the comments of `exchange/ledger/delivery.sql`, and held to that by a test that asks
both the same.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from exchange.commands import Command, Conclude, DecideHeld, Order
from exchange.delivery.saga import Answered, Claimed, InstructionKey, was_told
from exchange.delivery.sql_store import ANSWERS_MAX, answer_digest
from exchange.fold import State, fold
from exchange.ledger.postings import Balance
from exchange.outcomes import Held, Instruction, Outcome, Recorded, Result, Reversed, TransferState
from partners.program_port import (
    Credit,
    Fault,
    InstructionKind,
    ProgramAnswer,
    Reversal,
    contradicts,
)
from partners.registry import Registry
from tests.simulation.database import ANSWERED, CONCLUDED, QUEUED, SENT, Standing


@dataclass(slots=True)
class Row:
    """An instruction, and how far it has come."""

    instruction: Credit | Reversal
    transfer_id: UUID
    member_key: str
    committed: bool
    log_index: int
    next_at: datetime
    answer_by: datetime | None
    state: str = QUEUED
    attempts: int = 0
    leased_until: datetime | None = None
    fault: str = ""
    answers: dict[bytes, dict[str, ProgramAnswer]] = field(default_factory=dict)
    """By digest and by the key that signed it; the newest last."""
    counting: bytes | None = None
    """The digest of the answer that counts."""

    @property
    def answer(self) -> ProgramAnswer:
        """The answer that counts, with its newest signature."""
        assert self.counting is not None, "there is one where there is an answer"
        return [*self.answers[self.counting].values()][-1]

    def is_due(self, now: datetime) -> bool:
        """Whether nobody is at work on it, and its pause is over."""
        return self.next_at <= now and (self.leased_until is None or self.leased_until <= now)

    def is_to_tell(self, now: datetime) -> bool:
        """Whether a program may be told of it, or asked, now."""
        in_time = self.answer_by is None or self.answer_by > now
        return self.is_due(now) and (self.state == SENT or (self.state == QUEUED and in_time))


class MemoryDatabase:
    """The books and the instructions."""

    def __init__(self, state: State, now: Callable[[], datetime]) -> None:
        self.state = state
        self.now = now
        self.rows: dict[InstructionKey, Row] = {}
        self.store = MemoryDeliveryStore(self.rows, now)

    def decide(self, command: Command) -> Result:
        """Carry out a batch of one."""
        if isinstance(command, Conclude | DecideHeld):
            self.state = replace(self.state, reserved=self.as_sent())
        folded = fold(self.state, [command], self.now())
        self.state = folded.state
        self.write(folded.outcomes)
        (result,) = folded.results
        return result

    def as_sent(self) -> dict[UUID, Held]:
        """The reserved transfers with what is known of their being sent."""
        reserved = dict(self.state.reserved)
        for name, held in reserved.items():
            row = self.rows[name, InstructionKind.CREDIT]
            reserved[name] = replace(held, sent=row.state != QUEUED)
        return reserved

    def write(self, outcomes: Iterable[Outcome]) -> None:
        """What the sequencer writes of instructions."""
        for each in outcomes:
            match each:
                case Recorded():
                    waited = each.hold_index and each.state is not TransferState.RESERVED
                    if waited and each.decides is not None:
                        self.conclude((each.decides, InstructionKind.CREDIT))
                    if each.instruction is not None:
                        self.tell(each, each.order.transfer_id, each.instruction)
                case Reversed():
                    if each.decides is not None:
                        self.conclude((each.decides, InstructionKind.REVERSE))
                    if each.instruction is not None:
                        self.tell(each, each.order.reversal_id, each.instruction)

    def conclude(self, key: InstructionKey) -> None:
        """Nothing is left to do about an instruction."""
        row = self.rows[key]
        row.state, row.leased_until = CONCLUDED, None

    def tell(self, outcome: Recorded | Reversed, name: UUID, told: Instruction) -> None:
        """Write what a program is to be told; who it is about, the transfer's order says."""
        order = outcome.order
        instruction: Credit | Reversal
        if isinstance(order, Order):
            instruction = Credit(
                name,
                told.program,
                order.target_member,
                told.points,
                order.payload_sha256,
                told.committed,
                told.expiry_lots,
            )
        else:
            credited = self.rows[order.transfer_id, InstructionKind.CREDIT].instruction
            member = credited.member
            instruction = Reversal(name, order.transfer_id, told.program, member, told.points)
        self.rows[name, told.kind] = Row(
            instruction,
            order.transfer_id,
            told.member_key,
            told.committed,
            outcome.log_index,
            outcome.recorded_at,
            told.answer_by,
        )

    @property
    def registry(self) -> Registry:
        """As the last batch left it."""
        return self.state.registry

    def standing(self) -> list[Standing]:
        """How far each instruction has come, in the order of the log."""
        return [
            Standing(key, row.instruction.program, row.committed, row.state)
            for key, row in self.rows.items()
        ]

    def balances(self) -> dict[int, Balance]:
        """By account."""
        return dict(self.state.balances)


class MemoryDeliveryStore:
    """Where instructions stand, in memory."""

    def __init__(self, rows: dict[InstructionKey, Row], now: Callable[[], datetime]) -> None:
        self._rows = rows
        self._now = now

    async def due(self) -> Sequence[str]:
        """The programs for which there is something to tell or to ask now."""
        now = self._now()
        return sorted(
            {row.instruction.program for row in self._rows.values() if row.is_to_tell(now)}
        )

    async def claim(
        self, program: str, most: int, lease: timedelta, *, in_turn: bool = False
    ) -> Sequence[Claimed]:
        """Take instructions of a program, of each member only its oldest."""
        now = self._now()
        waiting = [
            row
            for row in self._rows.values()
            if row.state in (QUEUED, SENT) and row.instruction.program == program
        ]
        turn: dict[str, int] = {}
        for row in waiting:
            if not in_turn or row.fault != Fault.AT_WORK:
                first = turn.get(row.member_key, row.log_index)
                turn[row.member_key] = min(first, row.log_index)
        due = [
            row
            for row in waiting
            if row.is_to_tell(now) and row.log_index <= turn.get(row.member_key, row.log_index)
        ]
        due.sort(key=lambda row: (row.next_at, row.log_index))
        taken = due[:most]
        claimed = []
        for row in sorted(taken, key=lambda row: row.log_index):
            row.attempts += 1
            claimed.append(as_claimed(row, now))
            row.state = SENT
            row.leased_until = now + lease
        return claimed

    async def find(self, key: InstructionKey) -> Claimed | None:
        """An instruction as it stands, taken by nobody."""
        row = self._rows.get(key)
        return None if row is None else as_claimed(row, self._now())

    async def unanswered(self, claimed: Claimed, fault: Fault, pause: timedelta) -> None:
        """Let an instruction go that has no answer."""
        row = self._rows[claimed.key]
        if row.state == SENT and row.attempts == claimed.attempts:
            if not was_told(claimed, fault):
                row.state = QUEUED
            row.fault, row.next_at, row.leased_until = fault.value, self._now() + pause, None

    async def answered(self, key: InstructionKey, answer: ProgramAnswer) -> bool:
        """Store an answer; False where it contradicts the one that counts."""
        row = self._rows[key]
        counts_now = row.state in (QUEUED, SENT)
        digest = answer_digest(answer)
        if counts_now or len(row.answers) < ANSWERS_MAX:
            key_id = answer.evidence.key_id if answer.evidence else ""
            stored = replace(answer, fulfilment=b"")
            row.answers.setdefault(digest, {}).setdefault(key_id, stored)
        if row.counting is not None and contradicts(row.answer, answer):
            return False
        if counts_now:
            row.state, row.fault, row.counting = ANSWERED, "", digest
            row.next_at, row.leased_until = self._now(), None
        return True

    async def unbooked(self, most: int, lease: timedelta) -> Sequence[Answered]:
        """Take answers that are not in the books yet."""
        now = self._now()
        due = [row for row in self._rows.values() if row.state == ANSWERED and row.is_due(now)]
        found = []
        for row in sorted(due, key=lambda row: row.next_at)[:most]:
            row.leased_until = now + lease
            key = as_claimed(row, now).key
            told = row.instruction
            found.append(
                Answered(key, row.transfer_id, told.program, told.points, row.committed, row.answer)
            )
        return found

    async def booked(self, key: InstructionKey) -> None:
        """Nothing is left to do about an instruction."""
        row = self._rows[key]
        if row.state == ANSWERED:
            row.state, row.leased_until = CONCLUDED, None

    async def unproved(self, key: InstructionKey, fault: Fault, pause: timedelta) -> None:
        """What was answered does not count: ask again after the pause."""
        row = self._rows[key]
        if row.state == ANSWERED:
            row.state, row.fault, row.counting = SENT, fault.value, None
            row.next_at, row.leased_until = self._now() + pause, None

    async def postponed(self, key: InstructionKey, pause: timedelta) -> None:
        """The books cannot take an answer now."""
        row = self._rows[key]
        if row.state == ANSWERED:
            row.next_at, row.leased_until = self._now() + pause, None

    async def lapsed(self, most: int) -> Sequence[UUID]:
        """Reserved transfers whose time is over, and of which nothing was told."""
        now = self._now()
        over = sorted(
            (row.answer_by, row.transfer_id)
            for row in self._rows.values()
            if row.state == QUEUED and row.answer_by is not None and row.answer_by <= now
        )
        return [transfer_id for _, transfer_id in over[:most]]


def as_claimed(row: Row, now: datetime) -> Claimed:
    """An instruction as it stands."""
    overdue = row.answer_by is not None and row.answer_by <= now
    return Claimed(row.instruction, row.transfer_id, row.attempts, row.state != QUEUED, overdue)
