"""The `pointclear` command: every command of the coalition's partners and operators.

All but `init`, `serve`, `config`, `migrate`, `fsck` and `demo` speak gRPC as a partner or an
operator would, and need neither the server's libraries nor its database. What does need them comes
from the composition root as a `Wiring`.
"""

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import typer

from exchange.cli.lazily import Fill, from_module, lazy_app
from exchange.cli.wiring import MigrateOptions, ServeOptions, Wiring

if TYPE_CHECKING:
    from exchange.cli.calling import App

__all__ = ["MigrateOptions", "ServeOptions", "Wiring", "build_app"]

DEPLOYMENT = ("init", "serve", "config", "migrate")
PLACES: Mapping[str, str] = MappingProxyType(
    {
        "partner": "partners.partner_commands:partner_app",
        "operator": "partners.operator_commands:operator_app",
        "actions": "partners.action_commands:actions_app",
        "trail": "partners.action_commands:trail_app",
        "key": "keys.key_commands:key_app",
        "agreement": "agreements.agreement_commands:agreement_app",
        "rates": "agreements.rate_commands:rates_app",
        "tax": "agreements.tax_commands:tax_app",
        "switches": "partners.switch_commands:switches_app",
        "limits": "partners.limit_commands:limits_app",
        "routes": "transfers.route_commands:routes_app",
        "delivery": "transfers.delivery_commands:delivery_app",
        "link": "partners.link_commands:link_app",
        "member": "partners.member_commands:member_app",
        "fulfilment": "transfers.fulfilment_commands:fulfilment_app",
        "review": "transfers.review_commands:review_app",
        "cancel": "transfers.review_commands:cancel",
        "reverse": "transfers.reversal_commands:reverse",
        "quote": "transfers.quote_commands:add_quote_command",
        "transfer": "transfers.transfer_commands:add_transfer_commands",
        "lookup": "transfers.transfer_commands:add_transfer_commands",
        "receipts": "transfers.receipt_commands:add_receipts_command",
        "transfers": "transfers.reading_commands:add_reading_commands",
        "simulate": "transfers.reading_commands:add_reading_commands",
        "position": "transfers.reading_commands:add_reading_commands",
        "corridors": "transfers.reading_commands:add_reading_commands",
        "certify": "certification.certify_commands:certify_app",
        "account": "settlement.account_commands:account_app",
        "collateral": "settlement.collateral_commands:collateral_app",
        "adjust": "settlement.adjust_commands:adjust_app",
        "scheme": "settlement.scheme_commands:scheme_app",
        "payouts": "settlement.payout_commands:payouts_app",
        "payments": "settlement.payment_commands:payments_app",
        "pairs": "settlement.pair_commands:pairs_app",
        "overdue": "settlement.overdue_commands:overdue_app",
        "own-funds": "settlement.own_funds_commands:own_funds_app",
        "window": "settlement.window_commands:window_app",
        "bank": "settlement.bank_commands:bank_app",
        "invoice": "settlement.invoice_commands:invoice_app",
        "month": "month.app:month_app",
        "settle": "settlement.settlement_commands:add_settlement_commands",
        "statement": "settlement.settlement_commands:add_settlement_commands",
        "acknowledge": "settlement.approval_commands:acknowledge",
        "dispute": "settlement.dispute_commands:dispute_app",
        "report": "settlement.report_commands:report_app",
        "export": "settlement.export_command:add_export_command",
        "reconcile": "reconcile.app:reconcile_app",
        "verify": "verify:verify",
    }
)
"""Where each command stands, in the order of the help."""


def build_app(wiring: Wiring, more: Mapping[str, Fill] = MappingProxyType({})) -> typer.Typer:
    """The whole command line; `more` are commands of the composition root's own, by name. Exit
    codes: 0 done, 1 refused, 2 usage, 3 unavailable, 4 waits.
    """
    # gRPC reads this once, when it is imported, and otherwise writes a line of its own about every
    # failed handshake to stderr, where `--json` promises one document.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # `serve` starts the database's programs from a process in which gRPC has threads. Its handlers
    # of a fork have crashed the child before it could become the other program.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

    def add_deployment(app: "App") -> None:
        from exchange.cli.deployment.deployment_commands import add_deployment_commands

        add_deployment_commands(app, wiring)

    def add_fsck(app: "App") -> None:
        from exchange.cli.deployment.fsck_command import add_fsck_command

        add_fsck_command(app, wiring)

    fills: dict[str, Fill] = dict.fromkeys(DEPLOYMENT, add_deployment)
    fills["fsck"] = add_fsck
    fills |= {name: from_module(name, place) for name, place in PLACES.items()}
    return lazy_app(
        {**fills, **more},
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
