"""Between the wire's messages and the values of reconciliation."""

import json
from collections.abc import Iterable

from partners.wire import time_to_proto
from pointclear.exchange.v1 import transfer_pb2
from pointclear.settlement.v1 import reconciliation_pb2 as pb
from settlement.reconciliation.breaks import NEXT_STEPS, Category
from settlement.reconciliation.faults import FileWrong
from settlement.reconciliation.mapping import State
from settlement.reconciliation.values import Event, KeptBreak, Run

RECEIPT_KIND = 1
"""Number of the payload kind in `stream_entry`."""
_TRANSFER = 1
"""Number of the leaf's kind."""


def member_of(order: bytes, is_source: bool) -> str:
    """The source's or target's member of an order; empty where it names none, or was emptied."""
    message = transfer_pb2.TransferOrder.FromString(order)
    return message.source_member if is_source else message.target_member


def agreement_version(kind: int, record: bytes) -> int:
    """Of the record of a transfer or a reversal."""
    if kind == _TRANSFER:
        return transfer_pb2.TransferRecord.FromString(record).agreement_version
    return transfer_pb2.ReversalRecord.FromString(record).agreement_version


def run_message(run: Run) -> pb.ReconciliationRun:
    """A run on the wire."""
    return pb.ReconciliationRun(
        partner_id=run.partner_id,
        run_id=f"R{run.number}",
        first_window_id=run.first_window_id,
        last_window_id=run.last_window_id,
        file_sha256=run.file_sha256,
        file_name=run.file_name,
        mapping_version=run.mapping_version,
        rows=run.rows,
        lines=run.lines,
        matched=run.matched,
        made_at=time_to_proto(run.made_at),
        counts=[
            pb.BreakCount(category=category_to_proto(category), count=count)
            for category, count in run.counts.items()
        ],
        open=run.open,
        cleared=run.cleared,
    )


def refusal_message(wrong: FileWrong) -> pb.RunReconciliationResponse:
    """What is wrong with a file."""
    faults = [
        pb.FileFault(row=each.row, column=each.column, text=each.text) for each in wrong.faults
    ]
    return pb.RunReconciliationResponse(faults=faults, fault_count=wrong.count)


def break_message(found: KeptBreak) -> pb.ReconciliationBreak:
    """A break on the wire."""
    body = found.body
    message = pb.ReconciliationBreak(
        partner_id=found.partner_id,
        break_id=f"B{found.number}",
        category=category_to_proto(found.category),
        state=pb.BreakState.Value(f"BREAK_STATE_{found.state}"),
        owner=found.owner,
        first_run_id=f"R{found.first_run}",
        newest_run_id=f"R{found.newest_run}",
        opened_at=time_to_proto(found.opened_at),
        window_id=found.window_id,
        transfer_id=found.transfer_id.bytes if found.transfer_id else b"",
        log_index=-1 if found.log_index is None else found.log_index,
        own_reference=body["own_reference"],
        row=body["row"],
        figures=[
            pb.BreakFigure(name=each.name, ours=each.ours, theirs=each.theirs)
            for each in found.figures
        ],
        difference=body["difference"],
        currency=found.currency,
        agreement_id=body["agreement_id"],
        agreement_version=body["agreement_version"],
        rounding=body["rounding"],
        next_step=NEXT_STEPS[found.category],
        note=body["note"],
    )
    if found.closed_at is not None:
        message.closed_at.CopyFrom(time_to_proto(found.closed_at))
    return message


def events_messages(events: Iterable[Event]) -> list[pb.BreakEvent]:
    """A break's history on the wire."""
    return [
        pb.BreakEvent(
            at=time_to_proto(each.at),
            actor=each.actor,
            kind=each.kind,
            text=each.text,
            journal=each.journal,
        )
        for each in events
    ]


def evidence_of(found: KeptBreak, run: Run) -> bytes:
    """What a partner's file says of a transfer that is reserved, as JSON: the same bytes each time,
    so that their digest in the transfer's record names them. Empty for any other break.
    """
    states = [each.ours for each in found.figures if each.name == "status"]
    in_doubt = found.category is Category.STATUS_MISMATCH and states == [State.RESERVED]
    if not in_doubt or found.transfer_id is None:
        return b""
    document = {
        "evidence": "a row of the partner's own file",
        "partner_id": found.partner_id,
        "transfer_id": str(found.transfer_id),
        "break_id": f"B{found.number}",
        "run_id": f"R{run.number}",
        "window_id": run.last_window_id,
        "file_sha256": run.file_sha256.hex(),
        "row": found.body["row"],
        "figures": {each.name: each.theirs for each in found.figures if each.theirs},
    }
    return (json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False) + "\n").encode()


def category_to_proto(category: Category) -> pb.BreakCategory.ValueType:
    """A category on the wire."""
    return pb.BreakCategory.Value(f"BREAK_CATEGORY_{category}")


def category_name(category: pb.BreakCategory.ValueType) -> str:
    """A category's name; empty for none. Raises ValueError for one that is not known."""
    return "" if category == 0 else pb.BreakCategory.Name(category).removeprefix("BREAK_CATEGORY_")
