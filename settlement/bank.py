"""The bank's statement of the settlement account: its file, and what each entry is matched with.
Pure.

Format (CSV, RFC 4180, UTF-8, amounts as decimals in whole minor units, positive is money in):

    POINTCLEAR-BANK-STATEMENT,1
    STATEMENT,<statement id>
    ACCOUNT,<account>
    CURRENCY,<ISO 4217 code>
    OPENING,<balance>
    ENTRY,<entry id>,<booking date, ISO 8601>,<signed amount>,<reference>,<name>
    CLOSING,<balance>
    END,<number of entries>

There are any number of entries. A file is refused whole unless the account fits, it opens with our
last closing balance, opening and entries come to the closing balance, and no entry id occurs twice.
An entry confirms the one pending leg that has its reference, direction and amount. Other money in
goes to suspense; other money out refuses the file, since nobody may have sent it.
"""

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from partners.errors import Reason, Refused
from partners.points import POINTS_MAX, CurrencyScale, currency_scale, format_amount, parse_amount
from settlement.windows import Leg, LegState

FORMAT = ["POINTCLEAR-BANK-STATEMENT", "1"]
_HEADS = ("STATEMENT", "ACCOUNT", "CURRENCY", "OPENING")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ENTRY_CELLS = 6

ENTRIES_MAX = 10_000
"""Entries in one file; they are booked as one entry of the journal."""


@dataclass(frozen=True, slots=True)
class BankEntry:
    """One booking on the account."""

    entry_id: str
    booking_date: date
    amount: int
    """Units of the currency's scale; positive is money in."""
    reference: str
    name: str


@dataclass(frozen=True, slots=True)
class BankStatement:
    """One statement of the account. Balances are in units of the currency's scale."""

    statement_id: str
    account: str
    currency: CurrencyScale
    opening: int
    entries: tuple[BankEntry, ...]
    closing: int


@dataclass(frozen=True, slots=True)
class Matching:
    """What the entries of a file are."""

    confirmed: tuple[Leg, ...]
    """Pending legs that the file confirms."""
    unmatched: tuple[BankEntry, ...]
    """Money in that fits no leg."""


def settlement_account(currency: str) -> str:
    """How a bank file names the settlement account of a currency."""
    return f"pointclear-settlement-{currency.lower()}"


def parse_bank_file(content: bytes) -> BankStatement:
    """Read a bank file.

    Raises Refused(BANK_FILE_REFUSED) with the row at fault unless it is whole and adds up.
    """
    try:
        rows = list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as wrong:
        raise _refused("content", f"the file is not CSV in UTF-8: {wrong}") from wrong
    if not rows or rows[0] != FORMAT:
        raise _refused("content", f"the first row is not {','.join(FORMAT)}")
    if len(rows) < len(_HEADS) + 3 or rows[-1][:1] != ["END"] or rows[-2][:1] != ["CLOSING"]:
        raise _refused("content", "CLOSING and END are missing, so the file may be cut short")
    if len(rows) - len(_HEADS) - 3 > ENTRIES_MAX:
        raise _refused("entries", f"a file has at most {ENTRIES_MAX} entries")
    heads = [
        _only_cell(row, name) for row, name in zip(rows[1 : len(_HEADS) + 1], _HEADS, strict=True)
    ]
    statement_id, account, code, opening = heads
    _check_name(statement_id, "statement_id")
    try:
        currency = currency_scale(code)
    except Refused as unknown:
        raise _refused("currency", unknown.text) from unknown
    entries = tuple(_entry(row, currency) for row in rows[len(_HEADS) + 1 : -2])
    statement = BankStatement(
        statement_id,
        account,
        currency,
        _amount(opening, currency, "opening"),
        entries,
        _amount(_only_cell(rows[-2], "CLOSING"), currency, "closing"),
    )
    _check_sums(statement, _only_cell(rows[-1], "END"))
    return statement


