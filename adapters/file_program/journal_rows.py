"""Rows of the journal and what they stand for. Pure."""

import sqlite3
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never
from uuid import UUID

from adapters.file_program.instructions import Inquiry, Instruction, format_lots
from adapters.file_program.judgement import Key
from partners.confirmations.confirmation import Confirmation
from partners.confirmations.file_evidence import RESULT_FILE, time_cell
from partners.program_port import (
    Credit,
    CreditOutcome,
    DeclineReason,
    Evidence,
    ExpiryLot,
    InstructionKind,
    ProgramAnswer,
    Reversal,
)


@dataclass(frozen=True, slots=True)
class Kept:
    """What the journal holds of an instruction."""

    instruction: Instruction
    """With an empty member when it was forgotten."""
    answer: ProgramAnswer | None

    @property
    def points(self) -> int | None:
        """As many as were asked for; None for an inquiry."""
        return None if isinstance(self.instruction, Inquiry) else self.instruction.points


def key_of(instruction: Instruction) -> Key:
    """By what an instruction is known."""
    match instruction:
        case Credit():
            return instruction.instruction_id, InstructionKind.CREDIT
        case Reversal():
            return instruction.instruction_id, InstructionKind.REVERSE
        case Inquiry():
            return instruction.instruction_id, instruction.kind
        case _:
            assert_never(instruction)


def same(kept: Instruction, again: Instruction) -> bool:
    """Whether an instruction is the one that was kept; a member that was forgotten is anyone."""
    if not isinstance(kept, Inquiry) and not isinstance(again, Inquiry) and not kept.member:
        return kept == replace(again, member="")
    return kept == again


def columns(instruction: Instruction) -> dict[str, object]:
    """An instruction as a row."""
    instruction_id, kind = key_of(instruction)
    empty = dict.fromkeys(("transfer_id", "member", "points", "committed", "order_sha256"))
    kept: dict[str, object] = {
        **empty,
        "instruction_id": str(instruction_id),
        "kind": kind,
        "inquiry": isinstance(instruction, Inquiry),
        "expiry_lots": "",
    }
    match instruction:
        case Credit():
            return kept | {
                "member": instruction.member,
                "points": instruction.points,
                "committed": instruction.committed,
                "order_sha256": instruction.order_sha256,
                "expiry_lots": format_lots(instruction.expiry_lots),
            }
        case Reversal():
            return kept | {
                "member": instruction.member,
                "points": instruction.points,
                "transfer_id": str(instruction.transfer_id),
            }
        case Inquiry():
            return kept
        case _:
            assert_never(instruction)


def read_row(row: sqlite3.Row, program: str) -> Kept:
    """What a row of the query `instruction` holds."""
    return Kept(instruction_of(row, program), answer_of_row(row, _evidence(row)))


def answer_columns(said: Confirmation, evidence: Evidence | None) -> dict[str, object]:
    """An answer as the query `answer` takes it."""
    return {
        "instruction_id": str(said.instruction_id),
        "kind": said.kind,
        "outcome": said.outcome,
        "points_moved": said.points,
        "reason": said.reason,
        "reference": said.program_reference,
        "decided_at": time_cell(said.decided_at),
        "evidence": evidence and evidence.content,
        "key_id": evidence and evidence.key_id,
        "signature": evidence and evidence.signature,
    }


def instruction_of(row: sqlite3.Row, program: str) -> Instruction:
    """The instruction that a row holds."""
    instruction_id, kind = UUID(row["instruction_id"]), InstructionKind(row["kind"])
    if row["inquiry"]:
        return Inquiry(instruction_id, kind)
    member, points = row["member"] or "", row["points"]
    if kind is InstructionKind.REVERSE:
        return Reversal(instruction_id, UUID(row["transfer_id"]), program, member, points)
    return Credit(
        instruction_id,
        program,
        member,
        points,
        row["order_sha256"],
        bool(row["committed"]),
        tuple(_lot(each) for each in row["expiry_lots"].split()),
    )


def _lot(text: str) -> ExpiryLot:
    points, _, expires_at = text.partition("@")
    return ExpiryLot(int(points), datetime.fromisoformat(expires_at) if expires_at else None)


def answer_of_row(row: sqlite3.Row, evidence: Evidence | None = None) -> ProgramAnswer | None:
    """The answer that a row holds."""
    if row["outcome"] is None:
        return None
    reason = DeclineReason(row["reason"]) if row["reason"] else None
    outcome = CreditOutcome(row["outcome"])
    return ProgramAnswer(outcome, row["points_moved"], reason, row["reference"], evidence)


def _evidence(row: sqlite3.Row) -> Evidence | None:
    if row["evidence"] is None:
        return None
    return Evidence(RESULT_FILE, row["evidence"], row["key_id"], row["signature"])
