"""`transfer` and `lookup`."""

import base64
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
import uuid_utils

from exchange.cli.agreements.agreements import find_version, list_versions, target_points_of
from exchange.cli.calling import App
from exchange.cli.connection import Connection, connect
from exchange.cli.failure import proof_invalid
from exchange.cli.options import (
    JsonOption,
    PartnerProfileOption,
    ServerOption,
    parse_agreement_name,
    parse_duration,
    parse_uuid,
    partner_profile,
)
from exchange.cli.output import answer, envelope_document, pairs
from exchange.cli.profile import Profile
from exchange.cli.proofs import Proof
from exchange.cli.transfers.orders import Sent, answered, kept_or_signed, verified, write_envelope
from exchange.cli.transfers.quote_commands import read_quote_file
from exchange.cli.transfers.transfer_documents import proof_document
from partners.envelope import TRANSFER_ORDER, Envelope
from partners.errors import Reason, Refused
from partners.keys import Purpose
from partners.wire import envelope_from_proto, envelope_to_proto, parse_strictly
from pointclear.client.orders import build_order, sign_order
from pointclear.exchange.v1.exchange_service_pb2 import (
    CreateTransferRequest,
    CreateTransferResponse,
    GetTransferRequest,
    GetTransferResponse,
)
from pointclear.exchange.v1.quote_pb2 import Quote
from pointclear.exchange.v1.transfer_pb2 import TransferOrder

UNREVERSED = ("reversed_points", 0)
"""Not worth a line for people."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A transfer as it was asked for; what is None is the agreement's to say."""

    agreement_id: str
    agreement_version: int | None
    source_program: str | None
    target_program: str | None
    source_points: int
    target_points: int | None
    transfer_id: bytes = b""
    source_member: str = ""
    target_member: str = ""
    reference: str = ""
    link_id: bytes = b""
    segment: str = ""
    quote_id: bytes = b""


def add_transfer_commands(app: App) -> None:
    """Add both commands."""
    app.command("transfer")(transfer)
    app.command("lookup")(lookup)


def transfer(
    profile_dir: PartnerProfileOption,
    agreement: Annotated[
        str | None,
        typer.Option(
            metavar="ID[:VERSION]", help="The agreement; without version, the one in force."
        ),
    ] = None,
    points: Annotated[int | None, typer.Option(help="Points to surrender.")] = None,
    quote: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A quote that was kept, which says agreement and points.",
        ),
    ] = None,
    source_member: Annotated[str, typer.Option(help="Your id for the member.")] = "",
    target_member: Annotated[str, typer.Option(help="The target brand's id for the member.")] = "",
    link: Annotated[
        str | None, typer.Option(metavar="LINK_ID", help="A link in place of both members.")
    ] = None,
    target_points: Annotated[
        int | None,
        typer.Option(
            help="Points to be granted. [default: by the agreement, with every promotion that runs]"
        ),
    ] = None,
    segment: Annotated[str, typer.Option(help="The member's segment of the agreement.")] = "",
    source_program: Annotated[str | None, typer.Option(help="[default: the agreement's]")] = None,
    target_program: Annotated[str | None, typer.Option(help="[default: the agreement's]")] = None,
    reference: Annotated[str, typer.Option(help="Your own reference, at most 64 characters.")] = "",
    transfer_id: Annotated[
        str | None,
        typer.Option("--id", metavar="UUID", help="A UUID version 7. [default: a new one]"),
    ] = None,
    expires_in: Annotated[
        str, typer.Option(help="How long the order is good: 90s, 5m, 2h.")
    ] = "5m",
    order: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep the signed order here before it is sent; one that is there is sent.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the signed receipt here.")
    ] = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Order a transfer, and verify the receipt that answers it.

    An order that was refused and recorded has a receipt too: --out keeps it.
    """
    if (link is None) == (not source_member or not target_member):
        raise typer.BadParameter("name --source-member and --target-member, or --link")
    profile = partner_profile(profile_dir, server)
    lifetime = parse_duration(expires_in)
    identifier = parse_uuid(transfer_id) if transfer_id else UUID(bytes=uuid_utils.uuid7().bytes)
    if quote is not None:
        if agreement or points or target_points or source_program or target_program or segment:
            raise typer.BadParameter("a quote says agreement, programs, points and segment")
        wanted = _wanted_at(read_quote_file(quote))
    elif agreement is None or points is None:
        raise typer.BadParameter("name --agreement and --points, or --quote")
    else:
        agreement_id, version = parse_agreement_name(agreement)
        wanted = Wanted(
            agreement_id=agreement_id,
            agreement_version=version,
            source_program=source_program,
            target_program=target_program,
            source_points=points,
            target_points=target_points,
            segment=segment,
        )
    wanted = replace(
        wanted,
        transfer_id=identifier.bytes,
        source_member=source_member,
        target_member=target_member,
        reference=reference,
        link_id=parse_uuid(link).bytes if link else b"",
    )
    with connect(profile) as connection:
        signed = kept_or_signed(
            order, TRANSFER_ORDER, lambda: _sign(profile, _complete(connection, wanted), lifetime)
        )

        def ask() -> Envelope:
            response: CreateTransferResponse = connection.call(
                connection.exchange.CreateTransfer,
                CreateTransferRequest(order=envelope_to_proto(signed)),
            )
            return envelope_from_proto(response.receipt)

        named = parse_strictly(TransferOrder(), signed.payload).transfer_id
        proof = answered(connection, ask, Sent(signed, named, named, order), out)
    _answer_proof(as_json, proof)


def lookup(
    transfer_id: Annotated[str, typer.Argument(metavar="TRANSFER_ID", help="A UUID.")],
    profile_dir: PartnerProfileOption,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the signed receipt or notice here.")
    ] = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look up a transfer, and verify your proof of it.

    A code that came in place of points is shown as it is stored, sealed: see `fulfilment open`.
    """
    profile = partner_profile(profile_dir, server)
    identifier = parse_uuid(transfer_id)
    with connect(profile) as connection:
        response: GetTransferResponse = connection.call(
            connection.exchange.GetTransfer, GetTransferRequest(transfer_id=identifier.bytes)
        )
        proof = verified(connection, envelope_from_proto(response.entry.envelope))
        sealed = base64.b64encode(response.fulfilment).decode()
    if proof.record.transfer_id != identifier.bytes:
        raise proof_invalid("the proof is about another transfer", "transfer_id")
    write_envelope(out, proof.envelope)
    _answer_proof(as_json, proof, response.reversed_points, sealed)


