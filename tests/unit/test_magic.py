"""What members and amounts make a simulated program do."""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from adapters import magic
from adapters.magic import DECLINES, LATE_S, Trick, trick_of
from adapters.memory import MemoryProgram, Seal
from partners.confirmations.confirmation import Asked
from partners.confirmations.verification import envelope_of, verified_answer
from partners.program_port import (
    Credit,
    CreditOutcome,
    DeclineReason,
    Fault,
    InstructionKind,
    ProgramAnswer,
    ProgramUnavailable,
    Reversal,
    contradicts,
)
from tests.factories import AUDIENCE, NOW, order_signer
from tests.file_program import keys_of, ordering_key

GUIDE = Path(__file__).parents[2] / "docs" / "onboarding.md"
NAME = UUID(int=(7 << 76) | (2 << 62) | 1)
OTHER = UUID(int=(7 << 76) | (2 << 62) | 2)
KIND = InstructionKind.CREDIT


@dataclass(slots=True)
class Clock:
    """Stands still until it is told."""

    now: float = 0

    def __call__(self) -> float:
        return self.now


def program(**changes: object) -> MemoryProgram:
    """A program of a sandbox, whose brand lends it a key."""
    seal = Seal(AUDIENCE, "fuel", "fuel", order_signer("fuel"), lambda: NOW)
    made = MemoryProgram(magic_amounts=True, seal=lambda: seal, monotonic=Clock())
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def credit(member: str = "m-1", points: int = 100) -> Credit:
    return Credit(NAME, "fuel", member, points, bytes(32), committed=False)


def tell(to: MemoryProgram, what: Credit) -> ProgramAnswer | Fault:
    try:
        return asyncio.run(to.credit(what))
    except ProgramUnavailable as nothing:
        return nothing.fault


def ask(of: MemoryProgram) -> ProgramAnswer | None:
    return asyncio.run(of.look_up(NAME, KIND))


def proved(answer: object, *, looked_up: bool = False) -> ProgramAnswer:
    """An answer whose evidence verifies as the brand's, and says the same."""
    assert isinstance(answer, ProgramAnswer)
    assert answer.evidence is not None
    asked = Asked(AUDIENCE, "fuel", "fuel", NAME, KIND, looked_up=looked_up)
    key_of = keys_of(ordering_key())
    assert verified_answer(envelope_of(answer.evidence), asked, key_of, NOW) == answer
    return answer


def rows(text: str) -> list[str]:
    """The table of magic in a text."""
    found = [line for line in text.splitlines() if line.startswith("| ")]
    begins = found.index("| member | points | what happens |")
    return found[begins : begins + 2 + len(Trick)]


def test_the_guide_has_the_table_of_the_program_and_the_program_has_each_row() -> None:
    assert magic.__doc__ is not None
    table = rows(magic.__doc__)
    assert rows(GUIDE.read_text(encoding="utf-8")) == table
    begun = [tuple(row.split(" | ")[:2]) for row in table[2:]]
    assert begun == [(f"| `{each}-…`", f"{each.points:,}") for each in Trick]
    assert f"for {LATE_S} seconds" in table[2 + list(Trick).index(Trick.LATE)]


def test_a_member_goes_before_an_amount_and_amounts_are_magic_only_where_they_are_on() -> None:
    assert trick_of("late-1", Trick.LIMIT.points) is Trick.LATE
    assert trick_of("lately", Trick.LIMIT.points) is Trick.LIMIT
    assert trick_of("m-1", Trick.LIMIT.points + 1) is None
    plain = program(magic_amounts=False)
    assert proved(tell(plain, credit(points=Trick.LIMIT.points))).outcome is CreditOutcome.DONE


@pytest.mark.parametrize("trick", DECLINES)
@pytest.mark.parametrize("by", ["member", "amount"])
def test_a_credit_is_declined_for_its_reason(trick: Trick, by: str) -> None:
    asked = credit(f"{trick}-1") if by == "member" else credit(points=trick.points)
    made = program()
    answer = proved(tell(made, asked))
    assert (answer.outcome, answer.reason) == (CreditOutcome.DECLINED, DECLINES[trick])
    assert tell(made, asked) == answer
    assert ask(made) == answer
    assert made.balances == {}


