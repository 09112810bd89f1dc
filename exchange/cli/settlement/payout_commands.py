"""`payouts`: the files by which the bank is told to pay a window's legs, or the other payments out
of one of a currency's accounts.
"""

import hashlib
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.cli.calling import App, ByActingOperator, ByOperator
from exchange.cli.connection import Connection
from exchange.cli.documents import instant
from exchange.cli.failure import proof_invalid
from exchange.cli.files import write_output
from exchange.cli.output import answer, pairs, table
from exchange.cli.settlement.account_commands import bank_account_document
from partners.errors import Reason, Refused
from partners.points import currency_scale, format_amount
from pointclear.settlement.v1 import payout_pb2 as pb
from pointclear.settlement.v1.bank_pb2 import BankAccountKind

MAKE_TIMEOUT_S = 300.0
FORMATS = ("pain.001.001.03", "pain.001.001.09", "csv")

BY_HAND = ("PAYEE_UNCLEAR", "ACCOUNT_UNKNOWN")
"""Why no file will ever have a payment."""
_CURRENCY = re.compile(r"[A-Z]{3}")


class AccountName(StrEnum):
    """Which of a currency's two accounts at the bank."""

    SETTLEMENT = "settlement"
    """Refunds out of suspense."""
    COLLATERAL = "collateral"
    """Withdrawals of collateral, and draws on it."""


SeriesArgument = Annotated[
    str,
    typer.Argument(
        metavar="WINDOW_ID|CURRENCY",
        help="The window whose legs are paid, or the currency whose other payments are: refunds,"
        " withdrawals, draws.",
    ),
]
AccountOption = Annotated[
    AccountName | None,
    typer.Option("--account", help="Out of which account of the currency. [default: settlement]"),
]
NumberOption = Annotated[int, typer.Option(metavar="N", help="Which file. [default: the newest]")]


def payouts_app() -> App:
    """The commands about pay-out files."""
    app = App(no_args_is_help=True, help="Make and export the files that the bank pays by.")
    app.command("make")(make)
    app.command("file")(export)
    app.command("list")(list_files)
    app.command("reject")(reject)
    return app


def make(
    by: ByActingOperator,
    series: SeriesArgument,
    number: Annotated[
        int | None,
        typer.Option(metavar="N", help="Which file. [default: the next]"),
    ] = None,
    account: AccountOption = None,
) -> None:
    """Make the next pay-out file of what is instructed and stands in none yet.

    Partners without a bank account in effect, and those on hold, are left out and named; so is
    what must be keyed in at the bank by hand.
    """
    named = _naming(series, account)
    with by.connect() as connection:
        if number is None:
            number = len(files_of(connection, named).files) + 1
        response: pb.MakePayOutFileResponse = connection.call(
            connection.settlement.MakePayOutFile,
            pb.MakePayOutFileRequest(**named, number=number),
            MAKE_TIMEOUT_S,
        )
    document = file_document(response.file)
    answer(by.as_json, {"file": document}, *_shown(document))


