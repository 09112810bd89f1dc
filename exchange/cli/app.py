"""The `pointclear` command: every command of the coalition's partners and operators.

All but `init`, `serve`, `config`, `migrate` and `demo` speak gRPC as a partner or an operator
would, and need neither the server's libraries nor its database. What does need them comes from the
composition root as a `Wiring`.
"""

import os

from exchange.cli.calling import App
from exchange.cli.wiring import MigrateOptions, ServeOptions, Wiring

__all__ = ["MigrateOptions", "ServeOptions", "Wiring", "build_app"]


def build_app(wiring: Wiring) -> App:
    """The whole command line. Exit codes: 0 done, 1 refused, 2 usage, 3 unavailable, 4 waits."""
    # gRPC reads this once, when it is imported, and otherwise writes a line of its own about every
    # failed handshake to stderr, where `--json` promises one document. Hence the imports down here.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # `serve` starts the database's programs from a process in which gRPC has threads. Its handlers
    # of a fork have crashed the child before it could become the other program.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    from exchange.cli.account_commands import account_app
    from exchange.cli.action_commands import actions_app, trail_app
    from exchange.cli.adjust_commands import adjust_app
    from exchange.cli.agreement_commands import agreement_app
    from exchange.cli.approval_commands import acknowledge
    from exchange.cli.bank_commands import bank_app
    from exchange.cli.certify_commands import certify_app
    from exchange.cli.collateral_commands import collateral_app
    from exchange.cli.delivery_commands import delivery_app
    from exchange.cli.deployment_commands import add_deployment_commands
    from exchange.cli.dispute_commands import dispute_app
    from exchange.cli.export_command import add_export_command
    from exchange.cli.fsck_command import add_fsck_command
    from exchange.cli.fulfilment_commands import fulfilment_app
    from exchange.cli.invoice_commands import invoice_app
    from exchange.cli.key_commands import key_app
    from exchange.cli.limit_commands import limits_app
    from exchange.cli.link_commands import link_app
    from exchange.cli.member_commands import member_app
    from exchange.cli.month.app import month_app
    from exchange.cli.operator_commands import operator_app
    from exchange.cli.overdue_commands import overdue_app
    from exchange.cli.own_funds_commands import own_funds_app
    from exchange.cli.pair_commands import pairs_app
    from exchange.cli.partner_commands import partner_app
    from exchange.cli.payment_commands import payments_app
    from exchange.cli.payout_commands import payouts_app
    from exchange.cli.quote_commands import add_quote_command
    from exchange.cli.rate_commands import rates_app
    from exchange.cli.reading_commands import add_reading_commands
    from exchange.cli.receipt_commands import add_receipts_command
    from exchange.cli.reconcile.app import reconcile_app
    from exchange.cli.report_commands import report_app
    from exchange.cli.reversal_commands import reverse
    from exchange.cli.review_commands import cancel, review_app
    from exchange.cli.route_commands import routes_app
    from exchange.cli.scheme_commands import scheme_app
    from exchange.cli.settlement_commands import add_settlement_commands
    from exchange.cli.switch_commands import switches_app
    from exchange.cli.tax_commands import tax_app
    from exchange.cli.transfer_commands import add_transfer_commands
    from exchange.cli.verify import verify
    from exchange.cli.window_commands import window_app

    app = App(
        name="pointclear",
        help=(
            "A clearing house for loyalty points."
            " Exit codes: 0 done, 1 refused, 2 usage, 3 unavailable,"
            " 4 waits for a second operator."
        ),
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    add_deployment_commands(app, wiring)
    add_fsck_command(app, wiring)
    app.add_typer(partner_app(), name="partner")
    app.add_typer(operator_app(), name="operator")
    app.add_typer(actions_app(), name="actions")
    app.add_typer(trail_app(), name="trail")
    app.add_typer(key_app(), name="key")
    app.add_typer(agreement_app(), name="agreement")
    app.add_typer(rates_app(), name="rates")
    app.add_typer(tax_app(), name="tax")
    app.add_typer(switches_app(), name="switches")
    app.add_typer(limits_app(), name="limits")
    app.add_typer(routes_app(), name="routes")
    app.add_typer(delivery_app(), name="delivery")
    app.add_typer(link_app(), name="link")
    app.add_typer(member_app(), name="member")
    app.add_typer(fulfilment_app(), name="fulfilment")
    app.add_typer(review_app(), name="review")
    app.command("cancel")(cancel)
    app.command("reverse")(reverse)
    add_quote_command(app)
    add_transfer_commands(app)
    add_receipts_command(app)
    add_reading_commands(app)
    app.add_typer(certify_app(), name="certify")
    app.add_typer(account_app(), name="account")
    app.add_typer(collateral_app(), name="collateral")
    app.add_typer(adjust_app(), name="adjust")
    app.add_typer(scheme_app(), name="scheme")
    app.add_typer(payouts_app(), name="payouts")
    app.add_typer(payments_app(), name="payments")
    app.add_typer(pairs_app(), name="pairs")
    app.add_typer(overdue_app(), name="overdue")
    app.add_typer(own_funds_app(), name="own-funds")
    app.add_typer(window_app(), name="window")
    app.add_typer(bank_app(), name="bank")
    app.add_typer(invoice_app(), name="invoice")
    app.add_typer(month_app(), name="month")
    add_settlement_commands(app)
    app.command("acknowledge")(acknowledge)
    app.add_typer(dispute_app(), name="dispute")
    app.add_typer(report_app(), name="report")
    add_export_command(app)
    app.add_typer(reconcile_app(), name="reconcile")
    app.command("verify")(verify)
    return app
