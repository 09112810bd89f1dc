"""`quote`: ask for an offer, verify it and keep it."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
import uuid_utils

from exchange.cli.calling import App
from exchange.cli.connection import connect
from exchange.cli.failure import proof_invalid
from exchange.cli.files import FileError, read_file, write_output
from exchange.cli.options import (
    JsonOption,
    PartnerProfileOption,
    ServerOption,
    parse_duration,
    parse_uuid,
    partner_profile,
)
from exchange.cli.output import answer, envelope_document, pairs
from exchange.cli.proofs import read_quote
from exchange.cli.transfers.transfer_documents import quote_document
from partners.envelope import QUOTE, Envelope, from_json, require_type, to_json
from partners.errors import Refused
from partners.keys import Purpose
from partners.wire import envelope_from_proto
from pointclear.exchange.v1.exchange_service_pb2 import CreateQuoteRequest, CreateQuoteResponse
from pointclear.exchange.v1.quote_pb2 import Quote


def add_quote_command(app: App) -> None:
    """Add the command."""
    app.command("quote")(quote)


def quote(
    source_program: Annotated[
        str, typer.Option("--from", metavar="PROGRAM", help="Whose points are surrendered.")
    ],
    target_program: Annotated[
        str, typer.Option("--to", metavar="PROGRAM", help="Whose points are granted.")
    ],
    profile_dir: PartnerProfileOption,
    points: Annotated[
        int | None, typer.Option(help="Points to surrender; the quote says what they give.")
    ] = None,
    target_points: Annotated[
        int | None, typer.Option(help="Points to be granted; the quote says what they take.")
    ] = None,
    segment: Annotated[str, typer.Option(help="The member's segment of the agreement.")] = "",
    valid_for: Annotated[
        str, typer.Option(help="How long the quote is to be good: 30s, 15m at most.")
    ] = "60s",
    quote_id: Annotated[
        str | None,
        typer.Option("--id", metavar="UUID", help="A UUID version 7. [default: a new one]"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the signed quote here.")
    ] = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask what points come to, at figures that hold until the quote expires.

    `pointclear transfer --quote FILE` orders at it, once.
    """
    if (points is None) == (target_points is None):
        raise typer.BadParameter("name either --points or --target-points")
    profile = partner_profile(profile_dir, server)
    identifier = parse_uuid(quote_id) if quote_id else UUID(bytes=uuid_utils.uuid7().bytes)
    request = CreateQuoteRequest(
        quote_id=identifier.bytes,
        source_program=source_program,
        target_program=target_program,
        segment=segment,
        valid_seconds=parse_duration(valid_for) // timedelta(seconds=1),
    )
    if points is not None:
        request.source_points = points
    else:
        request.target_points = target_points or 0
    with connect(profile) as connection:
        response: CreateQuoteResponse = connection.call(connection.exchange.CreateQuote, request)
        envelope = envelope_from_proto(response.quote)
        keys = connection.exchange_keys(Purpose.RECEIPTS)
        offer = read_quote(envelope, keys, profile.audience, profile.caller.name)
    if offer.quote_id != identifier.bytes:
        raise proof_invalid("the quote answers another request", "quote_id")
    if out is not None:
        write_output(out, (to_json(envelope) + "\n").encode())
    _answer(as_json, envelope, offer)


def read_quote_file(path: Path) -> Quote:
    """A quote that was kept; raises FileError. Its signature was verified when it came."""
    try:
        envelope = from_json(read_file(path).decode())
        require_type(envelope, QUOTE)
    except (Refused, UnicodeDecodeError):
        raise FileError(f"{path}: this is not a signed quote; name another file") from None
    return Quote.FromString(envelope.payload)


def _answer(as_json: bool, envelope: Envelope, offer: Quote) -> None:
    document = quote_document(offer)
    facts = [
        (name.replace("_", " "), value)
        for name, value in document.items()
        if value not in (None, "", [])
    ]
    answer(
        as_json,
        {**document, "envelope": envelope_document(envelope)},
        f"{offer.source_points} {offer.source_program} points"
        f" → {offer.target_points} {offer.target_program} points"
        f" until {document['expires_at']}",
        pairs(facts),
    )
