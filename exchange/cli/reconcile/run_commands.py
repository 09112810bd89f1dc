"""`reconcile FILE` and `reconcile last`.

Exit codes: 0 where nothing is open, 1 where breaks are, or where the file was refused; the printed
document says which.
"""

import hashlib
import os
import sys
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn

from exchange.cli.calling import ByAnybody
from exchange.cli.connection import Connection, connect
from exchange.cli.files import FileError, opened, write_output
from exchange.cli.options import (
    JsonOption,
    PartnerProfileOption,
    ServerOption,
    partner_profile,
)
from exchange.cli.output import answer, console_of, pairs, table
from exchange.cli.reconcile.documents import break_document, break_table, run_document
from exchange.cli.reconcile.workbook import workbook
from pointclear.settlement.v1 import reconciliation_pb2 as pb

CHUNK_BYTES = 512 * 1024
RUN_TIMEOUT_S = 900.0
SHOWN_MAX = 50
"""Breaks in the table; `--json` and `--xlsx` have all."""

XlsxOption = Annotated[
    Path | None, typer.Option("--xlsx", metavar="FILE.xlsx", help="Also write a workbook here.")
]


def reconcile_file(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Your own file: CSV, XLSX or fixed width, as your mapping says."
        ),
    ],
    profile_dir: PartnerProfileOption,
    window: Annotated[
        str, typer.Option(metavar="WINDOW_ID", help="The window. [default: the newest stated one]")
    ] = "",
    until: Annotated[
        str, typer.Option(metavar="WINDOW_ID", help="The last window, where the file has several.")
    ] = "",
    xlsx: XlsxOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold your own file against the exchange's lines of a window, and print what differs.

    Say once how your file is written: `pointclear reconcile mapping set`. A file in which anything
    is wrong is refused whole. Running the same file again shows the same run. Exit code 1 where
    breaks are open, or where the file was refused.
    """
    profile = partner_profile(profile_dir, server)
    with (
        opened(file) as content,
        connect(profile) as own,
        _progress(quiet=as_json) as shown,
    ):
        sha256 = upload(own, content, shown)
        shown.add_task("matching", total=None)
        request = pb.RunReconciliationRequest(
            file_sha256=sha256,
            file_name=file.name[:200],
            first_window_id=window,
            last_window_id=until,
        )
        response: pb.RunReconciliationResponse = own.call(
            own.settlement.RunReconciliation, request, RUN_TIMEOUT_S
        )
        if response.faults:
            shown.stop()
            _refuse(response, as_json=as_json)
        found = list(breaks_of(own, pb.ListBreaksRequest(run_id=response.run.run_id)))
    _answer(response.run, found, xlsx, as_json=as_json)


def last(
    by: ByAnybody,
    run_id: Annotated[
        str, typer.Argument(metavar="[RUN_ID]", help="Such as R3. [default: the newest]")
    ] = "",
    partner: Annotated[str, typer.Option(help="Whose; an operator must say.")] = "",
    xlsx: XlsxOption = None,
) -> None:
    """Show what a run found, and what became of it. Exit code 1 where breaks are open."""
    with by.connect() as connection:
        response: pb.GetReconciliationResponse = connection.call(
            connection.settlement.GetReconciliation,
            pb.GetReconciliationRequest(partner_id=partner, run_id=run_id),
        )
        wanted = pb.ListBreaksRequest(partner_id=partner, run_id=response.run.run_id)
        found = list(breaks_of(connection, wanted))
    _answer(response.run, found, xlsx, as_json=by.as_json)


def upload(own: Connection, file: BufferedIOBase, shown: Progress) -> bytes:
    """Bring a file, from where an earlier attempt ended; returns its digest. Raises Failed, or
    FileError where it was changed meanwhile.
    """
    sha256 = hashlib.file_digest(file, "sha256").digest()
    size = file.seek(0, os.SEEK_END)
    task = shown.add_task("uploading", total=size)
    received = 0
    chunk = b""
    while True:
        request = pb.UploadReconciliationRequest(
            file_sha256=sha256, file_bytes=size, offset=received, chunk=chunk
        )
        answered: pb.UploadReconciliationResponse = own.call(
            own.settlement.UploadReconciliation, request
        )
        received = answered.received_bytes
        shown.update(task, completed=received)
        if received >= size:
            return sha256
        file.seek(received)
        chunk = file.read(CHUNK_BYTES)
        if not chunk:
            raise FileError("the file was changed while it was sent; send it again")


def breaks_of(
    connection: Connection, request: pb.ListBreaksRequest
) -> Iterator[pb.ReconciliationBreak]:
    """All breaks of a list. Raises Failed."""
    for page in connection.pages(connection.settlement.ListBreaks, request):
        yield from page.breaks


def _refuse(response: pb.RunReconciliationResponse, *, as_json: bool) -> None:
    """Say what is wrong with the file, and end with 1."""
    faults = [
        {"row": each.row, "column": each.column, "text": each.text} for each in response.faults
    ]
    answer(
        as_json,
        {"refused": True, "fault_count": response.fault_count, "faults": faults},
        table(
            ("row", "column", "what is wrong"),
            [(each["row"] or "–", each["column"] or "–", each["text"]) for each in faults],
            right=("row",),
        ),
        f"The file is refused, and nothing of it was kept: {_counted(response.fault_count)}"
        + (f", {len(faults):,} of them shown" if len(faults) < response.fault_count else ""),
        "Have it written again, or say in the mapping how it is written (reconcile mapping set).",
    )
    raise typer.Exit(1)


def _counted(faults: int) -> str:
    return "1 fault" if faults == 1 else f"{faults:,} faults"


def _answer(
    run: pb.ReconciliationRun,
    found: list[pb.ReconciliationBreak],
    xlsx: Path | None,
    *,
    as_json: bool,
) -> None:
    document = run_document(run)
    documents = [break_document(each) for each in found]
    if xlsx is not None:
        write_output(xlsx, workbook(document, documents))
    counts = ", ".join(f"{count:,} {name}" for name, count in document["counts"].items())
    windows = dict.fromkeys((run.first_window_id, run.last_window_id))
    human: list[Any] = [
        pairs(
            (
                ("run", f"{run.run_id} of {' to '.join(windows)}"),
                ("file", f"{run.rows:,} rows"),
                ("exchange", f"{run.lines:,} lines, {run.matched:,} matched"),
                ("breaks", counts or "none"),
                ("cleared", f"{run.cleared:,} of earlier runs"),
            )
        )
    ]
    if documents:
        human.append(break_table(documents[:SHOWN_MAX], with_partner=False))
    if len(documents) > SHOWN_MAX:
        human.append(f"{len(documents) - SHOWN_MAX:,} more: --json and --xlsx have them all")
    if xlsx is not None:
        human.append(f"Wrote {xlsx}")
    answer(as_json, {"refused": False, **document, "breaks": documents}, *human)
    if run.open:
        raise typer.Exit(1)


def _progress(*, quiet: bool) -> Progress:
    console = console_of(sys.stderr)
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        console=console,
        disable=quiet or not console.is_terminal,
        transient=True,
    )
