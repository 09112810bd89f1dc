"""`payouts`: the files by which the bank is told to pay."""

import hashlib
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.cli.account_commands import bank_account_document
from exchange.cli.connection import Connection, connect
from exchange.cli.documents import instant
from exchange.cli.failure import proof_invalid
from exchange.cli.files import write_output
from exchange.cli.options import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    JsonOption,
    OperatorProfileOption,
    ReasonOption,
    ServerOption,
    WindowArgument,
    operator_profile,
)
from exchange.cli.output import Command, answer, pairs, table
from partners.errors import Reason, Refused
from partners.points import currency_scale, format_amount
from pointclear.settlement.v1 import payout_pb2 as pb

MAKE_TIMEOUT_S = 300.0
FORMATS = ("pain.001.001.03", "pain.001.001.09", "csv")

NumberOption = Annotated[
    int, typer.Option(metavar="N", help="Which file of the window. [default: the newest]")
]


def payouts_app() -> typer.Typer:
    """The commands about pay-out files."""
    app = typer.Typer(no_args_is_help=True, help="Make and export the files that the bank pays by.")
    app.command("make", cls=Command)(make)
    app.command("file", cls=Command)(export)
    app.command("list", cls=Command)(list_files)
    app.command("reject", cls=Command)(reject)
    return app


