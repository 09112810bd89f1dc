"""The commands that only a sandbox has. `sandbox bank`: what its bank says of a window's payments;
`sandbox simulate`: a counterparty's program that does what members and amounts tell it.

The bank comes from the composition root: the command line knows no settlement.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.calling import App, ByActingOperator
from exchange.cli.connection import connect
from exchange.cli.demo.settlement_day import Payment, pending
from exchange.cli.deployment.initialise import check_sandbox_audience
from exchange.cli.deployment.sample_commands import SandboxPapers, add_statements_command
from exchange.cli.deployment.simulate_command import simulate
from exchange.cli.files import FileError, read_file, write_output
from exchange.cli.options import (
    WindowArgument,
)
from exchange.cli.output import answer, table
from exchange.cli.settlement.settlement_commands import settle_window


class Paper(StrEnum):
    """In what the bank writes its statement."""

    CSV = "csv"
    CAMT_053 = "camt.053"
    MT940 = "mt940"


class Mode(StrEnum):
    """How partners pay."""

    ON_TIME = "on-time"
    SHORT = "short"
    LATE = "late"
    NOT = "not"


@dataclass(frozen=True, slots=True)
class BankOrder:
    """What the bank of a sandbox is to write."""

    statement_id: str
    currency: str
    booking_date: date
    payments: tuple[Payment, ...]
    """What the window asks for."""
    mode: str
    partner: str = ""
    """Who pays in that mode, others on time; empty for all."""
    after: str = ""
    """The bank's file before this one; empty for the first."""
    paper: str = Paper.CSV


SandboxBank = Callable[[BankOrder], tuple[bytes, Decimal]]
"""Gives the file and its closing balance; raises ValueError where `after` is none of its files."""


def add_sandbox_commands(app: App, bank_of: SandboxBank, papers_of: SandboxPapers) -> None:
    """Add the commands; `bank_of` is the bank, `papers_of` makes sample papers."""
    sandbox = App(no_args_is_help=True, help="What only a sandbox has.")
    sandbox.command("simulate")(simulate)
    add_bank_command(sandbox, bank_of)
    add_statements_command(sandbox, papers_of)
    app.add_typer(sandbox, name="sandbox")


def add_bank_command(sandbox: App, bank_of: SandboxBank) -> None:
    """Add the command; `bank_of` is the bank."""

    def bank(
        by: ByActingOperator,
        window_id: WindowArgument,
        out: Annotated[Path, typer.Option(metavar="FILE", help="Write the bank file here.")],
        mode: Annotated[Mode, typer.Option(help="How partners pay.")] = Mode.ON_TIME,
        partner: Annotated[
            str, typer.Option(metavar="ID", help="Only this one pays so. [default: all]")
        ] = "",
        after: Annotated[
            Path | None,
            typer.Option(metavar="FILE", help="The bank file before this one, if there is one."),
        ] = None,
        paper: Annotated[
            Paper, typer.Option("--format", help="In what the bank writes it.")
        ] = Paper.CSV,
    ) -> None:
        """Write the bank file of a window's payments, as partners pay them: on time, short, late or
        not. Only in a sandbox.

        The window is stated first, if it is not yet. Import the file with `settle --bank-file`.
        """
        profile = by.profile()
        check_sandbox_audience(profile.audience)
        with connect(profile, by.reason) as connection:
            settled = settle_window(connection, window_id)
        payments = (*pending(settled.legs, "PAY_IN"), *pending(settled.legs, "PAY_OUT"))
        order = BankOrder(
            f"{window_id}-{out.stem}",
            settled.window.currency,
            date.fromisoformat(settled.window.business_date) + timedelta(days=1),
            payments,
            mode,
            partner,
            read_file(after).decode(errors="replace") if after else "",
            paper,
        )
        try:
            content, closing = bank_of(order)
        except (ValueError, ArithmeticError):
            raise FileError(f"{after}: this is no bank file; name the one before this") from None
        write_output(out, content)
        answer(
            by.as_json,
            {
                "window_id": window_id,
                "mode": mode,
                "asked": [
                    {
                        "direction": each.direction,
                        "amount": str(each.amount),
                        "reference": each.reference,
                        "partner_id": each.partner,
                    }
                    for each in payments
                ],
                "closing": str(closing),
                "bank_file": str(out),
            },
            table(
                ("partner", "direction", "amount", "reference"),
                [(each.partner, each.direction, each.amount, each.reference) for each in payments],
                right=("amount",),
            ),
            f"Wrote {out}: partners pay {mode}; it closes with {closing} {order.currency}",
        )

    sandbox.command("bank")(bank)
