"""`dispute open`, `withdraw`, `list`, `show` and `end`."""

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
import uuid_utils
from rich.console import RenderableType

from exchange.cli.calling import App, ByActingOperator, ByAnybody, ByPartner
from exchange.cli.connection import Connection, connect
from exchange.cli.documents import instant, money
from exchange.cli.files import write_output
from exchange.cli.options import (
    JsonOption,
    PartnerProfileOption,
    ServerOption,
    parse_uuid,
    partner_profile,
)
from exchange.cli.output import answer, table
from exchange.cli.profile import Profile
from partners.envelope import DISPUTE, sign, to_json
from partners.keys import Purpose
from partners.wire import envelope_from_proto, envelope_to_proto
from pointclear.settlement.v1.approval_pb2 import (
    Dispute,
    DisputeLinesRequest,
    DisputeLinesResponse,
    DisputeOutcome,
    EndDisputeRequest,
    EndDisputeResponse,
    GetDisputeRequest,
    GetDisputeResponse,
    ListDisputesRequest,
    ListDisputesResponse,
)
from pointclear.settlement.v1.statement_pb2 import DisputeReason, LineDispute


class Why(StrEnum):
    """Why a line is in dispute."""

    NOT_CREDITED = "not-credited"
    POINTS = "points"
    MONEY = "money"
    DUPLICATE = "duplicate"
    NOT_ORDERED = "not-ordered"
    REVERSED = "reversed"
    OTHER = "other"


class Decided(StrEnum):
    """How a dispute is decided."""

    UPHELD = "upheld"
    REJECTED = "rejected"
    PAID = "paid"


SubjectArgument = Annotated[
    str, typer.Argument(metavar="SUBJECT", help="As `dispute list` names it: dispute/<id>.")
]


def dispute_app() -> App:
    """The commands about disputes."""
    app = App(no_args_is_help=True, help="Dispute lines of a window, and decide disputes.")
    app.command("open")(open_dispute)
    app.command("withdraw")(withdraw)
    app.command("list")(list_disputes)
    app.command("show")(show)
    app.command("end")(end)
    return app


def open_dispute(
    transfers: Annotated[
        list[str],
        typer.Argument(metavar="ID...", help="Transfers or reversals, as the line file has them."),
    ],
    profile_dir: PartnerProfileOption,
    why: Annotated[Why, typer.Option(help="What is wrong.")],
    comment: Annotated[
        str, typer.Option(help="For people: 200 characters, nothing about a person.")
    ] = "",
    dispute_id: Annotated[
        str | None, typer.Option(metavar="UUID", help="To repeat one. [default: a new id]")
    ] = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Dispute lines of windows that you have not accepted: they are withheld on both sides.

    What they moved between the brands is neither paid nor asked for until the dispute ends.
    """
    message = LineDispute(
        dispute_id=parse_uuid(dispute_id).bytes if dispute_id else uuid_utils.uuid7().bytes,
        line_ids=[parse_uuid(each).bytes for each in transfers],
        reason=DisputeReason.Value(f"DISPUTE_REASON_{why.name}"),
        comment=comment,
    )
    _send(partner_profile(profile_dir, server), message, as_json)


def withdraw(
    by: ByPartner,
    dispute_id: Annotated[str, typer.Argument(metavar="UUID", help="The dispute's id.")],
) -> None:
    """Withdraw a dispute of yours: the next statement pays what it held up."""
    message = LineDispute(
        dispute_id=parse_uuid(dispute_id.removeprefix("dispute/")).bytes, is_withdrawn=True
    )
    _send(by.profile(), message, by.as_json)


def _send(profile: Profile, message: LineDispute, as_json: bool) -> None:
    with connect(profile) as connection:
        dispute = send_dispute(connection, message)
    _show([dispute], {"dispute": dispute_document(dispute)}, as_json)


def send_dispute(connection: Connection, message: LineDispute) -> Dispute:
    """Sign a dispute as the caller's, or its end, and send it. Raises Failed."""
    profile = connection.profile
    message.audience = profile.audience
    message.partner_id = profile.caller.name
    message.issued_at_us = time.time_ns() // 1000
    payload = message.SerializeToString(deterministic=True)
    signed = sign(profile.signer(Purpose.AGREEMENTS), DISPUTE, payload)
    response: DisputeLinesResponse = connection.call(
        connection.settlement.DisputeLines, DisputeLinesRequest(dispute=envelope_to_proto(signed))
    )
    return response.dispute


def list_disputes(
    by: ByAnybody,
    currency: Annotated[str, typer.Option(help="Of this currency only.")] = "",
    with_ended: Annotated[bool, typer.Option("--all", help="Decided ones, too.")] = False,
) -> None:
    """List what is withheld; a partner sees what concerns it."""
    with by.connect() as connection:
        response: ListDisputesResponse = connection.call(
            connection.settlement.ListDisputes,
            ListDisputesRequest(currency=currency, with_ended=with_ended),
        )
    document = {"disputes": [dispute_document(each) for each in response.disputes]}
    _show(list(response.disputes), document, by.as_json)


def show(
    by: ByAnybody,
    subject: SubjectArgument,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also write the receipts here, one envelope a file."),
    ] = None,
) -> None:
    """Show a dispute with the receipts and notices of its lines; a partner sees its own."""
    with by.connect() as connection:
        response: GetDisputeResponse = connection.call(
            connection.settlement.GetDispute, GetDisputeRequest(subject=subject)
        )
    document = dispute_document(response.dispute)
    papers = []
    for each in response.papers:
        name = f"{UUID(bytes=each.line_id)}.{each.partner_id}.{each.stream_seq}.receipt.json"
        envelope = envelope_from_proto(each.envelope)
        if out is not None:
            write_output(out / name, (to_json(envelope) + "\n").encode())
        papers.append({"partner_id": each.partner_id, "stream_seq": each.stream_seq, "file": name})
    answer(
        by.as_json,
        {"dispute": document, "papers": papers},
        disputes_table([document]),
        table(
            ("receipt of", "stream position", "file"),
            [tuple(each.values()) for each in papers],
            right=("stream position",),
        ),
    )


