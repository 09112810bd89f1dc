"""`agreement counter`, `withdraw`, `activate`, `terminate` and `show`: from proposals to an end."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.cli.agreements.agreement_answers import answer_version, terms_table
from exchange.cli.agreements.agreement_documents import agreement_document, terms_document
from exchange.cli.agreements.agreements import find_version, list_versions
from exchange.cli.calling import ByActingOperator, ByAnybody, ByPartner, BySomebodyActing
from exchange.cli.connection import connect
from exchange.cli.options import (
    JsonOption,
    PartnerProfileOption,
    ServerOption,
    parse_instant,
    parse_rate,
    partner_profile,
)
from exchange.cli.output import answer, table
from partners.agreement_checks import check_terms
from partners.envelope import AGREEMENT_TERMINATION, AGREEMENT_WITHDRAWAL, RATE_AGREEMENT, sign
from partners.errors import Reason, Refused
from partners.keys import Purpose
from partners.points import currency_scale, parse_amount
from partners.wire import (
    envelope_from_proto,
    envelope_to_proto,
    terms_from_payload,
    time_to_proto,
)
from pointclear.partners.v1.agreement_life_pb2 import AgreementTermination, AgreementWithdrawal
from pointclear.partners.v1.agreement_pb2 import BlockRate, RateAgreement
from pointclear.partners.v1.partners_service_pb2 import (
    ActivateAgreementRequest,
    CounterAgreementRequest,
    EndAgreementRequest,
    GetAgreementRequest,
    GetAgreementResponse,
    Proposal,
    TerminateAgreementRequest,
    WithdrawAgreementRequest,
)

AgreementArgument = Annotated[str, typer.Argument(metavar="ID", help="The agreement.")]
VersionArgument = Annotated[int, typer.Argument(metavar="VERSION", help="Its number.")]


def counter(
    agreement_id: AgreementArgument,
    version: VersionArgument,
    profile_dir: PartnerProfileOption,
    rate: Annotated[
        str | None,
        typer.Option(metavar="N:M", help="N source points give M target points, such as 50:25."),
    ] = None,
    price: Annotated[
        str | None, typer.Option(metavar="AMOUNT", help="Price of one target point.")
    ] = None,
    fee_bps: Annotated[int | None, typer.Option(help="The fee in basis points.")] = None,
    tax: Annotated[str | None, typer.Option(help="Code of the tax on the fee.")] = None,
    minimum: Annotated[int | None, typer.Option(help="Least source points.")] = None,
    maximum: Annotated[int | None, typer.Option(help="Most source points.")] = None,
    increment: Annotated[int | None, typer.Option(help="Source points of one step.")] = None,
    notice_days: Annotated[int | None, typer.Option(help="Days of notice.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the signed agreement here.")
    ] = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer the other brand's proposal with one that differs in the terms given.

    It replaces the open proposal of that version; all other terms stay as they were proposed.
    """
    profile = partner_profile(profile_dir, server)
    signer = profile.signer(Purpose.AGREEMENTS)
    with connect(profile) as connection:
        proposed = find_version(list_versions(connection), agreement_id, version)
        message = RateAgreement.FromString(proposed.message.envelope.payload)
        changes: dict[str, Any] = {
            "fee_basis_points": fee_bps,
            "tax_code": tax,
            "minimum_source_points": minimum,
            "maximum_source_points": maximum,
            "increment_source_points": increment,
            "notice_days": notice_days,
        }
        if price is not None:
            scale = currency_scale(message.settlement_currency).scale
            message.price_per_thousand_target_points = 0
            changes["price_per_target_point"] = parse_amount(price, scale, "price_per_target_point")
        if rate is not None:
            source_units, target_units = parse_rate(rate)
            message.block_rate.CopyFrom(
                BlockRate(source_units=source_units, target_units=target_units)
            )
        change(message, changes)
        message.issued_at.CopyFrom(time_to_proto(datetime.now(UTC)))
        payload = message.SerializeToString(deterministic=True)
        envelope = sign(signer, RATE_AGREEMENT, payload)
        # Terms that nobody could sign are refused before they leave.
        check_terms(terms_from_payload(envelope, profile.audience))
        response = connection.call(
            connection.partners.CounterAgreement,
            CounterAgreementRequest(agreement=envelope_to_proto(envelope)),
        )
    answer_version(as_json, "Countered", response.agreement, profile.audience, out)


def change(message: RateAgreement, changes: dict[str, Any]) -> None:
    """Set the fields that are given. Raises Refused(FIELD_INVALID) for a figure too large."""
    for field, value in changes.items():
        if value is None:
            continue
        try:
            setattr(message, field, value)
        except ValueError as error:
            raise Refused(Reason.FIELD_INVALID, field, str(error)) from None


