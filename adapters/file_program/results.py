"""The result file: what a brand answers to instructions. Pure.

Its rows, by the first cell:

    RESULTS  whose it is, its own id, and whether a signature file accompanies it
    LINE     the answer to one instruction
    TOTAL    for each kind, how many answers, and the points that were given or taken back
    END      the end marker

Any of the open instructions may be answered, of one batch or of several, in any order, in one file
or in several. No row holds a member reference, so that a file can be kept for ever.
"""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

from adapters.file_program.faults import FileFault, FileRefused
from adapters.file_program.instructions import ProgramName, format_time
from adapters.file_program.tables import END, Row, read_table, write_table
from partners.cells import neutralised, original
from partners.errors import Refused
from partners.points import POINTS_MAX, check_reference
from partners.program_port import CreditOutcome, DeclineReason, InstructionKind

COLUMNS = (
    "row",
    "file",
    "kind",
    "instruction_id",
    "outcome",
    "points",
    "reason",
    "reference",
    "decided_at",
    "count",
    "program",
    "partner",
    "audience",
    "created_at",
    "signature",
)
SUFFIX = ".results.csv"
LINES_MAX = 100_000
BYTES_MAX = 32 * 1024 * 1024

_CELLS: Mapping[str, frozenset[str]] = {
    tag: frozenset({"row", "file", *columns.split()})
    for tag, columns in {
        "RESULTS": "program partner audience created_at signature",
        "LINE": "kind instruction_id outcome points reason reference decided_at",
        "TOTAL": "kind count points",
        END: "count",
    }.items()
}
"""What each row has cells for."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_POINTS = re.compile(r"[0-9]{1,19}")
_Value = TypeVar("_Value", bound=StrEnum)


class Signing(StrEnum):
    """Whether a signature file accompanies a result file."""

    DSSE = "DSSE"
    NONE = "NONE"


@dataclass(frozen=True, slots=True)
class ResultLine:
    """The answer to one instruction."""

    instruction_id: UUID
    kind: InstructionKind
    outcome: CreditOutcome
    decided_at: datetime
    """By the brand's clock; nothing is decided by it."""
    points: int = 0
    """With DONE."""
    reason: DeclineReason | None = None
    """With DECLINED."""
    reference: str = ""
    """The brand's own id of its booking; not personal data."""
    line: int = 0
    """Where it stands in the file, counted from 1."""


@dataclass(frozen=True, slots=True)
class ResultFile:
    """What a brand says at once."""

    name: ProgramName
    file_id: str
    created_at: datetime
    signing: Signing
    lines: tuple[ResultLine, ...]


def is_result_file(file_name: str) -> bool:
    """Whether a file has the name of a result file."""
    return file_name.endswith(SUFFIX) and bool(_NAME.fullmatch(file_name.removesuffix(SUFFIX)))


def write_results(file: ResultFile) -> bytes:
    """The file; what `parse_results` reads."""
    rows: list[Mapping[str, object]] = [
        {
            "row": "RESULTS",
            "program": file.name.program,
            "partner": file.name.partner_id,
            "audience": file.name.audience,
            "created_at": format_time(file.created_at),
            "signature": file.signing.value,
        },
        *({"row": "LINE", **_cells(line)} for line in file.lines),
        *({"row": "TOTAL", "kind": kind, **_total(kind, file.lines)} for kind in InstructionKind),
        {"row": END, "count": len(file.lines)},
    ]
    return write_table(COLUMNS, ({**row, "file": file.file_id} for row in rows))


def parse_results(content: bytes) -> ResultFile:
    """Read a file that is whole and adds up; raises FileRefused for any other."""
    rows = read_table(content, COLUMNS)
    if len(rows) - 2 - len(InstructionKind) > LINES_MAX:
        raise FileRefused(FileFault.TOO_LARGE, f"a file has at most {LINES_MAX} lines")
    # Whatever there is ends with END, so a file without the other rows is out of order.
    trailer = rows[-1 - len(InstructionKind) :]
    lines = rows[1 : -len(trailer)]
    expected = ["RESULTS", *["LINE"] * len(lines), *["TOTAL"] * len(InstructionKind), END]
    for row, tag in zip(rows, expected, strict=False):
        if row["row"] != tag:
            raise FileRefused(
                FileFault.ROW_WRONG, f"{tag} belongs here", line=row.line, field="row"
            )
    if len(rows) != len(expected):
        raise _misplaced(rows[-1], "row", "rows are missing before this one")
    for row in rows:
        _check_empty(row)
    head = rows[0]
    for row in rows:
        if row["file"] != head["file"] or not _NAME.fullmatch(row["file"]):
            raise _invalid(row, "file", "every row names the file, as the first one does")
    file = ResultFile(
        ProgramName(head["audience"], head["partner"], head["program"]),
        head["file"],
        _time(head, "created_at"),
        _named(head, "signature", Signing),
        tuple(_line(row) for row in lines),
    )
    _check_trailer(file, trailer)
    return file


