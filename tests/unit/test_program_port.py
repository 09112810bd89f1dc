"""What follows from a program's answers."""

import pytest

from partners.errors import PointclearError
from partners.program_port import (
    CreditOutcome,
    DeclineReason,
    Fault,
    ProgramAnswer,
    ProgramUnavailable,
    contradicts,
)

DONE = ProgramAnswer(CreditOutcome.DONE, 500, reference="b-1")
DECLINED = ProgramAnswer(CreditOutcome.DECLINED, reason=DeclineReason.LIMIT)
NEVER = ProgramAnswer(CreditOutcome.NEVER)


@pytest.mark.parametrize(
    "later",
    [
        DECLINED,
        NEVER,
        ProgramAnswer(CreditOutcome.DONE, 499, reference="b-1"),
        ProgramAnswer(CreditOutcome.DONE, 500, reference="b-2"),
    ],
)
def test_two_answers_that_cannot_both_be_true_contradict_either_way_round(
    later: ProgramAnswer,
) -> None:
    assert contradicts(DONE, later)
    assert contradicts(later, DONE)


@pytest.mark.parametrize("first", [DONE, DECLINED, NEVER])
def test_the_same_answer_again_contradicts_nothing(first: ProgramAnswer) -> None:
    assert not contradicts(first, first)


def test_who_knows_no_reference_of_the_booking_contradicts_nothing() -> None:
    seen = ProgramAnswer(CreditOutcome.DONE, 500)
    assert not contradicts(DONE, seen)
    assert not contradicts(seen, DONE)


def test_declining_what_was_fenced_off_contradicts_nothing() -> None:
    assert not contradicts(NEVER, DECLINED)


def test_only_what_holds_a_call_back_says_that_the_program_was_not_called() -> None:
    assert {each for each in Fault if not each.called} == {
        Fault.MAINTENANCE,
        Fault.CIRCUIT_OPEN,
        Fault.NO_SLOT,
    }


def test_an_unavailable_program_is_out_of_reach_unless_a_fault_is_named() -> None:
    assert ProgramUnavailable("away").fault is Fault.UNREACHABLE
    assert ProgramUnavailable("late", Fault.LATE).fault is Fault.LATE
    assert isinstance(ProgramUnavailable("away"), PointclearError)
