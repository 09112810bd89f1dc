"""`agreement propose`, `sign`, `activate` and `list`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.agreements import (
    ListedAgreement,
    ProposedTerms,
    agreement_payload,
    find_version,
    list_versions,
)
from exchange.cli.connection import connect
from exchange.cli.documents import agreement_document, terms_document
from exchange.cli.files import write_output
from exchange.cli.options import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    EitherProfileOption,
    JsonOption,
    OperatorProfileOption,
    PartnerProfileOption,
    ReasonOption,
    ServerOption,
    either_profile,
    operator_profile,
    parse_rate,
    partner_profile,
)
from exchange.cli.output import Command, answer, pairs, table
from partners.agreement import Terms
from partners.agreement_checks import check_terms
from partners.envelope import RATE_AGREEMENT, sign, to_json
from partners.keys import Purpose
from partners.points import currency_scale, parse_amount
from partners.wire import envelope_from_proto, envelope_to_proto, terms_from_payload
from pointclear.partners.v1.partners_service_pb2 import (
    ActivateAgreementRequest,
    Agreement,
    ProposeAgreementRequest,
    SignAgreementRequest,
)


def agreement_app() -> typer.Typer:
    """The commands about agreements."""
    app = typer.Typer(
        no_args_is_help=True, help="Propose, counter-sign, activate and list rate agreements."
    )
    app.command("propose", cls=Command)(propose)
    app.command("sign", cls=Command)(counter_sign_version)
    app.command("activate", cls=Command)(activate)
    app.command("list", cls=Command)(list_agreements)
    return app


def propose(
    agreement_id: Annotated[str, typer.Option("--id", help="Names the agreement.")],
    source_program: Annotated[str, typer.Option(help="Program whose points are surrendered.")],
    target_program: Annotated[str, typer.Option(help="Program whose points are granted.")],
    rate: Annotated[
        str,
        typer.Option(metavar="N:M", help="N source points give M target points, such as 50:25."),
    ],
    maximum: Annotated[int, typer.Option(help="Most source points in one transfer.")],
    currency: Annotated[str, typer.Option(help="ISO 4217 code of the settlement currency.")],
    price: Annotated[
        str, typer.Option(metavar="AMOUNT", help="Price of one target point, such as 0.0196.")
    ],
    fee_bps: Annotated[int, typer.Option(help="The operator's fee in basis points of the value.")],
    tax: Annotated[str, typer.Option(help="Code of the tax on the fee, such as vat6.")],
    profile_dir: PartnerProfileOption,
    version: Annotated[int, typer.Option(help="Counts from 1.")] = 1,
    source_partner: Annotated[str | None, typer.Option(help="[default: the caller]")] = None,
    target_partner: Annotated[str | None, typer.Option(help="[default: the caller]")] = None,
    minimum: Annotated[
        int | None, typer.Option(help="Least source points in one transfer. [default: one block]")
    ] = None,
    increment: Annotated[
        int | None,
        typer.Option(help="Source points come in multiples of this. [default: one block]"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the signed agreement here.")
    ] = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Propose terms, signed; either brand may."""
    profile = partner_profile(profile_dir, server)
    source_units, target_units = parse_rate(rate)
    payload = agreement_payload(
        ProposedTerms(
            audience=profile.audience,
            agreement_id=agreement_id,
            version=version,
            source_partner=source_partner or profile.caller.name,
            target_partner=target_partner or profile.caller.name,
            source_program=source_program,
            target_program=target_program,
            rate=(source_units, target_units),
            minimum=source_units if minimum is None else minimum,
            maximum=maximum,
            increment=source_units if increment is None else increment,
            currency=currency,
            price=parse_amount(price, currency_scale(currency).scale, "price_per_target_point"),
            fee_basis_points=fee_bps,
            tax_code=tax,
            issued_at=datetime.now(UTC),
        )
    )
    envelope = sign(profile.signer(Purpose.AGREEMENTS), RATE_AGREEMENT, payload)
    # Terms that nobody could sign are refused before they leave.
    check_terms(terms_from_payload(envelope, profile.audience))
    with connect(profile) as connection:
        response = connection.call(
            connection.partners.ProposeAgreement,
            ProposeAgreementRequest(agreement=envelope_to_proto(envelope)),
        )
    _answer_version(as_json, "Proposed", response.agreement, profile.audience, out)


def counter_sign_version(
    agreement_id: Annotated[str, typer.Argument(metavar="ID", help="The agreement.")],
    version: Annotated[int, typer.Argument(metavar="VERSION", help="Its number.")],
    profile_dir: PartnerProfileOption,
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
        payload = proposed.message.envelope.payload
        response = connection.call(
            connection.partners.SignAgreement,
            SignAgreementRequest(
                agreement=envelope_to_proto(sign(signer, RATE_AGREEMENT, payload))
            ),
        )
    _answer_version(as_json, "Signed", response.agreement, profile.audience, out)


def activate(
    agreement_id: Annotated[str, typer.Argument(metavar="ID", help="The agreement.")],
    version: Annotated[int, typer.Argument(metavar="VERSION", help="Its number.")],
    reason: ReasonOption = "",
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: OperatorProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a counter-signed version in force; the one in force before it ends."""
    profile = operator_profile(profile_dir, data_dir, server)
    with connect(profile, reason) as connection:
        response = connection.call(
            connection.partners.ActivateAgreement,
            ActivateAgreementRequest(agreement_id=agreement_id, version=version),
        )
    _answer_version(as_json, "Activated", response.agreement, profile.audience, None)


def list_agreements(
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: EitherProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """List agreement versions; a partner sees its own."""
    with connect(either_profile(profile_dir, data_dir, server)) as connection:
        versions = list_versions(connection)
    answer(
        as_json,
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
        f"{document['price_per_target_point']} {document['currency']}",
        document["state"],
    )


def _answer_version(
    as_json: bool, verb: str, message: Agreement, audience: str, out: Path | None
) -> None:
    envelope = envelope_from_proto(message.envelope)
    if out is not None:
        write_output(out, (to_json(envelope) + "\n").encode())
    terms = terms_from_payload(envelope, audience)
    document = agreement_document(message, terms)
    answer(
        as_json,
        document,
        f"{verb} {terms.agreement_id} version {terms.version}: {document['state']}",
        *(() if verb == "Activated" else (_terms_table(terms),)),
    )


def _terms_table(terms: Terms) -> object:
    return pairs((name.replace("_", " "), value) for name, value in terms_document(terms).items())
