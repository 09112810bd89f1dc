"""`actions list`, `actions show` and `actions approve`; `trail export`."""

import csv
import io
import json
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf.json_format import MessageToDict

from exchange.cli.calling import App, ByOperator
from exchange.cli.connection import Connection, connect
from exchange.cli.files import write_output
from exchange.cli.options import (
    parse_uuid,
)
from exchange.cli.output import answer, json_text, pairs, table
from exchange.cli.partners.action_documents import COLUMNS, action_document, request_of, row_of
from exchange.cli.signed_actions import act_request
from partners.envelope import counter_sign
from partners.keys import Purpose
from partners.wire import envelope_from_proto
from pointclear.partners.v1 import action_service_pb2 as pb

ACT_TIMEOUT_S = 300.0
PAGE = 100
ActionArgument = Annotated[str, typer.Argument(metavar="ACTION_ID", help="The action.")]


class TrailFormat(StrEnum):
    """How a trail is written."""

    JSON = "json"
    CSV = "csv"


def actions_app() -> App:
    """The commands about actions."""
    app = App(no_args_is_help=True, help="Look at operators' signed actions, approve them.")
    app.command("list")(list_actions)
    app.command("show")(show)
    app.command("approve")(approve)
    return app


def trail_app() -> App:
    """The commands about the trail."""
    app = App(no_args_is_help=True, help="Export who did what, when and why.")
    app.command("export")(export)
    return app


def list_actions(
    by: ByOperator,
    pending: Annotated[
        bool, typer.Option("--pending", help="Only those that wait for a second operator.")
    ] = False,
) -> None:
    """List operators' actions in the order of the log."""
    with by.connect() as connection:
        documents = [action_document(each) for each in trail(connection, pending_only=pending)]
    answer(
        by.as_json,
        {"actions": documents},
        table(
            ("action", "recorded", "call", "maker", "checker", "state", "reason"),
            [
                (
                    each["action_id"],
                    each["recorded_at"],
                    each["method"].rpartition("/")[2],
                    each["maker"],
                    each["checker"] or "-",
                    each["state"],
                    each["reason"],
                )
                for each in documents
            ],
        ),
    )


def show(
    by: ByOperator,
    action_id: ActionArgument,
) -> None:
    """Show an action with what it asks for."""
    with by.connect() as connection:
        document = action_document(fetch(connection, action_id))
    answer_action(by.as_json, document)


def approve(
    by: ByOperator,
    action_id: ActionArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; for programs.")] = False,
) -> None:
    """Counter-sign another operator's action, which carries it out.

    Shows it first. You sign the very bytes that its maker signed. Repeating it is harmless.
    """
    profile = by.profile()
    with connect(profile) as connection:
        action = fetch(connection, action_id)
        if not (yes or by.as_json):
            answer_action(False, action_document(action))
            typer.confirm("Sign it?", abort=True)
        envelope = envelope_from_proto(action.envelope)
        if len(envelope.signatures) == 1:
            envelope = counter_sign(profile.signer(Purpose.OPERATOR), envelope)
        response: pb.ActResponse = connection.call(
            connection.actions.Act, act_request(envelope, action.request), ACT_TIMEOUT_S
        )
        method = action_document(action)["method"]
    document = MessageToDict(request_of(method, response.response, answer=True))
    answer(
        by.as_json,
        {"action_id": action_id, "state": "CARRIED_OUT", "response": document},
        f"{action_id}: carried out",
        json.dumps(document, indent=2, ensure_ascii=False),
    )


def export(
    by: ByOperator,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write the trail.")],
    form: Annotated[TrailFormat, typer.Option("--format", help="json or csv.")] = TrailFormat.JSON,
) -> None:
    """Write every action with who, when, why, its signatures and its place in the log.

    Any role may, an auditor's too.
    """
    with by.connect() as connection:
        documents = [action_document(each) for each in trail(connection)]
    content = json_text(documents) if form is TrailFormat.JSON else csv_of(documents)
    write_output(out, content)
    answer(
        by.as_json,
        {"actions": len(documents), "file": str(out)},
        f"Wrote {len(documents)} actions to {out}",
    )


def trail(connection: Connection, *, pending_only: bool = False) -> Iterator[pb.Action]:
    """All actions, page by page. Raises Failed."""
    after = -1
    while True:
        page: pb.ListActionsResponse = connection.call(
            connection.actions.ListActions,
            pb.ListActionsRequest(after_log_index=after, page_size=PAGE, pending_only=pending_only),
        )
        yield from page.actions
        if len(page.actions) < PAGE:
            return
        after = page.actions[-1].log_index


def fetch(connection: Connection, action_id: str) -> pb.Action:
    """One action. Raises Failed."""
    request = pb.GetActionRequest(action_id=parse_uuid(action_id).bytes)
    response: pb.GetActionResponse = connection.call(connection.actions.GetAction, request)
    return response.action


def csv_of(documents: list[dict[str, Any]]) -> bytes:
    """The trail as RFC 4180; cells that a spreadsheet would take for a formula are neutralised."""
    written = io.StringIO(newline="")
    rows = csv.writer(written)
    rows.writerow(COLUMNS)
    rows.writerows(row_of(each) for each in documents)
    return written.getvalue().encode()


def answer_action(as_json: bool, document: dict[str, Any]) -> None:
    """Print an action."""
    shown = {**document, "request": json.dumps(document["request"], ensure_ascii=False)}
    shown.pop("envelope")
    answer(
        as_json,
        {"action": document},
        pairs((name.replace("_", " "), value) for name, value in shown.items() if value != ""),
    )