def end(
    by: ByActingOperator,
    subject: SubjectArgument,
    outcome: Annotated[Decided, typer.Option(help="How it is decided.")],
    text: Annotated[str, typer.Option(help="For the brands: 200 characters.")] = "",
) -> None:
    """Decide a dispute, or give back what an unwind took out; the next statement has it.

    It books nothing: what was wrong is reversed or adjusted. Takes two people of finance.
    """
    profile = by.profile()
    request = EndDisputeRequest(
        subject=subject,
        outcome=DisputeOutcome.Value(f"DISPUTE_OUTCOME_{outcome.name}"),
        text=text,
    )
    with connect(profile, by.reason) as connection:
        response: EndDisputeResponse = connection.call(connection.settlement.EndDispute, request)
    _show([response.dispute], {"dispute": dispute_document(response.dispute)}, by.as_json)


def dispute_document(dispute: Dispute) -> dict[str, Any]:
    """A dispute. Amounts are signed from each partner's view: positive is owed to it."""
    return {
        "subject": dispute.subject,
        "currency": dispute.currency,
        "partner_id": dispute.partner_id,
        "reason": _reason_of(dispute),
        "comment": dispute.comment,
        "lines": [
            {
                "line_id": str(UUID(bytes=line.line_id)) if line.line_id else None,
                "window_id": line.window_id,
                "log_index": line.log_index,
                "amounts": [
                    (each.partner_id, money(each.amount, dispute.currency)) for each in line.amounts
                ],
            }
            for line in dispute.lines
        ],
        "log_index": dispute.log_index,
        "opened_at": instant(dispute.opened_at),
        "ended": dispute.is_ended,
    }


def _reason_of(dispute: Dispute) -> str:
    """Why it is withheld; what takes a partner out of a window disputes nothing."""
    if dispute.subject.startswith("unwind/"):
        return "UNWIND"
    return DisputeReason.Name(dispute.reason).removeprefix("DISPUTE_REASON_")


def _show(disputes: list[Dispute], document: dict[str, Any], as_json: bool) -> None:
    answer(as_json, document, disputes_table([dispute_document(each) for each in disputes]))


def disputes_table(documents: list[dict[str, Any]]) -> RenderableType:
    """Disputes for people, a line each."""
    rows = [
        (
            each["subject"],
            each["partner_id"],
            each["reason"],
            line["line_id"] or line["window_id"],
            ", ".join(f"{name} {amount}" for name, amount in line["amounts"]),
            "ended" if each["ended"] else "open",
        )
        for each in documents
        for line in each["lines"]
    ]
    return table(("dispute", "by", "why", "line", "withheld", "state"), rows)
