"""`transfers`, `simulate`, `position` and `corridors`: what the exchange says and does not sign."""

from typing import Annotated, Any

import typer

from exchange.cli.agreements.agreement_documents import corridor_document
from exchange.cli.calling import App, ByAnybody, ByPartner
from exchange.cli.connection import Connection, connect
from exchange.cli.options import (
    JsonOption,
    PartnerProfileOption,
    ServerOption,
    parse_instant,
    partner_profile,
)
from exchange.cli.output import answer, pairs, table
from exchange.cli.transfers.transfer_documents import (
    listed_document,
    position_document,
    simulation_document,
)
from partners.wire import time_to_proto
from pointclear.exchange.v1.exchange_service_pb2 import (
    Corridor,
    GetPositionRequest,
    ListCorridorsRequest,
    ListedTransfer,
    ListTransfersRequest,
    SimulateTransferRequest,
    TransferFilter,
)
from pointclear.exchange.v1.transfer_pb2 import TransferState

PAGE = 500
STATES = ("COMMITTED", "REFUSED", "HELD", "RESERVED", "ABORTED")


def add_reading_commands(app: App) -> None:
    """Add the four commands."""
    app.command("transfers")(transfers)
    app.command("simulate")(simulate)
    app.command("position")(position)
    app.command("corridors")(corridors)


def transfers(
    profile_dir: PartnerProfileOption,
    state: Annotated[str | None, typer.Option(help="COMMITTED, REFUSED, HELD or ABORTED.")] = None,
    program: Annotated[str, typer.Option(help="The source or the target program.")] = "",
    counterparty: Annotated[str, typer.Option(help="The other brand.")] = "",
    window: Annotated[
        str, typer.Option(metavar="WINDOW_ID", help="The settlement window that counts them.")
    ] = "",
    begins: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Recorded then or later.")
    ] = None,
    ends: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Recorded before then.")
    ] = None,
    reference: Annotated[str, typer.Option(help="Your own reference, as a whole.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Show at most this many.")] = 100,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """List your transfers, newest first. A TIME is ISO 8601, in UTC if it names no offset.

    For what proves them, see `receipts`.
    """
    if state not in (None, *STATES):
        raise typer.BadParameter(f"{state!r} is none of {', '.join(STATES)}")
    wanted = TransferFilter(
        state=TransferState.Value(f"TRANSFER_STATE_{state or 'UNSPECIFIED'}"),
        program=program,
        counterparty=counterparty,
        window_id=window,
        partner_reference=reference,
        recorded_from=time_to_proto(parse_instant(begins)) if begins else None,
        recorded_until=time_to_proto(parse_instant(ends)) if ends else None,
    )
    with connect(partner_profile(profile_dir, server)) as connection:
        found, more = _list_transfers(connection, wanted, limit)
    documents = [listed_document(each) for each in found]
    answer(
        as_json,
        {"transfers": documents, "more": more},
        table(
            ("seq", "recorded", "transfer", "corridor", "points out", "points in", "state"),
            [_row(each) for each in documents],
            right=("seq", "points out", "points in"),
        ),
        f"{len(documents)} transfers{', and there are more: raise --limit' if more else ''}",
    )


def simulate(
    by: ByPartner,
    source_program: Annotated[str, typer.Option(help="Program whose points are surrendered.")],
    target_program: Annotated[str, typer.Option(help="Program whose points are granted.")],
    points: Annotated[int, typer.Option(help="Points to surrender.")],
) -> None:
    """Say what a transfer would come to now. Nothing is ordered or reserved.

    That an order would be refused is an answer too: the exit code is 0.
    """
    request = SimulateTransferRequest(
        source_program=source_program, target_program=target_program, source_points=points
    )
    with by.connect() as connection:
        response = connection.call(connection.exchange.SimulateTransfer, request)
    document = simulation_document(request, response)
    refusal = document["refusal"]
    answer(
        by.as_json,
        document,
        f"would be refused: {refusal['reason']}: {refusal['text']}"
        if refusal
        else "would be committed",
        pairs(_facts(document, but=("refusal",))),
    )


def position(
    by: ByAnybody,
    partner: Annotated[
        str, typer.Option(metavar="PARTNER_ID", help="Whose; for operators. [default: your own]")
    ] = "",
) -> None:
    """Show where a partner stands. Amounts are from its view: positive is owed to it."""
    with by.connect() as connection:
        response = connection.call(
            connection.exchange.GetPosition, GetPositionRequest(partner_id=partner)
        )
    document = position_document(response.position)
    answer(by.as_json, document, pairs(_facts(document)))


def corridors(
    by: ByAnybody,
) -> None:
    """List the agreements in force; a partner sees its own."""
    with by.connect() as connection:
        documents = [corridor_document(each) for each in _list_corridors(connection)]
    answer(
        by.as_json,
        {"corridors": documents},
        table(
            ("agreement", "version", "corridor", "rate", "points", "price", "fee", "since"),
            [
                (
                    each["agreement_id"],
                    each["version"],
                    f"{each['source_program']} → {each['target_program']}",
                    each["rate"],
                    f"{each['minimum_source_points']} to {each['maximum_source_points']}",
                    f"{each['price_per_target_point']} {each['currency']}",
                    f"{each['fee_basis_points']} bps",
                    each["effective_from"],
                )
                for each in documents
            ],
            right=("version", "rate", "points", "price", "fee"),
        ),
    )


def _list_transfers(
    connection: Connection, wanted: TransferFilter, limit: int
) -> tuple[list[ListedTransfer], bool]:
    """The newest `limit` transfers, and whether there may be more."""
    found: list[ListedTransfer] = []
    token = ""
    while len(found) < limit:
        page = connection.call(
            connection.exchange.ListTransfers,
            ListTransfersRequest(
                filter=wanted, page_size=min(PAGE, limit - len(found)), page_token=token
            ),
        )
        found += page.transfers
        token = page.next_page_token
        if not token:
            break
    return found, bool(token)


def _list_corridors(connection: Connection) -> list[Corridor]:
    found: list[Corridor] = []
    token = ""
    while True:
        page = connection.call(
            connection.exchange.ListCorridors,
            ListCorridorsRequest(page_size=PAGE, page_token=token),
        )
        found += page.corridors
        token = page.next_page_token
        if not token:
            return found


def _row(document: dict[str, Any]) -> tuple[object, ...]:
    return (
        document["stream_seq"],
        document["recorded_at"],
        document["transfer_id"],
        f"{document['source_program']} → {document['target_program']}",
        document["source_points"],
        document["target_points"],
        document["reason"] or document["state"],
    )


def _facts(document: dict[str, Any], but: tuple[str, ...] = ()) -> list[tuple[str, object]]:
    return [
        (name.replace("_", " "), value)
        for name, value in document.items()
        if value not in (None, "") and name not in but
    ]
