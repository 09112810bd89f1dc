"""`month balance`, `ageing`, `accruals`, `promotions`, `checklist`, `lock`, `reopen`, `paper`."""

from exchange.cli.calling import App
from exchange.cli.month.balance import balance
from exchange.cli.month.closing import checklist, lock, reopen
from exchange.cli.month.figures import accruals, ageing, promotions
from exchange.cli.month.paper import paper


def month_app() -> App:
    """The commands about the month."""
    app = App(no_args_is_help=True, help="Balances, ageing, accruals, promotions, and the close.")
    app.command("balance")(balance)
    app.command("ageing")(ageing)
    app.command("accruals")(accruals)
    app.command("promotions")(promotions)
    app.command("checklist")(checklist)
    app.command("lock")(lock)
    app.command("reopen")(reopen)
    app.command("paper")(paper)
    return app
