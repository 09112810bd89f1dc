"""The group `reconcile`: a file after it is reconciled, a command's name runs that command."""

from typing import Any

from typer.core import TyperGroup

from exchange.cli.calling import App
from exchange.cli.reconcile.break_commands import (
    assign,
    breaks,
    comment,
    explain,
    resolve,
    show,
    write_off,
)
from exchange.cli.reconcile.mapping_commands import mapping_app
from exchange.cli.reconcile.run_commands import last, reconcile_file

FILE_COMMAND = "file"


class FileOrCommand(TyperGroup):
    """`reconcile FILE` is short for `reconcile file FILE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command in where the first argument names none."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = [FILE_COMMAND, *args]
        return super().parse_args(ctx, args)


def reconcile_app() -> App:
    """The commands about reconciliation."""
    app = App(
        cls=FileOrCommand,
        no_args_is_help=True,
        help=(
            "Hold your own file of a settlement window against the exchange's lines, and follow"
            " what differs. `pointclear reconcile FILE` is short for `pointclear reconcile file"
            " FILE`."
        ),
    )
    app.command(FILE_COMMAND)(reconcile_file)
    app.command("last")(last)
    app.command("breaks")(breaks)
    app.command("show")(show)
    app.command("assign")(assign)
    app.command("comment")(comment)
    app.command("explain")(explain)
    app.command("resolve")(resolve)
    app.command("write-off")(write_off)
    app.add_typer(mapping_app(), name="mapping")
    return app
