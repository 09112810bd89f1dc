"""Pay-out files as pain.001, CustomerCreditTransferInitiation. Pure but for reading the schemas.

One file has one PmtInf, with the account that pays as debtor, and one CdtTrfTxInf for each payment:
EndToEndId and the structured creditor reference are its own. A comment in each names the
digest of the account event that says where to pay, or what else says so: banks pass it over, and
auditors find it in the very bytes that were sent. Equal files give equal bytes.

Sources: ISO 20022 message definitions pain.001.001.03 and pain.001.001.09; their schemas as the
package `sepaxml` ships them. Usage of SvcLvl SEPA and ChrgBr SLEV: EPC132-08, SEPA Credit Transfer
C2PSP implementation guidelines.
"""

from enum import StrEnum
from functools import cache
from importlib.resources import as_file, files
from typing import Any
from xml.etree import ElementTree as Xml

import xmlschema

from exchange.fold import InvariantBroken
from settlement.accounts.account import NO_ADDRESS, Address, BankAccount, is_iban
from settlement.bank.suspense import refund_key
from settlement.payouts.instruction import (
    Debtor,
    Instructed,
    PayoutFile,
    PayOutKind,
    decimal_amount,
    moment_text,
    scale_of,
)

NOT_PROVIDED = "NOTPROVIDED"
"""What a bank is named where only the account says which it is."""


class PainVersion(StrEnum):
    """The versions that banks take."""

    V03 = "pain.001.001.03"
    V09 = "pain.001.001.09"


def write_pain(file: PayoutFile, version: PainVersion) -> bytes:
    """The file as XML, valid by its schema; raises InvariantBroken where it would not be."""
    content = _document(file, version)
    fault = next(schema_of(version).iter_errors(content.decode()), None)
    if fault is not None:
        raise InvariantBroken(f"{file.message_id} breaks the schema {version}: {fault.reason}")
    return content


@cache
def schema_of(version: PainVersion) -> xmlschema.XMLSchema:
    """The schema of a version, read once."""
    with as_file(files("sepaxml") / "schemas" / f"{version}.xsd") as path:
        return xmlschema.XMLSchema(path)


def _document(file: PayoutFile, version: PainVersion) -> bytes:
    namespace = f"urn:iso:std:iso:20022:tech:xsd:{version}"
    root = Xml.Element("Document", {"xmlns": namespace})
    initiation = Xml.SubElement(root, "CstmrCdtTrfInitn")
    count, total = str(len(file.payments)), decimal_amount(file.total, scale_of(file))
    header = Xml.SubElement(initiation, "GrpHdr")
    _leaf(header, "MsgId", file.message_id)
    _leaf(header, "CreDtTm", moment_text(file.created_at))
    _leaf(header, "NbOfTxs", count)
    _leaf(header, "CtrlSum", total)
    _leaf(_child(header, "InitgPty"), "Nm", file.debtor.name)
    batch = _child(initiation, "PmtInf")
    _leaf(batch, "PmtInfId", f"{file.message_id}-1")
    _leaf(batch, "PmtMtd", "TRF")
    _leaf(batch, "NbOfTxs", count)
    _leaf(batch, "CtrlSum", total)
    day = file.execution_date.isoformat()
    if version is PainVersion.V03:
        _leaf(batch, "ReqdExctnDt", day)
    else:
        _leaf(_child(batch, "ReqdExctnDt"), "Dt", day)
    _state_debtor(batch, file.debtor, file.currency, version)
    for payment in file.payments:
        _state_payment(_child(batch, "CdtTrfTxInf"), payment, file, version)
    Xml.indent(root)
    text: bytes = Xml.tostring(root, encoding="UTF-8", xml_declaration=True)
    return text + b"\n"


