"""The result file: what a brand answers to instructions. Pure.

Its rows, by the first cell:

    RESULTS  whose it is, its own id, and whether a signature file accompanies it
    LINE     the answer to one instruction
    TOTAL    for each kind, how many answers, and the points that were given or taken back
    END      the end marker

Any of the open instructions may be answered, of one batch or of several, in any order, in one file
or in several. What a LINE says is read where its evidence is verified:
`partners.confirmations.file_evidence`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from adapters.file_program.faults import FileFault, FileRefused
from adapters.file_program.instructions import ProgramName
from adapters.file_program.tables import END, Row, read_table, write_table
from partners.confirmations.confirmation import Confirmation, NoAnswer
from partners.confirmations.file_evidence import (
    LINE,
    LINES_MAX,
    RESULT_COLUMNS,
    line_cells,
    said_in_cells,
    time_cell,
    time_in,
)
from partners.program_port import InstructionKind

SUFFIX = ".results.csv"
BYTES_MAX = 32 * 1024 * 1024

_CELLS: Mapping[str, frozenset[str]] = {
    tag: frozenset({"row", "file", *columns.split()})
    for tag, columns in {
        "RESULTS": "program partner audience created_at signature",
        LINE: "kind instruction_id outcome points reason reference decided_at",
        "TOTAL": "kind count points",
        END: "count",
    }.items()
}
"""What each row has cells for."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


class Signing(StrEnum):
    """Whether a signature file accompanies a result file."""

    DSSE = "DSSE"
    NONE = "NONE"


@dataclass(frozen=True, slots=True)
class ResultLine:
    """The answer to one instruction."""

    said: Confirmation
    line: int
    """Where it stands, counted from 1."""
    row: bytes
    """As it stands there, without its line end."""


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


def write_results(
    name: ProgramName,
    file_id: str,
    created_at: datetime,
    signing: Signing,
    answers: Iterable[Confirmation],
) -> bytes:
    """A result file as a brand writes it."""
    answers = tuple(answers)
    rows: list[Mapping[str, object]] = [
        {
            "row": "RESULTS",
            "program": name.program,
            "partner": name.partner_id,
            "audience": name.audience,
            "created_at": time_cell(created_at),
            "signature": signing.value,
        },
        *({"row": LINE, **line_cells(said)} for said in answers),
        *({"row": "TOTAL", "kind": kind, **_total(kind, answers)} for kind in InstructionKind),
        {"row": END, "count": len(answers)},
    ]
    return write_table(RESULT_COLUMNS, ({**row, "file": file_id} for row in rows))


def parse_results(content: bytes) -> ResultFile:
    """Read a file that is whole and adds up; raises FileRefused for any other."""
    rows = read_table(content, RESULT_COLUMNS)
    if len(rows) - 2 - len(InstructionKind) > LINES_MAX:
        raise FileRefused(FileFault.TOO_LARGE, f"a file has at most {LINES_MAX} lines")
    _check_order(rows)
    head, lines, trailer = rows[0], rows[1 : -1 - len(InstructionKind)], rows[-3:]
    if head["signature"] not in Signing.__members__:
        raise _invalid(head, "signature", f"it is one of {', '.join(Signing)}")
    name = ProgramName(head["audience"], head["partner"], head["program"])
    try:
        created_at = time_in(head.cells, "created_at")
    except NoAnswer as wrong:
        raise _invalid(head, wrong.field, wrong.text) from None
    file = ResultFile(
        name,
        head["file"],
        created_at,
        Signing(head["signature"]),
        tuple(_line(row, name) for row in lines),
    )
    _check_trailer([line.said for line in file.lines], trailer)
    return file


def _check_order(rows: tuple[Row, ...]) -> None:
    """The rows that belong here, each with its own cells and the name of one file."""
    # Whatever was read ends with END, so a file without the other rows is out of order.
    lines = max(0, len(rows) - 2 - len(InstructionKind))
    expected = ("RESULTS", *[LINE] * lines, *["TOTAL"] * len(InstructionKind), END)
    for row, tag in zip(rows, expected, strict=False):
        if row["row"] != tag:
            raise _misplaced(row, "row", f"{tag} belongs here")
        for column, cell in row.cells.items():
            if cell and column not in _CELLS[tag]:
                raise _invalid(row, column, f"a row {tag} leaves it empty")
        if row["file"] != rows[0]["file"] or not _NAME.fullmatch(row["file"]):
            raise _invalid(row, "file", "every row names the file, as the first one does")


def _line(row: Row, name: ProgramName) -> ResultLine:
    try:
        said = said_in_cells(row.cells, name.audience, name.partner_id, name.program)
    except NoAnswer as wrong:
        raise _invalid(row, wrong.field, wrong.text) from None
    return ResultLine(said, row.line, row.content)


def _check_trailer(answers: Iterable[Confirmation], trailer: tuple[Row, ...]) -> None:
    answers = tuple(answers)
    *totals, end = trailer
    for row, kind in zip(totals, InstructionKind, strict=True):
        if row["kind"] != kind:
            raise _misplaced(row, "kind", f"the total of {kind} belongs here")
        for field, value in _total(kind, answers).items():
            if row[field] != str(value):
                text = f"the lines come to {value}"
                raise FileRefused(FileFault.TOTALS_WRONG, text, line=row.line, field=field)
    if end["count"] != str(len(answers)):
        text = f"there are {len(answers)} lines"
        raise FileRefused(FileFault.TOTALS_WRONG, text, line=end.line, field="count")


def _total(kind: InstructionKind, answers: Iterable[Confirmation]) -> dict[str, int]:
    points = [said.points for said in answers if said.kind is kind]
    return {"count": len(points), "points": sum(points)}


def _misplaced(row: Row, field: str, text: str) -> FileRefused:
    return FileRefused(FileFault.ROW_WRONG, text, line=row.line, field=field)


def _invalid(row: Row, field: str, text: str) -> FileRefused:
    return FileRefused(FileFault.FIELD_INVALID, text, line=row.line, field=field)
