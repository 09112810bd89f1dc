"""How the simulated bank writes its statements: camt.053, MT940 and CSV. Pure.

It imports nothing of ours on purpose: like a real bank's, its files follow the formats and not the
program that reads them. Sources: ISO 20022 BankToCustomerStatement versions .02 and .08; SWIFT
Standards MT 940; `settlement.bank.csv_file` for the CSV.
"""

import csv
import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Literal
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement, indent, tostring


class Paper(StrEnum):
    """In what the bank writes."""

    CSV = "csv"
    CAMT_053 = "camt.053"
    MT940 = "mt940"

    @property
    def suffix(self) -> str:
        """Of a file's name."""
        return {"csv": ".csv", "camt.053": ".xml", "mt940": ".sta"}[self.value]


Kind = Literal["PAYMENT", "CHARGE", "INTEREST"]
_SUB_FAMILIES = {"PAYMENT": "ESCT", "CHARGE": "CHRG", "INTEREST": "INTR"}
_MT940_TYPES = {"PAYMENT": "NTRF", "CHARGE": "NCHG", "INTEREST": "NINT"}
_NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version}"
_OLD_VERSION = "02"
_ID_MAX, _MT940_LINE = 35, 65
_NOT_SWIFT = re.compile(r"[^A-Za-z0-9/?:().,'+ -]")


@dataclass(frozen=True, slots=True)
class Booking:
    """What the bank booked."""

    amount: Decimal
    """Positive is money in."""
    reference: str
    name: str
    kind: Kind = "PAYMENT"
    is_reversal: bool = False


@dataclass(frozen=True, slots=True)
class Day:
    """What a statement says."""

    statement_id: str
    number: int
    """The bank's count of its statements; 0 where it does not count."""
    account: str
    currency: str
    booking_date: date
    opening: Decimal
    bookings: Sequence[Booking]

    @property
    def closing(self) -> Decimal:
        """With which the next one opens."""
        return self.opening + sum((each.amount for each in self.bookings), Decimal(0))

    @property
    def short_name(self) -> str:
        """Ten characters of its own."""
        return hashlib.sha256(self.statement_id.encode()).hexdigest()[:10].upper()

    def bank_reference(self, place: int) -> str:
        """The bank's own reference of an entry: 16 characters, the most that MT940 has room for."""
        return f"{self.short_name}{place:06d}"


def write(day: Day, paper: Paper) -> bytes:
    """The statement's file."""
    return {Paper.CSV: csv_of, Paper.CAMT_053: camt053_of, Paper.MT940: mt940_of}[paper](day)


