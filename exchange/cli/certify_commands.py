"""`certify run`, `certify show` and `certify list`."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from exchange.cli.agreements import ListedAgreement, find_version, list_versions
from exchange.cli.certification.report import own_client_sha256, report_document, signed_report
from exchange.cli.certification.scenarios import SCENARIOS, Outcome, outcome_of
from exchange.cli.certification.trial import Trial
from exchange.cli.connection import Connection, connect
from exchange.cli.failure import ExitCode
from exchange.cli.files import unusable, write_output
from exchange.cli.initialise import check_sandbox_audience
from exchange.cli.life_commands import read_report
from exchange.cli.options import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    JsonOption,
    PartnerProfileOption,
    ServerOption,
    operator_profile,
    partner_profile,
)
from exchange.cli.output import Command, Document, answer, pairs, table
from exchange.cli.profile import Profile
from partners.certification import verify_report
from partners.envelope import to_json
from partners.errors import Reason, Refused
from partners.key_files import read_public_key
from partners.keys import Purpose, VerifyKey
from pointclear.partners.v1.partners_service_pb2 import AGREEMENT_STATE_IN_FORCE

REASON = "certification"
"""Why the operator closes the window, for the trail."""


def certify_app() -> typer.Typer:
    """The commands about certification."""
    app = typer.Typer(
        no_args_is_help=True, help="Try a partner's keys and connection in a sandbox."
    )
    app.command("run", cls=Command)(run)
    app.command("show", cls=Command)(show)
    app.command("list", cls=Command)(list_scenarios)
    return app


def run(
    profile_dir: PartnerProfileOption,
    out: Annotated[Path, typer.Option(metavar="FILE.json", help="Write the signed report here.")],
    agreement: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Send under this agreement. [default: the first in force, the partner its source]",
        ),
    ] = None,
    source_member: Annotated[
        str, typer.Option(help="Your id for a member of the sandbox.")
    ] = "certify-source",
    target_member: Annotated[
        str, typer.Option(help="The counterparty's id for that member.")
    ] = "certify-target",
    client: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="What is certified, such as your client's release. [default: this program]",
        ),
    ] = None,
    operator: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The sandbox operator's profile, which signs. [default: DATA_DIR/operator]",
        ),
    ] = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run every scenario against a sandbox, and write the signed report.

    It acts as the partner, with its keys and over its connection. The last scenario closes and
    states the open settlement window. Exit code 1 where a scenario did not pass: the report says so
    too, and no partner goes live with it.
    """
    profile = partner_profile(profile_dir, server)
    by = operator_profile(operator, data_dir, server)
    check_sandbox(profile, by)
    client_sha256 = _digest(client) if client else own_client_sha256()
    with connect(profile) as connection, connect(by, REASON) as operating:
        chosen = _agreement(connection, agreement)
        trial = Trial(
            connection,
            operating,
            chosen.terms,
            source_member,
            target_member,
            profile.signer(Purpose.ORDERS),
        )
        outcomes = _run_all(trial, quiet=as_json)
    name = profile.caller.name
    envelope = signed_report(
        by.signer(Purpose.OPERATOR),
        profile.audience,
        name,
        client_sha256,
        outcomes,
        datetime.now(UTC),
    )
    write_output(out, (to_json(envelope) + "\n").encode())
    failed = [each for each in outcomes if not each.passed]
    answer(
        as_json,
        {
            **report_document(envelope),
            "faults": {each.name: each.fault for each in failed},
            "report": str(out),
        },
        table(
            ("scenario", "verdict", "fault"),
            [(each.name, "passed" if each.passed else "FAILED", each.fault) for each in outcomes],
        ),
        f"{name}: {len(outcomes) - len(failed)} of {len(outcomes)} passed; report in {out}",
    )
    if failed:
        raise typer.Exit(ExitCode.REFUSED)


def show(
    report: Annotated[Path, typer.Argument(metavar="FILE", help="A certification report.")],
    certifier: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE.pem", help="A public key to trust, of a sandbox; may be repeated."
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Verify a report, offline, and show it. Exit code 1 where it is not trusted or not passed."""
    envelope = read_report(report)
    trusted = [VerifyKey.of(read_public_key(path)) for path in certifier]
    verify_report(envelope, {key.key_id: key for key in trusted})
    document = report_document(envelope)
    answer(as_json, document, *_shown(document))
    if not document["passed"]:
        raise typer.Exit(ExitCode.REFUSED)


def list_scenarios(as_json: JsonOption = False) -> None:
    """List the scenarios, in their order."""
    names = [each.name for each in SCENARIOS]
    answer(as_json, {"scenarios": names}, table(("scenario",), [(name,) for name in names]))


def check_sandbox(partner: Profile, operator: Profile) -> None:
    """Raise Refused(FIELD_INVALID) unless both profiles are of one sandbox."""
    check_sandbox_audience(partner.audience)
    if operator.audience != partner.audience:
        raise Refused(
            Reason.FIELD_INVALID,
            "operator",
            f"the operator is of {operator.audience}, the partner of {partner.audience}",
        )


def _agreement(connection: Connection, agreement_id: str | None) -> ListedAgreement:
    versions = list_versions(connection)
    if agreement_id is not None:
        return find_version(versions, agreement_id, None)
    name = connection.profile.caller.name
    for each in versions:
        if each.message.state == AGREEMENT_STATE_IN_FORCE and each.terms.source_partner == name:
            return each
    raise Refused(
        Reason.AGREEMENT_UNKNOWN, "agreement_id", f"no agreement is in force with {name} as source"
    )


def _run_all(trial: Trial, *, quiet: bool) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for place, scenario in enumerate(SCENARIOS, start=1):
        if not quiet:
            typer.echo(f"{place}/{len(SCENARIOS)} {scenario.name}", err=True)
        outcomes.append(outcome_of(scenario, trial))
    return outcomes


def _shown(document: Document) -> tuple[Table, ...]:
    facts = ("partner_id", "audience", "client_sha256", "issued_at", "key_id")
    return (
        pairs((name.replace("_", " "), document[name]) for name in facts),
        table(
            ("scenario", "verdict"),
            [
                (each["name"], "passed" if each["passed"] else "FAILED")
                for each in document["scenarios"]
            ],
        ),
    )


def _digest(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise unusable(path, error) from None
