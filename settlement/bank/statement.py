"""A bank's statement of one of the two accounts, whatever file it came in. Pure.

Amounts are units of the currency's scale, signed as the account holder sees them: positive is money
in. Every reader of a format makes these values and nothing else, and calls `checked`, so that what
is asked of a statement is asked of all of them alike.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from partners.errors import Reason, Refused
from partners.points import POINTS_MAX, CurrencyScale, currency_scale, format_amount, parse_amount

ENTRIES_MAX = 10_000
"""Parts of entries in one file; they are booked as one entry of the journal."""
NAME_MAX = 64
NO_REFERENCE = frozenset({"", "NOTPROVIDED", "NONREF"})
"""What banks write where a payer gave none."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff]")
_NAME = re.compile(rf"[\x21-\x7e](?:[\x20-\x7e]{{0,{NAME_MAX - 2}}}[\x21-\x7e])?")
_FIGURE = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")


class FileFormat(StrEnum):
    """In what a statement came, by the media type under which it is kept."""

    CSV = "text/csv"
    CAMT_053 = "application/xml"
    MT940 = "text/plain"


class EntryKind(StrEnum):
    """What the bank says an entry is."""

    PAYMENT = "PAYMENT"
    CHARGE = "CHARGE"
    """The bank took it for itself."""
    INTEREST = "INTEREST"


@dataclass(frozen=True, slots=True)
class Part:
    """One payment of an entry: the whole entry, unless the bank booked several in one."""

    amount: int
    texts: tuple[str, ...]
    """Where a reference may stand: structured references, ends to ends, free text."""
    name: str
    """Of the other side, as the bank wrote it."""

    @property
    def reference(self) -> str:
        """The first of the texts that says something."""
        return next((each for each in self.texts if each not in NO_REFERENCE), "")


@dataclass(frozen=True, slots=True)
class BankEntry:
    """One booking on the account."""

    entry_id: str
    """The bank's own reference, unique for ever per account."""
    booking_date: date
    amount: int
    parts: tuple[Part, ...]
    """They sum to the amount."""
    kind: EntryKind = EntryKind.PAYMENT
    is_reversal: bool = False
    """Whether it takes back an entry before it."""

    def part_id(self, place: int) -> str:
        """Name of the part at this place, counted from 0."""
        return self.entry_id if len(self.parts) == 1 else f"{self.entry_id}#{place + 1}"

    @property
    def part_ids(self) -> tuple[str, ...]:
        """Names of its parts."""
        return tuple(map(self.part_id, range(len(self.parts))))


@dataclass(frozen=True, slots=True)
class BankStatement:
    """One statement of the account."""

    statement_id: str
    account: str
    currency: CurrencyScale
    opening: int
    entries: tuple[BankEntry, ...]
    closing: int
    number: int | None = None
    """The bank's count of its statements, where the format has one."""
    year: int = 0
    """In which it was counted."""


@dataclass(frozen=True, slots=True)
class BankFile:
    """A file: statements of one account, each of which opens with the closing of the one before."""

    format: FileFormat
    statements: tuple[BankStatement, ...]
    """At least one."""

    @property
    def statement_id(self) -> str:
        """Of the first statement: the file's name for ever."""
        return self.statements[0].statement_id

    @property
    def account(self) -> str:
        """As the bank names it."""
        return self.statements[0].account

    @property
    def currency(self) -> CurrencyScale:
        """Of the account."""
        return self.statements[0].currency

    @property
    def opening(self) -> int:
        """Of the first statement."""
        return self.statements[0].opening

    @property
    def closing(self) -> int:
        """Of the last statement."""
        return self.statements[-1].closing

    @property
    def entries(self) -> tuple[BankEntry, ...]:
        """Of all statements."""
        return tuple(entry for each in self.statements for entry in each.entries)


def refused(field: str, text: str, **details: str) -> Refused:
    """The refusal of a file."""
    return Refused(Reason.BANK_FILE_REFUSED, field, text, details)


def checked(format: FileFormat, statements: Iterable[BankStatement]) -> BankFile:
    """A file whose statements are whole and follow one on the other.

    Raises Refused(BANK_FILE_REFUSED) naming what does not fit.
    """
    file = BankFile(format, tuple(statements))
    if not file.statements:
        raise refused("content", "the file has no statement; ask the bank for it again")
    if sum(len(each.parts) for each in file.entries) > ENTRIES_MAX:
        raise refused("entries", f"a file has at most {ENTRIES_MAX} entries; ask for days apart")
    before: BankStatement | None = None
    for statement in file.statements:
        _check_name(statement.statement_id, "statement_id")
        _check_sum(statement)
        if before is not None:
            _check_follows(before, statement)
        before = statement
    _check_unique((each.statement_id for each in file.statements), "statement_id")
    _check_unique((each.entry_id for each in file.entries), "entries.entry_id")
    _check_unique((name for each in file.entries for name in each.part_ids), "entries.entry_id")
    return file


