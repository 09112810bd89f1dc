"""The checks of conformance: the reference passes all, and whatever breaks one rule is found."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

import pytest
import uuid_utils

from adapters.conformance import (
    CREDIT_CHECKS,
    REVERSAL_CHECKS,
    Subject,
    name_of,
    run_checks,
)
from adapters.memory import MemoryProgram, declined
from partners.program_port import (
    Credit,
    CreditOutcome,
    DeclineReason,
    Eligibility,
    InstructionKind,
    ProgramAnswer,
    ProgramUnavailable,
    Reversal,
)


def new_id() -> UUID:
    return UUID(bytes=uuid_utils.uuid7().bytes)


def subject(port: MemoryProgram) -> Subject:
    return Subject(port, "mirror", "m-1", new_id, unknown_member="unknown-1", signs=False)


def failed(port: MemoryProgram) -> set[str]:
    """Names of the checks that a program does not pass."""
    verdicts = asyncio.run(run_checks(subject(port)))
    assert [each.name for each in verdicts] == [
        name_of(each) for each in CREDIT_CHECKS + REVERSAL_CHECKS
    ]
    return {each.name.replace(" ", "_") for each in verdicts if not each.passed}


def test_the_reference_passes_every_check() -> None:
    assert failed(MemoryProgram()) == set()


class Validating(MemoryProgram):
    """Gives a point for being asked."""

    async def validate_member(self, member: str) -> Eligibility:
        self.balances[member] = self.balances.get(member, 0) + 1
        return await MemoryProgram.validate_member(self, member)


class Open(MemoryProgram):
    """Knows everybody."""

    async def validate_member(self, member: str) -> Eligibility:
        return Eligibility.ELIGIBLE

    async def credit(self, credit: Credit) -> ProgramAnswer:
        member = credit.member.replace("unknown-", "known-")
        return await MemoryProgram.credit(self, replace(credit, member=member))


class Generous(MemoryProgram):
    """Gives more than it says."""

    async def credit(self, credit: Credit) -> ProgramAnswer:
        known = (credit.instruction_id, InstructionKind.CREDIT) in self.answers
        answer = await MemoryProgram.credit(self, credit)
        if answer.points and not known:
            self.balances[credit.member] += 1
        return answer


class Forgetful(MemoryProgram):
    """Carries out again whatever comes again."""

    async def credit(self, credit: Credit) -> ProgramAnswer:
        self.answers.pop((credit.instruction_id, InstructionKind.CREDIT), None)
        return await MemoryProgram.credit(self, credit)


class Thrifty(MemoryProgram):
    """Takes what looks the same for the same."""

    async def credit(self, credit: Credit) -> ProgramAnswer:
        for known in self.instructions.values():
            if isinstance(known, Credit):
                same = replace(credit, instruction_id=known.instruction_id)
                credit = same if same == known else credit
        return await MemoryProgram.credit(self, credit)


class Unlocked(MemoryProgram):
    """Looks first and acts later."""

    async def credit(self, credit: Credit) -> ProgramAnswer:
        seen = (credit.instruction_id, InstructionKind.CREDIT) in self.answers
        await asyncio.sleep(0)
        if not seen:
            self.answers.pop((credit.instruction_id, InstructionKind.CREDIT), None)
        return await MemoryProgram.credit(self, credit)


class Trusting(MemoryProgram):
    """Takes the id for the content."""

    async def credit(self, credit: Credit) -> ProgramAnswer:
        key = credit.instruction_id, InstructionKind.CREDIT
        if key in self.instructions:
            return self.answers[key]
        return await MemoryProgram.credit(self, credit)


class Fenceless(MemoryProgram):
    """Says NEVER and forgets that it did."""

    async def look_up(self, instruction_id: UUID, kind: InstructionKind) -> ProgramAnswer | None:
        found = self.answers.get((instruction_id, kind))
        return found or ProgramAnswer(CreditOutcome.NEVER)


class OneFence(MemoryProgram):
    """Fences an id off for everything."""

    async def look_up(self, instruction_id: UUID, kind: InstructionKind) -> ProgramAnswer | None:
        for each in InstructionKind:
            found = await MemoryProgram.look_up(self, instruction_id, each)
        return self.answers.get((instruction_id, kind), found)


class Unwilling(MemoryProgram):
    """Never gives anything back."""

    async def reverse(self, reversal: Reversal) -> ProgramAnswer:
        return declined(DeclineReason.OTHER)


class Greedy(MemoryProgram):
    """Takes back from whatever the member has."""

    async def reverse(self, reversal: Reversal) -> ProgramAnswer:
        self.taken_back.clear()
        return await MemoryProgram.reverse(self, reversal)


class Careless(MemoryProgram):
    """Takes from whom it is told to."""

    async def reverse(self, reversal: Reversal) -> ProgramAnswer:
        return ProgramAnswer(CreditOutcome.DONE, reversal.points)


class Mute(MemoryProgram):
    """Cannot be reached for look-ups."""

    async def look_up(self, instruction_id: UUID, kind: InstructionKind) -> ProgramAnswer | None:
        raise ProgramUnavailable("closed on Sundays")


@dataclass(frozen=True)
class Case:
    port: Callable[[], MemoryProgram]
    breaks: str
    """A check that must find it."""


CASES = [
    Case(Validating, "validating_a_member_only_reads"),
    Case(Open, "an_unknown_member_is_not_eligible"),
    Case(Open, "a_credit_to_an_unknown_member_is_declined"),
    Case(Generous, "a_credit_gives_exactly_what_was_asked_for"),
    Case(Forgetful, "the_same_credit_again_gives_once"),
    Case(Forgetful, "the_same_credit_is_the_same_when_its_transfer_is_committed"),
    Case(Thrifty, "two_credits_of_the_same_content_are_two"),
    Case(Trusting, "a_credit_of_other_content_is_declined"),
    Case(Unlocked, "concurrent_identical_credits_give_once"),
    Case(Mute, "a_look_up_says_what_was_answered"),
    Case(Fenceless, "a_look_up_of_what_never_came_is_a_fence"),
    Case(Fenceless, "a_look_up_beside_a_credit_leaves_one_truth"),
    Case(OneFence, "a_fence_is_for_its_kind_alone"),
    Case(Unwilling, "a_reversal_takes_what_the_member_still_has"),
    Case(Careless, "the_same_reversal_again_takes_once"),
    Case(Careless, "concurrent_identical_reversals_take_once"),
    Case(Greedy, "reversals_take_no_more_than_the_credit_gave"),
    Case(Careless, "a_reversal_of_what_was_never_given_is_declined"),
    Case(Careless, "a_reversal_of_other_content_is_declined"),
    Case(Fenceless, "a_fenced_reversal_is_declined"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.port.__name__}-{case.breaks}")
def test_a_program_that_breaks_a_rule_fails_the_check_of_that_name(case: Case) -> None:
    assert case.breaks in failed(case.port())


def test_every_check_is_failed_by_some_program() -> None:
    checks = CREDIT_CHECKS + REVERSAL_CHECKS
    assert {case.breaks.replace("_", " ") for case in CASES} == {name_of(each) for each in checks}


def test_an_unsigned_answer_does_not_pass_where_answers_are_signed() -> None:
    signing = replace(subject(MemoryProgram()), signs=True)
    verdicts = asyncio.run(run_checks(signing))
    faults = {each.fault for each in verdicts}
    assert "an answer came without the brand's signature" in faults


def test_what_is_not_answered_is_asked_again_as_often_as_the_subject_allows() -> None:
    class Late(MemoryProgram):
        asked = 0

        async def look_up(
            self, instruction_id: UUID, kind: InstructionKind
        ) -> ProgramAnswer | None:
            self.asked += 1
            if self.asked % 3:
                return None
            return await MemoryProgram.look_up(self, instruction_id, kind)

    patient = replace(subject(Late()), attempts=3, pause_s=0)
    assert all(each.passed for each in asyncio.run(run_checks(patient)))
    hasty = replace(subject(Late()), attempts=2, pause_s=0)
    assert not all(each.passed for each in asyncio.run(run_checks(hasty)))
