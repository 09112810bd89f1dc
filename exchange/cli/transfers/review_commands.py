"""`review list`, `review release`, `review refuse`, and the sender's `cancel`."""

from typing import Annotated

import typer

from exchange.cli.calling import App, ByOperator, ByPartner
from exchange.cli.options import (
    parse_uuid,
)
from exchange.cli.output import answer, table
from exchange.cli.transfers.transfer_documents import record_document
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from pointclear.exchange.v1.transfer_pb2 import TransferState

HELD_MAX = 500
TransferArgument = Annotated[str, typer.Argument(metavar="TRANSFER_ID", help="The transfer.")]


def review_app() -> App:
    """The commands about transfers that are held for review."""
    app = App(no_args_is_help=True, help="Decide transfers that are held for review.")
    app.command("list")(list_held)
    app.command("release")(release)
    app.command("refuse")(refuse)
    return app


def list_held(
    by: ByOperator,
) -> None:
    """List the transfers that wait for review, oldest first, at most 500."""
    with by.connect() as connection:
        response: pb.ListHeldTransfersResponse = connection.call(
            connection.exchange.ListHeldTransfers, pb.ListHeldTransfersRequest(page_size=HELD_MAX)
        )
    documents = [record_document(each) for each in response.transfers]
    answer(
        by.as_json,
        {"transfers": documents, "more": bool(response.next_page_token)},
        table(
            ("transfer", "held at", "from", "to", "points", "become"),
            [
                (
                    each["transfer_id"],
                    each["recorded_at"],
                    each["source_program"],
                    each["target_program"],
                    each["source_points"],
                    each["target_points"],
                )
                for each in documents
            ],
            right=("points", "become"),
        ),
    )


def release(
    by: ByOperator,
    transfer_id: TransferArgument,
) -> None:
    """Let a held transfer take place, at the terms of its order. Repeating it is harmless."""
    request = pb.ReleaseTransferRequest(transfer_id=parse_uuid(transfer_id).bytes)
    with by.connect() as connection:
        response: pb.ReleaseTransferResponse = connection.call(
            connection.exchange.ReleaseTransfer, request
        )
    _show(by.as_json, transfer_id, response.state)


def refuse(
    by: ByOperator,
    transfer_id: TransferArgument,
) -> None:
    """Void a held transfer: what it reserved is free again. Repeating it is harmless."""
    request = pb.RefuseTransferRequest(transfer_id=parse_uuid(transfer_id).bytes)
    with by.connect() as connection:
        response: pb.RefuseTransferResponse = connection.call(
            connection.exchange.RefuseTransfer, request
        )
    _show(by.as_json, transfer_id, response.state)


def cancel(
    by: ByPartner,
    transfer_id: TransferArgument,
) -> None:
    """Cancel a transfer of yours that is held for review. Repeating it is harmless."""
    request = pb.CancelTransferRequest(transfer_id=parse_uuid(transfer_id).bytes)
    with by.connect() as connection:
        response: pb.CancelTransferResponse = connection.call(
            connection.exchange.CancelTransfer, request
        )
    _show(by.as_json, transfer_id, response.state)


def _show(as_json: bool, transfer_id: str, state: TransferState.ValueType) -> None:
    name = TransferState.Name(state).removeprefix("TRANSFER_STATE_")
    answer(as_json, {"transfer_id": transfer_id, "state": name}, f"{transfer_id}: {name}")
