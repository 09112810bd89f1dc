"""`reverse`: the target of a transfer says what it has taken back of it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
import uuid_utils

from exchange.cli.connection import Connection, connect
from exchange.cli.failure import UNAVAILABLE, Failed
from exchange.cli.files import PRIVATE_MODE, write_new
from exchange.cli.options import (
    JsonOption,
    PartnerProfileOption,
    ServerOption,
    parse_duration,
    parse_uuid,
    partner_profile,
)
from exchange.cli.output import answer, envelope_document, pairs
from exchange.cli.proofs import Proof, check_answers
from exchange.cli.transfer_commands import read_order_file, verified, with_way_back, write_envelope
from exchange.cli.transfer_documents import proof_document
from partners.envelope import REVERSAL_ORDER, Envelope, to_json
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
        if order is not None and order.exists():
            signed = read_order_file(order, REVERSAL_ORDER)
        else:
            now = datetime.now(UTC)
            try:
                payload = build_reversal(
                    audience=profile.audience,
                    partner_id=profile.caller.name,
                    reversal_id=own_id.bytes,
                    transfer_id=parse_uuid(transfer).bytes,
                    target_points=points,
                    issued_at=now,
                    expires_at=now + lifetime,
                    partner_reference=reference,
                )
            except ValueError as error:
                raise Refused(Reason.FIELD_INVALID, "", str(error)) from None
            signer = profile.signer(Purpose.ORDERS)
            signed = envelope_from_proto(sign_reversal(signer, payload))
            if order is not None:
                write_new(order, (to_json(signed) + "\n").encode(), PRIVATE_MODE)
        proof = _send(connection, signed, order, out)
    document = proof_document(proof)
    facts = [(name.replace("_", " "), value) for name, value in document.items() if value]
    answer(
        as_json,
        {**document, "envelope": envelope_document(proof.envelope)},
        f"{document['target_points']} {document['target_program']} points taken back:"
        f" {document['source_points']} {document['source_program']} points go back",
        pairs(facts),
    )


def _send(
    connection: Connection, order: Envelope, order_file: Path | None, out: Path | None
) -> Proof:
    message = parse_strictly(ReversalOrder(), order.payload)
    try:
        response: ReverseTransferResponse = connection.call(
            connection.exchange.ReverseTransfer,
            ReverseTransferRequest(reversal=envelope_to_proto(order)),
        )
    except Failed as failed:
        if failed.failure.reason == UNAVAILABLE:
            raise with_way_back(failed, message.transfer_id, order_file) from None
        if failed.failure.receipt is not None:
            refusal = verified(connection, failed.failure.receipt)
            check_answers(refusal, order.payload, message.reversal_id)
            write_envelope(out, refusal.envelope)
        raise
    proof = verified(connection, envelope_from_proto(response.notice))
    check_answers(proof, order.payload, message.reversal_id)
    write_envelope(out, proof.envelope)
    return proof
