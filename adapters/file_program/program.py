"""A program that takes batches of files, behind the port.

It answers nothing at once. `credit` and `reverse` keep the instruction in a journal, durably and
once for each id and kind, and raise ProgramUnavailable(AT_WORK): it goes out with the next
batch. What became of it says `look_up`, from the result files that were taken in so far: None while
the brand has not answered, NEVER only where its file says so. An instruction that was never handed
over becomes a question in the next batch, and until it is answered the instruction is not handed
over either: the brand may say NEVER, and that is a fence.

Whoever runs deliveries calls `visit` from time to time. Of several processes that do, one visits.

Files can check no member and show no balance: these two are never answered.
"""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from adapters.file_program.instructions import Inquiry, Instruction, write_batch
from adapters.file_program.intake import Found, Intake
from adapters.file_program.journal import Journal
from adapters.file_program.journal_rows import Kept, key_of, same
from adapters.file_program.judgement import is_fence
from adapters.file_program.places import (
    INSTRUCTIONS,
    ContentDiffers,
    Files,
    Place,
    PlaceFailed,
)
from partners.confirmations.confirmation import NoAnswer, check_points
from partners.program_port import (
    Credit,
    CreditOutcome,
    DeclineReason,
    Eligibility,
    Fault,
    InstructionKind,
    ProgramAnswer,
    ProgramUnavailable,
    Reversal,
)

JOURNAL_ID = "journal.id"


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When a batch is cut, and how long is waited for what."""

    instructions_max: int = 5_000
    """In one batch; as many are a reason to cut one."""
    age: timedelta = timedelta(minutes=5)
    """The oldest instruction that waits is a reason too when it is this old."""
    settled_after: timedelta = timedelta(minutes=1)
    """A result file that is wrong is refused when nobody has written to it for so long."""
    members_kept: timedelta = timedelta(days=30)
    """After a batch was wholly answered its file is removed and its members are forgotten."""


@dataclass(frozen=True, slots=True)
class Visit:
    """What happened at a brand's folder; for metrics and alerts."""

    cut: tuple[int, ...] = ()
    """Numbers of batches."""
    sent: tuple[int, ...] = ()
    found: tuple[Found, ...] = ()
    forgotten: tuple[int, ...] = ()
    busy: bool = False
    """Another process is there."""
    failed: str = ""
    """The place could not be reached, or was lost on the way; the next visit goes on."""
    differs: str = ""
    """A batch's name is taken by other content, or the folder is another journal's: nothing is sent
    until people know why."""


