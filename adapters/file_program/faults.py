"""Why a result file is refused. Pure.

A file is taken whole or not at all: the first fault that is found refuses it, and names the line
and the field. A refusal holds nothing of what stands in a cell, since nobody knows what that is.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from partners.errors import PointclearError

REFUSED_FORMAT = 1


class FileFault(StrEnum):
    """What is wrong with a file, in the order of the checks."""

    TOO_LARGE = "TOO_LARGE"
    NAME_USED = "NAME_USED"
    """A file of this name, with other content, was taken before."""
    CUT_SHORT = "CUT_SHORT"
    """Nobody writes on, and there is no END row."""
    NOT_UTF8 = "NOT_UTF8"
    NOT_CSV = "NOT_CSV"
    COLUMNS_WRONG = "COLUMNS_WRONG"
    ROW_WRONG = "ROW_WRONG"
    """A row that does not belong where it stands."""
    FIELD_INVALID = "FIELD_INVALID"
    TOTALS_WRONG = "TOTALS_WRONG"
    NOT_THIS_PROGRAM = "NOT_THIS_PROGRAM"
    """It names another file, brand, program or audience."""
    SIGNATURE_WRONG = "SIGNATURE_WRONG"
    ANSWERED_TWICE = "ANSWERED_TWICE"
    """One file answers one instruction twice."""
    INSTRUCTION_UNKNOWN = "INSTRUCTION_UNKNOWN"
    """Never handed to this program."""
    POINTS_WRONG = "POINTS_WRONG"
    """More or fewer than the instruction allows."""
    ANSWER_CHANGED = "ANSWER_CHANGED"
    """It contradicts an answer that was taken before: people must find out which is true."""


REMEDIES: Mapping[FileFault, str] = MappingProxyType(
    {
        FileFault.TOO_LARGE: "Write the results into several files.",
        FileFault.NAME_USED: "Give every result file a name of its own.",
        FileFault.CUT_SHORT: "Write the file anew, whole, under the same name.",
        FileFault.NOT_UTF8: "Write the file in UTF-8.",
        FileFault.NOT_CSV: "Write the file as RFC 4180 says.",
        FileFault.COLUMNS_WRONG: "Write the columns of docs/file-program.md, in their order.",
        FileFault.ROW_WRONG: "Write the rows RESULTS, LINE, TOTAL and END, in that order.",
        FileFault.FIELD_INVALID: "Correct the field and send the whole file again.",
        FileFault.TOTALS_WRONG: "Count again: the totals are not those of the lines.",
        FileFault.NOT_THIS_PROGRAM: "Send each program's results to that program's own folder.",
        FileFault.SIGNATURE_WRONG: "Sign the very bytes of the file with your key for orders.",
        FileFault.ANSWERED_TWICE: "Answer each instruction once in a file.",
        FileFault.INSTRUCTION_UNKNOWN: "Answer only what an instruction file of this folder asks.",
        FileFault.POINTS_WRONG: "State the points of the instruction, or decline it.",
        FileFault.ANSWER_CHANGED: "An answer stands for ever: talk to the operator.",
    }
)


class FileRefused(PointclearError):
    """A result file that is not taken; nothing in it has any effect."""

    def __init__(self, fault: FileFault, text: str, *, line: int = 0, field: str = "") -> None:
        """`line` counts from 1; 0 is the whole file."""
        place = f"line {line}, " * bool(line) + f"{field}: " * bool(field)
        super().__init__(f"{fault}: {place}{text}")
        self.fault = fault
        self.text = text
        self.line = line
        self.field = field


def refusal_json(name: str, sha256: str, refused: FileRefused, now: datetime) -> bytes:
    """What is written beside a refused file, for the brand."""
    document = {
        "format": REFUSED_FORMAT,
        "file": name,
        "sha256": sha256,
        "fault": refused.fault,
        "line": refused.line,
        "field": refused.field,
        "text": refused.text,
        "remedy": REMEDIES[refused.fault],
        "refusedAt": now.isoformat(),
    }
    return json.dumps(document, indent=2).encode() + b"\n"
