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
        "partner": "partner_commands:partner_app",
        "operator": "operator_commands:operator_app",
        "actions": "action_commands:actions_app",
        "trail": "action_commands:trail_app",
        "key": "key_commands:key_app",
        "agreement": "agreement_commands:agreement_app",
        "rates": "rate_commands:rates_app",
        "tax": "tax_commands:tax_app",
        "switches": "switch_commands:switches_app",
        "limits": "limit_commands:limits_app",
        "routes": "route_commands:routes_app",
        "delivery": "delivery_commands:delivery_app",
        "link": "link_commands:link_app",
        "member": "member_commands:member_app",
        "fulfilment": "fulfilment_commands:fulfilment_app",
        "review": "review_commands:review_app",
        "cancel": "review_commands:cancel",
        "reverse": "reversal_commands:reverse",
        "quote": "quote_commands:add_quote_command",
        "transfer": "transfer_commands:add_transfer_commands",
        "lookup": "transfer_commands:add_transfer_commands",
        "receipts": "receipt_commands:add_receipts_command",
        "transfers": "reading_commands:add_reading_commands",
        "simulate": "reading_commands:add_reading_commands",
        "position": "reading_commands:add_reading_commands",
        "corridors": "reading_commands:add_reading_commands",
        "certify": "certify_commands:certify_app",
        "account": "account_commands:account_app",
        "collateral": "collateral_commands:collateral_app",
        "adjust": "adjust_commands:adjust_app",
        "scheme": "scheme_commands:scheme_app",
        "payouts": "payout_commands:payouts_app",
        "payments": "payment_commands:payments_app",
        "pairs": "pair_commands:pairs_app",
        "overdue": "overdue_commands:overdue_app",
        "own-funds": "own_funds_commands:own_funds_app",
        "window": "window_commands:window_app",
        "bank": "bank_commands:bank_app",
        "invoice": "invoice_commands:invoice_app",
        "month": "month.app:month_app",
        "settle": "settlement_commands:add_settlement_commands",
        "statement": "settlement_commands:add_settlement_commands",
        "acknowledge": "approval_commands:acknowledge",
        "dispute": "dispute_commands:dispute_app",
        "report": "report_commands:report_app",
        "export": "export_command:add_export_command",
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
        from exchange.cli.deployment_commands import add_deployment_commands

        add_deployment_commands(app, wiring)

    def add_fsck(app: "App") -> None:
        from exchange.cli.fsck_command import add_fsck_command

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
