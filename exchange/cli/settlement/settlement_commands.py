"""`settle` and `statement`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.cli.calling import App, ByActingOperator, ByAnybody
from exchange.cli.connection import Connection, connect
from exchange.cli.files import read_file, write_output
from exchange.cli.options import (
    WindowArgument,
    parse_sha256,
)
from exchange.cli.output import answer, envelope_document, json_text, pairs, table
from exchange.cli.proofs import check_line_file, read_statement
from exchange.cli.settlement.bank_commands import imported_document
from exchange.cli.settlement.settlement_documents import (
    leg_document,
    statement_document,
    window_document,
)
from partners.envelope import to_json
from partners.keys import Purpose
from partners.wire import envelope_from_proto
from pointclear.settlement.v1.settlement_service_pb2 import (
    CloseWindowRequest,
    DownloadLineFileRequest,
    DownloadLineFileResponse,
    GetStatementRequest,
    GetStatementResponse,
    ImportBankFileRequest,
    ImportBankFileResponse,
    SettleWindowRequest,
    SettleWindowResponse,
)

SETTLE_TIMEOUT_S = 300.0


def add_settlement_commands(app: App) -> None:
    """Add the two commands."""
    app.command("settle")(settle)
    app.command("statement")(statement)


def settle(
    by: ByActingOperator,
    window_id: WindowArgument,
    bank_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Import this bank statement: it confirms legs."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Also write the legs here.")
    ] = None,
    draft: Annotated[
        str,
        typer.Option(metavar="SHA256", help="Approve this draft and no other: see `window draft`."),
    ] = "",
) -> None:
    """State a closed window and record its legs.

    A bank file confirms legs, which lets others go. Repeating it is harmless.
    """
    profile = by.profile()
    content = read_file(bank_file) if bank_file else None
    approved = parse_sha256(draft) if draft else b""
    with connect(profile, by.reason) as connection:
        response = settle_window(connection, window_id, approved)
        imported = None
        if content is not None:
            # The window says whose account it is. What the file confirms may let further legs go.
            imported = _import(connection, response.window.currency, content)
            response = settle_window(connection, window_id)
    currency = response.window.currency
    document = {
        "window": window_document(response.window),
        "legs": [leg_document(leg, currency) for leg in response.legs],
        "bank_file": imported and imported_document(imported),
    }
    if out is not None:
        write_output(out, json_text(document))
    answer(
        by.as_json,
        document,
        *(
            [
                f"bank file: {imported.matched} matched, {imported.unmatched} unmatched,"
                f" {imported.repeated_entries} imported before"
            ]
            if imported
            else []
        ),
        f"{window_id}: {window_document(response.window)['state']}",
        table(
            ("partner", "direction", "amount", "reference", "state"),
            [
                (leg["partner_id"], leg["direction"], leg["amount"], leg["reference"], leg["state"])
                for leg in (leg_document(each, currency) for each in response.legs)
            ],
            right=("amount",),
        ),
    )


def statement(
    by: ByAnybody,
    window_id: WindowArgument,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to write statement and lines.")],
    partner: Annotated[
        str | None,
        typer.Option(help="Whose statement; an operator must say. [default: the caller's]"),
    ] = None,
    version: Annotated[
        int, typer.Option(min=0, metavar="N", help="Which version. [default: the newest]")
    ] = 0,
) -> None:
    """Fetch a statement with its line file, and verify both."""
    profile = by.profile()
    if partner is None and profile.caller.is_operator:
        raise typer.BadParameter("an operator must name the partner", param_hint="--partner")
    partner_id = partner or profile.caller.name
    with connect(profile) as connection:
        response: GetStatementResponse = connection.call(
            connection.settlement.GetStatement,
            GetStatementRequest(window_id=window_id, partner_id=partner_id, version=version),
        )
        envelope = envelope_from_proto(response.statement)
        keys = connection.exchange_keys(Purpose.STATEMENTS)
        stated = read_statement(envelope, keys, profile.audience, partner_id)
        lines = fetch_line_file(connection, window_id, partner_id)
    check_line_file(stated, lines)
    later = f".v{stated.version}" if stated.version else ""
    statement_file = out / f"{window_id}{later}.statement.json"
    line_file = out / f"{window_id}.lines.csv"
    write_output(line_file, lines)
    write_output(statement_file, (to_json(envelope) + "\n").encode())
    document = statement_document(stated)
    answer(
        by.as_json,
        {
            **document,
            "statement_file": str(statement_file),
            "line_file": str(line_file),
            "envelope": envelope_document(envelope),
        },
        pairs(
            (name.replace("_", " "), _fact(document[name]))
            for name in (
                "window_id",
                "business_date",
                "brought_forward",
                "outgoing_value",
                "incoming_value",
                "fees",
                "taxes",
                "reversals",
                "adjustments",
                "net",
                "restated",
                "withheld",
                "due",
                "payment",
                "payment_reference",
                "due_date",
                "carried_forward",
                "version",
                "line_count",
            )
        ),
        f"Wrote {statement_file} and {line_file}; both verify",
    )


def _fact(value: Any) -> Any:
    if isinstance(value, dict):
        return ", ".join(f"{name} {figure}" for name, figure in value.items())
    return value


def settle_window(
    connection: Connection, window_id: str, draft_sha256: bytes = b""
) -> SettleWindowResponse:
    """Take a closed window as far as it goes now. Raises Failed."""
    response: SettleWindowResponse = connection.call(
        connection.settlement.SettleWindow,
        SettleWindowRequest(window_id=window_id, draft_sha256=draft_sha256),
        SETTLE_TIMEOUT_S,
    )
    return response


def close_and_state(operator: Connection, window_id: str) -> None:
    """Close a window, which opens the next, and state it. Repeating it is harmless.

    Raises Failed.
    """
    operator.call(operator.settlement.CloseWindow, CloseWindowRequest(window_id=window_id))
    settle_window(operator, window_id)


def stated_lines(connection: Connection, window_id: str) -> bytes:
    """The lines behind the caller's statement of a window, after verifying both. Raises Failed."""
    profile = connection.profile
    name = profile.caller.name
    response: GetStatementResponse = connection.call(
        connection.settlement.GetStatement,
        GetStatementRequest(window_id=window_id, partner_id=name),
    )
    keys = connection.exchange_keys(Purpose.STATEMENTS)
    stated = read_statement(envelope_from_proto(response.statement), keys, profile.audience, name)
    lines = fetch_line_file(connection, window_id, name)
    check_line_file(stated, lines)
    return lines


def _import(connection: Connection, currency: str, content: bytes) -> ImportBankFileResponse:
    response: ImportBankFileResponse = connection.call(
        connection.settlement.ImportBankFile,
        ImportBankFileRequest(currency=currency, content=content),
        SETTLE_TIMEOUT_S,
    )
    return response


def fetch_line_file(connection: Connection, window_id: str, partner_id: str) -> bytes:
    """The lines behind a statement, not verified. Raises Failed."""
    chunks: list[DownloadLineFileResponse] = list(
        connection.stream(
            connection.settlement.DownloadLineFile,
            DownloadLineFileRequest(window_id=window_id, partner_id=partner_id),
            SETTLE_TIMEOUT_S,
        )
    )
    return b"".join(each.chunk for each in chunks)