def _state_debtor(batch: Any, debtor: Debtor, currency: str, version: PainVersion) -> None:
    _leaf(_child(batch, "Dbtr"), "Nm", debtor.name)
    account = _child(batch, "DbtrAcct")
    identification = _child(account, "Id")
    if is_iban(debtor.account):
        _leaf(identification, "IBAN", debtor.account)
    else:
        _leaf(_child(identification, "Othr"), "Id", debtor.account)
    _leaf(account, "Ccy", currency)
    bank = _child(_child(batch, "DbtrAgt"), "FinInstnId")
    if debtor.bic:
        _leaf(bank, _bic_tag(version), debtor.bic)
    else:
        _leaf(_child(bank, "Othr"), "Id", NOT_PROVIDED)


def _state_payment(
    transaction: Any, payment: Instructed, file: PayoutFile, version: PainVersion
) -> None:
    account = payment.account
    transaction.append(Xml.Comment(f" {_said_by(payment)} "))
    _leaf(_child(transaction, "PmtId"), "EndToEndId", payment.reference)
    is_sepa = file.currency == "EUR" and bool(account.iban)
    if is_sepa:
        _leaf(_child(_child(transaction, "PmtTpInf"), "SvcLvl"), "Cd", "SEPA")
    amount = _leaf(
        _child(transaction, "Amt"), "InstdAmt", decimal_amount(payment.amount, scale_of(file))
    )
    amount.set("Ccy", file.currency)
    _leaf(transaction, "ChrgBr", "SLEV" if is_sepa else "SHAR")
    _state_bank(transaction, account, version)
    _state_creditor(transaction, account)
    reference = _child(_child(_child(transaction, "RmtInf"), "Strd"), "CdtrRefInf")
    kind = _child(reference, "Tp")
    _leaf(_child(kind, "CdOrPrtry"), "Cd", "SCOR")
    _leaf(kind, "Issr", "ISO")
    _leaf(reference, "Ref", payment.reference)


def _said_by(payment: Instructed) -> str:
    """What says where a payment goes."""
    match payment.kind:
        case PayOutKind.REFUND:
            return f"payee of {refund_key(payment.reference)}"
        case PayOutKind.DRAW:
            return "settlement account of the scheme"
        case _:
            version, digest = payment.account_version, payment.account_sha256
            return f"settlement-account version {version}, sha256 {digest}"


def _state_bank(transaction: Any, account: BankAccount, version: PainVersion) -> None:
    if not account.bic and not account.clearing_member:
        return
    bank = _child(_child(transaction, "CdtrAgt"), "FinInstnId")
    if account.bic:
        _leaf(bank, _bic_tag(version), account.bic)
    if account.clearing_member:
        member = _child(bank, "ClrSysMmbId")
        _leaf(_child(member, "ClrSysId"), "Cd", account.clearing_system)
        _leaf(member, "MmbId", account.clearing_member)


def _state_creditor(transaction: Any, account: BankAccount) -> None:
    creditor, address = _child(transaction, "Cdtr"), account.address
    _leaf(creditor, "Nm", account.name)
    if address != NO_ADDRESS:
        _state_address(_child(creditor, "PstlAdr"), address)
    identification = _child(_child(transaction, "CdtrAcct"), "Id")
    if account.iban:
        _leaf(identification, "IBAN", account.iban)
    else:
        _leaf(_child(identification, "Othr"), "Id", account.other)


def _state_address(postal: Any, address: Address) -> None:
    for tag, text in (
        ("StrtNm", address.street),
        ("BldgNb", address.building),
        ("PstCd", address.postcode),
        ("TwnNm", address.town),
        ("Ctry", address.country),
    ):
        if text:
            _leaf(postal, tag, text)


def _bic_tag(version: PainVersion) -> str:
    return "BIC" if version is PainVersion.V03 else "BICFI"


def _child(parent: Any, tag: str) -> Any:
    return Xml.SubElement(parent, tag)


def _leaf(parent: Any, tag: str, text: str) -> Any:
    leaf = Xml.SubElement(parent, tag)
    leaf.text = text
    return leaf
