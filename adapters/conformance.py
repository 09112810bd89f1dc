"""The checks that every program passes, whichever adapter speaks to it: an exact reading of the
rules of `partners/program_port.py`.

Effects: they give points to members of the program and take them back, under ids of their own. The
rules kept here:

- A check is one sentence and one function. It raises `NotConforming` where the program breaks the
  rule; a program that gives no answer in time fails the check, since nothing was seen.
- Whatever may be asked again is asked again until there is an answer: an adapter for files or for
  leases takes its time.
- Checks do not depend on each other, and each uses ids that were never used before. Running them
  twice against one program is harmless, but for the points that they leave with the member.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar
from uuid import UUID

from partners.errors import PointclearError
from partners.program_port import (
    Credit,
    CreditOutcome,
    Eligibility,
    InstructionKind,
    ProgramAnswer,
    ProgramPort,
    ProgramUnavailable,
    Reversal,
)

AT_ONCE = 8
"""Calls at the same time where a check is about that."""

_Answer = TypeVar("_Answer")


class NotConforming(PointclearError):
    """The program breaks a rule. The text is one line for its engineers."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A program under check, and what is known of it."""

    port: ProgramPort
    program: str
    member: str
    """One who may take part, and whom nobody else gives points to meanwhile."""
    new_id: Callable[[], UUID]
    """A UUID version 7 that was never used."""
    points: int = 100
    """Given by each check; at least 4."""
    unknown_member: str = ""
    """A reference that is nobody's; empty leaves out what is said of one."""
    keeps_balances: bool = True
    """False for a program that issues codes in place of points."""
    takes_back: bool = True
    """False for a program that only receives."""
    signs: bool = True
    """Whether its answers come with evidence."""
    order_sha256: bytes = bytes(32)
    source_key: bytes = b""
    """For a program that issues codes."""
    attempts: int = 1
    """How often each question is put before it counts as not answered."""
    pause_s: float = 0.1
    """Between two of them."""

    def credit(self) -> Credit:
        """A new credit to the member."""
        return Credit(
            self.new_id(),
            self.program,
            self.member,
            self.points,
            self.order_sha256,
            committed=False,
            source_key=self.source_key,
        )

    def reversal(self, credit: Credit, points: int) -> Reversal:
        """A new reversal of so many points of a credit."""
        return Reversal(self.new_id(), credit.instruction_id, self.program, credit.member, points)

    async def give(self, credit: Credit) -> ProgramAnswer:
        """The answer to a credit."""
        return self._definite(await self._asked(lambda: self.port.credit(credit)))

    async def take(self, reversal: Reversal) -> ProgramAnswer:
        """The answer to a reversal."""
        return self._definite(await self._asked(lambda: self.port.reverse(reversal)))

    async def look_up(self, instruction_id: UUID, kind: InstructionKind) -> ProgramAnswer:
        """The answer to a look-up, once the program is no longer at work."""

        async def once() -> ProgramAnswer:
            answer = await self.port.look_up(instruction_id, kind)
            if answer is None:
                raise ProgramUnavailable("the program is still at work on the instruction")
            return answer

        return self._definite(await self._asked(once))

    async def balance(self) -> int:
        """What the member has; 0 at all times where nobody says."""
        if not self.keeps_balances:
            return 0
        return await self._asked(lambda: self.port.balance(self.member))

    async def validated(self, member: str) -> Eligibility:
        """What the program says of a member."""
        return await self._asked(lambda: self.port.validate_member(member))

    async def given(self) -> Credit:
        """A new credit that was done."""
        credit = self.credit()
        require_done(await self.give(credit), credit.points)
        return credit

    async def require_moved(self, before: int, points: int) -> None:
        """Raise NotConforming unless the member has so many points more than before."""
        moved = await self.balance() - before
        if self.keeps_balances and moved != points:
            raise NotConforming(f"the member's points changed by {moved}, not by {points}")

    async def _asked(self, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        for _ in range(self.attempts - 1):
            try:
                return await call()
            except ProgramUnavailable:
                await asyncio.sleep(self.pause_s)
        return await call()

    def _definite(self, answer: ProgramAnswer) -> ProgramAnswer:
        if self.signs and answer.evidence is None:
            raise NotConforming("an answer came without the brand's signature")
        if (answer.outcome is CreditOutcome.DECLINED) is (answer.reason is None):
            raise NotConforming(f"{answer.outcome} came with the reason {answer.reason}")
        if answer.outcome is not CreditOutcome.DONE and answer.points:
            raise NotConforming(f"{answer.outcome} came with {answer.points} points")
        return answer


def require(holds: bool, text: str) -> None:
    """Raise NotConforming unless something holds."""
    if not holds:
        raise NotConforming(text)


def require_done(answer: ProgramAnswer, points: int) -> None:
    """Raise NotConforming unless an answer is DONE for so many points."""
    require(answer.outcome is CreditOutcome.DONE, f"the answer is {answer.outcome}, not DONE")
    require(answer.points == points, f"done for {answer.points} points, not {points}")


def require_declined(answer: ProgramAnswer) -> None:
    """Raise NotConforming unless an answer is DECLINED."""
    require(
        answer.outcome is CreditOutcome.DECLINED, f"the answer is {answer.outcome}, not DECLINED"
    )


def require_same(first: ProgramAnswer, again: ProgramAnswer) -> None:
    """Raise NotConforming where a program changed its answer, or what it refers to."""
    for what, one, other in (
        ("outcome", first.outcome, again.outcome),
        ("points", first.points, again.points),
        ("reason", first.reason, again.reason),
        ("reference", first.reference, again.reference),
        ("fulfilment", first.fulfilment, again.fulfilment),
    ):
        require(one == other, f"the same again was answered with another {what}")


# Members


async def validating_a_member_only_reads(subject: Subject) -> None:
    """ELIGIBLE, every time, and no points moved."""
    before = await subject.balance()
    for _ in range(2):
        found = await subject.validated(subject.member)
        require(found is Eligibility.ELIGIBLE, f"the member is {found}, not ELIGIBLE")
    await subject.require_moved(before, 0)


async def an_unknown_member_is_not_eligible(subject: Subject) -> None:
    """UNKNOWN or INELIGIBLE; which, nobody is told."""
    if subject.unknown_member:
        found = await subject.validated(subject.unknown_member)
        require(found is not Eligibility.ELIGIBLE, "a member who is nobody is ELIGIBLE")


async def a_credit_to_an_unknown_member_is_declined(subject: Subject) -> None:
    """For ever: the same again is declined too."""
    if subject.unknown_member:
        credit = replace(subject.credit(), member=subject.unknown_member)
        first = await subject.give(credit)
        require_declined(first)
        require_same(first, await subject.give(credit))


# Credits


async def a_credit_gives_exactly_what_was_asked_for(subject: Subject) -> None:
    """The points of the answer, and those that the member has more."""
    before = await subject.balance()
    await subject.given()
    await subject.require_moved(before, subject.points)


async def the_same_credit_again_gives_once(subject: Subject) -> None:
    """And is answered as it was first."""
    before, credit = await subject.balance(), subject.credit()
    first = await subject.give(credit)
    require_done(first, credit.points)
    for _ in range(3):
        require_same(first, await subject.give(credit))
    await subject.require_moved(before, credit.points)


async def the_same_credit_is_the_same_when_its_transfer_is_committed(subject: Subject) -> None:
    """That a transfer is committed by now is no other content."""
    before, credit = await subject.balance(), subject.credit()
    first = await subject.give(credit)
    require_done(first, credit.points)
    require_same(first, await subject.give(replace(credit, committed=True)))
    await subject.require_moved(before, credit.points)


async def two_credits_of_the_same_content_are_two(subject: Subject) -> None:
    """The id tells them apart, and nothing else."""
    before = await subject.balance()
    await subject.given()
    await subject.given()
    await subject.require_moved(before, 2 * subject.points)


async def a_credit_of_other_content_is_declined(subject: Subject) -> None:
    """Under an id that was used; what was done under it stands."""
    before, credit = await subject.balance(), subject.credit()
    first = await subject.give(credit)
    require_done(first, credit.points)
    require_declined(await subject.give(replace(credit, points=credit.points + 1)))
    require_declined(await subject.give(replace(credit, order_sha256=bytes([255]) * 32)))
    require_same(first, await subject.give(credit))
    require_same(first, await subject.look_up(credit.instruction_id, InstructionKind.CREDIT))
    await subject.require_moved(before, credit.points)


async def concurrent_identical_credits_give_once(subject: Subject) -> None:
    """However many come at the same time."""
    before, credit = await subject.balance(), subject.credit()
    answers = await asyncio.gather(*(subject.give(credit) for _ in range(AT_ONCE)))
    for answer in answers:
        require_done(answer, credit.points)
        require_same(answers[0], answer)
    await subject.require_moved(before, credit.points)


# Look-ups


async def a_look_up_says_what_was_answered(subject: Subject) -> None:
    """As often as it is asked."""
    credit = subject.credit()
    first = await subject.give(credit)
    for _ in range(2):
        found = await subject.look_up(credit.instruction_id, InstructionKind.CREDIT)
        require_same(first, found)


async def a_look_up_of_what_never_came_is_a_fence(subject: Subject) -> None:
    """NEVER, and then never: the credit that comes later is declined."""
    before, credit = await subject.balance(), subject.credit()
    for _ in range(2):
        found = await subject.look_up(credit.instruction_id, InstructionKind.CREDIT)
        require(found.outcome is CreditOutcome.NEVER, f"the answer is {found.outcome}, not NEVER")
    for _ in range(2):
        require_declined(await subject.give(credit))
    found = await subject.look_up(credit.instruction_id, InstructionKind.CREDIT)
    require(found.outcome is not CreditOutcome.DONE, "a fenced credit was DONE")
    await subject.require_moved(before, 0)


async def a_look_up_beside_a_credit_leaves_one_truth(subject: Subject) -> None:
    """Either it was never seen, and the credit is declined, or it is done, and stays so."""
    for _ in range(AT_ONCE):
        before, credit = await subject.balance(), subject.credit()
        found, answer = await asyncio.gather(
            subject.look_up(credit.instruction_id, InstructionKind.CREDIT), subject.give(credit)
        )
        if found.outcome is CreditOutcome.NEVER:
            require_declined(answer)
        else:
            require_done(answer, credit.points)
            require_same(answer, found)
        await subject.require_moved(before, answer.points)


async def a_fence_is_for_its_kind_alone(subject: Subject) -> None:
    """A look-up of a reversal says nothing of the credit with the same id."""
    credit = subject.credit()
    found = await subject.look_up(credit.instruction_id, InstructionKind.REVERSE)
    require(found.outcome is CreditOutcome.NEVER, f"the answer is {found.outcome}, not NEVER")
    require_done(await subject.give(credit), credit.points)


# Reversals


async def a_reversal_takes_what_the_member_still_has(subject: Subject) -> None:
    """As many as it says, of those that were asked for."""
    credit = await subject.given()
    before = await subject.balance()
    answer = await subject.take(subject.reversal(credit, credit.points))
    require_done(answer, credit.points)
    await subject.require_moved(before, -answer.points)


async def the_same_reversal_again_takes_once(subject: Subject) -> None:
    """And is answered as it was first."""
    credit = await subject.given()
    before, reversal = await subject.balance(), subject.reversal(credit, credit.points // 2)
    first = await subject.take(reversal)
    require_done(first, reversal.points)
    for _ in range(3):
        require_same(first, await subject.take(reversal))
    found = await subject.look_up(reversal.instruction_id, InstructionKind.REVERSE)
    require_same(first, found)
    await subject.require_moved(before, -reversal.points)


async def concurrent_identical_reversals_take_once(subject: Subject) -> None:
    """However many come at the same time."""
    credit = await subject.given()
    before, reversal = await subject.balance(), subject.reversal(credit, credit.points)
    answers = await asyncio.gather(*(subject.take(reversal) for _ in range(AT_ONCE)))
    for answer in answers:
        require_same(answers[0], answer)
    await subject.require_moved(before, -answers[0].points)


async def reversals_take_no_more_than_the_credit_gave(subject: Subject) -> None:
    """All of one credit together, though the member has points of another; also at one time."""
    credit = await subject.given()
    await subject.given()
    before = await subject.balance()
    part = subject.points - 1
    answers = await asyncio.gather(
        *(subject.take(subject.reversal(credit, part)) for _ in range(3))
    )
    require(all(each.points <= part for each in answers), "more was taken than was asked for")
    taken = sum(each.points for each in answers)
    require(taken == credit.points, f"{taken} points of {credit.points} were taken back")
    await subject.require_moved(before, -taken)


async def a_reversal_of_what_was_never_given_is_declined(subject: Subject) -> None:
    """Of a credit that never came, that was fenced off, or that is another member's."""
    credit = await subject.given()
    before, fenced = await subject.balance(), subject.credit()
    await subject.look_up(fenced.instruction_id, InstructionKind.CREDIT)
    for reversal in (
        subject.reversal(subject.credit(), 1),
        subject.reversal(fenced, 1),
        replace(subject.reversal(credit, 1), member=f"{credit.member}-2"),
    ):
        require_declined(await subject.take(reversal))
    await subject.require_moved(before, 0)


async def a_reversal_of_other_content_is_declined(subject: Subject) -> None:
    """Under an id that was used; what was done under it stands."""
    credit = await subject.given()
    before, reversal = await subject.balance(), subject.reversal(credit, 2)
    first = await subject.take(reversal)
    require_done(first, 2)
    require_declined(await subject.take(replace(reversal, points=1)))
    require_same(first, await subject.take(reversal))
    await subject.require_moved(before, -2)


async def a_fenced_reversal_is_declined(subject: Subject) -> None:
    """Like a credit that comes after its look-up."""
    credit = await subject.given()
    before, reversal = await subject.balance(), subject.reversal(credit, 1)
    found = await subject.look_up(reversal.instruction_id, InstructionKind.REVERSE)
    require(found.outcome is CreditOutcome.NEVER, f"the answer is {found.outcome}, not NEVER")
    require_declined(await subject.take(reversal))
    await subject.require_moved(before, 0)


Check = Callable[[Subject], Awaitable[None]]

CREDIT_CHECKS: tuple[Check, ...] = (
    validating_a_member_only_reads,
    an_unknown_member_is_not_eligible,
    a_credit_to_an_unknown_member_is_declined,
    a_credit_gives_exactly_what_was_asked_for,
    the_same_credit_again_gives_once,
    the_same_credit_is_the_same_when_its_transfer_is_committed,
    two_credits_of_the_same_content_are_two,
    a_credit_of_other_content_is_declined,
    concurrent_identical_credits_give_once,
    a_look_up_says_what_was_answered,
    a_look_up_of_what_never_came_is_a_fence,
    a_look_up_beside_a_credit_leaves_one_truth,
    a_fence_is_for_its_kind_alone,
)
REVERSAL_CHECKS: tuple[Check, ...] = (
    a_reversal_takes_what_the_member_still_has,
    the_same_reversal_again_takes_once,
    concurrent_identical_reversals_take_once,
    reversals_take_no_more_than_the_credit_gave,
    a_reversal_of_what_was_never_given_is_declined,
    a_reversal_of_other_content_is_declined,
    a_fenced_reversal_is_declined,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found."""

    name: str
    """A sentence."""
    fault: str = ""
    """Why it did not pass; empty where it did."""

    @property
    def passed(self) -> bool:
        """Whether the program keeps this rule."""
        return not self.fault


def checks_of(subject: Subject) -> tuple[Check, ...]:
    """The checks for such a program."""
    return CREDIT_CHECKS + (REVERSAL_CHECKS if subject.takes_back else ())


def name_of(check: Check) -> str:
    """A check as a sentence."""
    return str(getattr(check, "__name__", check)).replace("_", " ")


async def verdict_of(check: Check, subject: Subject) -> Verdict:
    """Run one check."""
    try:
        await check(subject)
    except NotConforming as broken:
        return Verdict(name_of(check), str(broken) or "not conforming")
    except ProgramUnavailable as gone:
        return Verdict(name_of(check), f"no answer: {gone}")
    return Verdict(name_of(check))


async def run_checks(subject: Subject, checks: Iterable[Check] = ()) -> tuple[Verdict, ...]:
    """A verdict for each check, in their order; all that apply where none are named."""
    chosen = tuple(checks) or checks_of(subject)
    return tuple([await verdict_of(check, subject) for check in chosen])
