"""A brand's own file of a day, as its own system might have written it, with one difference of
every kind planted into it; and its reconciliation with the exchange's lines.
"""

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import uuid_utils
from rich.progress import Progress

from exchange.cli.checks.line_file import Line, read_lines
from exchange.cli.connection import Connection
from exchange.cli.demo.coalition import SCALE
from exchange.cli.files import write_output
from exchange.cli.reconcile.documents import break_document, category_of, run_document
from exchange.cli.reconcile.run_commands import RUN_TIMEOUT_S, breaks_of, upload
from exchange.cli.reconcile.workbook import workbook
from exchange.cli.settlement.settlement_commands import stated_lines
from partners.points import format_amount
from pointclear.settlement.v1 import reconciliation_pb2 as pb

RECONCILES = "grocery"
"""The brand with the most transfers."""
COLUMNS = (
    *("kind", "booked", "transfer", "reference", "member", "program", "way", "points", "money"),
    *("rate", "fee", "tax", "state"),
)
MAPPING = {
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
    # A day lasts seconds here: all of it would be in transit.
    "in_transit_minutes": 0,
}


@dataclass(frozen=True, slots=True)
class OwnRow:
    """One booking of the brand's; the fields are the columns between the first and the end."""

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


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a reconciliation came to."""

    brand: str
    window_id: str
    rows: int
    lines: int
    matched: int
    planted: Mapping[str, int]
    """Differences by category."""
    found: Mapping[str, int]
    as_planted: bool
    """Whether each was found for the very transfer into which it was planted, and nothing else."""


def reconcile(
    own: Connection, window_ids: Sequence[str], members: Mapping[str, str], out: Path
) -> Reconciled | None:
    """Reconcile the brand's own file of its last day with every difference in it; None where no day
    has enough transfers. Raises Failed.
    """
    window_id = window_ids[-1]
    lines = read_lines(window_id, stated_lines(own, window_id), SCALE).lines
    before = read_lines(window_ids[0], stated_lines(own, window_ids[0]), SCALE).lines
    rows = [row_of(line, members) for line in lines if line.role in ("source", "target")]
    earlier = [row_of(line, members) for line in before if line.role == "source"]
    planted = plant(rows, earlier[-1:] if len(window_ids) > 1 else [])
    if planted is None:
        return None
    theirs, differences = planted
    content = own_file(theirs)
    write_output(out / f"{window_id}.own.csv", content)
    request = pb.SetColumnMappingRequest(mapping=json.dumps(MAPPING).encode())
    own.call(own.settlement.SetColumnMapping, request)
    upload(own, io.BytesIO(content), Progress(disable=True))
    response: pb.RunReconciliationResponse = own.call(
        own.settlement.RunReconciliation,
        pb.RunReconciliationRequest(
            file_sha256=hashlib.sha256(content).digest(),
            file_name=f"{window_id}.own.csv",
            first_window_id=window_id,
        ),
        RUN_TIMEOUT_S,
    )
    run = response.run
    found = list(breaks_of(own, pb.ListBreaksRequest(run_id=run.run_id)))
    book = workbook(run_document(run), [break_document(each) for each in found])
    write_output(out / f"{window_id}.breaks.xlsx", book)
    named = Counter(
        (category_of(each.category), str(UUID(bytes=each.transfer_id)) if each.transfer_id else "")
        for each in found
    )
    return Reconciled(
        own.profile.caller.name,
        window_id,
        run.rows,
        run.lines,
        run.matched,
        dict(Counter(category for category, _ in differences)),
        dict(Counter(category_of(each.category) for each in found)),
        named == Counter(differences),
    )


def row_of(line: Line, members: Mapping[str, str]) -> OwnRow:
    """What the brand books of a transfer."""
    cells, out = line.cells, line.role == "source"
    return OwnRow(
        booked=f"{cells['recorded_at'][:19]}Z",
        transfer=cells["transfer_id"],
        reference=cells["own_reference"],
        member=members.get(cells["transfer_id"], ""),
        program=cells["source_program"] if out else cells["target_program"],
        way="out" if out else "in",
        points=line.source_points if out else line.target_points,
        money=format_amount(abs(line.value), SCALE),
        rate=f"{cells['rate_source_units']}:{cells['rate_target_units']}",
        fee=format_amount(abs(line.fee), SCALE),
        tax=format_amount(abs(line.tax), SCALE),
        state="done",
    )


def plant(
    rows: Sequence[OwnRow], earlier: Sequence[OwnRow]
) -> tuple[tuple[OwnRow, ...], tuple[tuple[str, str], ...]] | None:
    """The rows with one difference of every kind, and these by category and transfer; None where
    there are too few. What is `earlier` is of a day that was not reconciled.
    """
    ours = iter([row for row in rows if row.way == "out" and row.member])
    try:
        changed = dict(_changes(ours))
    except StopIteration:
        return None
    stray = str(uuid_utils.uuid7())
    theirs: list[OwnRow] = []
    differences: list[tuple[str, str]] = []
    for row in rows:
        category, instead = changed.get(row.transfer, ("", (row,)))
        theirs += instead
        differences += [(category, row.transfer)] if category else []
    theirs.append(replace(rows[-1], transfer=stray, reference="stray"))
    theirs += earlier
    differences.append(("MISSING_AT_EXCHANGE", stray))
    differences += [("TIMING", row.transfer) for row in earlier]
    return tuple(theirs), tuple(differences)


def _changes(ours: Iterator[OwnRow]) -> Iterator[tuple[str, tuple[str, tuple[OwnRow, ...]]]]:
    """By transfer: the category of a difference, and the rows that stand for it."""
    row = next(ours)
    yield row.transfer, ("MISSING_AT_PARTNER", ())
    row = next(ours)
    again = replace(row, reference=f"{row.reference} again")
    yield row.transfer, ("DUPLICATE_AT_PARTNER", (row, again))
    for category, name, value in (
        ("POINTS_MISMATCH", "points", "7"),
        ("MONEY_MISMATCH", "money", "99.990000"),
        ("RATE_MISMATCH", "rate", "3:1"),
        ("FEE_MISMATCH", "fee", "0.500000"),
        ("TAX_MISMATCH", "tax", "0.700000"),
        ("STATUS_MISMATCH", "state", "open"),
        ("MEMBER_MISMATCH", "member", "somebody-else"),
    ):
        row = next(ours)
        given: Any = int(value) if name == "points" else value
        changed = replace(row, **{name: given})
        yield row.transfer, (category, (changed,))
    row = next(ours)
    rounded = str(Decimal(row.money) + Decimal("0.000400"))
    yield row.transfer, ("ROUNDING", (replace(row, money=rounded),))


def own_file(rows: Sequence[OwnRow]) -> bytes:
    """The file with its totals and its end marker."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\r\n")
    table.writerow(COLUMNS)
    for row in rows:
        table.writerow(("ROW", *(getattr(row, name) for name in COLUMNS[1:])))
    total = {
        "kind": "TOTAL",
        "transfer": len(rows),
        "points": sum(each.points for each in rows),
        "money": str(sum((Decimal(each.money) for each in rows), Decimal("0.000000"))),
    }
    table.writerow([total.get(name, "") for name in COLUMNS])
    table.writerow(["END", *[""] * (len(COLUMNS) - 1)])
    return text.getvalue().encode()
