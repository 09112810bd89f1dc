"""`conformance`: does a brand's own system keep the rules that the exchange relies on?

The adapters and their checks come from the composition root: the command line knows neither.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.calling import App
from exchange.cli.failure import ExitCode
from exchange.cli.options import DEFAULT_DATA_DIR, DataDirOption, JsonOption
from exchange.cli.output import answer, table
from partners.key_files import read_public_key
from partners.points import check_id, check_reference

HTTPS = "https://"


@dataclass(frozen=True, slots=True)
class ConformanceOrder:
    """Which system is to be checked, and as whose."""

    data_dir: Path
    """Of the deployment as which to call."""
    address: str
    """`host:port` of a ProgramService, or the base URL of an HTTP endpoint."""
    partner_id: str
    program: str
    orders_keys: tuple[bytes, ...]
    """The brand's public keys, raw."""
    member: str
    unknown_member: str
    points: int
    codes: bool
    reversals: bool
    authority: Path | None
    """PEM file of whoever vouches for the server; None means the deployment's own."""
    timeout_s: float
    attempts: int


@dataclass(frozen=True, slots=True)
class Checked:
    """What one check found."""

    name: str
    fault: str
    """Empty where it passed."""


Conform = Callable[[ConformanceOrder], Sequence[Checked]]
"""Runs every check that applies. Raises PointclearError where it cannot begin."""


def add_conformance_command(app: App, conform: Conform) -> None:
    """Add the command; `conform` calls the system."""

    def conformance(
        address: Annotated[
            str,
            typer.Argument(
                metavar="ADDRESS",
                help="HOST:PORT of a ProgramService, or https://… of an HTTP endpoint.",
            ),
        ],
        partner: Annotated[str, typer.Option(metavar="ID", help="Whose system it is.")],
        orders_key: Annotated[
            list[Path],
            typer.Option(
                metavar="FILE.pem", help="The brand's public key for orders; may be repeated."
            ),
        ],
        member: Annotated[
            str, typer.Option(help="A member for tests: it is given points, and keeps some.")
        ],
        unknown_member: Annotated[
            str, typer.Option(help="A reference that is nobody's. [default: none is tried]")
        ] = "",
        program: Annotated[
            str, typer.Option(metavar="ID", help="The program. [default: named like the brand]")
        ] = "",
        points: Annotated[int, typer.Option(min=4, help="How many a credit gives.")] = 100,
        codes: Annotated[
            bool, typer.Option("--codes", help="It issues codes in place of points.")
        ] = False,
        reversals: Annotated[bool, typer.Option(help="Whether it takes points back.")] = True,
        authority: Annotated[
            Path | None,
            typer.Option(
                metavar="FILE.pem",
                help="Who vouches for its TLS certificate. [default: the deployment's authority]",
            ),
        ] = None,
        timeout: Annotated[
            float, typer.Option(metavar="SECONDS", min=0.1, help="For one call.")
        ] = 5.0,
        attempts: Annotated[
            int, typer.Option(min=1, help="How often a question is put before it has no answer.")
        ] = 1,
        data_dir: DataDirOption = DEFAULT_DATA_DIR,
        as_json: JsonOption = False,
    ) -> None:
        """Check a brand's own system: call it as the exchange does, with what it relies on.

        It gives points to the member and takes them back, under ids of its own, so use it with a
        system for tests. No server of ours needs to run: the certificate, and for HTTP the key for
        receipts, come from the data directory. Exit code 1 where a check did not pass.
        """
        order = ConformanceOrder(
            data_dir,
            address,
            check_id(partner, "partner"),
            check_id(program or partner, "program"),
            tuple(read_public_key(path) for path in orders_key),
            check_reference(member, "member", required=True),
            check_reference(unknown_member, "unknown_member", required=False),
            points,
            codes,
            reversals and not codes,
            authority,
            timeout,
            attempts,
        )
        checked = conform(order)
        failed = [each for each in checked if each.fault]
        answer(
            as_json,
            {
                "address": address,
                "partner_id": order.partner_id,
                "program": order.program,
                "passed": not failed,
                "checks": [{"name": each.name, "fault": each.fault} for each in checked],
            },
            table(
                ("check", "verdict", "fault"),
                [(each.name, "FAILED" if each.fault else "passed", each.fault) for each in checked],
            ),
            f"{order.program} at {address}: {len(checked) - len(failed)} of {len(checked)} passed",
        )
        if failed:
            raise typer.Exit(ExitCode.REFUSED)

    app.command("conformance")(conformance)
