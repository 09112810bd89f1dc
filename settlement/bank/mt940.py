"""A bank's statement as SWIFT MT940. Pure.

Source: SWIFT Standards MT, category 9, MT 940 Customer Statement Message, in the forms in which
banks hand it out: with blocks `{1:…}{2:…}{4:` and `-}`, or its text block alone.

    :20: reference   :25: or :25P: account   :28C: statement/page   :60F: or :60M: opening
    (:61: entry [:86: its description])*     :62F: or :62M: closing   [:64:] [:65:]* [:86:]

- Every field that counts is read whole by the standard's own grammar. The package for MT940 that
  the field uses reads as much of `1.000,00` as it understands, which is 1 (docs/decisions/0031).
- Amounts have a comma and no grouping. An entry's mark says which way it goes; RC and RD take back
  a credit and a debit.
- Pages of one statement (`:62M:` then `:60M:`) are one statement; a file may have several.
- An entry is named by the bank's own reference (after `//`), or by its place in the statement where
  the bank gives none.
- Types CHG and COM are charges, INT is interest.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

from partners.points import CurrencyScale
from settlement.bank.statement import (
    BankEntry,
    BankFile,
    BankStatement,
    EntryKind,
    FileFormat,
    Part,
    amount_of,
    checked,
    currency_of,
    decoded,
    refused,
)

_HEADER = re.compile(r"(?:\{[1235]:[^\n]*\})*\{4:")
_TRAILER = re.compile(r"-(?:\}(?:\{[^\n]*\})*)?")
_FIELD = re.compile(r":([0-9]{2}[A-Z]?):(.*)")
_GRAMMAR = re.compile(
    r"20 (?:21 )?25P? 28C? 60[FM] (?:61 (?:86 )?)*62[FM] (?:64 )?(?:65 )*(?:86 )?"
)
_BALANCE = re.compile(r"([CD])([0-9]{6})([A-Z]{3})([0-9]{1,14},[0-9]{0,13})")
_ENTRY = re.compile(
    r"([0-9]{6})([0-9]{4})?(R?[CD])([A-Z])?([0-9]{1,14},[0-9]{0,13})([NSF][A-Z0-9]{3})"
    r"((?:(?!//)[^\n]){0,16})(?://([^\n]{1,16}))?(?:\n([^\n]{1,34}))?"
)
_NUMBER = re.compile(r"([0-9]{1,5})(?:/([0-9]{1,5}))?")
_AMOUNT_LENGTH_MAX = 15
_SUBFIELD = re.compile(r"\?[0-9]{2}")
_NOTHING = frozenset({"", "NONREF"})
CHARGE_TYPES = frozenset({"CHG", "COM"})
INTEREST_TYPES = frozenset({"INT"})

Field = tuple[str, str]
"""Tag, and the text behind it with its continuation lines."""


@dataclass(frozen=True, slots=True)
class _Page:
    statement: BankStatement
    page: int
    is_first: bool
    is_last: bool


def parse_mt940(content: bytes) -> BankFile:
    """Read a file. Raises Refused(BANK_FILE_REFUSED) with the field at fault unless it is whole."""
    text = decoded(content).replace("\r\n", "\n")
    statements: list[BankStatement] = []
    before: _Page | None = None
    for fields in _messages(text):
        page = _page(fields)
        if before is not None and not before.is_last:
            statements[-1] = _joined(before, statements[-1], page)
        elif page.is_first:
            statements.append(page.statement)
        else:
            raise refused(":60M:", "the pages before this one are missing")
        before = page
    if before is not None and not before.is_last:
        raise refused(":62M:", "the last page is missing, so the file may be cut short")
    return checked(FileFormat.MT940, statements)


def _messages(text: str) -> Iterator[list[Field]]:
    """The fields of each message."""
    fields: list[Field] = []
    for number, line in enumerate(text.split("\n"), 1):
        if _HEADER.fullmatch(line) or _TRAILER.fullmatch(line):
            if fields:
                yield fields
            fields = []
            continue
        found = _FIELD.fullmatch(line)
        if found:
            if found.group(1) == "20" and fields:
                # Some banks put no mark between two messages.
                yield fields
                fields = []
            fields.append((found.group(1), found.group(2)))
        elif fields:
            tag, value = fields[-1]
            fields[-1] = (tag, f"{value}\n{line}")
        elif line.strip():
            raise refused("content", f"line {number} stands before the first field")
    if fields:
        yield fields


def _page(fields: list[Field]) -> _Page:
    tags = "".join(f"{tag} " for tag, _ in fields)
    if not _GRAMMAR.fullmatch(tags):
        raise refused(
            "content",
            f"the fields {tags.strip()[:200]} are not those of a statement in their order, so one"
            " may be missing or cut off",
        )
    values = {tag: value.rstrip("\n") for tag, value in fields if tag not in ("61", "86")}
    number, page = _numbers(values.get("28C") or values["28"])
    open_tag, close_tag = (
        ("60F" if "60F" in values else "60M"),
        ("62F" if "62F" in values else "62M"),
    )
    opening, opened, currency = _balance(values[open_tag], open_tag)
    closing, closed, closing_currency = _balance(values[close_tag], close_tag)
    if closing_currency != currency:
        raise refused(f":{close_tag}:", f"it closes in {closing_currency.code}")
    if closed < opened:
        raise refused(f":{close_tag}:", f"it closes on {closed}, before it opens on {opened}")
    statement_id = f"{values['20'].strip()}/{number}/{closed:%Y-%m-%d}"
    account = (values.get("25") or values["25P"]).split("\n")[0].strip()
    entries = tuple(_entries(fields, currency, f"{statement_id}/{page}"))
    return _Page(
        BankStatement(
            statement_id, account, currency, opening, entries, closing, number, closed.year
        ),
        page,
        open_tag == "60F",
        close_tag == "62F",
    )


def _joined(before: _Page, so_far: BankStatement, page: _Page) -> BankStatement:
    """A statement with its next page."""
    following = page.statement
    if (
        page.is_first
        or page.page != before.page + 1
        or following.number != so_far.number
        or following.account != so_far.account
        or following.currency != so_far.currency
        or following.opening != so_far.closing
    ):
        raise refused(":60M:", f"this is not page {before.page + 1} of {so_far.statement_id}")
    return replace(
        following,
        opening=so_far.opening,
        entries=(*so_far.entries, *following.entries),
    )


def _entries(
    fields: list[Field], currency: CurrencyScale, statement_id: str
) -> Iterator[BankEntry]:
    place = 0
    for (tag, value), (next_tag, described) in zip(fields, [*fields[1:], ("", "")], strict=True):
        if tag == "61":
            place += 1
            yield _entry(
                value, described if next_tag == "86" else "", currency, f"{statement_id}#{place}"
            )


def _entry(value: str, described: str, currency: CurrencyScale, fallback: str) -> BankEntry:
    found = _ENTRY.fullmatch(value.rstrip("\n"))
    if not found:
        raise refused(
            ":61:", f"{value[:60]!r} is not value date, mark, amount with a comma, type, reference"
        )
    valued, booked, mark, funds, figure, kind, customer, bank, more = found.groups()
    entry_id = (bank or "").strip()
    entry_id = fallback if entry_id in _NOTHING else entry_id
    field = f"entries[{entry_id}]"
    if funds and funds != currency.code[2]:
        raise refused(field, f"its funds code {funds} is not that of {currency.code}")
    # RC takes back a credit: money goes out.
    sign = 1 if mark in ("C", "RD") else -1
    amount = sign * _amount(figure, currency, field)
    value_date = _date(valued, field)
    texts = (*_texts(described), customer, more or "")
    return BankEntry(
        entry_id,
        _booked_on(value_date, booked, field) if booked else value_date,
        amount,
        (Part(amount, tuple(text for text in texts if text not in _NOTHING), _name(described)),),
        _kind(kind[1:]),
        mark.startswith("R"),
    )


def _texts(described: str) -> tuple[str, ...]:
    """The description as one text: banks break lines wherever they are full, and number parts."""
    whole = described.replace("\n", "")
    return (_SUBFIELD.sub("", whole),) if whole else ()


def _name(described: str) -> str:
    """The other side's, where the description has its subfields."""
    whole = described.replace("\n", "")
    marked = re.search(r"\?32([^?]*)(?:\?33([^?]*))?", whole)
    if marked:
        return f"{marked.group(1)}{marked.group(2) or ''}".strip()
    named = re.search(r"/NAME/([^/]*)", whole)
    return named.group(1).strip() if named else ""