def _wanted_at(offer: Quote) -> Wanted:
    return Wanted(
        agreement_id="",
        agreement_version=0,
        source_program=offer.source_program,
        target_program=offer.target_program,
        source_points=offer.source_points,
        target_points=offer.target_points,
        segment=offer.segment,
        quote_id=offer.quote_id,
    )


def _complete(connection: Connection, wanted: Wanted) -> Wanted:
    """What was not said is the agreement's to say. Raises Failed, or Refused(AGREEMENT_UNKNOWN)."""
    if None not in (
        wanted.agreement_version,
        wanted.source_program,
        wanted.target_program,
        wanted.target_points,
    ):
        return wanted
    versions = list_versions(connection)
    terms = find_version(versions, wanted.agreement_id, wanted.agreement_version).terms
    return replace(
        wanted,
        agreement_version=terms.version,
        source_program=wanted.source_program or terms.source_program,
        target_program=wanted.target_program or terms.target_program,
        target_points=target_points_of(
            terms, wanted.source_points, wanted.segment, datetime.now(UTC)
        )
        if wanted.target_points is None
        else wanted.target_points,
    )


def _sign(profile: Profile, wanted: Wanted, lifetime: timedelta) -> Envelope:
    now = datetime.now(UTC)
    try:
        payload = build_order(
            audience=profile.audience,
            partner_id=profile.caller.name,
            transfer_id=wanted.transfer_id,
            source_program=wanted.source_program or "",
            target_program=wanted.target_program or "",
            source_member=wanted.source_member,
            target_member=wanted.target_member,
            source_points=wanted.source_points,
            target_points=wanted.target_points or 0,
            agreement_id=wanted.agreement_id,
            agreement_version=wanted.agreement_version or 0,
            issued_at=now,
            expires_at=now + lifetime,
            partner_reference=wanted.reference,
            link_id=wanted.link_id,
            segment=wanted.segment,
            quote_id=wanted.quote_id,
        )
    except ValueError as error:
        raise Refused(Reason.FIELD_INVALID, "", str(error)) from None
    return envelope_from_proto(sign_order(profile.signer(Purpose.ORDERS), payload))


def _answer_proof(
    as_json: bool, proof: Proof, reversed_points: int = 0, fulfilment: str = ""
) -> None:
    document = {
        **proof_document(proof),
        "reversed_points": reversed_points,
        "fulfilment": fulfilment,
    }
    facts = [
        (name.replace("_", " "), value)
        for name, value in document.items()
        if value not in (None, "") and name not in ("kind", "state") and (name, value) != UNREVERSED
    ]
    answer(
        as_json,
        {**document, "envelope": envelope_document(proof.envelope)},
        f"{document['state']}: {document['source_points']} {document['source_program']} points"
        f" → {document['target_points']} {document['target_program']} points",
        pairs(facts),
    )