def withdraw(
    by: ByPartner,
    agreement_id: AgreementArgument,
    version: VersionArgument,
) -> None:
    """Take your own proposal back, before it is activated."""
    profile = by.profile()
    signer = profile.signer(Purpose.AGREEMENTS)
    with connect(profile) as connection:
        proposed = find_version(list_versions(connection), agreement_id, version)
        payload = AgreementWithdrawal(
            audience=profile.audience,
            agreement_id=agreement_id,
            version=version,
            agreement_sha256=proposed.terms.sha256,
            issued_at=time_to_proto(datetime.now(UTC)),
        ).SerializeToString(deterministic=True)
        envelope = sign(signer, AGREEMENT_WITHDRAWAL, payload)
        response = connection.call(
            connection.partners.WithdrawAgreement,
            WithdrawAgreementRequest(withdrawal=envelope_to_proto(envelope)),
        )
    answer_version(by.as_json, "Withdrew", response.agreement, profile.audience, with_terms=False)


def activate(
    by: ByActingOperator,
    agreement_id: AgreementArgument,
    version: VersionArgument,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="In force from here, ISO 8601; UTC if it names no offset. [default: now]",
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="And until here, exclusive. [default: the next version's begin]"
        ),
    ] = None,
) -> None:
    """Put a counter-signed version in force; the one in force then ends."""
    profile = by.profile()
    request = ActivateAgreementRequest(agreement_id=agreement_id, version=version)
    if at is not None:
        request.effective_from.CopyFrom(time_to_proto(parse_instant(at)))
    if until is not None:
        request.effective_until.CopyFrom(time_to_proto(parse_instant(until)))
    with connect(profile, by.reason) as connection:
        response = connection.call(connection.partners.ActivateAgreement, request)
    answer_version(by.as_json, "Activated", response.agreement, profile.audience, with_terms=False)


def terminate(
    by: BySomebodyActing,
    agreement_id: AgreementArgument,
    version: VersionArgument,
    at: Annotated[
        str,
        typer.Option(metavar="TIME", help="The end, ISO 8601, at least the notice period ahead."),
    ],
) -> None:
    """End a version with notice: a brand by its signature, or an operator."""
    profile = by.profile()
    until = time_to_proto(parse_instant(at))
    with connect(profile, by.reason) as connection:
        if profile.caller.is_operator:
            ended = connection.call(
                connection.partners.EndAgreement,
                EndAgreementRequest(
                    agreement_id=agreement_id, version=version, effective_until=until
                ),
            ).agreement
        else:
            signer = profile.signer(Purpose.AGREEMENTS)
            listed = find_version(list_versions(connection), agreement_id, version)
            payload = AgreementTermination(
                audience=profile.audience,
                agreement_id=agreement_id,
                version=version,
                agreement_sha256=listed.terms.sha256,
                effective_until=until,
                issued_at=time_to_proto(datetime.now(UTC)),
            ).SerializeToString(deterministic=True)
            envelope = sign(signer, AGREEMENT_TERMINATION, payload)
            ended = connection.call(
                connection.partners.TerminateAgreement,
                TerminateAgreementRequest(termination=envelope_to_proto(envelope)),
            ).agreement
    answer_version(by.as_json, "Terminated", ended, profile.audience, with_terms=False)


def show(
    by: ByAnybody,
    agreement_id: AgreementArgument,
    version: VersionArgument,
) -> None:
    """Show a version: its terms, how far it has come, and every proposal that was made for it."""
    profile = by.profile()
    with connect(profile) as connection:
        response: GetAgreementResponse = connection.call(
            connection.partners.GetAgreement,
            GetAgreementRequest(agreement_id=agreement_id, version=version),
        )
    newest = envelope_from_proto(response.agreement.envelope)
    terms = terms_from_payload(newest, profile.audience)
    document = agreement_document(response.agreement, terms)
    rounds = [round_document(each, profile.audience) for each in response.proposals]
    lasts = f"{document['effective_from'] or '-'} until {document['effective_until'] or '-'}"
    answer(
        by.as_json,
        {**document, "proposals": rounds},
        f"{agreement_id} version {version}: {document['state']}, in force from {lasts}",
        terms_table(terms),
        table(
            ("round", "by", "", "signatures", "sha256"),
            [
                (
                    each["round"],
                    each["proposer"],
                    what_became_of(each),
                    len(each["signed_by_keys"]),
                    each["terms"]["sha256"],
                )
                for each in rounds
            ],
            right=("round", "signatures"),
        ),
    )


def round_document(proposal: Proposal, audience: str) -> dict[str, Any]:
    """One round of a negotiation for machines."""
    envelope = envelope_from_proto(proposal.envelope)
    terms = terms_from_payload(envelope, audience)
    return {
        "round": proposal.round,
        "proposer": proposal.proposer,
        "is_counter": proposal.is_counter,
        "withdrawn": proposal.withdrawn,
        "signed_by_keys": [each.key_id for each in envelope.signatures],
        "terms": terms_document(terms),
    }


def what_became_of(each: dict[str, Any]) -> str:
    """A round in a word or two, for people."""
    words = ["counter" if each["is_counter"] else "proposal"]
    return ", ".join([*words, *(["withdrawn"] if each["withdrawn"] else [])])
