"""A mapping's document: JSON, in which only what differs from the defaults needs to be said. Pure.

`parse_mapping` is its specification; `docs/finance.md` has examples.
"""

import codecs
import json
import re
from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from partners.points import check_id
from settlement.reconciliation.mapping import (
    COLUMNS,
    COVERED,
    NUMBERS,
    ColumnMapping,
    Format,
    RowKinds,
    Sign,
    State,
    Totals,
    check,
    wrong,
)

BYTES_MAX = 32 * 1024
"""Of a mapping's document."""
NAME_MAX = 200
"""Characters in a column's name or in a word."""
WORDS_MAX = 200
IN_TRANSIT_MINUTES_MAX = 24 * 60
WIDTH_MAX = 100_000
ENCODINGS = (
    *("utf-8", "utf-16", "ascii", "cp1250", "cp1251", "cp1252", "iso8859-1", "iso8859-2"),
    *("iso8859-15", "gb18030", "big5", "cp932", "shift_jis", "euc_jp", "euc_kr"),
)
"""As Python's `codecs` call them."""
_DATE_PARTS = frozenset("YymdHIMSfpzbBj")
"""What a date's format may hold after a `%`."""


def parse_mapping(body: bytes) -> ColumnMapping:
    """Read a mapping's document; raises Refused(FIELD_INVALID) naming what is wrong with it."""
    if len(body) > BYTES_MAX:
        wrong("", f"a mapping has at most {BYTES_MAX:,} bytes")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        wrong("", "a mapping is a JSON document in UTF-8")
    if not isinstance(document, dict):
        wrong("", "a mapping is a JSON object")
    known = {each.name for each in fields(ColumnMapping)}
    for name in document:
        if name not in known:
            wrong(name, f"no mapping has {name[:NAME_MAX]!r}; there are {', '.join(sorted(known))}")
    readers = {
        "columns": _columns,
        "format": lambda value: _choice(value, Format, "format"),
        "encoding": _encoding,
        "delimiter": lambda value: _character(value, "delimiter"),
        "quote": lambda value: _character(value, "quote", may_be_empty=True),
        "header": lambda value: _flag(value, "header"),
        "sheet": lambda value: _text(value, "sheet", may_be_empty=True),
        "widths": _widths,
        "decimal": lambda value: _character(value, "decimal"),
        "group": lambda value: _character(value, "group", may_be_empty=True),
        "date_format": _date_format,
        "zone": _zone,
        "direction_words": lambda value: _words(value, "direction_words", ("out", "in")),
        "status_words": _status_words,
        "programs": _programs,
        "rows": _rows,
        "totals": _totals,
        "money_sign": lambda value: _choice(value, Sign, "money_sign"),
        "money_covers": lambda value: _several(value, "money_covers", COVERED),
        "tax_covers": lambda value: _several(value, "tax_covers", COVERED),
        "rate_is": lambda value: _one_of(
            value, "rate_is", ("target-per-source", "source-per-target")
        ),
        "tolerance": _tolerance,
        "in_transit_minutes": _minutes,
    }
    if "columns" not in document:
        wrong("columns", "a mapping says which columns the file has")
    mapping = ColumnMapping(**{name: readers[name](value) for name, value in document.items()})
    check(mapping)
    return mapping


def _text(value: Any, name: str, *, may_be_empty: bool = False) -> str:
    if not isinstance(value, str) or len(value) > NAME_MAX or not (value or may_be_empty):
        wrong(name, f"a text of at most {NAME_MAX} characters is due here")
    if any(ord(each) < 32 and each != "\t" for each in value):
        wrong(name, "control characters have no place here")
    return value


def _character(value: Any, name: str, *, may_be_empty: bool = False) -> str:
    text = _text(value, name, may_be_empty=may_be_empty)
    if len(text) > 1 or (text and name in ("delimiter", "quote") and ord(text) > 126):
        wrong(name, "one character is due here")
    return text


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        wrong(name, "true or false is due here")
    return value


def _choice(value: Any, kind: Any, name: str) -> Any:
    return kind(_one_of(value, name, tuple(each.value for each in kind)))


def _one_of(value: Any, name: str, choices: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in choices:
        wrong(name, f"one of {', '.join(choices)} is due here")
    return value


def _several(value: Any, name: str, choices: tuple[str, ...]) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        wrong(name, "a list is due here")
    return tuple(dict.fromkeys(_one_of(each, name, choices) for each in value))


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict) or len(value) > WORDS_MAX:
        wrong(name, f"an object of at most {WORDS_MAX} names is due here")
    return value


