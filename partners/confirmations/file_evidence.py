"""What is kept of an answer that came in a file, and how it is verified again. Pure.

A brand signs a whole result file at once: an envelope, whose payload names the file and the root of
the tree (RFC 6962) over its LINE rows. A leaf's data are the bytes of a row without its line end.
Kept of one line are the payload, the row, and the way from the row to the root:

    {"audience":"...","partner":"...","program":"...","file":"...","lines":10000,"root":"..."}
    LINE,<file>,CREDIT,<instruction id>,DONE,100,,<reference>,<decided_at>,,,,,,
    <index of the row, from 0> <hash> <hash> ...

each on a line of its own, the payload with its own line breaks where it has any. The evidence's
signature is that of the envelope. So a line proves itself, without the file and without telling
what else was in it. It holds no member reference.

Source: docs/file-program.md.
"""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TypeVar
from uuid import UUID

from partners import envelope as dsse
from partners.cells import neutralised, original
from partners.confirmations.confirmation import Confirmation, NoAnswer
from partners.confirmations.json_form import members_of, text_of
from partners.confirmations.verification import envelope_of
from partners.errors import Refused
from partners.keys import VerifyKey
from partners.merkle import ProofInvalid, leaf_hash, verify_inclusion
from partners.points import POINTS_MAX, check_reference
from partners.program_port import (
    CreditOutcome,
    DeclineReason,
    Evidence,
    Fault,
    InstructionKind,
)

