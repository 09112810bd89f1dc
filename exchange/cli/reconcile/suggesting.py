"""Guesses how a CSV file is written. Pure. What is guessed is to be looked at by somebody who knows
the file: a guess is a beginning, never a setting.
"""

import codecs
import csv
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

ROWS_LOOKED_AT = 1000
_NAMES = {
    "transfer_id": ("transfer_id", "transferid", "transfer", "transaction_id", "uuid", "交易号"),
    "reference": ("own_reference", "reference", "ref", "order_id", "order_no", "订单号"),
    "member": ("member", "member_id", "customer", "customer_id", "card", "account", "会员号"),
    "program": ("program", "programme", "scheme"),
    "direction": ("direction", "way", "type", "in_out"),
    "points_out": ("points_out", "debit_points", "redeemed", "burned"),
    "points_in": ("points_in", "credit_points", "earned", "granted"),
    "points": ("points", "miles", "amount_points", "积分"),
    "money": ("money", "value", "amount", "金额"),
    "rate": ("rate", "block_rate"),
    "fee": ("fee", "fees", "commission"),
    "tax": ("tax", "vat"),
    "status": ("status", "state"),
    "date": ("booked_at", "date", "booked", "time", "timestamp", "created", "日期"),
}
"""What columns are often called, the likeliest first."""
_DATES = (
    *("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%M:%S%z"),
    *("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%d.%m.%Y", "%d.%m.%Y %H:%M:%S"),
    *("%d/%m/%Y", "%m/%d/%Y", "%Y%m%d", "%Y/%m/%d"),
)
_DIRECTIONS = {
    **dict.fromkeys(("out", "debit", "d", "burn", "redeem", "-"), "out"),
    **dict.fromkeys(("in", "credit", "c", "earn", "grant", "+"), "in"),
}
_TOTAL = re.compile(r"(?i)total|trailer|sum|T|TRL")
_END = re.compile(r"(?i)end|eof|E")


def suggested(content: bytes) -> dict[str, Any]:
    """A mapping's document, with only what differs from the defaults."""
    encoding, text = _decoded(content)
    delimiter = max(",;\t|", key=text.partition("\n")[0].count)
    lines = text.splitlines()
    rows = list(csv.reader(lines[: ROWS_LOOKED_AT + 1], delimiter=delimiter))
    last = list(csv.reader(lines[-2:], delimiter=delimiter))
    header, body = [each.strip() for each in rows[0]] if rows else [], rows[1:]
    columns = _columns(header)
    guess: dict[str, Any] = {"columns": columns}
    if encoding != "utf-8":
        guess["encoding"] = encoding
    if delimiter != ",":
        guess["delimiter"] = delimiter
    cells = {name: _cells(header.index(column), body) for name, column in columns.items()}
    guess |= _numbers(
        [each for name in ("money", "fee", "tax", "points") for each in cells.get(name, ())]
    )
    if "date" in columns:
        guess["date_format"] = _date_format(cells["date"])
    guess |= _words(cells)
    guess |= _trailers(header, columns, [*body[-2:], *last])
    return guess


def _decoded(content: bytes) -> tuple[str, str]:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", content.decode("utf-16", "replace")
    for encoding in ("utf-8", "gb18030"):
        try:
            return encoding, content.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError:
            continue
    return "cp1252", content.decode("cp1252", "replace")


def _columns(header: Sequence[str]) -> dict[str, str]:
    plain = {re.sub(r"[\s\-.]+", "_", each.lower()): each for each in reversed(header)}
    found: dict[str, str] = {}
    for what, names in _NAMES.items():
        if what == "points" and ("points_out" in found or "points_in" in found):
            continue
        match = next((plain[each] for each in names if each in plain), None)
        if match is not None and match not in found.values():
            found[what] = match
    return found


def _cells(place: int, rows: Sequence[Sequence[str]]) -> list[str]:
    return [row[place].strip() for row in rows if len(row) > place and row[place].strip()]


def _numbers(cells: Sequence[str]) -> dict[str, str]:
    """The marks of numbers: the last one of two kinds, or one with other than three digits after
    it, is the decimal's.
    """
    for cell in cells:
        if re.fullmatch(r"[+-]?\d{1,3}(\.\d{3})+,\d+|[+-]?\d+,(\d{1,2}|\d{4,})", cell):
            grouped = any(re.search(r"\.\d{3}(,|\.|$)", each) for each in cells)
            return {"decimal": ",", **({"group": "."} if grouped else {})}
    if any(re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", each) for each in cells):
        return {"group": ","}
    return {}


def _date_format(cells: Sequence[str]) -> str:
    def fits(form: str) -> int:
        count = 0
        for each in cells:
            try:
                datetime.strptime(each, form)  # noqa: DTZ007 - only its form is looked at
                count += 1
            except ValueError:
                pass
        return count

    return max(_DATES, key=fits)


def _words(cells: dict[str, list[str]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    ways = sorted(set(cells.get("direction", ())))
    known = {each: _DIRECTIONS[each.lower()] for each in ways if each.lower() in _DIRECTIONS}
    if known and known != {"out": "out", "in": "in"}:
        found["direction_words"] = known
    states = sorted(set(cells.get("status", ())))[:20]
    if states:
        found["status_words"] = {
            each: "REVERSED" if re.search(r"(?i)rev|back|void|cancel", each) else "COMMITTED"
            for each in states
        }
    return found


def _trailers(
    header: Sequence[str], columns: dict[str, str], rows: Sequence[Sequence[str]]
) -> dict[str, Any]:
    """The rows of totals and of the end, where the first cell says it."""
    kinds: dict[str, Any] = {}
    totals: dict[str, Any] = {}
    for row in rows:
        first = row[0].strip() if row else ""
        if _TOTAL.fullmatch(first):
            kinds |= {"column": header[0], "total": first}
            summed = ("points", "points_out", "points_in", "money", "fee", "tax")
            has = [columns[each] for each in summed if each in columns]
            filled = [
                each for each in has if header.index(each) < len(row) and row[header.index(each)]
            ]
            counted = [
                name
                for name, cell in zip(header, row, strict=False)
                if cell.strip().isdigit() and name not in filled
            ]
            totals = {"sums": filled, **({"count": counted[0]} if counted else {})}
        elif _END.fullmatch(first):
            kinds |= {"column": header[0], "end": first}
    return {**({"rows": kinds} if kinds else {}), **({"totals": totals} if totals else {})}