def _columns(value: Any) -> Mapping[str, str]:
    found = {}
    for what, column in _object(value, "columns").items():
        _one_of(what, "columns", COLUMNS)
        found[what] = _text(column, f"columns.{what}")
    if len(set(found.values())) != len(found):
        wrong("columns", "one column is one thing")
    return MappingProxyType(found)


def _encoding(value: Any) -> str:
    text = _text(value, "encoding")
    try:
        name = codecs.lookup(text).name
    except LookupError:
        name = ""
    if name not in ENCODINGS:
        wrong("encoding", f"one of {', '.join(ENCODINGS)} is due here")
    return name


def _widths(value: Any) -> Mapping[str, tuple[int, int]]:
    found = {}
    for column, place in _object(value, "widths").items():
        first, count = place if isinstance(place, list) and len(place) == 2 else (0, 0)
        if not all(type(each) is int and 1 <= each <= WIDTH_MAX for each in (first, count)):
            wrong("widths", f"{column[:NAME_MAX]!r} has its first character and their number")
        found[_text(column, "widths")] = (first, count)
    return MappingProxyType(found)


def _date_format(value: Any) -> str:
    text = _text(value, "date_format")
    parts = re.findall(r"%(.)", text.replace("%%", ""))
    if not parts or not _DATE_PARTS.issuperset(parts) or text.endswith("%"):
        wrong("date_format", "a format such as %Y-%m-%d is due here")
    has = set(parts)
    if not has & {"Y", "y"} or not ("j" in has or ("d" in has and has & {"m", "b", "B"})):
        wrong("date_format", "a date has a year, a month and a day")
    return text


def _zone(value: Any) -> str:
    text = _text(value, "zone")
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        wrong("zone", f"{text!r} is no IANA zone such as Europe/Paris")
    return text


def _words(value: Any, name: str, meanings: tuple[str, ...]) -> Mapping[str, str]:
    found = _object(value, name)
    return MappingProxyType(
        {_text(word, name): _one_of(meaning, name, meanings) for word, meaning in found.items()}
    )


def _status_words(value: Any) -> Mapping[str, State]:
    words = _words(value, "status_words", tuple(each.value for each in State))
    return MappingProxyType({word: State(meaning) for word, meaning in words.items()})


def _programs(value: Any) -> Mapping[str, str]:
    found = _object(value, "programs")
    return MappingProxyType(
        {
            _text(name, "programs"): check_id(_text(ours, "programs"), "mapping.programs")
            for name, ours in found.items()
        }
    )


def _part(value: Any, name: str, known: tuple[str, ...]) -> dict[str, Any]:
    found = _object(value, name)
    for each in found:
        _one_of(each, name, known)
    return found


def _rows(value: Any) -> RowKinds:
    found = _part(value, "rows", ("column", "total", "end", "ignored"))
    ignored = found.get("ignored", [])
    if not isinstance(ignored, list) or len(ignored) > WORDS_MAX:
        wrong("rows.ignored", "a list of words is due here")
    words = [
        _text(found.get(each, ""), f"rows.{each}", may_be_empty=True)
        for each in ("column", "total", "end")
    ]
    skipped = tuple(_text(each, "rows.ignored", may_be_empty=True) for each in ignored)
    return RowKinds(words[0], words[1], words[2], skipped)


def _totals(value: Any) -> Totals:
    found = _part(value, "totals", ("count", "sums"))
    sums = found.get("sums", [])
    if not isinstance(sums, list) or len(sums) > len(NUMBERS):
        wrong("totals.sums", "a list of columns is due here")
    return Totals(
        _text(found.get("count", ""), "totals.count", may_be_empty=True),
        tuple(_text(each, "totals.sums") for each in sums),
    )


def _tolerance(value: Any) -> Decimal | None:
    if value is None:
        return None
    try:
        amount = Decimal(_text(value, "tolerance"))
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or not 0 <= amount <= 1_000_000:
        wrong("tolerance", 'an amount in a text such as "0.005" is due here')
    return amount


def _minutes(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= IN_TRANSIT_MINUTES_MAX:
        wrong("in_transit_minutes", f"0 to {IN_TRANSIT_MINUTES_MAX} minutes are due here")
    return int(value)
