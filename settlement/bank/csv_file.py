"""Our own form of a bank's statement. Pure.

Format (CSV, RFC 4180, UTF-8 without a mark, amounts as decimals in whole minor units with a point,
positive is money in, dates as 2026-01-31):

    POINTCLEAR-BANK-STATEMENT,1
    STATEMENT,<statement id>
    ACCOUNT,<account>
    CURRENCY,<ISO 4217 code>
    OPENING,<balance>
    ENTRY,<entry id>,<booking date>,<signed amount>,<reference>,<name>
    CLOSING,<balance>
    END,<number of entries>

There are any number of entries. There is one form: whatever else somebody's program writes is
refused by name, and never guessed.
"""

import csv
import io
import re

from partners.points import CurrencyScale
from settlement.bank.statement import (
    BankEntry,
    BankFile,
    BankStatement,
    FileFormat,
    Part,
    amount_of,
    checked,
    currency_of,
    date_of,
    decoded,
    refused,
)

FIRST_ROW = ("POINTCLEAR-BANK-STATEMENT", "1")
_HEADS = ("STATEMENT", "ACCOUNT", "CURRENCY", "OPENING")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ENTRY_CELLS = 6


def parse_csv(content: bytes) -> BankFile:
    """Read a file. Raises Refused(BANK_FILE_REFUSED) with the row at fault unless it is whole."""
    try:
        rows = list(csv.reader(io.StringIO(decoded(content), newline=""), strict=True))
    except csv.Error as wrong:
        raise refused("content", f"the file is not CSV: {wrong}") from wrong
    if not rows or tuple(rows[0]) != FIRST_ROW:
        raise refused("content", f"the first row is not {','.join(FIRST_ROW)}")
    if len(rows) < len(_HEADS) + 3 or rows[-1][:1] != ["END"] or rows[-2][:1] != ["CLOSING"]:
        raise refused("content", "CLOSING and END are missing, so the file may be cut short")
    heads = [
        _only_cell(row, name) for row, name in zip(rows[1 : len(_HEADS) + 1], _HEADS, strict=True)
    ]
    statement_id, account, code, opening = heads
    _check_name(statement_id, "statement_id")
    currency = currency_of(code)
    entries = tuple(_entry(row, currency) for row in rows[len(_HEADS) + 1 : -2])
    statement = BankStatement(
        statement_id,
        account,
        currency,
        amount_of(opening, currency, "opening"),
        entries,
        amount_of(_only_cell(rows[-2], "CLOSING"), currency, "closing"),
    )
    count = _only_cell(rows[-1], "END")
    if count != str(len(entries)):
        raise refused("end", f"the file announces {count} entries and has {len(entries)}")
    return checked(FileFormat.CSV, [statement])


def _entry(row: list[str], currency: CurrencyScale) -> BankEntry:
    if len(row) != _ENTRY_CELLS or row[0] != "ENTRY":
        raise refused(
            "entries",
            f"{','.join(row[:2])} stands where ENTRY and its {_ENTRY_CELLS - 1} cells should",
        )
    _, entry_id, booked, amount, reference, name = row
    _check_name(entry_id, "entries.entry_id")
    field = f"entries[{entry_id}]"
    units = amount_of(amount, currency, field)
    part = Part(units, (reference,), name)
    return BankEntry(entry_id, date_of(booked, field), units, (part,))


def _only_cell(row: list[str], name: str) -> str:
    if len(row) != 2 or row[0] != name:
        raise refused(name.lower(), f"the row {name} with one cell is missing")
    return row[1]


def _check_name(text: str, field: str) -> None:
    if not _NAME.fullmatch(text):
        raise refused(
            field, f"{text!r} is not 1 to 64 letters, digits, dots, dashes and underscores"
        )
