"""A partner's own file of a window, as its own system might have written it: made from our lines,
with whatever differences a test plants.
"""

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from partners.points import format_amount
from settlement.lines.line import Line, LineFile, Role

COLUMNS = (
    *("kind", "booked", "transfer", "reference", "member", "program", "way", "points", "money"),
    *("rate", "fee", "tax", "state"),
)
MAPPING: dict[str, Any] = {
    "columns": {
        "transfer_id": "transfer",
        "reference": "reference",
        "member": "member",
        "program": "program",
        "direction": "way",
        "points": "points",
        "money": "money",
        "rate": "rate",
        "fee": "fee",
        "tax": "tax",
        "status": "state",
        "date": "booked",
    },
    "date_format": "%Y-%m-%dT%H:%M:%SZ",
    "status_words": {"done": "COMMITTED", "back": "REVERSED", "open": "RESERVED"},
    "rows": {"column": "kind", "total": "TOTAL", "end": "END"},
    "totals": {"count": "transfer", "sums": ["points", "money"]},
}


@dataclass(frozen=True, slots=True)
class OwnRow:
    """One booking of a brand's."""

    booked: str
    transfer: str
    reference: str
    member: str
    program: str
    way: str
    points: int
    money: str
    rate: str
    fee: str
    tax: str
    state: str

    def with_(self, **changes: Any) -> "OwnRow":
        """The same but for this."""
        return replace(self, **changes)


def mapping(**changes: Any) -> bytes:
    """The document of `MAPPING`, changed."""
    return json.dumps(MAPPING | changes).encode()


def rows_of(file: LineFile, members: dict[Role, str] | None = None) -> list[OwnRow]:
    """What a brand books of its lines; a funder's are not its business."""
    known = members or {Role.SOURCE: "member-of-source", Role.TARGET: "member-of-target"}
    return [
        row_of(line, file.scale, known.get(line.role, ""))
        for line in file.lines
        if line.role not in (Role.FUNDER, Role.FUNDER_REVERSED)
    ]


def row_of(line: Line, scale: int, member: str) -> OwnRow:
    """What a brand books of one line."""
    of_source = line.role in (Role.SOURCE, Role.SOURCE_REVERSED)
    return OwnRow(
        line.recorded_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        str(line.transfer_id),
        line.own_reference,
        member,
        line.source_program if of_source else line.target_program,
        "out" if line.role in (Role.SOURCE, Role.TARGET_REVERSED) else "in",
        line.source_points if of_source else line.target_points,
        format_amount(abs(line.value), scale),
        f"{line.rate_source_units}:{line.rate_target_units}",
        format_amount(abs(line.fee), scale),
        format_amount(abs(line.tax), scale),
        "back" if line.role.is_reversed else "done",
    )


def own_file(rows: Iterable[OwnRow]) -> bytes:
    """The file with its totals and its end."""
    rows = tuple(rows)
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\r\n")
    table.writerow(COLUMNS)
    for row in rows:
        table.writerow(("ROW", *(getattr(row, each) for each in COLUMNS[1:-1]), row.state))
    total = {
        "kind": "TOTAL",
        "transfer": len(rows),
        "points": sum(each.points for each in rows),
        "money": str(sum((Decimal(each.money or 0) for each in rows), Decimal("0.000000"))),
    }
    table.writerow([total.get(each, "") for each in COLUMNS])
    table.writerow(["END", *[""] * (len(COLUMNS) - 1)])
    return text.getvalue().encode()