RESULT_FILE: Final = "application/vnd.pointclear.result-file.v1+json"
"""The payload type, and the media type of such evidence."""
RESULT_COLUMNS: Final = (
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
LINE: Final = "LINE"
LINES_MAX: Final = 100_000
"""In one file."""

_MEMBERS = frozenset(("audience", "partner", "program", "file", "lines", "root"))
_POINTS = re.compile(r"[1-9][0-9]{0,18}")
_ROOT = re.compile(r"[0-9a-f]{64}")
_WAY = re.compile(rb"(?:0|[1-9][0-9]{0,5})(?: [0-9a-f]{64}){0,17}")
_Name = TypeVar("_Name", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class FileSeal:
    """What a brand signs of a result file."""

    audience: str
    partner_id: str
    program: str
    file_id: str
    lines: int
    root: bytes
    """Over the LINE rows; 32 bytes."""


def seal_payload(seal: FileSeal) -> bytes:
    """What is signed."""
    members = {
        "audience": seal.audience,
        "partner": seal.partner_id,
        "program": seal.program,
        "file": seal.file_id,
        "lines": seal.lines,
        "root": seal.root.hex(),
    }
    return json.dumps(members, separators=(",", ":")).encode()


def seal_from_payload(payload: bytes) -> FileSeal:
    """What was signed; raises NoAnswer."""
    members = members_of(payload, _MEMBERS)
    lines, root = members["lines"], text_of(members, "root")
    if type(lines) is not int or not 0 <= lines <= LINES_MAX:
        raise NoAnswer(Fault.MALFORMED, "lines", f"is a number of up to {LINES_MAX}")
    if not _ROOT.fullmatch(root):
        raise NoAnswer(Fault.MALFORMED, "root", "is 64 hex digits in lower case")
    return FileSeal(
        text_of(members, "audience"),
        text_of(members, "partner"),
        text_of(members, "program"),
        text_of(members, "file"),
        lines,
        bytes.fromhex(root),
    )


def file_evidence(
    envelope: dsse.Envelope, row: bytes, index: int, proof: Sequence[bytes]
) -> Evidence:
    """The evidence of one row of a file whose signature was verified."""
    (signature,) = envelope.signatures
    way = " ".join((str(index), *(step.hex() for step in proof)))
    content = b"\n".join((envelope.payload, row, way.encode()))
    return Evidence(RESULT_FILE, content, signature.key_id, signature.signature)


def said_in_file(evidence: Evidence, key: VerifyKey) -> Confirmation:
    """What the holder of `key` signed; raises NoAnswer unless it did."""
    payload, *rest = evidence.content.rsplit(b"\n", 2)
    if evidence.media_type != RESULT_FILE or len(rest) != 2 or not _WAY.fullmatch(rest[1]):
        raise NoAnswer(Fault.MALFORMED, "content", "this is no line of a result file")
    row, way = rest
    index, *steps = way.decode().split(" ")
    signed = Evidence(RESULT_FILE, payload, evidence.key_id, evidence.signature)
    try:
        dsse.verify(envelope_of(signed), {key.key_id: key})
        seal = seal_from_payload(payload)
        proof = [bytes.fromhex(step) for step in steps]
        verify_inclusion(int(index), seal.lines, leaf_hash(row), proof, seal.root)
    except (Refused, ProofInvalid):
        raise NoAnswer(Fault.SIGNATURE_INVALID, "content", "this row was not signed") from None
    cells = _cells_of(row)
    if (cells["row"], cells["file"]) != (LINE, seal.file_id):
        raise NoAnswer(Fault.MALFORMED, "content", "this is no line of the file")
    return said_in_cells(cells, seal.audience, seal.partner_id, seal.program)


def said_in_cells(
    cells: Mapping[str, str], audience: str, partner_id: str, program: str
) -> Confirmation:
    """What a LINE row says; raises NoAnswer naming the column, and never what stands there."""
    outcome = _named(cells, "outcome", CreditOutcome)
    reason = _named(cells, "reason", DeclineReason) if cells["reason"] else None
    if (outcome is CreditOutcome.DECLINED) is (reason is None):
        raise NoAnswer(Fault.REASON_WRONG, "reason", "it belongs to DECLINED, and to nothing else")
    try:
        reference = check_reference(original(cells["reference"]), "reference", required=False)
    except Refused as refusal:
        raise NoAnswer(Fault.FIELD_INVALID, "reference", refusal.text) from None
    return Confirmation(
        audience,
        partner_id,
        _uuid(cells),
        _named(cells, "kind", InstructionKind),
        program,
        outcome,
        time_in(cells, "decided_at"),
        _points(cells, outcome),
        reason,
        reference,
    )


def line_cells(said: Confirmation) -> dict[str, object]:
    """The cells of a LINE row but `row` and `file`."""
    return {
        "kind": said.kind.value,
        "instruction_id": said.instruction_id,
        "outcome": said.outcome.value,
        "points": said.points or "",
        "reason": said.reason.value if said.reason else "",
        "reference": neutralised(said.program_reference),
        "decided_at": time_cell(said.decided_at),
    }


def time_cell(time: datetime) -> str:
    """RFC 3339 in UTC, with microseconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def time_in(cells: Mapping[str, str], column: str) -> datetime:
    """A time with its zone; raises NoAnswer."""
    # Far from our days UTC may fall outside of the calendar.
    with suppress(ValueError, OverflowError):
        if (time := datetime.fromisoformat(cells[column])).tzinfo is not None:
            return time.astimezone(UTC)
    raise NoAnswer(Fault.FIELD_INVALID, column, "it is a time such as 2026-07-15T12:00:00Z")


def _cells_of(row: bytes) -> Mapping[str, str]:
    try:
        (cells,) = csv.reader([row.decode()], strict=True)
        return dict(zip(RESULT_COLUMNS, cells, strict=True))
    except (ValueError, csv.Error):
        raise NoAnswer(Fault.MALFORMED, "content", "this is no row of a result file") from None


def _named(cells: Mapping[str, str], column: str, kind: type[_Name]) -> _Name:
    try:
        return kind(cells[column])
    except ValueError:
        text = f"it is one of {', '.join(kind)}"
        raise NoAnswer(Fault.FIELD_INVALID, column, text) from None


def _points(cells: Mapping[str, str], outcome: CreditOutcome) -> int:
    text = cells["points"]
    if outcome is not CreditOutcome.DONE:
        if text not in ("", "0"):
            raise NoAnswer(Fault.POINTS_WRONG, "points", "they belong to DONE")
        return 0
    if not _POINTS.fullmatch(text) or int(text) > POINTS_MAX:
        raise NoAnswer(Fault.POINTS_WRONG, "points", "they are a whole number above 0, in digits")
    return int(text)


def _uuid(cells: Mapping[str, str]) -> UUID:
    text = cells["instruction_id"]
    with suppress(ValueError):
        # UUID() reads other forms as well, and what has two forms is compared wrongly somewhere.
        if str(value := UUID(text)) == text.lower():
            return value
    raise NoAnswer(
        Fault.INSTRUCTION_WRONG, "instruction_id", "it is the id as it stands in the instruction"
    )