def check_account(statement: BankStatement, currency: str, mirror_posted: int) -> None:
    """Raise Refused(BANK_FILE_REFUSED) unless the file follows on our books.

    `mirror_posted` is the posted balance of `hub.bank.settlement`, which is minus what the bank
    holds.
    """
    if statement.currency.code != currency:
        raise _refused("currency", f"the file is of {statement.currency.code}, not {currency}")
    if statement.account != settlement_account(currency):
        raise _refused("account", f"{statement.account} is not {settlement_account(currency)}")
    if statement.opening != -mirror_posted:
        scale = statement.currency.scale
        raise _refused(
            "opening",
            f"the file opens with {format_amount(statement.opening, scale)}, "
            f"our last closing is {format_amount(-mirror_posted, scale)}",
        )


def match(entries: Iterable[BankEntry], legs: Iterable[Leg]) -> Matching:
    """Match entries with pending legs: same reference, direction and amount, each leg once.

    Raises Refused(BANK_FILE_REFUSED) naming the entry when money went out that no leg explains.
    """
    pending = {(leg.reference, -leg.payment): leg for leg in legs if leg.state is LegState.PENDING}
    confirmed: list[Leg] = []
    unmatched: list[BankEntry] = []
    for entry in entries:
        leg = pending.pop((_compact(entry.reference), entry.amount), None)
        if leg is not None:
            confirmed.append(leg)
        elif entry.amount > 0:
            unmatched.append(entry)
        else:
            raise _refused(
                f"entries[{entry.entry_id}]", "money went out that no recorded pay-out explains"
            )
    return Matching(tuple(confirmed), tuple(unmatched))


def _entry(row: list[str], currency: CurrencyScale) -> BankEntry:
    if len(row) != _ENTRY_CELLS or row[0] != "ENTRY":
        raise _refused("entries", f"{','.join(row[:2])} stands where an entry should")
    _, entry_id, booked, amount, reference, name = row
    _check_name(entry_id, "entries.entry_id")
    try:
        booking_date = date.fromisoformat(booked)
    except ValueError as wrong:
        raise _refused(f"entries[{entry_id}]", f"{booked!r} is not a date") from wrong
    units = _amount(amount, currency, f"entries[{entry_id}]")
    if units == 0:
        raise _refused(f"entries[{entry_id}]", "an entry of nothing")
    return BankEntry(entry_id, booking_date, units, reference, name)


def _check_sums(statement: BankStatement, count: str) -> None:
    if count != str(len(statement.entries)):
        raise _refused(
            "end", f"the file announces {count} entries and has {len(statement.entries)}"
        )
    if len({entry.entry_id for entry in statement.entries}) < len(statement.entries):
        raise _refused("entries.entry_id", "an entry id occurs twice")
    if statement.opening + sum(e.amount for e in statement.entries) != statement.closing:
        raise _refused("closing", "opening and entries do not come to the closing balance")


def _amount(text: str, currency: CurrencyScale, field: str) -> int:
    try:
        units = parse_amount(text, currency.scale, field)
    except Refused as wrong:
        raise _refused(field, wrong.text) from wrong
    if abs(units) > POINTS_MAX:
        raise _refused(field, f"{text} is more than the books hold")
    if units % currency.minor_unit:
        raise _refused(field, f"{text} is no whole number of minor units of {currency.code}")
    return units


def _only_cell(row: list[str], name: str) -> str:
    if len(row) != 2 or row[0] != name:
        raise _refused(name.lower(), f"the row {name} with one cell is missing")
    return row[1]


def _check_name(text: str, field: str) -> None:
    if not _NAME.fullmatch(text):
        raise _refused(field, "a name has 1 to 64 letters, digits, dots, dashes and underscores")


def _compact(reference: str) -> str:
    """A structured reference without the spaces that banks print in it."""
    return reference.replace(" ", "").upper()


def _refused(field: str, text: str) -> Refused:
    return Refused(Reason.BANK_FILE_REFUSED, field, text)
