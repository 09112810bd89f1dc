"""`report list`, `report get` and `report accounts`."""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TransferSpeedColumn

from exchange.cli.calling import App, ByAnybody, BySomebodyActing
from exchange.cli.connection import Connection
from exchange.cli.failure import proof_invalid
from exchange.cli.files import write_chunks
from exchange.cli.options import (
    WindowArgument,
)
from exchange.cli.output import answer, console_of, table
from pointclear.settlement.v1.report_pb2 import (
    AccountMapping,
    DownloadReportRequest,
    DownloadReportResponse,
    GetAccountMapRequest,
    GetAccountMapResponse,
    ListReportsRequest,
    ListReportsResponse,
    Report,
    SetAccountMapRequest,
    SetAccountMapResponse,
)

REPORT_TIMEOUT_S = 3600.0
"""A million lines as a workbook take minutes."""

PartnerOption = Annotated[
    str | None,
    typer.Option(help="Whose reports; without it an operator gets its own, a partner its own."),
]


def report_app() -> App:
    """The commands about report files."""
    app = App(no_args_is_help=True, help="List and fetch what a settlement day produces, as files.")
    app.command("list")(list_reports)
    app.command("get")(get)
    app.command("accounts")(accounts)
    return app


def list_reports(
    by: ByAnybody,
    window_id: WindowArgument,
    partner: PartnerOption = None,
) -> None:
    """List the reports of a window, those too that nobody has asked for yet."""
    with by.connect() as connection:
        reports = reports_of(connection, window_id, partner or "")
    documents = [_document(each) for each in reports]
    answer(
        by.as_json,
        {"reports": documents},
        table(
            ("kind", "format", "file", "bytes", "SHA-256"),
            [
                (
                    *(each["kind"], each["format"], each["file_name"]),
                    *((each["size"], each["sha256"]) if each["sha256"] else ("", "not made yet")),
                )
                for each in documents
            ],
            right=("bytes",),
        ),
    )


def get(
    by: ByAnybody,
    window_id: WindowArgument,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to write the files.")],
    kind: Annotated[
        str, typer.Option(help="What to fetch: statement, lines and so on. See `report list`.")
    ] = "",
    format_: Annotated[
        str, typer.Option("--format", help="pdf, csv, xlsx or json. [default: all that there are]")
    ] = "",
    every: Annotated[bool, typer.Option("--all", help="Fetch everything that there is.")] = False,
    partner: PartnerOption = None,
) -> None:
    """Fetch reports of a window into a folder, and check their digests.

    What was never asked for is made now; of a million lines that takes minutes.
    """
    if bool(kind) is every:
        raise typer.BadParameter("name a kind, or say --all", param_hint="--kind")
    documents = []
    with (
        by.connect() as connection,
        _progress(quiet=by.as_json) as shown,
    ):
        there = reports_of(connection, window_id, partner or "")
        wanted = [
            each for each in there if every or (each.kind == kind and format_ in ("", each.format))
        ]
        if not wanted:
            known = ", ".join(f"{each.kind} {each.format}" for each in there)
            raise typer.BadParameter(
                f"there is no report {kind} {format_}".rstrip() + f"; there are {known or 'none'}"
            )
        for each in wanted:
            path = out / each.file_name
            document = _document(fetch_report(connection, each, path, shown))
            documents.append({**document, "path": str(path)})
    answer(
        by.as_json,
        {"reports": documents},
        table(
            ("file", "bytes", "SHA-256"),
            [(each["path"], each["size"], each["sha256"]) for each in documents],
            right=("bytes",),
        ),
    )


def accounts(
    by: BySomebodyActing,
    changed: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="ITEM=ACCOUNT",
            help="Book an item to this account; ITEM:CODE=ACCOUNT for one tax code. Repeatable.",
        ),
    ] = None,
    partner: PartnerOption = None,
) -> None:
    """Show or set the accounts of a partner's journals.

    Journals that were made already stay as they are.
    """
    wanted = dict(_mapping(each) for each in changed or ())
    with by.connect() as connection:
        response: GetAccountMapResponse | SetAccountMapResponse = connection.call(
            connection.settlement.GetAccountMap, GetAccountMapRequest(partner_id=partner or "")
        )
        if wanted:
            known = {(each.item, each.code): each.account for each in response.accounts}
            request = SetAccountMapRequest(
                partner_id=partner or "",
                accounts=[
                    AccountMapping(item=item, code=code, account=account)
                    for (item, code), account in sorted({**known, **wanted}.items())
                ],
            )
            response = connection.call(connection.settlement.SetAccountMap, request)
    rows = [(each.item, each.code, each.account) for each in response.accounts]
    answer(
        by.as_json,
        {
            "accounts": [
                {"item": item, "tax_code": code, "account": account} for item, code, account in rows
            ]
        },
        table(("item", "tax code", "account"), rows),
    )


def _mapping(text: str) -> tuple[tuple[str, str], str]:
    names, equals, account = text.partition("=")
    item, _, code = names.partition(":")
    if not equals or not account:
        raise typer.BadParameter(f"{text!r} is no mapping such as fees=6010 or fee-tax:vat6=1420")
    return (item, code), account


def fetch_report(
    connection: Connection, report: Report, path: Path, shown: Progress | None = None
) -> Report:
    """Write a report to `path` and check it; returns what it is. Raises Failed."""
    request = DownloadReportRequest(
        period=report.period,
        partner_id=report.partner_id,
        kind=report.kind,
        format=report.format,
        version=report.version,
    )
    task = shown.add_task(report.file_name, total=None) if shown else None
    found = Report()
    digest = hashlib.sha256()

    def chunks() -> Iterator[bytes]:
        answers: Iterator[DownloadReportResponse] = connection.stream(
            connection.settlement.DownloadReport, request, REPORT_TIMEOUT_S
        )
        for each in answers:
            if each.HasField("report"):
                found.CopyFrom(each.report)
            elif each.HasField("chunk"):
                digest.update(each.chunk)
                yield each.chunk
            if shown and task is not None:
                _tell(shown, task, each)
        if digest.digest() != found.sha256:
            raise proof_invalid(f"the bytes of {report.file_name} are not those of its digest")

    write_chunks(path, chunks())
    return found


def _tell(shown: Progress, task: Any, step: DownloadReportResponse) -> None:
    if step.HasField("lines_written"):
        shown.update(task, description=f"making it: {step.lines_written:,} lines")
    elif step.HasField("report"):
        shown.update(task, description=step.report.file_name, total=step.report.size, completed=0)
    else:
        shown.advance(task, len(step.chunk))


def reports_of(connection: Connection, window_id: str, partner_id: str) -> list[Report]:
    """What there is of a window, for a partner or for the operator itself. Raises Failed."""
    response: ListReportsResponse = connection.call(
        connection.settlement.ListReports,
        ListReportsRequest(period=window_id, partner_id=partner_id),
    )
    return list(response.reports)


def _document(report: Report) -> dict[str, Any]:
    return {
        "kind": report.kind,
        "format": report.format,
        "period": report.period,
        "partner_id": report.partner_id,
        "version": report.version,
        "file_name": report.file_name,
        "size": report.size,
        "sha256": report.sha256.hex(),
    }


def _progress(*, quiet: bool) -> Progress:
    console = console_of(sys.stderr)
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TransferSpeedColumn(),
        console=console,
        disable=quiet or not console.is_terminal,
        transient=True,
    )