def make(
    window_id: WindowArgument,
    number: Annotated[
        int | None,
        typer.Option(metavar="N", help="Which file of the window. [default: the next]"),
    ] = None,
    reason: ReasonOption = "",
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: OperatorProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a window's next pay-out file of what is instructed and stands in none yet.

    Partners without a bank account in effect, and those on hold, are left out and named.
    """
    with connect(operator_profile(profile_dir, data_dir, server), reason) as connection:
        if number is None:
            number = len(files_of(connection, window_id).files) + 1
        response: pb.MakePayOutFileResponse = connection.call(
            connection.settlement.MakePayOutFile,
            pb.MakePayOutFileRequest(window_id=window_id, number=number),
            MAKE_TIMEOUT_S,
        )
    document = file_document(response.file)
    answer(as_json, {"file": document}, *_shown(document))


def export(
    window_id: WindowArgument,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write it.")],
    form: Annotated[
        str, typer.Option("--format", help=f"What the bank takes: {', '.join(FORMATS)}.")
    ] = "pain.001.001.09",
    number: NumberOption = 0,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: OperatorProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Export a pay-out file: the same bytes every time, held to the digest in the log."""
    if form not in FORMATS:
        raise typer.BadParameter(f"a format is one of {', '.join(FORMATS)}")
    with connect(operator_profile(profile_dir, data_dir, server)) as connection:
        named = _named(files_of(connection, window_id), window_id, number)
        chunks: list[pb.GetPayOutFileResponse] = list(
            connection.stream(
                connection.settlement.GetPayOutFile,
                pb.GetPayOutFileRequest(window_id=window_id, number=named.number, format=form),
                MAKE_TIMEOUT_S,
            )
        )
    content = b"".join(each.chunk for each in chunks)
    digest = hashlib.sha256(content).digest()
    if digest != named.digests[form]:
        raise proof_invalid("the file is not the one whose digest was booked", "digests")
    write_output(out, content)
    document = file_document(named) | {"path": str(out), "format": form, "sha256": digest.hex()}
    answer(
        as_json,
        {"file": document},
        *_shown(document),
        f"Wrote {out}, sha256 {digest.hex()}",
    )


def list_files(
    window_id: WindowArgument,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: OperatorProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """List a window's pay-out files, and what the next one would pay and leave out."""
    with connect(operator_profile(profile_dir, data_dir, server)) as connection:
        listed = files_of(connection, window_id)
    documents = [file_document(each) for each in listed.files]
    payable = [payment_document(each, listed.currency) for each in listed.payable]
    left_out = [left_out_document(each, listed.currency) for each in listed.left_out]
    answer(
        as_json,
        {"files": documents, "payable": payable, "left_out": left_out},
        table(
            ("file", "message", "made", "execution", "payments", "total", ""),
            [
                (
                    each["number"],
                    each["message_id"],
                    each["created_at"],
                    each["execution_date"],
                    len(each["payments"]),
                    each["total"],
                    "rejected" if each["rejected"] else "",
                )
                for each in documents
            ],
            right=("payments", "total"),
        ),
        f"the next file would pay {len(payable)}",
        _left_out_table(left_out),
    )


def reject(
    window_id: WindowArgument,
    number: Annotated[int, typer.Argument(metavar="N", help="The file that the bank rejected.")],
    reason: ReasonOption = "",
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: OperatorProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that the bank rejected a file as a whole: its payments may stand in another.

    Only with the bank's word for it: else they might be paid twice.
    """
    with connect(operator_profile(profile_dir, data_dir, server), reason) as connection:
        response: pb.RejectPayOutFileResponse = connection.call(
            connection.settlement.RejectPayOutFile,
            pb.RejectPayOutFileRequest(window_id=window_id, number=number),
        )
    document = file_document(response.file)
    answer(as_json, {"file": document}, *_shown(document))


def files_of(connection: Connection, window_id: str) -> pb.ListPayOutFilesResponse:
    """A window's files, and what the next would pay. Raises Failed."""
    response: pb.ListPayOutFilesResponse = connection.call(
        connection.settlement.ListPayOutFiles, pb.ListPayOutFilesRequest(window_id=window_id)
    )
    return response


def _named(listed: pb.ListPayOutFilesResponse, window_id: str, number: int) -> pb.PayOutFile:
    """The file of this number, the newest for 0. Raises Refused."""
    wanted = number or len(listed.files)
    if not 1 <= wanted <= len(listed.files):
        raise Refused(
            Reason.FIELD_INVALID,
            "number",
            f"{window_id} has {len(listed.files)} pay-out files; `payouts make` makes the next",
        )
    return listed.files[wanted - 1]


def file_document(file: pb.PayOutFile) -> dict[str, Any]:
    """A file for machines."""
    scale = currency_scale(file.currency).scale
    return {
        "window_id": file.window_id,
        "number": file.number,
        "message_id": file.message_id,
        "currency": file.currency,
        "created_at": instant(file.created_at),
        "execution_date": file.execution_date,
        "total": format_amount(sum(each.amount for each in file.payments), scale),
        "payments": [payment_document(each, file.currency) for each in file.payments],
        "left_out": [left_out_document(each, file.currency) for each in file.left_out],
        "digests": {name: digest.hex() for name, digest in sorted(file.digests.items())},
        "rejected": file.rejected,
    }


def payment_document(payment: pb.InstructedPayOut, currency: str) -> dict[str, Any]:
    """A payment of a file for machines."""
    return {
        "reference": payment.reference,
        "partner_id": payment.partner_id,
        "amount": format_amount(payment.amount, currency_scale(currency).scale),
        **bank_account_document(payment.account),
        "account_version": payment.account_version,
        "account_sha256": payment.account_sha256.hex(),
    }


def left_out_document(left_out: pb.LeftOutPayOut, currency: str) -> dict[str, Any]:
    """A pay-out that stands in no file, for machines."""
    return {
        "reference": left_out.reference,
        "partner_id": left_out.partner_id,
        "amount": format_amount(left_out.amount, currency_scale(currency).scale),
        "reason": pb.LeftOutReason.Name(left_out.reason).removeprefix("LEFT_OUT_REASON_"),
    }


def _shown(document: dict[str, Any]) -> tuple[Any, ...]:
    facts = [
        (name.replace("_", " "), document[name])
        for name in ("message_id", "created_at", "execution_date", "total", "currency")
    ]
    if document["rejected"]:
        facts.append(("rejected", "by the bank"))
    return (
        pairs(facts),
        table(
            ("partner", "amount", "reference", "account", "holder", "version"),
            [
                (
                    each["partner_id"],
                    each["amount"],
                    each["reference"],
                    each["iban"] or each["number"],
                    each["name"],
                    each["account_version"],
                )
                for each in document["payments"]
            ],
            right=("amount",),
        ),
        _left_out_table(document["left_out"]),
    )


def _left_out_table(left_out: list[dict[str, Any]]) -> Any:
    if not left_out:
        return "nothing is left out"
    return table(
        ("left out", "amount", "reference", "why"),
        [
            (each["partner_id"], each["amount"], each["reference"], each["reason"])
            for each in left_out
        ],
        right=("amount",),
    )