def test_what_is_late_is_at_work_and_then_given() -> None:
    clock = Clock()
    made = program(monotonic=clock)
    assert tell(made, credit("late-1")) is Fault.AT_WORK
    clock.now = LATE_S - 0.1
    assert tell(made, credit("late-1")) is Fault.AT_WORK
    assert ask(made) is None
    assert made.balances == {}
    clock.now = LATE_S
    answer = ask(made)
    assert proved(answer, looked_up=True).outcome is CreditOutcome.DONE
    assert tell(made, credit("late-1")) == answer
    assert made.balances == {"late-1": 100}


def test_a_lost_answer_is_given_again_and_the_points_once() -> None:
    made = program()
    assert tell(made, credit("twice-1")) is Fault.LATE
    answer = proved(tell(made, credit("twice-1")))
    assert tell(made, credit("twice-1")) == answer
    assert made.balances == {"twice-1": 100}


def test_who_is_silent_has_given_the_points_and_says_so_when_it_is_asked() -> None:
    made = program()
    assert [tell(made, credit("silent-1")) for _ in range(3)] == [Fault.LATE] * 3
    assert proved(ask(made), looked_up=True).outcome is CreditOutcome.DONE
    assert made.balances == {"silent-1": 100}


def test_what_is_fenced_never_was_and_never_will_be() -> None:
    made = program()
    assert tell(made, credit("fenced-1")) is Fault.LATE
    assert proved(ask(made), looked_up=True).outcome is CreditOutcome.NEVER
    declined = proved(tell(made, credit("fenced-1")))
    assert (declined.outcome, declined.reason) == (CreditOutcome.DECLINED, DeclineReason.OTHER)
    assert made.balances == {}


def test_what_never_ends_is_at_work_however_it_is_asked() -> None:
    made = program()
    for _ in range(3):
        assert tell(made, credit("never-1")) is Fault.AT_WORK
        assert ask(made) is None


def test_what_nobody_signs_has_no_evidence() -> None:
    made = program()
    answer = tell(made, credit("unsigned-1"))
    assert answer == ProgramAnswer(CreditOutcome.DONE, 100)
    assert tell(made, credit("unsigned-1")) == answer == ask(made)


def test_who_changes_its_answer_signs_only_the_other_one() -> None:
    made = program()
    first = tell(made, credit("changed-1"))
    assert first == ProgramAnswer(CreditOutcome.DONE, 100)
    for later in (tell(made, credit("changed-1")), ask(made)):
        assert contradicts(first, proved(later, looked_up=True))


def test_who_is_away_or_slow_does_not_answer_either_when_it_is_asked() -> None:
    made = program()
    assert tell(made, credit("away-1")) is Fault.UNREACHABLE
    with pytest.raises(ProgramUnavailable):
        ask(made)
    slow = program()
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(slow.credit(credit("slow-1")), 0.01))
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(slow.look_up(NAME, KIND), 0.01))


@pytest.mark.parametrize("spent", [credit("spent-1"), credit(points=Trick.SPENT.points)])
def test_what_was_spent_is_not_taken_back(spent: Credit) -> None:
    made = program()
    assert proved(tell(made, spent)).outcome is CreditOutcome.DONE
    taking = Reversal(OTHER, NAME, "fuel", spent.member, spent.points)
    answer = asyncio.run(made.reverse(taking))
    assert (answer.outcome, answer.reason) == (CreditOutcome.DECLINED, DeclineReason.SPENT)
    assert answer.evidence is not None


def test_the_same_id_with_other_content_is_a_conflict_that_is_signed() -> None:
    made = program()
    tell(made, credit())
    answer = proved(tell(made, replace(credit(), points=101)))
    assert (answer.outcome, answer.reason) == (CreditOutcome.DECLINED, DeclineReason.CONFLICT)


def test_without_a_key_nothing_is_signed_and_with_one_from_then_on() -> None:
    seal = Seal(AUDIENCE, "fuel", "fuel", order_signer("fuel"), lambda: datetime.now(UTC))
    lent: list[Seal] = []
    made = program(seal=lambda: lent[0] if lent else None)
    assert tell(made, credit()) == ProgramAnswer(CreditOutcome.DONE, 100)
    lent.append(seal)
    answer = asyncio.run(made.credit(replace(credit(), instruction_id=OTHER)))
    assert answer.evidence is not None