@dataclass(frozen=True, slots=True)
class FileProgram:
    """One program of a brand that takes files; implements `ProgramPort`."""

    journal: Journal
    place: Place
    intake: Intake
    clock: Callable[[], datetime]
    rhythm: Rhythm = field(default_factory=Rhythm)

    async def validate_member(self, member: str) -> Eligibility:
        """Never answered."""
        raise ProgramUnavailable("a program that takes files checks no member", Fault.FAILED)

    async def balance(self, member: str) -> int:
        """Never answered."""
        raise ProgramUnavailable("a program that takes files shows no balance", Fault.FAILED)

    async def credit(self, credit: Credit) -> ProgramAnswer:
        """Hand a credit over, or give the answer that was taken in since."""
        return await self._hand_over(credit)

    async def reverse(self, reversal: Reversal) -> ProgramAnswer:
        """Hand a reversal over, or give the answer that was taken in since."""
        return await self._hand_over(reversal)

    async def look_up(self, instruction_id: UUID, kind: InstructionKind) -> ProgramAnswer | None:
        """The answer that was taken in; None until then."""
        inquiry = Inquiry(instruction_id, kind)
        return (await self._keep(inquiry)).answer

    async def cut_batch(self, now: datetime) -> tuple[int, ...]:
        """Cut the batches that are due; their numbers."""
        numbers: list[int] = []
        before = now - self.rhythm.age
        while number := await asyncio.to_thread(
            self.journal.cut, now, self.rhythm.instructions_max, before
        ):
            numbers.append(number)
        return tuple(numbers)

    async def visit(self, now: datetime) -> Visit:
        """Cut batches, put them into the brand's folder, and take its results. Never raises for
        what happens there: what was done until then is in the visit.
        """
        with _alone(self.journal.path) as alone:
            if not alone:
                return Visit(busy=True)
            cut = await self.cut_batch(now)
            sent: list[int] = []
            found: list[Found] = []
            forgotten: list[int] = []
            failed = differs = ""
            try:
                async with self.place.open() as files:
                    try:
                        await self._send(files, now, sent)
                    except ContentDiffers as other:
                        # Results are taken all the same: what was answered, was.
                        differs = str(other)
                    await self.intake.take_all(files, now, found)
                    await self._forget(files, now, forgotten)
            except PlaceFailed as lost:
                failed = str(lost)
            return Visit(
                cut, tuple(sent), tuple(found), tuple(forgotten), failed=failed, differs=differs
            )

    async def _hand_over(self, instruction: Credit | Reversal) -> ProgramAnswer:
        if instruction.program != self.journal.name.program:
            raise ValueError(f"this is not program {instruction.program}")
        kept = await self._keep(instruction)
        if isinstance(kept.instruction, Inquiry):
            return _after_inquiry(kept, instruction)
        if not same(kept.instruction, instruction):
            # The brand was not asked, so it has signed nothing.
            return ProgramAnswer(CreditOutcome.DECLINED, reason=DeclineReason.CONFLICT)
        if kept.answer is None:
            raise _later()
        return kept.answer

    async def _keep(self, instruction: Instruction) -> Kept:
        try:
            return await asyncio.to_thread(self.journal.keep, instruction, self.clock())
        except sqlite3.Error as wrong:
            # It may have been kept all the same.
            text = f"the journal failed: {type(wrong).__name__}"
            raise ProgramUnavailable(text, Fault.FAILED) from wrong

    async def _send(self, files: Files, now: datetime, sent: list[int]) -> None:
        unsent = await asyncio.to_thread(self.journal.unsent)
        if unsent:
            # Another journal, on another host say, would number other batches alike.
            await files.put(f"{INSTRUCTIONS}/{JOURNAL_ID}", self.journal.journal_id.encode())
        for batch in unsent:
            await files.put(f"{INSTRUCTIONS}/{batch.file_name}", write_batch(batch))
            # A crash before this puts the same bytes there again. If the brand has taken the file
            # away since, it sees a batch that it has seen.
            await asyncio.to_thread(self.journal.mark_sent, batch.number, now)
            sent.append(batch.number)

    async def _forget(self, files: Files, now: datetime, forgotten: list[int]) -> None:
        before = now - self.rhythm.members_kept
        for batch in await asyncio.to_thread(self.journal.forgettable, before):
            await files.remove(f"{INSTRUCTIONS}/{batch.file_name}")
            # A crash before this removes nothing the next time.
            await asyncio.to_thread(self.journal.forget, batch.number, now)
            forgotten.append(batch.number)


def _after_inquiry(kept: Kept, instruction: Credit | Reversal) -> ProgramAnswer:
    """What an instruction gets that was asked about before it was handed over."""
    if kept.answer is None:
        raise _later()
    if is_fence(kept.answer):
        fence = kept.answer.evidence
        return ProgramAnswer(CreditOutcome.DECLINED, reason=DeclineReason.OTHER, evidence=fence)
    try:
        kind = key_of(instruction)[1]
        check_points(kept.answer.outcome, kind, kept.answer.points, instruction.points)
    except NoAnswer:
        return ProgramAnswer(CreditOutcome.DECLINED, reason=DeclineReason.CONFLICT)
    return kept.answer


def _later() -> ProgramUnavailable:
    return ProgramUnavailable("it was handed over; look up what became of it", Fault.AT_WORK)


@contextmanager
def _alone(journal: Path) -> Iterator[bool]:
    """Whether this process is the one that visits; the kernel lets go for one that was killed."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(journal.with_name(journal.name + ".lock"), flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        yield False
        return
    try:
        yield True
    finally:
        os.close(descriptor)