def export(
    by: ByOperator,
    series: SeriesArgument,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write it.")],
    form: Annotated[
        str, typer.Option("--format", help=f"What the bank takes: {', '.join(FORMATS)}.")
    ] = "pain.001.001.09",
    number: NumberOption = 0,
    account: AccountOption = None,
) -> None:
    """Export a pay-out file: the same bytes every time, held to the digest in the log."""
    if form not in FORMATS:
        raise typer.BadParameter(f"a format is one of {', '.join(FORMATS)}")
    of = _naming(series, account)
    with by.connect() as connection:
        named = _named(files_of(connection, of), series, number)
        chunks: list[pb.GetPayOutFileResponse] = list(
            connection.stream(
                connection.settlement.GetPayOutFile,
                pb.GetPayOutFileRequest(**of, number=named.number, format=form),
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
        by.as_json,
        {"file": document},
        *_shown(document),
        f"Wrote {out}, sha256 {digest.hex()}",
    )


def list_files(
    by: ByOperator,
    series: SeriesArgument,
    account: AccountOption = None,
) -> None:
    """List the pay-out files, and what the next one would pay and leave out."""
    named = _naming(series, account)
    with by.connect() as connection:
        listed = files_of(connection, named)
    documents = [file_document(each) for each in listed.files]
    payable = [payment_document(each, listed.currency) for each in listed.payable]
    left_out = [left_out_document(each, listed.currency) for each in listed.left_out]
    answer(
        by.as_json,
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
        *_left_out(left_out),
    )


def reject(
    by: ByActingOperator,
    series: SeriesArgument,
    number: Annotated[int, typer.Argument(metavar="N", help="The file that the bank rejected.")],
    account: AccountOption = None,
    payment: Annotated[
        str,
        typer.Option(metavar="REFERENCE", help="The one that it rejected. [default: all]"),
    ] = "",
) -> None:
    """Say that the bank rejected a file, or one payment of it: what it did not take may stand in
    another file.

    Only with the bank's word for it: else they might be paid twice.
    """
    named = _naming(series, account)
    with by.connect() as connection:
        response: pb.RejectPayOutFileResponse = connection.call(
            connection.settlement.RejectPayOutFile,
            pb.RejectPayOutFileRequest(**named, number=number, reference=payment),
        )
    document = file_document(response.file)
    answer(by.as_json, {"file": document}, *_shown(document))


def _naming(series: str, account: AccountName | None) -> dict[str, Any]:
    """The fields by which a request names whose files it is about. Raises typer.BadParameter."""
    if _CURRENCY.fullmatch(series):
        of = account or AccountName.SETTLEMENT
        return {"currency": series, "account": f"BANK_ACCOUNT_KIND_{of.upper()}"}
    if account is not None:
        raise typer.BadParameter(
            "a window's legs are paid out of the settlement account; name a currency, such as EUR",
            param_hint="--account",
        )
    return {"window_id": series}


def files_of(connection: Connection, named: dict[str, Any]) -> pb.ListPayOutFilesResponse:
    """The files of a window or an account, and what the next would pay. Raises Failed."""
    response: pb.ListPayOutFilesResponse = connection.call(
        connection.settlement.ListPayOutFiles, pb.ListPayOutFilesRequest(**named)
    )
    return response


def _named(listed: pb.ListPayOutFilesResponse, series: str, number: int) -> pb.PayOutFile:
    """The file of this number, the newest for 0. Raises Refused."""
    wanted = number or len(listed.files)
    if not 1 <= wanted <= len(listed.files):
        raise Refused(
            Reason.FIELD_INVALID,
            "number",
            f"{series} has {len(listed.files)} pay-out files; `payouts make` makes the next",
        )
    return listed.files[wanted - 1]


def file_document(file: pb.PayOutFile) -> dict[str, Any]:
    """A file for machines."""
    scale = currency_scale(file.currency).scale
    return {
        "window_id": file.window_id,
        "account_kind": BankAccountKind.Name(file.account).removeprefix("BANK_ACCOUNT_KIND_"),
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
        "kind": _kind(payment.kind),
        "reference": payment.reference,
        "partner_id": payment.partner_id,
        "amount": format_amount(payment.amount, currency_scale(currency).scale),
        **bank_account_document(payment.account),
        "account_version": payment.account_version,
        "account_sha256": payment.account_sha256.hex(),
        "rejected": payment.rejected,
    }


def left_out_document(left_out: pb.LeftOutPayOut, currency: str) -> dict[str, Any]:
    """A pay-out that stands in no file, for machines."""
    return {
        "kind": _kind(left_out.kind),
        "reference": left_out.reference,
        "partner_id": left_out.partner_id,
        "amount": format_amount(left_out.amount, currency_scale(currency).scale),
        "reason": pb.LeftOutReason.Name(left_out.reason).removeprefix("LEFT_OUT_REASON_"),
    }


def _kind(kind: pb.PayOutKind.ValueType) -> str:
    return pb.PayOutKind.Name(kind).removeprefix("PAY_OUT_KIND_")


def _shown(document: dict[str, Any]) -> tuple[Any, ...]:
    facts = [
        (name.replace("_", " "), document[name])
        for name in (
            *("message_id", "created_at", "execution_date", "total", "currency", "account_kind"),
        )
    ]
    if document["rejected"]:
        facts.append(("rejected", "by the bank"))
    return (
        pairs(facts),
        table(
            ("kind", "partner", "amount", "reference", "account", "holder", "version"),
            [
                (
                    each["kind"],
                    each["partner_id"],
                    each["amount"],
                    each["reference"],
                    each["iban"] or each["number"],
                    each["name"],
                    each["account_version"] or "",
                )
                for each in document["payments"]
            ],
            right=("amount",),
        ),
        *_left_out(document["left_out"]),
    )


def _left_out(left_out: list[dict[str, Any]]) -> tuple[Any, ...]:
    if not left_out:
        return ("nothing is left out",)
    names = ("kind", "partner_id", "amount", "reference", "reason")
    rows = [tuple(each[name] for name in names) for each in left_out]
    by_hand = [each["reference"] for each in left_out if each["reason"] in BY_HAND]
    return (
        table(("left out", "partner", "amount", "reference", "why"), rows, right=("amount",)),
        *([f"to be keyed in at the bank by hand: {', '.join(by_hand)}"] if by_hand else []),
    )
