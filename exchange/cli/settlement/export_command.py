"""`export`: the whole books in another program's format."""

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TransferSpeedColumn

from exchange.cli.calling import App
from exchange.cli.connection import connect
from exchange.cli.files import write_chunks
from exchange.cli.options import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    JsonOption,
    OperatorProfileOption,
    ServerOption,
    operator_profile,
)
from exchange.cli.output import answer, console_of
from exchange.cli.settlement.audit_export import fetch_audit
from pointclear.settlement.v1.report_pb2 import ExportBooksRequest, ExportBooksResponse

EXPORT_TIMEOUT_S = 3600.0


def add_export_command(app: App) -> None:
    """Add the command."""
    app.command("export")(export)


def export(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to write the files.")],
    what: Annotated[
        str, typer.Argument(metavar="[books|audit]", help="The books, or an auditor's folder.")
    ] = "books",
    format_: Annotated[
        str, typer.Option("--format", help="Of the books: beancount, parquet or json.")
    ] = "",
    first_day: Annotated[
        str, typer.Option("--from", metavar="YYYY-MM-DD", help="Of an audit: the first day.")
    ] = "",
    last_day: Annotated[
        str, typer.Option("--to", metavar="YYYY-MM-DD", help="Of an audit: the last day.")
    ] = "",
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: OperatorProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Export the whole books as they stand, or what an auditor needs of a time.

    Of the books, `beancount` writes one file that `bean-check` holds against their own balances;
    `parquet` and `json` write journal, lines and statements as tables. `export audit --from --to`
    writes the log, receipts, statements, approvals, bank files, invoices and disputes with a
    manifest of digests: `pointclear verify` checks the folder.
    """
    if what not in ("books", "audit"):
        raise typer.BadParameter("one of books, audit", param_hint="WHAT")
    if what == "audit" and not (first_day and last_day):
        raise typer.BadParameter("an audit has --from and --to")
    if what == "books" and not format_:
        raise typer.BadParameter("say which format", param_hint="--format")
    written = []
    console = console_of(sys.stderr)
    with (
        connect(operator_profile(profile_dir, data_dir, server)) as connection,
        Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TransferSpeedColumn(),
            console=console,
            disable=as_json or not console.is_terminal,
            transient=True,
        ) as shown,
    ):
        task = shown.add_task("making it", total=None)

        def chunks(answers: Iterator[ExportBooksResponse]) -> Iterator[bytes]:
            for each in answers:
                shown.advance(task, len(each.chunk))
                yield each.chunk

        if what == "audit":

            def told(size: int) -> None:
                shown.advance(task, size)

            written = fetch_audit(connection, first_day, last_day, out, told)
            answers: Iterator[ExportBooksResponse] = iter(())
        else:
            answers = connection.stream(
                connection.settlement.ExportBooks,
                ExportBooksRequest(format=format_),
                EXPORT_TIMEOUT_S,
            )
        made = (each for each in answers if each.file_name)
        for name, of_file in groupby(made, lambda each: each.file_name):
            shown.update(task, description=name)
            write_chunks(out / Path(name).name, chunks(of_file))
            written.append(out / Path(name).name)
    sizes = [(str(path), path.stat().st_size) for path in written]
    answer(
        as_json,
        {"files": [{"path": path, "size": size} for path, size in sizes]},
        *(f"Wrote {path} ({size:,} bytes)" for path, size in sizes),
    )
