"""`review list`, `review release`, `review refuse`, and the sender's `cancel`."""

from typing import Annotated

import typer

from exchange.cli.connection import connect
from exchange.cli.options import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    JsonOption,
    OperatorProfileOption,
    PartnerProfileOption,
    ServerOption,
    operator_profile,
    parse_uuid,
    partner_profile,
)
from exchange.cli.output import Command, answer, table
from exchange.cli.transfer_documents import record_document
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from pointclear.exchange.v1.transfer_pb2 import TransferState

HELD_MAX = 500
TransferArgument = Annotated[str, typer.Argument(metavar="TRANSFER_ID", help="The transfer.")]


def review_app() -> typer.Typer:
    """The commands about transfers that are held for review."""
    app = typer.Typer(no_args_is_help=True, help="Decide transfers that are held for review.")
    app.command("list", cls=Command)(list_held)
    app.command("release", cls=Command)(release)
    app.command("refuse", cls=Command)(refuse)
    return app


def list_held(
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: OperatorProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the transfers that wait for review, oldest first, at most 500."""
    with connect(operator_profile(profile_dir, data_dir, server)) as connection:
        response: pb.ListHeldTransfersResponse = connection.call(
            connection.exchange.ListHeldTransfers, pb.ListHeldTransfersRequest(page_size=HELD_MAX)
        )
    documents = [record_document(each) for each in response.transfers]
    answer(
        as_json,
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
    transfer_id: TransferArgument,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: OperatorProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a held transfer take place, at the terms of its order. Repeating it is harmless."""
    request = pb.ReleaseTransferRequest(transfer_id=parse_uuid(transfer_id).bytes)
    with connect(operator_profile(profile_dir, data_dir, server)) as connection:
        response: pb.ReleaseTransferResponse = connection.call(
            connection.exchange.ReleaseTransfer, request
        )
    _show(as_json, transfer_id, response.state)


def refuse(
    transfer_id: TransferArgument,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: OperatorProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Void a held transfer: what it reserved is free again. Repeating it is harmless."""
    request = pb.RefuseTransferRequest(transfer_id=parse_uuid(transfer_id).bytes)
    with connect(operator_profile(profile_dir, data_dir, server)) as connection:
        response: pb.RefuseTransferResponse = connection.call(
            connection.exchange.RefuseTransfer, request
        )
    _show(as_json, transfer_id, response.state)


def cancel(
    transfer_id: TransferArgument,
    profile_dir: PartnerProfileOption,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel a transfer of yours that is held for review. Repeating it is harmless."""
    request = pb.CancelTransferRequest(transfer_id=parse_uuid(transfer_id).bytes)
    with connect(partner_profile(profile_dir, server)) as connection:
        response: pb.CancelTransferResponse = connection.call(
            connection.exchange.CancelTransfer, request
        )
    _show(as_json, transfer_id, response.state)


def _show(as_json: bool, transfer_id: str, state: TransferState.ValueType) -> None:
    name = TransferState.Name(state).removeprefix("TRANSFER_STATE_")
    answer(as_json, {"transfer_id": transfer_id, "state": name}, f"{transfer_id}: {name}")