def csv_of(day: Day) -> bytes:
    """Our CSV."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow(["POINTCLEAR-BANK-STATEMENT", "1"])
    rows.writerow(["STATEMENT", day.statement_id])
    rows.writerow(["ACCOUNT", day.account])
    rows.writerow(["CURRENCY", day.currency])
    rows.writerow(["OPENING", f"{day.opening:f}"])
    for place, each in enumerate(day.bookings, start=1):
        name = f"{day.statement_id}-{place}"
        booked = day.booking_date.isoformat()
        rows.writerow(["ENTRY", name, booked, f"{each.amount:f}", each.reference, each.name])
    rows.writerow(["CLOSING", f"{day.closing:f}"])
    rows.writerow(["END", str(len(day.bookings))])
    return text.getvalue().encode()


def camt053_of(day: Day, version: str = "08") -> bytes:
    """ISO 20022 camt.053 in one of its versions."""
    root = Element("Document", xmlns=_NAMESPACE.format(version=version))
    message = SubElement(root, "BkToCstmrStmt")
    statement_id = day.statement_id if len(day.statement_id) <= _ID_MAX else day.short_name
    created = f"{day.booking_date.isoformat()}T23:00:00"
    header = SubElement(message, "GrpHdr")
    _leaf(header, "MsgId", statement_id)
    _leaf(header, "CreDtTm", created)
    statement = SubElement(message, "Stmt")
    _leaf(statement, "Id", statement_id)
    if day.number:
        _leaf(statement, "ElctrncSeqNb", str(day.number))
    _leaf(statement, "CreDtTm", created)
    account = SubElement(statement, "Acct")
    identified = SubElement(account, "Id")
    if re.fullmatch(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{10,30}", day.account):
        _leaf(identified, "IBAN", day.account)
    else:
        _leaf(SubElement(identified, "Othr"), "Id", day.account)
    _leaf(account, "Ccy", day.currency)
    _balance(statement, "OPBD", day.opening, day)
    _balance(statement, "CLBD", day.closing, day)
    total = SubElement(SubElement(statement, "TxsSummry"), "TtlNtries")
    _leaf(total, "NbOfNtries", str(len(day.bookings)))
    _leaf(total, "Sum", f"{sum((abs(each.amount) for each in day.bookings), Decimal(0)):f}")
    for place, each in enumerate(day.bookings, start=1):
        _entry(statement, day, place, each, version)
    indent(root)
    declared = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return f"{declared}{tostring(root, encoding='unicode')}\n".encode()


def _entry(statement: Element, day: Day, place: int, booking: Booking, version: str) -> None:
    is_old = version == _OLD_VERSION
    entry = SubElement(statement, "Ntry")
    _money(entry, booking.amount, day.currency)
    if booking.is_reversal:
        _leaf(entry, "RvslInd", "true")
    if is_old:
        _leaf(entry, "Sts", "BOOK")
    else:
        _leaf(SubElement(entry, "Sts"), "Cd", "BOOK")
    for name in ("BookgDt", "ValDt"):
        _leaf(SubElement(entry, name), "Dt", day.booking_date.isoformat())
    _leaf(entry, "AcctSvcrRef", day.bank_reference(place))
    domain = SubElement(SubElement(entry, "BkTxCd"), "Domn")
    _leaf(domain, "Cd", "PMNT")
    family = SubElement(domain, "Fmly")
    _leaf(family, "Cd", "RCDT" if booking.amount > 0 else "ICDT")
    _leaf(family, "SubFmlyCd", _SUB_FAMILIES[booking.kind])
    if booking.kind != "PAYMENT":
        return
    transaction = SubElement(SubElement(entry, "NtryDtls"), "TxDtls")
    is_out = booking.amount < 0
    reference = booking.reference[:_ID_MAX] or "NOTPROVIDED"
    _leaf(SubElement(transaction, "Refs"), "EndToEndId", reference if is_out else "NOTPROVIDED")
    side = SubElement(SubElement(transaction, "RltdPties"), "Cdtr" if is_out else "Dbtr")
    _leaf(side if is_old else SubElement(side, "Pty"), "Nm", booking.name)
    _leaf(SubElement(transaction, "RmtInf"), "Ustrd", booking.reference)


def _balance(statement: Element, code: str, amount: Decimal, day: Day) -> None:
    balance = SubElement(statement, "Bal")
    _leaf(SubElement(SubElement(balance, "Tp"), "CdOrPrtry"), "Cd", code)
    _money(balance, amount, day.currency)
    _leaf(SubElement(balance, "Dt"), "Dt", day.booking_date.isoformat())


def _money(holder: Element, amount: Decimal, currency: str) -> None:
    _leaf(holder, "Amt", f"{abs(amount):f}").set("Ccy", currency)
    _leaf(holder, "CdtDbtInd", "CRDT" if amount >= 0 else "DBIT")


def _leaf(holder: Element, name: str, text: str) -> Element:
    leaf = SubElement(holder, name)
    leaf.text = text
    return leaf


def mt940_of(day: Day) -> bytes:
    """SWIFT MT940, in its blocks."""
    lines = [
        "{1:F01POINTCLEARXXX0000000000}{2:I940POINTCLEARXXXN}{4:",
        f":20:{day.short_name}",
        f":25:{day.account}",
        f":28C:{day.number:05d}/001",
        f":60F:{_mt940_balance(day.opening, day)}",
    ]
    for place, each in enumerate(day.bookings, start=1):
        mark = ("C" if each.amount > 0 else "D") if not each.is_reversal else ""
        # A debit that takes a credit back is marked RC, and the other way round.
        mark = mark or ("RD" if each.amount > 0 else "RC")
        kind, figure = _MT940_TYPES[each.kind], _mt940_figure(each.amount)
        dates = f"{day.booking_date:%y%m%d}{day.booking_date:%m%d}"
        lines.append(f":61:{dates}{mark}{figure}{kind}NONREF//{day.bank_reference(place)}")
        described = f"/REMI/{each.reference}/NAME/{each.name}"
        swift = _NOT_SWIFT.sub(".", described)
        pieces = [swift[at : at + _MT940_LINE] for at in range(0, len(swift), _MT940_LINE)]
        lines.extend([f":86:{pieces[0]}", *pieces[1:6]])
    lines += [f":62F:{_mt940_balance(day.closing, day)}", "-}"]
    return "".join(f"{line}\r\n" for line in lines).encode()


def _mt940_balance(amount: Decimal, day: Day) -> str:
    mark = "C" if amount >= 0 else "D"
    return f"{mark}{day.booking_date:%y%m%d}{day.currency}{_mt940_figure(amount)}"


def _mt940_figure(amount: Decimal) -> str:
    whole, _, fraction = f"{abs(amount):f}".partition(".")
    return f"{whole},{fraction}"


def closing_of(content: str) -> Decimal:
    """The balance with which a file of this bank closes. Raises ValueError for another file."""
    if content.startswith("<"):
        return _camt053_closing(content)
    found = re.search(r"^:62F:([CD])[0-9]{6}[A-Z]{3}([0-9]+),([0-9]*)", content, re.MULTILINE)
    if found:
        sign = -1 if found.group(1) == "D" else 1
        return sign * Decimal(f"{found.group(2)}.{found.group(3)}")
    for row in csv.reader(io.StringIO(content)):
        if len(row) == 2 and row[0] == "CLOSING":
            return Decimal(row[1])
    raise ValueError("no CLOSING")


def _camt053_closing(content: str) -> Decimal:
    try:
        root = ElementTree.fromstring(content.encode())
    except ElementTree.ParseError as wrong:
        raise ValueError("no camt.053") from wrong
    for balance in root.iterfind(".//{*}Bal"):
        if balance.findtext("{*}Tp/{*}CdOrPrtry/{*}Cd") == "CLBD":
            sign = -1 if balance.findtext("{*}CdtDbtInd") == "DBIT" else 1
            return sign * Decimal(balance.findtext("{*}Amt", ""))
    raise ValueError("no closing balance")
