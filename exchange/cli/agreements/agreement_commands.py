"""`agreement propose`, `sign` and `list`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.cli.agreements.agreement_answers import answer_version
from exchange.cli.agreements.agreement_documents import agreement_document
from exchange.cli.agreements.agreement_life import activate, counter, show, terminate, withdraw
from exchange.cli.agreements.agreements import ListedAgreement, find_version, list_versions
from exchange.cli.agreements.terms_file import read_terms, terms_payload
from exchange.cli.calling import App, ByAnybody
from exchange.cli.connection import connect
from exchange.cli.files import read_file
from exchange.cli.options import (
    JsonOption,
    PartnerProfileOption,
    ServerOption,
    partner_profile,
)
from exchange.cli.output import answer, table
from partners.agreement import CreditMode
from partners.agreement_checks import check_terms
from partners.envelope import RATE_AGREEMENT, sign
from partners.errors import Reason, Refused
from partners.keys import Purpose
from partners.wire import envelope_to_proto, terms_from_payload
from pointclear.partners.v1.partners_service_pb2 import (
    ProposeAgreementRequest,
    SignAgreementRequest,
)


def agreement_app() -> App:
    """The commands about agreements."""
    app = App(
        no_args_is_help=True, help="Negotiate rate agreements, put them in force, and end them."
    )
    app.command("propose")(propose)
    app.command("sign")(counter_sign_version)
    app.command("counter")(counter)
    app.command("withdraw")(withdraw)
    app.command("activate")(activate)
    app.command("terminate")(terminate)
    app.command("show")(show)
    app.command("list")(list_agreements)
    return app


def propose(
    profile_dir: PartnerProfileOption,
    terms: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="All terms from a file, JSON or TOML (*.toml): those that `agreement list --json`"
            " shows. Options that are named as well go before it.",
        ),
    ] = None,
    agreement_id: Annotated[str | None, typer.Option("--id", help="Names the agreement.")] = None,
    source_program: Annotated[
        str | None, typer.Option(help="Program whose points are surrendered.")
    ] = None,
    target_program: Annotated[
        str | None, typer.Option(help="Program whose points are granted.")
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(metavar="N:M", help="N source points give M target points, such as 50:25."),
    ] = None,
    maximum: Annotated[int | None, typer.Option(help="Most source points in one transfer.")] = None,
    currency: Annotated[
        str | None, typer.Option(help="ISO 4217 code of the settlement currency.")
    ] = None,
    price: Annotated[
        str | None,
        typer.Option(metavar="AMOUNT", help="Price of one target point, such as 0.0196."),
    ] = None,
    fee_bps: Annotated[
        int | None, typer.Option(help="The operator's fee in basis points of the value.")
    ] = None,
    tax: Annotated[
        str | None, typer.Option(help="Code of the tax on the fee, such as vat6.")
    ] = None,
    version: Annotated[int | None, typer.Option(help="Counts from 1. [default: 1]")] = None,
    source_partner: Annotated[str | None, typer.Option(help="[default: the caller]")] = None,
    target_partner: Annotated[str | None, typer.Option(help="[default: the caller]")] = None,
    minimum: Annotated[
        int | None, typer.Option(help="Least source points in one transfer. [default: one block]")
    ] = None,
    increment: Annotated[
        int | None,
        typer.Option(help="Source points come in multiples of this. [default: one block]"),
    ] = None,
    credit_mode: Annotated[
        CreditMode | None,
        typer.Option(
            case_sensitive=False,
            help="Whether the target honours committed credits, or its answer commits them."
            " [default: guaranteed]",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the signed agreement here.")
    ] = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Propose terms, signed; either brand may.

    What has no option (segments, promotions, further fees, limits of members, the expiry rule) is
    stated in a file of terms.
    """
    profile = partner_profile(profile_dir, server)
    named = {
        "agreement_id": agreement_id,
        "version": version,
        "source_partner": source_partner,
        "target_partner": target_partner,
        "source_program": source_program,
        "target_program": target_program,
        "rate": rate,
        "minimum_source_points": minimum,
        "maximum_source_points": maximum,
        "increment_source_points": increment,
        "currency": currency,
        "price_per_target_point": price,
        "fee_basis_points": fee_bps,
        "tax_code": tax,
        "credit_mode": credit_mode,
    }
    payload = terms_payload(
        {
            "source_partner": profile.caller.name,
            "target_partner": profile.caller.name,
            **(read_terms(read_file(terms).decode(), terms.suffix == ".toml") if terms else {}),
            **{name: value for name, value in named.items() if value is not None},
        },
        profile.audience,
        datetime.now(UTC),
    )
    envelope = sign(profile.signer(Purpose.AGREEMENTS), RATE_AGREEMENT, payload)
    # Terms that nobody could sign are refused before they leave.
    check_terms(terms_from_payload(envelope, profile.audience))
    with connect(profile) as connection:
        response = connection.call(
            connection.partners.ProposeAgreement,
            ProposeAgreementRequest(agreement=envelope_to_proto(envelope)),
        )
    answer_version(as_json, "Proposed", response.agreement, profile.audience, out)


def counter_sign_version(
    agreement_id: Annotated[str, typer.Argument(metavar="ID", help="The agreement.")],
    version: Annotated[int, typer.Argument(metavar="VERSION", help="Its number.")],
    profile_dir: PartnerProfileOption,
    sha256: Annotated[
        str | None,
        typer.Option(metavar="HEX", help="Sign only the terms with this SHA-256."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the signed agreement here.")
    ] = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Counter-sign the terms that the other brand proposed: the very same bytes."""
    profile = partner_profile(profile_dir, server)
    signer = profile.signer(Purpose.AGREEMENTS)
    with connect(profile) as connection:
        proposed = find_version(list_versions(connection), agreement_id, version)
        check_terms(proposed.terms)
        if sha256 is not None and sha256.lower() != proposed.terms.sha256.hex():
            raise Refused(
                Reason.TERMS_DIFFER,
                "sha256",
                f"the newest proposal is {proposed.terms.sha256.hex()}",
            )
        payload = proposed.message.envelope.payload
        response = connection.call(
            connection.partners.SignAgreement,
            SignAgreementRequest(
                agreement=envelope_to_proto(sign(signer, RATE_AGREEMENT, payload))
            ),
        )
    answer_version(as_json, "Signed", response.agreement, profile.audience, out)


def list_agreements(
    by: ByAnybody,
) -> None:
    """List agreement versions; a partner sees its own."""
    with by.connect() as connection:
        versions = list_versions(connection)
    answer(
        by.as_json,
        {"agreements": [agreement_document(each.message, each.terms) for each in versions]},
        table(
            ("agreement", "version", "corridor", "rate", "price", "state"),
            [_row(each) for each in versions],
            right=("version", "rate", "price"),
        ),
    )


def _row(listed: ListedAgreement) -> tuple[object, ...]:
    document = agreement_document(listed.message, listed.terms)
    return (
        document["agreement_id"],
        document["version"],
        f"{document['source_program']} → {document['target_program']}",
        document["rate"],
        _price_of(document),
        document["state"],
    )


def _price_of(document: dict[str, Any]) -> str:
    single = document.get("price_per_target_point")
    per = "" if single else " per thousand"
    return f"{single or document['price_per_thousand_target_points']} {document['currency']}{per}"
