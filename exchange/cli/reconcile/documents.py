"""Runs and breaks as `--json` prints them, and as tables show them. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from rich.console import RenderableType

from exchange.cli.documents import instant, money
from exchange.cli.output import pairs, table
from pointclear.settlement.v1 import reconciliation_pb2 as pb

POINTS = "POINTS_MISMATCH"


def category_of(category: pb.BreakCategory.ValueType) -> str:
    """Its name."""
    return pb.BreakCategory.Name(category).removeprefix("BREAK_CATEGORY_")


def run_document(run: pb.ReconciliationRun) -> dict[str, Any]:
    """A run."""
    return {
        "partner_id": run.partner_id,
        "run_id": run.run_id,
        "first_window_id": run.first_window_id,
        "last_window_id": run.last_window_id,
        "file_name": run.file_name,
        "file_sha256": run.file_sha256.hex(),
        "mapping_version": run.mapping_version,
        "rows": run.rows,
        "lines": run.lines,
        "matched": run.matched,
        "made_at": instant(run.made_at),
        "counts": {category_of(each.category): each.count for each in run.counts},
        "open": run.open,
        "cleared": run.cleared,
    }


def break_document(found: pb.ReconciliationBreak) -> dict[str, Any]:
    """A break."""
    category = category_of(found.category)
    return {
        "partner_id": found.partner_id,
        "break_id": found.break_id,
        "category": category,
        "state": pb.BreakState.Name(found.state).removeprefix("BREAK_STATE_"),
        "owner": found.owner,
        "age_days": age_days(found),
        "first_run_id": found.first_run_id,
        "newest_run_id": found.newest_run_id,
        "opened_at": instant(found.opened_at),
        "closed_at": instant(found.closed_at),
        "window_id": found.window_id,
        "transfer_id": str(UUID(bytes=found.transfer_id)) if found.transfer_id else None,
        "log_index": found.log_index if found.log_index >= 0 else None,
        "own_reference": found.own_reference,
        "row": found.row or None,
        "figures": {
            each.name: {"ours": each.ours or None, "theirs": each.theirs or None}
            for each in found.figures
        },
        "difference": _difference(found, in_points=category == POINTS),
        "agreement_id": found.agreement_id,
        "agreement_version": found.agreement_version or None,
        "rounding": found.rounding,
        "next_step": found.next_step,
        "note": found.note,
    }


def _difference(found: pb.ReconciliationBreak, *, in_points: bool) -> int | str | None:
    """By how much the partner has more; None where that says nothing."""
    if not found.difference:
        return None
    return found.difference if in_points else money(found.difference, found.currency)


def age_days(found: pb.ReconciliationBreak) -> int:
    """Whole days from the run that found it until it was closed, or until now."""
    closed = found.HasField("closed_at")
    end = found.closed_at.ToDatetime(UTC) if closed else datetime.now(UTC)
    return (end - found.opened_at.ToDatetime(UTC)).days


def event_document(event: pb.BreakEvent) -> dict[str, Any]:
    """What happened to a break."""
    return {
        "at": instant(event.at),
        "actor": event.actor,
        "kind": event.kind,
        "text": event.text,
        "journal": event.journal,
    }


_DIFFERING = {
    "POINTS_MISMATCH": "points",
    "MONEY_MISMATCH": "money",
    "RATE_MISMATCH": "rate",
    "FEE_MISMATCH": "fee",
    "TAX_MISMATCH": "tax",
    "STATUS_MISMATCH": "status",
    "MEMBER_MISMATCH": "member",
}
"""The figure that a category is about; of others, the points."""


def both_sides(document: dict[str, Any]) -> tuple[str, str]:
    """The figure in question, of both sides."""
    name = _DIFFERING.get(document["category"], "points")
    if document["category"] == "ROUNDING":
        name = next(
            (
                each
                for each in ("money", "fee", "tax")
                if len(set(document["figures"].get(each, {}).values())) > 1
                and document["rounding"].lower().startswith(_ROUNDED[each])
            ),
            "money",
        )
    figure = document["figures"].get(name, {})
    ours, theirs = figure.get("ours") or "–", figure.get("theirs") or "–"
    return (ours if ours == theirs == "–" else f"{name} {ours}", theirs)


_ROUNDED = {"money": "value", "fee": "fee", "tax": "tax"}


def break_table(documents: Iterable[dict[str, Any]], *, with_partner: bool) -> RenderableType:
    """Breaks, one a line."""
    rows = []
    for each in documents:
        ours, theirs = both_sides(each)
        first = (each["partner_id"],) if with_partner else ()
        rows.append(
            (
                *first,
                *(each["break_id"], each["category"], each["state"]),
                *(each["transfer_id"] or each["own_reference"] or "–", each["row"] or "–"),
                *(ours, theirs, f"{each['age_days']} d", each["owner"] or "–"),
            )
        )
    columns = ("break", "category", "state", "transfer", "row", "exchange", "yours", "age", "owner")
    return table((*(("partner",) if with_partner else ()), *columns), rows, right=("row", "age"))


def break_facts(document: dict[str, Any]) -> RenderableType:
    """One break for people."""
    names = (
        *("category", "state", "owner", "window_id", "transfer_id", "own_reference", "row"),
        *("difference", "agreement_id", "agreement_version", "rounding", "note", "next_step"),
    )
    return pairs(
        (name.replace("_", " "), document[name])
        for name in names
        if document[name] not in ("", None)
    )
