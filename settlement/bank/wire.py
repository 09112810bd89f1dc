"""Between the bank's room and the messages of `bank.proto`."""

from collections.abc import Mapping
from datetime import datetime

from partners.errors import Reason, Refused
from partners.wire import time_to_proto
from pointclear.settlement.v1 import bank_pb2 as pb
from pointclear.settlement.v1 import settlement_service_pb2 as service_pb
from settlement.bank.desk import TakenIn
from settlement.bank.matching import AccountKind, Use
from settlement.bank.statement import BankFile, FileFormat
from settlement.bank.store import ImportedFile
from settlement.bank.suspense import Payee, SuspenseItem

KINDS = {
    AccountKind.SETTLEMENT: pb.BANK_ACCOUNT_KIND_SETTLEMENT,
    AccountKind.COLLATERAL: pb.BANK_ACCOUNT_KIND_COLLATERAL,
}
FORMATS = {
    FileFormat.CSV: pb.BANK_FILE_FORMAT_CSV,
    FileFormat.CAMT_053: pb.BANK_FILE_FORMAT_CAMT_053,
    FileFormat.MT940: pb.BANK_FILE_FORMAT_MT940,
}


def file_message(file: BankFile, kind: AccountKind) -> pb.BankFile:
    """What a file says."""
    return pb.BankFile(
        kind=KINDS[kind],
        account=file.account,
        format=FORMATS[file.format],
        statement_ids=[each.statement_id for each in file.statements],
        opening=file.opening,
        closing=file.closing,
        entries=len(file.entries),
        currency=file.currency.code,
    )


def imported_message(imported: ImportedFile) -> pb.BankFile:
    """A file that was imported."""
    message = file_message(imported.file, imported.kind)
    message.imported_at.CopyFrom(time_to_proto(imported.recorded_at))
    message.log_index = imported.log_index
    return message


def taken_message(taken: TakenIn) -> service_pb.ImportBankFileResponse:
    """What became of a file."""
    return service_pb.ImportBankFileResponse(
        matched=taken.count(Use.CONFIRMED, Use.COLLATERAL_CONFIRMED),
        unmatched=taken.count(Use.SUSPENSE),
        repeated_entries=len(taken.file.entries) if taken.is_repeat else 0,
        charges=taken.count(Use.LOSS),
        collateral=taken.count(Use.TOP_UP, Use.WITHDRAWN),
        taken_back=taken.count(Use.TAKEN_BACK),
        file=file_message(taken.file, taken.account),
    )


def item_message(item: SuspenseItem, partners: Mapping[int, str], now: datetime) -> pb.SuspenseItem:
    """An item that lies in suspense."""
    return pb.SuspenseItem(
        item_id=item.item_id,
        since=time_to_proto(item.since),
        age_days=max((now - item.since).days, 0),
        amount=item.amount,
        open_amount=item.open_amount,
        partner_id=partners[item.partner_number] if item.partner_number else "",
        reference=item.part.reference,
        name=item.part.name,
    )


def payee_from(message: pb.Payee) -> Payee:
    """To whom money goes back."""
    return Payee(message.name.strip(), "".join(message.account.split()), message.bic.strip())


def owners_from(request: service_pb.ImportBankFileRequest) -> dict[str, str]:
    """Entry to partner id; raises Refused(FIELD_INVALID) where an entry has two owners."""
    owners = {each.entry_id: each.partner_id for each in request.owners}
    if len(owners) < len(request.owners):
        raise Refused(Reason.FIELD_INVALID, "owners", "an entry has one owner")
    return owners
