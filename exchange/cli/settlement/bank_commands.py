"""`bank import`, `bank list`, `bank suspense` and `bank resolve`: money as the bank tells of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.cli.calling import App, ByActingOperator, ByOperator
from exchange.cli.documents import instant, money
from exchange.cli.files import read_file
from exchange.cli.output import answer, pairs, table
from pointclear.settlement.v1.bank_pb2 import (
    BankAccountKind,
    BankFile,
    BankFileFormat,
    EntryOwner,
    ListBankFilesRequest,
    ListBankFilesResponse,
    ListSuspenseRequest,
    ListSuspenseResponse,
    Payee,
    ResolveSuspenseRequest,
    ResolveSuspenseResponse,
    SuspenseItem,
)
from pointclear.settlement.v1.settlement_service_pb2 import (
    ImportBankFileRequest,
    ImportBankFileResponse,
)

IMPORT_TIMEOUT_S = 300.0
FILES_MAX = 500

CurrencyArgument = Annotated[
    str, typer.Argument(metavar="CURRENCY", help="ISO 4217 code of the settlement currency.")
]


def bank_app() -> App:
    """The commands about the bank."""
    app = App(
        no_args_is_help=True, help="Take the bank's statements in, and resolve what nobody knows."
    )
    app.command("import")(import_file)
    app.command("list")(list_files)
    app.command("suspense")(suspense)
    app.command("resolve")(resolve)
    return app


def import_file(
    by: ByActingOperator,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="camt.053, MT940 or CSV, told by its content.")
    ],
    currency: Annotated[
        str, typer.Option(metavar="CODE", help="Refuse it in any other. [default: the file's own]")
    ] = "",
    charge: Annotated[
        list[str] | None,
        typer.Option(metavar="ENTRY", help="An entry that is the bank's own charge or interest."),
    ] = None,
    partner: Annotated[
        list[str] | None,
        typer.Option(metavar="ENTRY=ID", help="Whose an entry of the collateral account is."),
    ] = None,
) -> None:
    """Import a bank statement of either account, all of it or nothing.

    What it confirms lets further payments go. Repeating it is harmless.
    """
    request = ImportBankFileRequest(
        currency=currency,
        content=read_file(file),
        charge_entries=charge or (),
        owners=[_owner(each) for each in partner or ()],
    )
    with by.connect() as connection:
        response: ImportBankFileResponse = connection.call(
            connection.settlement.ImportBankFile, request, IMPORT_TIMEOUT_S
        )
    document = imported_document(response)
    answer(
        by.as_json,
        document,
        pairs(
            (name.replace("_", " "), ", ".join(value) if isinstance(value, list) else value)
            for name, value in document.items()
            if value is not None
        ),
        *_what_next(response),
    )


def list_files(
    by: ByOperator,
    currency: CurrencyArgument,
) -> None:
    """List the bank files that were imported, newest first."""
    with by.connect() as connection:
        response: ListBankFilesResponse = connection.call(
            connection.settlement.ListBankFiles,
            ListBankFilesRequest(currency=currency, page_size=FILES_MAX),
        )
    documents = [file_document(each) for each in response.files]
    answer(
        by.as_json,
        {"files": documents},
        table(
            ("imported at", "account", "format", "statements", "opening", "entries", "closing"),
            [
                (
                    each["imported_at"],
                    each["account_kind"],
                    each["format"],
                    ", ".join(each["statement_ids"]),
                    each["opening"],
                    each["entries"],
                    each["closing"],
                )
                for each in documents
            ],
            right=("opening", "entries", "closing"),
        ),
    )


def suspense(
    by: ByOperator,
    currency: CurrencyArgument,
) -> None:
    """List the money that came in and that nobody knows yet, oldest first."""
    with by.connect() as connection:
        response: ListSuspenseResponse = connection.call(
            connection.settlement.ListSuspense, ListSuspenseRequest(currency=currency)
        )
    documents = [item_document(each, currency) for each in response.items]
    total = money(response.total, currency)
    answer(
        by.as_json,
        {"currency": currency, "items": documents, "total": total},
        table(
            ("item", "since", "days", "amount", "left", "perhaps of", "reference", "from"),
            [
                (
                    each["item_id"],
                    each["since"],
                    each["age_days"],
                    each["amount"],
                    each["open_amount"],
                    each["partner_id"],
                    each["reference"],
                    each["name"],
                )
                for each in documents
            ],
            right=("days", "amount", "left"),
        ),
        f"{total} {currency} in suspense",
    )


def resolve(
    by: ByActingOperator,
    currency: CurrencyArgument,
    items: Annotated[
        list[str], typer.Argument(metavar="ITEM...", help="What lies in suspense, by its name.")
    ],
    leg: Annotated[
        str, typer.Option(metavar="REFERENCE", help="They pay this pending leg of a partner.")
    ] = "",
    payee: Annotated[
        str, typer.Option(metavar="NAME", help="Or the one item goes back to this payee,")
    ] = "",
    account: Annotated[
        str, typer.Option(metavar="IBAN", help="to this account: an IBAN or a number")
    ] = "",
    bic: Annotated[str, typer.Option(metavar="BIC", help="at this bank.")] = "",
) -> None:
    """Have money in suspense pay a leg, or give it back. Two people decide.

    Several items may come to a leg, and the last may have more than that. Repeating it is harmless.
    """
    if bool(leg) == bool(payee):
        raise typer.BadParameter("name the leg or the payee, one of them", param_hint="--leg")
    request = ResolveSuspenseRequest(currency=currency, item_ids=items)
    if leg:
        request.leg_reference = leg
    else:
        request.payee.CopyFrom(Payee(name=payee, account=account, bic=bic))
    with by.connect() as connection:
        response: ResolveSuspenseResponse = connection.call(
            connection.settlement.ResolveSuspense, request, IMPORT_TIMEOUT_S
        )
    did = "pays the leg" if leg else "goes back as"
    answer(
        by.as_json,
        {"items": items, "reference": response.reference},
        f"{', '.join(items)} {did} {response.reference}",
    )


def _what_next(response: ImportBankFileResponse) -> Iterator[str]:
    """What people would ask of the figures, and where to go on."""
    if response.repeated_entries:
        yield "It was imported before, and changed nothing."
    if response.unmatched:
        yield (
            f"{response.unmatched} of its payments lie in suspense:"
            f" pointclear bank suspense {response.file.currency}"
        )


def imported_document(response: ImportBankFileResponse) -> dict[str, Any]:
    """What became of a bank file."""
    return {
        **file_document(response.file),
        "matched": response.matched,
        "unmatched": response.unmatched,
        "charges": response.charges,
        "collateral": response.collateral,
        "taken_back": response.taken_back,
        "repeated": response.repeated_entries,
    }


def file_document(file: BankFile) -> dict[str, Any]:
    """What a bank file says."""
    return {
        "account_kind": BankAccountKind.Name(file.kind).removeprefix("BANK_ACCOUNT_KIND_"),
        "account": file.account,
        "currency": file.currency,
        "format": BankFileFormat.Name(file.format).removeprefix("BANK_FILE_FORMAT_"),
        "statement_ids": list(file.statement_ids),
        "opening": money(file.opening, file.currency),
        "closing": money(file.closing, file.currency),
        "entries": file.entries,
        "imported_at": instant(file.imported_at),
    }


def item_document(item: SuspenseItem, currency: str) -> dict[str, Any]:
    """An item that lies in suspense."""
    return {
        "item_id": item.item_id,
        "since": instant(item.since),
        "age_days": item.age_days,
        "amount": money(item.amount, currency),
        "open_amount": money(item.open_amount, currency),
        "partner_id": item.partner_id,
        "reference": item.reference,
        "name": item.name,
    }


def _owner(text: str) -> EntryOwner:
    entry_id, sign, partner_id = text.rpartition("=")
    if not sign or not entry_id:
        raise typer.BadParameter(f"{text!r} is not ENTRY=ID", param_hint="--partner")
    return EntryOwner(entry_id=entry_id, partner_id=partner_id)
