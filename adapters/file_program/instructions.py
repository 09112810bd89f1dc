"""The instruction file: one batch of what a brand is asked to carry out. Pure.

Its rows, by the first cell:

    BATCH   whose it is and when it was cut
    LINE    one instruction
    TOTAL   for each kind, how many instructions and points
    END     the end marker

`kind` is CREDIT, REVERSE, or LOOK_UP_CREDIT and LOOK_UP_REVERSE, which ask what became of an
instruction: a brand that never saw it answers NEVER and declines it if it comes later. Batches of a
program are numbered from 1 without a gap, and equal batches give equal bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never
from uuid import UUID

from adapters.file_program.tables import END, write_table
from partners.cells import neutralised
from partners.confirmations.file_evidence import time_cell
from partners.program_port import Credit, ExpiryLot, InstructionKind, Reversal

COLUMNS = (
    "row",
    "batch",
    "kind",
    "instruction_id",
    "transfer_id",
    "program",
    "member",
    "points",
    "committed",
    "expiry_lots",
    "order_sha256",
    "count",
    "partner",
    "audience",
    "created_at",
)
SUFFIX = ".instructions.csv"
KINDS = ("CREDIT", "REVERSE", "LOOK_UP_CREDIT", "LOOK_UP_REVERSE")


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A question what became of an instruction that was perhaps never handed over."""

    instruction_id: UUID
    kind: InstructionKind


Instruction = Credit | Reversal | Inquiry


@dataclass(frozen=True, slots=True)
class ProgramName:
    """Whose files these are; what every file names and is held to."""

    audience: str
    partner_id: str
    program: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Instructions that leave together."""

    name: ProgramName
    number: int
    created_at: datetime
    instructions: tuple[Instruction, ...]

    @property
    def file_name(self) -> str:
        """Sorts by number."""
        return f"{self.batch_id}{SUFFIX}"

    @property
    def batch_id(self) -> str:
        """Names the batch among all of its brand's."""
        return f"{self.name.program}-{self.number:08d}"


def write_batch(batch: Batch) -> bytes:
    """The file of a batch."""
    lines = [_line(each) for each in batch.instructions]
    rows: list[Mapping[str, object]] = [
        {
            "row": "BATCH",
            "program": batch.name.program,
            "partner": batch.name.partner_id,
            "audience": batch.name.audience,
            "created_at": time_cell(batch.created_at),
        },
        *({"row": "LINE", "program": batch.name.program, **line} for line in lines),
        *({"row": "TOTAL", **_total(kind, lines)} for kind in KINDS),
        {"row": END, "count": len(lines)},
    ]
    return write_table(COLUMNS, ({**row, "batch": batch.batch_id} for row in rows))


def format_lots(lots: tuple[ExpiryLot, ...]) -> str:
    """Each as `<points>@<time>`, with a space between two; no time where the program's own rule
    says.
    """
    return " ".join(
        f"{lot.points}@{time_cell(lot.expires_at) if lot.expires_at else ''}" for lot in lots
    )


def _line(each: Instruction) -> dict[str, object]:
    match each:
        case Credit():
            return {
                "kind": InstructionKind.CREDIT.value,
                "instruction_id": each.instruction_id,
                "transfer_id": each.instruction_id,
                "member": neutralised(each.member),
                "points": each.points,
                "committed": str(each.committed).lower(),
                "expiry_lots": format_lots(each.expiry_lots),
                "order_sha256": each.order_sha256.hex(),
            }
        case Reversal():
            return {
                "kind": InstructionKind.REVERSE.value,
                "instruction_id": each.instruction_id,
                "transfer_id": each.transfer_id,
                "member": neutralised(each.member),
                "points": each.points,
            }
        case Inquiry():
            return {"kind": f"LOOK_UP_{each.kind}", "instruction_id": each.instruction_id}
        case _:
            assert_never(each)


def _total(kind: str, lines: list[dict[str, object]]) -> dict[str, object]:
    points = [int(str(line.get("points", 0))) for line in lines if line["kind"] == kind]
    return {"kind": kind, "count": len(points), "points": sum(points)}
