"""`receipts`: a partner's stream."""

from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.calling import App
from exchange.cli.connection import Connection, connect
from exchange.cli.files import write_output
from exchange.cli.options import (
    JsonOption,
    PartnerProfileOption,
    ServerOption,
    partner_profile,
)
from exchange.cli.output import answer, table
from exchange.cli.proofs import FIRST_PREVIOUS, Proof, check_follows, read_proof
from exchange.cli.transfers.transfer_documents import proof_document
from partners.envelope import to_json
from partners.keys import Purpose
from partners.wire import envelope_from_proto
from pointclear.exchange.v1.exchange_service_pb2 import (
    ListReceiptsRequest,
    ListReceiptsResponse,
)

RECEIPTS_PAGE = 500


def add_receipts_command(app: App) -> None:
    """Add the command."""
    app.command("receipts")(receipts)


def receipts(
    profile_dir: PartnerProfileOption,
    after: Annotated[int, typer.Option(help="Start after this position of the stream.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jsonl", help="Write the envelopes here, one a line, in order."),
    ] = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read your receipts and notices, and verify that none is missing."""
    profile = partner_profile(profile_dir, server)
    with connect(profile) as connection:
        proofs = read_stream(connection, after)
    if out is not None:
        write_output(out, "".join(to_json(each.envelope) + "\n" for each in proofs).encode())
    documents = [proof_document(each) for each in proofs]
    answer(
        as_json,
        {"receipts": documents},
        table(
            ("seq", "kind", "transfer", "corridor", "points out", "points in", "state", "reason"),
            [
                (
                    each["stream_seq"],
                    each["kind"],
                    each["transfer_id"],
                    f"{each['source_program']} → {each['target_program']}",
                    each["source_points"],
                    each["target_points"],
                    each["state"],
                    each["reason"] or "",
                )
                for each in documents
            ],
            right=("seq", "points out", "points in"),
        ),
        f"{len(documents)} verified",
    )


def read_stream(
    connection: Connection,
    after: int,
    page_size: int = RECEIPTS_PAGE,
    previous: bytes | None = None,
) -> list[Proof]:
    """The caller's stream after a position, verified entry by entry and as a chain; `previous` is
    the digest of the payload at that position, where it is known.

    Raises Failed.
    """
    profile = connection.profile
    keys = connection.exchange_keys(Purpose.RECEIPTS)
    proofs: list[Proof] = []
    previous = FIRST_PREVIOUS if after == 0 else previous
    while True:
        page: ListReceiptsResponse = connection.call(
            connection.exchange.ListReceipts,
            ListReceiptsRequest(after_stream_seq=after, page_size=page_size),
        )
        for entry in page.entries:
            proof = read_proof(
                envelope_from_proto(entry.envelope), keys, profile.audience, profile.caller.name
            )
            check_follows(proof, after + 1, previous)
            proofs.append(proof)
            after, previous = proof.body.stream_seq, proof.sha256
        if not page.entries or after >= page.last_stream_seq:
            return proofs