def _kind(code: str) -> EntryKind:
    if code in CHARGE_TYPES:
        return EntryKind.CHARGE
    return EntryKind.INTEREST if code in INTEREST_TYPES else EntryKind.PAYMENT


def _numbers(text: str) -> tuple[int, int]:
    """Number of the statement and of its page."""
    found = _NUMBER.fullmatch(text)
    if not found:
        raise refused(":28C:", f"{text!r} is not a statement's number and its page, such as 31/1")
    return int(found.group(1)), int(found.group(2) or 1)


def _balance(text: str, tag: str) -> tuple[int, date, CurrencyScale]:
    found = _BALANCE.fullmatch(text)
    if not found:
        raise refused(
            f":{tag}:", f"{text[:40]!r} is not mark, date, currency and amount with a comma"
        )
    mark, day, code, figure = found.groups()
    currency = currency_of(code)
    units = _amount(figure, currency, "opening" if tag.startswith("60") else "closing")
    return (units if mark == "C" else -units), _date(day, f":{tag}:"), currency


def _amount(figure: str, currency: CurrencyScale, field: str) -> int:
    if len(figure) > _AMOUNT_LENGTH_MAX:
        raise refused(field, f"{figure} has more than {_AMOUNT_LENGTH_MAX} characters")
    whole, _, fraction = figure.partition(",")
    return amount_of(f"{whole}.{fraction}" if fraction else whole, currency, field)


def _date(text: str, field: str) -> date:
    """`YYMMDD` of this century."""
    try:
        return date(2000 + int(text[:2]), int(text[2:4]), int(text[4:]))
    except ValueError:
        raise refused(field, f"{text!r} is not a date as YYMMDD") from None


def _booked_on(valued: date, text: str, field: str) -> date:
    """A booking date without its year: the one nearest to the value date."""
    found = []
    for year in (valued.year - 1, valued.year, valued.year + 1):
        try:
            found.append(date(year, int(text[:2]), int(text[2:])))
        except ValueError:
            # Also 29 February of the years around a leap year.
            continue
    if not found:
        raise refused(field, f"{text!r} is not a date as MMDD")
    return min(found, key=lambda each: abs(each - valued))