def _line(row: Row) -> ResultLine:
    outcome = _named(row, "outcome", CreditOutcome)
    reason = _named(row, "reason", DeclineReason) if row["reason"] else None
    if (outcome is CreditOutcome.DECLINED) is (reason is None):
        raise _invalid(row, "reason", "a reason belongs to DECLINED, and to nothing else")
    points = _points(row, "points") if outcome is CreditOutcome.DONE else 0
    if row["points"] not in ("", "0") and outcome is not CreditOutcome.DONE:
        raise _invalid(row, "points", "points belong to DONE")
    try:
        reference = check_reference(original(row["reference"]), "reference", required=False)
    except Refused as refusal:
        raise _invalid(row, "reference", refusal.text) from None
    return ResultLine(
        _uuid(row, "instruction_id"),
        _named(row, "kind", InstructionKind),
        outcome,
        _time(row, "decided_at"),
        points,
        reason,
        reference,
        row.line,
    )


def _check_empty(row: Row) -> None:
    for column, cell in row.cells.items():
        if cell and column not in _CELLS[row["row"]]:
            raise _invalid(row, column, f"a row {row['row']} leaves it empty")


def _check_trailer(file: ResultFile, trailer: tuple[Row, ...]) -> None:
    *totals, end = trailer
    for row, kind in zip(totals, InstructionKind, strict=True):
        if row["kind"] != kind:
            raise FileRefused(
                FileFault.ROW_WRONG,
                f"the total of {kind} belongs here",
                line=row.line,
                field="kind",
            )
        for field, value in _total(kind, file.lines).items():
            if row[field] != str(value):
                text = f"the lines come to {value}"
                raise FileRefused(FileFault.TOTALS_WRONG, text, line=row.line, field=field)
    if end["count"] != str(len(file.lines)):
        text = f"there are {len(file.lines)} lines"
        raise FileRefused(FileFault.TOTALS_WRONG, text, line=end.line, field="count")


def _total(kind: InstructionKind, lines: Iterable[ResultLine]) -> dict[str, int]:
    points = [line.points for line in lines if line.kind is kind]
    return {"count": len(points), "points": sum(points)}


def _cells(line: ResultLine) -> dict[str, object]:
    return {
        "kind": line.kind.value,
        "instruction_id": line.instruction_id,
        "outcome": line.outcome.value,
        "points": line.points if line.outcome is CreditOutcome.DONE else "",
        "reason": line.reason.value if line.reason else "",
        "reference": neutralised(line.reference),
        "decided_at": format_time(line.decided_at),
    }


def _named(row: Row, field: str, kind: type[_Value]) -> _Value:
    try:
        return kind(row[field])
    except ValueError:
        raise _invalid(row, field, f"it is one of {', '.join(kind)}") from None


def _points(row: Row, field: str) -> int:
    if not _POINTS.fullmatch(row[field]) or not 0 < int(row[field]) <= POINTS_MAX:
        raise _invalid(row, field, "points are a whole number above 0, in digits")
    return int(row[field])


def _uuid(row: Row, field: str) -> UUID:
    with suppress(ValueError):
        # UUID() reads other forms as well, and what has two forms is compared wrongly somewhere.
        if str(value := UUID(row[field])) == row[field].lower():
            return value
    raise _invalid(row, field, "it is the id of the instruction, as it was written there")


def _time(row: Row, field: str) -> datetime:
    # Far from our days UTC may fall outside of the calendar.
    with suppress(ValueError, OverflowError):
        if (time := datetime.fromisoformat(row[field])).tzinfo is not None:
            return time.astimezone(UTC)
    raise _invalid(row, field, "it is a time such as 2026-07-15T12:00:00Z")


def _misplaced(row: Row, field: str, text: str) -> FileRefused:
    return FileRefused(FileFault.ROW_WRONG, text, line=row.line, field=field)


def _invalid(row: Row, field: str, text: str) -> FileRefused:
    return FileRefused(FileFault.FIELD_INVALID, text, line=row.line, field=field)
