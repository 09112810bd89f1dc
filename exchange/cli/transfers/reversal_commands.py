"""`reverse`: the target of a transfer says what it has taken back of it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
import uuid_utils

from exchange.cli.connection import connect
from exchange.cli.options import (
    JsonOption,
    PartnerProfileOption,
    ServerOption,
    parse_duration,
    parse_uuid,
    partner_profile,
)
from exchange.cli.output import answer, envelope_document, pairs
from exchange.cli.profile import Profile
from exchange.cli.transfers.orders import Sent, answered, kept_or_signed
from exchange.cli.transfers.transfer_documents import proof_document
from partners.envelope import REVERSAL_ORDER, Envelope
from partners.errors import Reason, Refused
from partners.keys import Purpose
from partners.wire import envelope_from_proto, envelope_to_proto, parse_strictly
from pointclear.client.orders import build_reversal, sign_reversal
from pointclear.exchange.v1.exchange_service_pb2 import (
    ReverseTransferRequest,
    ReverseTransferResponse,
)
from pointclear.exchange.v1.transfer_pb2 import ReversalOrder


def reverse(
    profile_dir: PartnerProfileOption,
    transfer: Annotated[str, typer.Option(metavar="TRANSFER_ID", help="What is reversed.")],
    points: Annotated[
        int, typer.Option(help="Points of yours that you have taken back, bonuses among them.")
    ],
    reference: Annotated[str, typer.Option(help="Your own reference, at most 64 characters.")] = "",
    reversal_id: Annotated[
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
        Path | None, typer.Option(metavar="FILE", help="Write the signed notice here.")
    ] = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Book what you have taken back of a transfer that came to you, in part or in whole.

    Take the points back in your own program first. A reversal that was refused and recorded has a
    notice too: --out keeps it.
    """
    profile = partner_profile(profile_dir, server)
    lifetime = parse_duration(expires_in)
    own_id = parse_uuid(reversal_id) if reversal_id else UUID(bytes=uuid_utils.uuid7().bytes)
    with connect(profile) as connection:

        def sign() -> Envelope:
            return _sign(profile, own_id, parse_uuid(transfer), points, reference, lifetime)

        signed = kept_or_signed(order, REVERSAL_ORDER, sign)

        def ask() -> Envelope:
            response: ReverseTransferResponse = connection.call(
                connection.exchange.ReverseTransfer,
                ReverseTransferRequest(reversal=envelope_to_proto(signed)),
            )
            return envelope_from_proto(response.notice)

        named = parse_strictly(ReversalOrder(), signed.payload)
        sent = Sent(signed, named.transfer_id, named.reversal_id, order)
        proof = answered(connection, ask, sent, out)
    document = proof_document(proof)
    facts = [(name.replace("_", " "), value) for name, value in document.items() if value]
    answer(
        as_json,
        {**document, "envelope": envelope_document(proof.envelope)},
        f"{document['target_points']} {document['target_program']} points taken back:"
        f" {document['source_points']} {document['source_program']} points go back",
        pairs(facts),
    )


def _sign(
    profile: Profile,
    own_id: UUID,
    transfer_id: UUID,
    points: int,
    reference: str,
    lifetime: timedelta,
) -> Envelope:
    now = datetime.now(UTC)
    try:
        payload = build_reversal(
            audience=profile.audience,
            partner_id=profile.caller.name,
            reversal_id=own_id.bytes,
            transfer_id=transfer_id.bytes,
            target_points=points,
            issued_at=now,
            expires_at=now + lifetime,
            partner_reference=reference,
        )
    except ValueError as error:
        raise Refused(Reason.FIELD_INVALID, "", str(error)) from None
    return envelope_from_proto(sign_reversal(profile.signer(Purpose.ORDERS), payload))
