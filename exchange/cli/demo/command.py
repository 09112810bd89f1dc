"""`pointclear demo`: its options. What it does is in `run`, which needs the demo's and server's
libraries.
"""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli.calling import App
from exchange.cli.options import JsonOption, parse_date

if TYPE_CHECKING:
    from exchange.cli.demo.settlement_day import Bank

FIRST_DAY = "2017-01-01"


def add_demo_command(app: App, bank: "Bank") -> None:
    """Add the command; `bank` is the bank that the demo settles through."""

    def demo(
        weeks: Annotated[int, typer.Option(min=1, max=52, help="Weeks to replay.")] = 1,
        days: Annotated[
            int | None, typer.Option(min=1, max=366, help="Days to replay, instead of weeks.")
        ] = None,
        first_day: Annotated[
            str,
            typer.Option(metavar="DATE", parser=parse_date, help="First day, in 2017."),
        ] = FIRST_DAY,
        out: Annotated[
            Path, typer.Option(metavar="DIR", help="Where results go; replaced if it is a demo's.")
        ] = Path("demo-out"),
        keep: Annotated[
            Path | None,
            typer.Option(metavar="DIR", help="Keep the deployment's data directory, in DIR."),
        ] = None,
        as_json: JsonOption = False,
    ) -> None:
        """Replay a week of real purchases through a coalition of ten brands.

        It starts an exchange, two client processes and the programs of some brands, sends signed
        orders, takes one of the programs down for a while, closes and settles each day, writes
        statements and receipts, verifies all of them offline, and stops everything it started.
        """
        from exchange.cli.demo.run import run_demo

        first = date.fromisoformat(first_day)
        run_demo(bank, first, days or 7 * weeks, out, keep, as_json=as_json)

    app.command("demo")(demo)
