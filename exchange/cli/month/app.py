"""`month balance`, `ageing`, `accruals`, `promotions`, `checklist`, `lock`, `reopen`, `paper`."""

import typer

from exchange.cli.month.balance import balance
from exchange.cli.month.closing import checklist, lock, reopen
from exchange.cli.month.figures import accruals, ageing, promotions
from exchange.cli.month.paper import paper
from exchange.cli.output import Command


def month_app() -> typer.Typer:
    """The commands about the month."""
    app = typer.Typer(
        no_args_is_help=True, help="Balances, ageing, accruals, promotions, and the close."
    )
    app.command("balance", cls=Command)(balance)
    app.command("ageing", cls=Command)(ageing)
    app.command("accruals", cls=Command)(accruals)
    app.command("promotions", cls=Command)(promotions)
    app.command("checklist", cls=Command)(checklist)
    app.command("lock", cls=Command)(lock)
    app.command("reopen", cls=Command)(reopen)
    app.command("paper", cls=Command)(paper)
    return app