def _check_sum(statement: BankStatement) -> None:
    scale = statement.currency.scale
    for entry in statement.entries:
        _check_name(entry.entry_id, "entries.entry_id")
        field = f"entries[{entry.entry_id}]"
        if entry.amount == 0 or not all(part.amount for part in entry.parts):
            raise refused(field, "an entry of nothing; ask the bank to leave it out")
        parts = sum(part.amount for part in entry.parts)
        if parts != entry.amount:
            raise refused(
                field,
                f"its parts come to {format_amount(parts, scale)}, the entry is of"
                f" {format_amount(entry.amount, scale)}",
            )
    found = statement.opening + sum(entry.amount for entry in statement.entries)
    if found != statement.closing:
        raise refused(
            "closing",
            f"opening and entries come to {format_amount(found, scale)}, the statement closes"
            f" with {format_amount(statement.closing, scale)}; a row may be missing or altered",
        )


def _check_follows(before: BankStatement, statement: BankStatement) -> None:
    if statement.account != before.account:
        raise refused(
            "account",
            f"the file has statements of {before.account} and of {statement.account};"
            " ask the bank for one account a file",
        )
    if statement.currency != before.currency:
        raise refused("currency", "the file has statements in two currencies")
    if statement.opening != before.closing:
        raise refused(
            "opening",
            f"{statement.statement_id} does not open with the closing of {before.statement_id}:"
            " a statement between them is missing",
        )
    check_number(before, statement)


def check_number(before: BankStatement, statement: BankStatement) -> None:
    """Raise Refused(BANK_FILE_REFUSED) where the bank's own count says that a statement between
    these two is missing: the balances alone do not show one whose entries sum to nothing.
    """
    if before.number is None or statement.number is None or before.year != statement.year:
        return
    if statement.number > before.number + 1:
        raise refused(
            "number",
            f"statement {statement.number} follows on {before.number}:"
            f" import {before.number + 1} first",
        )


def decoded(content: bytes) -> str:
    """The text of a file.

    Raises Refused(BANK_FILE_REFUSED) unless it is UTF-8 from the first byte to the last, and text.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as wrong:
        line = content.count(b"\n", 0, wrong.start) + 1
        raise refused(
            "content",
            f"byte {content[wrong.start]:#04x} in line {line} is not UTF-8; ask the bank for a"
            " file in UTF-8 throughout",
        ) from wrong
    control = _CONTROL.search(text)
    if control:
        line = text.count("\n", 0, control.start()) + 1
        what = "a byte order mark" if control.group() == "\ufeff" else "a control character"
        raise refused("content", f"{what} stands in line {line}; ask for the file without it")
    return text


def currency_of(code: str) -> CurrencyScale:
    """The currency of an account; raises Refused(BANK_FILE_REFUSED)."""
    try:
        return currency_scale(code)
    except Refused as unknown:
        raise refused("currency", unknown.text) from unknown


def amount_of(text: str, currency: CurrencyScale, field: str) -> int:
    """Units of a figure with a point and no grouping, such as `1234.50`.

    Raises Refused(BANK_FILE_REFUSED) naming `field`, also for more digits than the currency's minor
    unit has.
    """
    if not _FIGURE.fullmatch(text):
        raise refused(
            field, f"{text!r} is not a figure of digits with a point, such as 1234.50 or -3"
        )
    try:
        units = parse_amount(text, currency.scale, field)
    except Refused as wrong:
        raise refused(field, wrong.text) from wrong
    if abs(units) > POINTS_MAX:
        raise refused(field, f"{text} is more than the books hold")
    if units % currency.minor_unit:
        raise refused(field, f"{text} is no whole number of minor units of {currency.code}")
    return units


def date_of(text: str, field: str) -> date:
    """A date as `2026-01-31`; raises Refused(BANK_FILE_REFUSED) for any other form of it."""
    # Not fromisoformat alone: it takes 20260131 and week dates, and one file has one form.
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            pass
    raise refused(field, f"{text!r} is not a date such as 2026-01-31")


def _check_name(text: str, field: str) -> None:
    if not _NAME.fullmatch(text):
        raise refused(field, f"{text!r} is not 1 to {NAME_MAX} printable ASCII characters")


def _check_unique(names: Iterable[str], field: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise refused(field, f"{name} occurs twice in the file")
        seen.add(name)
