"""A brand that takes files, as a process of its own: conforming, killed, and never out of step."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
import uuid_utils

from adapters.conformance import (
    CREDIT_CHECKS,
    REVERSAL_CHECKS,
    Check,
    Subject,
    an_unknown_member_is_not_eligible,
    name_of,
    validating_a_member_only_reads,
    verdict_of,
)
from adapters.file_program.intake import Taken
from adapters.file_program.program import FileProgram, Visit
from partners.program_port import (
    Credit,
    CreditOutcome,
    Eligibility,
    InstructionKind,
    ProgramAnswer,
    Reversal,
)
from tests.file_brand import MEMBERS, FileBrand, brand_of
from tests.file_program import answer, credit, reversal
from tests.processes import wait_until


def visit(of: FileProgram) -> Visit:
    return asyncio.run(of.visit(datetime.now(UTC)))


@dataclass(frozen=True, slots=True)
class Watched:
    """The program with its brand's own records beside it, where files say nothing."""

    program: FileProgram
    brand: FileBrand

    async def validate_member(self, member: str) -> Eligibility:
        return await self.program.validate_member(member)

    async def balance(self, member: str) -> int:
        return self.brand.points(member)

    async def credit(self, credit: Credit) -> ProgramAnswer:
        await self.program.visit(datetime.now(UTC))
        return await self.program.credit(credit)

    async def reverse(self, reversal: Reversal) -> ProgramAnswer:
        await self.program.visit(datetime.now(UTC))
        return await self.program.reverse(reversal)

    async def look_up(self, instruction_id: UUID, kind: InstructionKind) -> ProgramAnswer | None:
        await self.program.visit(datetime.now(UTC))
        return await self.program.look_up(instruction_id, kind)


def new_id() -> UUID:
    return UUID(bytes=uuid_utils.uuid7().bytes)


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    with brand_of(tmp_path_factory.mktemp("brand")) as (brand, made):
        yield Subject(
            Watched(made, brand),
            "fuel",
            "member-1",
            new_id,
            unknown_member="nobody",
            # What the adapter declines itself the brand was not asked, and has not signed.
            signs=False,
            attempts=1_000,
            pause_s=0.02,
        )


# Files check no member.
UNANSWERED = (validating_a_member_only_reads, an_unknown_member_is_not_eligible)
CHECKS = (*CREDIT_CHECKS, *REVERSAL_CHECKS)


@pytest.mark.parametrize("check", [each for each in CHECKS if each not in UNANSWERED], ids=name_of)
def test_the_example_conforms(subject: Subject, check: Check) -> None:
    verdict = asyncio.run(verdict_of(check, subject))
    assert verdict.passed, verdict.fault


def test_a_brand_that_is_killed_again_and_again_books_everything_once(tmp_path: Path) -> None:
    with brand_of(tmp_path) as (brand, made):
        credits = [credit(number, member=MEMBERS[number % 3]) for number in range(120)]
        reversals = [
            reversal(1_000 + number, of=number, member=MEMBERS[number % 3], points=30)
            for number in range(0, 120, 2)
        ]
        instructions: list[Credit | Reversal] = [*credits, *reversals]
        for start in range(0, len(instructions), 15):
            for each in instructions[start : start + 15]:
                asyncio.run(answer(made, each))
            visit(made)
            brand.kill()
            brand.start()
        answers: dict[UUID, ProgramAnswer] = {}

        def all_answered() -> bool:
            assert not [each for each in visit(made).found if not isinstance(each, Taken)]
            for each in instructions:
                if found := asyncio.run(answer(made, each)):
                    answers[each.instruction_id] = found
            return len(answers) == len(instructions)

        wait_until(all_answered, "everything was answered")
        assert {each.outcome for each in answers.values()} == {CreditOutcome.DONE}
        assert all(each.evidence is not None for each in answers.values())
        given = sum(answers[each.instruction_id].points for each in credits)
        taken = sum(answers[each.instruction_id].points for each in reversals)
        assert (given, taken) == (12_000, 1_800)
        assert sum(map(brand.points, MEMBERS)) == given - taken


def test_a_brand_stops_at_a_gap_between_batches(tmp_path: Path) -> None:
    with brand_of(tmp_path) as (brand, made):
        brand.kill()
        for number in (1, 2):
            asyncio.run(answer(made, credit(number, member="member-1")))
            visit(made)
        first = tmp_path / "shared" / "instructions" / "fuel-00000001.instructions.csv"
        first.rename(tmp_path / "lost")
        brand.start()
        assert brand.process is not None
        assert brand.process.wait(60) == 1
        assert brand.points("member-1") == 0
        (tmp_path / "lost").rename(first)
        assert brand.process.stdout is not None
        brand.process.stdout.close()
        brand.start()
        wait_until(lambda: brand.points("member-1") == 200, "both batches are booked")
