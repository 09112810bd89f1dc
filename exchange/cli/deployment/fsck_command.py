"""`fsck`: is what is stored what was signed, logged and counted?"""

import sys
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from exchange.cli.calling import App
from exchange.cli.options import DEFAULT_DATA_DIR, DataDirOption, JsonOption
from exchange.cli.output import answer, console_of, table
from exchange.cli.wiring import FsckOptions, Wiring


def add_fsck_command(app: App, wiring: Wiring) -> None:
    """Add the command; what it looks with comes from `wiring`."""

    def fsck(
        data_dir: DataDirOption = DEFAULT_DATA_DIR,
        database_url: Annotated[
            str | None,
            typer.Option(
                envvar="POINTCLEAR_DATABASE_URL",
                help="Database URL, as the service's role. [default: the embedded database]",
            ),
        ] = None,
        as_json: JsonOption = False,
    ) -> None:
        """Check the database: books, agreements, answers, tax rates, log, head, streams.

        Agreements and programs' answers are held against the signatures over their bytes, records
        against their leaves and the answers that they name, the head against all leaves, streams
        against their chains. It reads only, also beside a server at work. Exit code 1 when anything
        is wrong.
        """
        with _progress(quiet=as_json) as shown:
            task = shown.add_task("rows", total=None)
            faults = wiring.fsck(
                FsckOptions(data_dir, database_url),
                lambda done, total: shown.update(task, completed=done, total=total),
            )
        rows = [(each.rule, each.subject, each.found) for each in faults]
        answer(
            as_json,
            {
                "faults": [
                    {"rule": rule, "subject": subject, "found": found}
                    for rule, subject, found in rows
                ]
            },
            table(("rule", "row", "found"), rows) if rows else "Nothing is wrong.",
        )
        if faults:
            raise typer.Exit(1)

    app.command("fsck")(fsck)


def _progress(*, quiet: bool) -> Progress:
    console = console_of(sys.stderr)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=quiet or not console.is_terminal,
        transient=True,
    )
