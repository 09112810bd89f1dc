"""`reconcile breaks`, `show`, `assign`, `comment`, `explain`, `resolve` and `write-off`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.cli.calling import ByActingOperator, ByAnybody, BySomebodyActing
from exchange.cli.connection import Connection, connect
from exchange.cli.files import write_output
from exchange.cli.output import answer, table
from exchange.cli.reconcile.documents import (
    break_document,
    break_facts,
    break_table,
    event_document,
)
from exchange.cli.reconcile.run_commands import XlsxOption, breaks_of
from exchange.cli.reconcile.workbook import workbook
from pointclear.settlement.v1 import reconciliation_pb2 as pb

BreakArgument = Annotated[str, typer.Argument(metavar="BREAK_ID", help="The break, such as B17.")]
PartnerOption = Annotated[str, typer.Option(help="Whose; an operator must say.")]
TextArgument = Annotated[
    str, typer.Argument(metavar="TEXT", help="What to say; nothing about a person.")
]
JournalOption = Annotated[
    str, typer.Option(metavar="ENTRY", help="The key of the journal that put it right.")
]


def breaks(
    by: ByAnybody,
    every: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    category: Annotated[str, typer.Option(help="Only this one, such as TIMING.")] = "",
    partner: Annotated[str, typer.Option(help="Whose. [default: an operator's are all]")] = "",
    xlsx: XlsxOption = None,
) -> None:
    """List breaks, of all runs; those that are not closed unless told otherwise."""
    request = pb.ListBreaksRequest(
        partner_id=partner, open_only=not every, category=_category(category)
    )
    profile = by.profile()
    with connect(profile) as connection:
        documents = [break_document(each) for each in breaks_of(connection, request)]
    if xlsx is not None:
        write_output(xlsx, workbook({"breaks": len(documents)}, documents))
    several = profile.caller.is_operator and not partner
    answer(by.as_json, {"breaks": documents}, break_table(documents, with_partner=several))


def _category(name: str) -> pb.BreakCategory.ValueType:
    if not name:
        return pb.BREAK_CATEGORY_UNSPECIFIED
    try:
        return pb.BreakCategory.Value(f"BREAK_CATEGORY_{name.upper()}")
    except ValueError:
        raise typer.BadParameter(f"there is no category {name!r}") from None


def show(
    by: ByAnybody,
    break_id: BreakArgument,
    partner: PartnerOption = "",
    evidence: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            help="Write what your file says of a transfer in doubt, for `delivery resolve`.",
        ),
    ] = None,
) -> None:
    """Show a break: both sides' figures, what to do, and what happened to it."""
    with by.connect() as connection:
        response: pb.GetBreakResponse = connection.call(
            connection.settlement.GetBreak,
            pb.GetBreakRequest(partner_id=partner, break_id=break_id),
        )
    if evidence is not None:
        if not response.evidence:
            raise typer.BadParameter(
                f"{break_id} is no evidence: it is of no transfer that is in doubt",
                param_hint="--evidence",
            )
        write_output(evidence, response.evidence)
    document = break_document(response.reconciliation_break)
    events = [event_document(each) for each in response.events]
    answer(
        by.as_json,
        {**document, "events": events, "evidence": response.evidence.decode() or None},
        break_facts(document),
        table(
            ("figure", "exchange", "yours"),
            [
                (name, each["ours"] or "–", each["theirs"] or "–")
                for name, each in document["figures"].items()
            ],
        ),
        table(
            ("when", "who", "what", "text", "journal"),
            [tuple(each.values()) for each in events],
        ),
        *([f"Wrote {evidence}"] if evidence is not None else []),
    )


def assign(
    by: BySomebodyActing,
    break_id: BreakArgument,
    owner: Annotated[str, typer.Argument(help="Who looks after it from now on.")],
    partner: PartnerOption = "",
) -> None:
    """Say who looks after a break."""
    request = pb.AssignBreakRequest(partner_id=partner, break_id=break_id, owner=owner)
    with by.connect() as connection:
        _step(connection, connection.settlement.AssignBreak, request, as_json=by.as_json)


def comment(
    by: BySomebodyActing,
    break_id: BreakArgument,
    text: TextArgument,
    partner: PartnerOption = "",
) -> None:
    """Add a comment to a break."""
    request = pb.CommentBreakRequest(partner_id=partner, break_id=break_id, text=text)
    with by.connect() as connection:
        _step(connection, connection.settlement.CommentBreak, request, as_json=by.as_json)


def explain(
    by: BySomebodyActing,
    break_id: BreakArgument,
    text: TextArgument,
    partner: PartnerOption = "",
) -> None:
    """Keep a break as explained: it differs, and it is known why."""
    request = pb.ResolveBreakRequest(
        partner_id=partner, break_id=break_id, explained=True, text=text
    )
    with by.connect() as connection:
        _step(connection, connection.settlement.ResolveBreak, request, as_json=by.as_json)


def resolve(
    by: BySomebodyActing,
    break_id: BreakArgument,
    text: TextArgument,
    journal: JournalOption = "",
    partner: PartnerOption = "",
) -> None:
    """Close a break that was put right; a later run that finds it again opens it again."""
    request = pb.ResolveBreakRequest(
        partner_id=partner, break_id=break_id, text=text, journal=journal
    )
    with by.connect() as connection:
        _step(connection, connection.settlement.ResolveBreak, request, as_json=by.as_json)


def write_off(
    by: ByActingOperator,
    break_id: BreakArgument,
    text: TextArgument,
    partner: Annotated[str, typer.Option(help="Whose break it is.")],
    journal: JournalOption = "",
) -> None:
    """Leave a break as it is, for good. Two operators must say so."""
    request = pb.WriteOffBreakRequest(
        partner_id=partner, break_id=break_id, text=text, journal=journal
    )
    with by.connect() as connection:
        _step(connection, connection.settlement.WriteOffBreak, request, as_json=by.as_json)


def _step(connection: Connection, method: Any, request: Any, *, as_json: bool) -> None:
    response = connection.call(method, request)
    document = break_document(response.reconciliation_break)
    answer(
        as_json,
        document,
        f"{document['break_id']}: {document['category']}, {document['state']},"
        f" owner {document['owner'] or 'nobody'}",
    )
