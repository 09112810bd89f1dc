"""`sandbox statements`: papers for a partner's reconciliation before it has any traffic.

They come from the composition root: the command line knows no settlement.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.calling import App
from exchange.cli.connection import Connection, connect
from exchange.cli.demo.archive import PublicKey, key_files
from exchange.cli.deployment.initialise import check_sandbox_audience
from exchange.cli.files import write_output
from exchange.cli.options import JsonOption, PartnerProfileOption, ServerOption, partner_profile
from exchange.cli.output import answer, table
from pointclear.partners.v1.partners_service_pb2 import ListPartnersRequest, Partner

SEED_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class SampleOrder:
    """Whose papers are wanted."""

    audience: str
    partner_id: str
    legal_name: str
    program: str
    currency: str
    seed: int


@dataclass(frozen=True, slots=True)
class SamplePapers:
    """What is to be written."""

    files: Mapping[str, bytes]
    """By path in the folder."""
    keys: tuple[PublicKey, ...]
    """Under which they verify."""
    planted: tuple[tuple[str, str, str], ...]
    """Each difference: the kind of break, the transfer, and what is wrong."""


SandboxPapers = Callable[[SampleOrder], SamplePapers]


def add_statements_command(sandbox: App, papers_of: SandboxPapers) -> None:
    """Add the command; `papers_of` makes the papers."""

    def statements(
        profile_dir: PartnerProfileOption,
        out: Annotated[
            Path,
            typer.Option("--out", "-o", metavar="DIR", help="Write here; not there yet, or empty."),
        ],
        seed: Annotated[
            int, typer.Option(min=0, max=SEED_MAX, help="The same seed gives the same files.")
        ] = 1,
        server: ServerOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Write sample papers for a partner to build its reconciliation on: two settlement days
        that never were. Only for a sandbox.

        Signed statements with their line files, the partner's own files of the same days with
        differences planted, and the bank's files of partners who pay on time, short and late.
        README.md in the folder says what is planted where. `pointclear verify DIR` checks the
        signed papers. Nothing is changed in the sandbox.
        """
        check_empty(out)
        profile = partner_profile(profile_dir, server)
        check_sandbox_audience(profile.audience)
        with connect(profile) as own:
            partner = own_entry(own)
        order = SampleOrder(
            profile.audience,
            partner.partner_id,
            partner.legal_name,
            partner.programs[0],
            partner.settlement_account.currency,
            seed,
        )
        papers = papers_of(order)
        files = {**papers.files, **key_files(papers.keys)}
        for name, content in files.items():
            write_output(out / name, content)
        columns = ("break", "transfer", "the partner's own file")
        answer(
            as_json,
            {
                "partner_id": partner.partner_id,
                "seed": seed,
                "out": str(out),
                "files": sorted(files),
                "planted": [
                    {"break": kind, "transfer_id": transfer_id, "what": what}
                    for kind, transfer_id, what in papers.planted
                ],
            },
            table(columns, papers.planted),
            f"Wrote {out} from seed {seed}; {out / 'README.md'} says what is what",
        )

    sandbox.command("statements")(statements)


def check_empty(out: Path) -> None:
    """Raise typer.BadParameter for what is no folder, or one that holds something."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise typer.BadParameter(f"{out} holds something already; name another folder with --out")


def own_entry(own: Connection) -> Partner:
    """The caller as the exchange knows it."""
    pages = own.pages(own.partners.ListPartners, ListPartnersRequest())
    found: Partner = next(
        partner
        for page in pages
        for partner in page.partners
        if partner.partner_id == own.profile.caller.name
    )
    return found
