"""Tells a program one thing, and has the books say what it answered.

The order of effects is

    claim → call, with no transaction open → store the answer → book it

A crash after the claim leaves an instruction that is due again when its lease ends; the program
answers a repeat as it did first. A crash after the answer was stored leaves it for whoever asks for
what is not booked: the same path as when nothing crashed.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from exchange.commands import Command, Conclude, Verdict
from exchange.delivery.booking import ForPeople, Nothing, booking_of
from exchange.delivery.saga import Answered, Claimed, Step
from exchange.delivery.store import DeliveryStore
from exchange.delivery.watcher import Watcher
from exchange.outcomes import Result
from partners.confirmations.confirmation import check_points
from partners.errors import Reason, Refused
from partners.program_port import Credit, Fault, ProgramAnswer, ProgramPort, ProgramUnavailable

BOOKS, PEOPLE = 4, 16
"""As after so many attempts: while the books cannot take an answer, while people must decide."""
Submit = Callable[[Command], Awaitable[Result]]
"""Has the sequencer decide a command; a refusal is a result."""


@dataclass(frozen=True, slots=True)
class Courier:
    """Carries instructions out; one instance serves any number at a time."""

    store: DeliveryStore
    submit: Submit
    digest: Callable[[ProgramAnswer], bytes]
    """What stands for an answer in the books: SHA-256 of what was signed."""
    partner_of: Callable[[str], str]
    """The brand of a program."""
    now: Callable[[], datetime]
    pause_after: Callable[[int], timedelta]
    """How long to wait after so many attempts."""
    watcher: Watcher

    async def carry(self, claimed: Claimed, port: ProgramPort) -> None:
        """Tell or ask the program, and store and book what it says."""
        try:
            answer = await call(claimed, port)
        except ProgramUnavailable as nothing:
            await self.let_go(claimed, nothing.fault)
            return
        if answer is None:
            await self.let_go(claimed, Fault.AT_WORK)
            return
        await self.take(claimed, answer)

    async def let_go(self, claimed: Claimed, fault: Fault) -> None:
        """Leave an instruction to a later attempt."""
        await self.store.unanswered(claimed, fault, self.pause_after(claimed.attempts))

    async def take(self, claimed: Claimed, answer: ProgramAnswer) -> Refused | None:
        """Store and book an answer, however it came; why, where it does not count."""
        program = claimed.instruction.program
        self.watcher.answered(program, claimed.kind, answer.outcome)
        if not await self.store.answered(claimed.key, answer):
            self.watcher.contradicted(program, claimed.key)
            return Refused(
                Reason.MODIFIED_REQUEST,
                "confirmation",
                "another answer was given to this instruction before",
            )
        return await self.book(claimed.answered(answer))

    async def book(self, answered: Answered) -> Refused | None:
        """Have the books say what was answered; why, where it does not count."""
        booking = booking_of(answered, self.digest, self.partner_of, self.now())
        if isinstance(booking, Nothing):
            await self.store.booked(answered.key)
            return None
        if isinstance(booking, ForPeople):
            if not answered.committed:
                await self._ask_again(answered, Fault.SIGNATURE_INVALID)
                return Refused(Reason.SIGNATURE_INVALID, "signatures", "nobody signed it")
            await self.store.postponed(answered.key, self.pause_after(PEOPLE))
            return None
        return await self._settle(answered, await self.submit(booking))

    async def _settle(self, answered: Answered, result: Result) -> Refused | None:
        """What the books made of an answer; why, where it does not count."""
        if not isinstance(result, Refused):
            await self.store.booked(answered.key)
        elif result.reason is Reason.KEY_NOT_IN_FORCE:
            await self._ask_again(answered, Fault.KEY_NOT_IN_FORCE)
            return result
        elif result.reason in (Reason.TRANSFER_STATE, Reason.TRANSFER_UNKNOWN):
            # Others ended it another way: the answer is kept, and changes nothing.
            self.watcher.contradicted(answered.program, answered.key)
            await self.store.booked(answered.key)
            return result
        else:
            await self.store.postponed(answered.key, self.pause_after(BOOKS))
        return None

    async def _ask_again(self, answered: Answered, fault: Fault) -> None:
        await self.store.unproved(answered.key, fault, self.pause_after(BOOKS))

    async def let_lapse(self, most: int) -> int:
        """End reservations of which nothing was told in time; returns how many were tried."""
        lapsed = await self.store.lapsed(most)
        for transfer_id in lapsed:
            # Refused where somebody told the program meanwhile: its answer decides then.
            await self.submit(Conclude(transfer_id, Verdict.LAPSED))
        return len(lapsed)


async def call(claimed: Claimed, port: ProgramPort) -> ProgramAnswer | None:
    """Tell or ask; None while the program is at work on it. Raises ProgramUnavailable."""
    instruction = claimed.instruction
    if claimed.step is Step.ASK:
        answer = await port.look_up(*claimed.key)
    elif isinstance(instruction, Credit):
        answer = await port.credit(instruction)
    else:
        answer = await port.reverse(instruction)
    if answer is not None:
        # A look-up names no points: that its answer is about as many as were asked for is known
        # here only.
        check_points(answer.outcome, claimed.kind, answer.points, instruction.points)
    return answer
