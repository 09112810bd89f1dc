"""Whether the answers of a result file can be taken. Pure.

All of them or none. An answer is taken once: the same one again has no effect, and one that
contradicts it refuses the file, because nobody can tell which of the two is true.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from adapters.file_program.faults import FileFault, FileRefused
from adapters.file_program.instructions import ProgramName
from adapters.file_program.results import ResultFile, ResultLine
from partners.confirmations.confirmation import Confirmation, NoAnswer, check_points
from partners.program_port import (
    CreditOutcome,
    Evidence,
    InstructionKind,
    ProgramAnswer,
    contradicts,
)

Key = tuple[UUID, InstructionKind]


@dataclass(frozen=True, slots=True)
class Open:
    """What is known of an instruction that stands in a batch."""

    points: int | None
    """As many as were asked for; None for an inquiry, which does not know."""
    answer: ProgramAnswer | None = None
    """Taken before."""


def check_head(file: ResultFile, name: ProgramName, file_id: str) -> None:
    """Raise FileRefused unless a file is this program's and bears its own name."""
    for field, says, is_ in (
        ("file", file.file_id, file_id),
        ("program", file.name.program, name.program),
        ("partner", file.name.partner_id, name.partner_id),
        ("audience", file.name.audience, name.audience),
    ):
        if says != is_:
            raise FileRefused(FileFault.NOT_THIS_PROGRAM, "it names another", line=2, field=field)


def new_answers(file: ResultFile, known: Mapping[Key, Open]) -> tuple[int, ...]:
    """Which lines say something new, from 0. `known` holds at least what the file answers, as far
    as it stands in a batch. Raises FileRefused.
    """
    seen: set[Key] = set()
    new: list[int] = []
    for index, line in enumerate(file.lines):
        said = line.said
        key = (said.instruction_id, said.kind)
        if key in seen:
            raise _refused(line, FileFault.ANSWERED_TWICE, "instruction_id", "it is answered above")
        seen.add(key)
        asked = known.get(key)
        if asked is None:
            text = f"no batch asked for this {said.kind}"
            raise _refused(line, FileFault.INSTRUCTION_UNKNOWN, "instruction_id", text)
        try:
            check_points(said.outcome, said.kind, said.points, asked.points)
        except NoAnswer as wrong:
            raise _refused(line, FileFault.POINTS_WRONG, wrong.field, wrong.text) from None
        if asked.answer is None:
            new.append(index)
        elif contradicts(asked.answer, answer_of(said)):
            text = f"{asked.answer.outcome} was answered before"
            raise _refused(line, FileFault.ANSWER_CHANGED, "outcome", text)
    return tuple(new)


def answer_of(said: Confirmation, evidence: Evidence | None = None) -> ProgramAnswer:
    """The answer that a line gives."""
    return ProgramAnswer(said.outcome, said.points, said.reason, said.program_reference, evidence)


def is_fence(answer: ProgramAnswer) -> bool:
    """Whether an instruction that comes after this answer must be declined."""
    return answer.outcome is CreditOutcome.NEVER


def _refused(line: ResultLine, fault: FileFault, field: str, text: str) -> FileRefused:
    return FileRefused(fault, text, line=line.line, field=field)
