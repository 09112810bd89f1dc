"""`certify run`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.agreements.agreements import ListedAgreement, find_version, list_versions
from exchange.cli.certification.issuing import (
    REASON,
    Certification,
    CertifierOption,
    OutOption,
    check_sandbox,
    digest_of,
    issue,
)
from exchange.cli.certification.outcome import Outcome
from exchange.cli.certification.report import own_client_sha256
from exchange.cli.certification.scenarios import SCENARIOS, outcome_of
from exchange.cli.certification.trial import Trial
from exchange.cli.connection import Connection, connect
from exchange.cli.options import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    JsonOption,
    PartnerProfileOption,
    ServerOption,
    operator_profile,
    partner_profile,
)
from exchange.cli.profile import Profile, load_profile
from partners.agreement import CreditMode, Terms
from partners.certification import Method
from partners.errors import Reason, Refused
from partners.keys import Purpose
from pointclear.partners.v1.partners_service_pb2 import AGREEMENT_STATE_IN_FORCE


def run(
    profile_dir: PartnerProfileOption,
    out: OutOption,
    agreement: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Send under this agreement, whose target honours committed credits."
            " [default: the first such in force, the partner its source]",
        ),
    ] = None,
    counterparty: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The profile of the agreement's target, which confirms a link."
            " [default: the folder of its name beside the partner's]",
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
    operator: CertifierOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run every scenario against a sandbox, and write the signed report.

    It acts as the partner, with its keys and over its connection, and for one link as its
    counterparty. The last scenario closes and states the settlement window; the next opens at once.
    Exit code 1 where a scenario did not pass: the report says so too, and no partner goes live with
    it.
    """
    profile = partner_profile(profile_dir, server)
    by = operator_profile(operator, data_dir, server)
    check_sandbox(profile, by, "operator")
    client_sha256 = digest_of(client) if client else own_client_sha256()
    with connect(profile) as connection, connect(by, REASON) as operating:
        versions = list_versions(connection)
        terms = _agreement(connection, versions, agreement).terms
        other = _counterparty(profile, counterparty, terms.target_partner, server)
        with connect(other) as confirming:
            trial = Trial(
                connection,
                confirming,
                operating,
                terms,
                source_member,
                target_member,
                profile.signer(Purpose.ORDERS),
                _confirmed(versions, terms),
            )
            outcomes = _run_all(trial, quiet=as_json)
    issue(Certification(profile, by, client_sha256, Method.RUN), outcomes, out, as_json=as_json)


def _agreement(
    connection: Connection, versions: Sequence[ListedAgreement], agreement_id: str | None
) -> ListedAgreement:
    if agreement_id is not None:
        return find_version(versions, agreement_id, None)
    name = connection.profile.caller.name
    for each in _in_force(versions):
        if each.terms.source_partner == name and each.terms.credit_mode is CreditMode.GUARANTEED:
            return each
    raise Refused(
        Reason.AGREEMENT_UNKNOWN, "agreement_id", f"no agreement is in force with {name} as source"
    )


def _confirmed(versions: Sequence[ListedAgreement], terms: Terms) -> Terms | None:
    """Of an agreement of the same brands whose target confirms each credit."""
    return next(
        (
            each.terms
            for each in _in_force(versions)
            if each.terms.source_partner == terms.source_partner
            and each.terms.target_partner == terms.target_partner
            and each.terms.credit_mode is CreditMode.CONFIRMED
        ),
        None,
    )


def _in_force(versions: Sequence[ListedAgreement]) -> Iterator[ListedAgreement]:
    return (each for each in versions if each.message.state == AGREEMENT_STATE_IN_FORCE)


def _counterparty(
    partner: Profile, directory: Path | None, target_partner: str, server: str | None
) -> Profile:
    """The profile of the brand that is to confirm a link. Raises FileError or Refused."""
    beside = partner.directory.resolve().parent / target_partner
    profile = load_profile(directory or beside, server, option="--counterparty")
    if profile.caller.is_operator or profile.caller.name != target_partner:
        raise Refused(
            Reason.FIELD_INVALID,
            "counterparty",
            f"{profile.directory} is {profile.caller.name}'s profile, and the agreement's target is"
            f" {target_partner}",
        )
    check_sandbox(partner, profile, "counterparty")
    return profile


def _run_all(trial: Trial, *, quiet: bool) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for place, scenario in enumerate(SCENARIOS, start=1):
        if not quiet:
            typer.echo(f"{place}/{len(SCENARIOS)} {scenario.name}", err=True)
        outcomes.append(outcome_of(scenario, trial))
    return outcomes
