"""Breaks as a workbook for people. Texts are texts: no cell is a formula, whatever it begins with.
The same breaks give the same bytes.
"""

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from exchange.cli.failure import unavailable
from exchange.cli.reconcile.documents import both_sides
from partners.cells import neutralised

COLUMNS = (
    *("partner", "break", "category", "state", "owner", "age in days", "window", "transfer"),
    *("own reference", "row", "exchange", "yours", "difference", "agreement", "version"),
    *("rounding", "note", "next step"),
)
WIDTHS = (14, 8, 24, 12, 14, 12, 18, 38, 22, 8, 22, 22, 16, 24, 8, 46, 46, 60)
DIGITS_MAX = 15
"""What a spreadsheet keeps of a number."""
CREATED = datetime(2017, 1, 1, tzinfo=UTC)
"""A workbook says when it was made; this one does not, so that its bytes follow from the breaks."""


def workbook(run: dict[str, Any], breaks: Sequence[dict[str, Any]]) -> bytes:
    """The sheets `Breaks` and `Run`; raises Failed where the library is not installed."""
    try:
        import xlsxwriter
    except ImportError:
        raise unavailable(
            "workbooks need xlsxwriter", "Install it: pip install 'pointclear[server]'."
        ) from None
    buffer = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(buffer, options) as book:
        book.set_properties({"title": "Reconciliation", "created": CREATED})
        head = book.add_format({"bold": True, "bottom": 1})
        plain = book.add_format({"text_wrap": True, "valign": "top"})
        figures = book.add_format({"num_format": "#,##0.######", "valign": "top"})
        sheet = book.add_worksheet("Breaks")
        sheet.freeze_panes(1, 0)
        for place, (name, width) in enumerate(zip(COLUMNS, WIDTHS, strict=True)):
            sheet.set_column(place, place, width)
            sheet.write_string(0, place, name, head)
        for number, each in enumerate(breaks, start=1):
            for place, cell in enumerate(_cells(each)):
                if isinstance(cell, Decimal):
                    sheet.write_number(number, place, cell, figures)
                elif isinstance(cell, int):
                    sheet.write_number(number, place, cell, plain)
                else:
                    sheet.write_string(number, place, neutralised(cell), plain)
        sheet.autofilter(0, 0, max(1, len(breaks)), len(COLUMNS) - 1)
        _write_run(book.add_worksheet("Run"), run, head)
    return buffer.getvalue()


def _write_run(sheet: Any, run: dict[str, Any], head: Any) -> None:
    sheet.set_column(0, 0, 24)
    sheet.set_column(1, 1, 70)
    facts = {name: value for name, value in run.items() if name != "counts"}
    for row, (name, value) in enumerate([*facts.items(), *run.get("counts", {}).items()]):
        sheet.write_string(row, 0, name.replace("_", " "), head)
        if isinstance(value, int):
            sheet.write_number(row, 1, value)
        else:
            sheet.write_string(row, 1, neutralised(str(value or "")))


def _cells(each: dict[str, Any]) -> tuple[str | int | Decimal, ...]:
    ours, theirs = both_sides(each)
    return (
        *(each["partner_id"], each["break_id"], each["category"], each["state"], each["owner"]),
        each["age_days"],
        *(each["window_id"], each["transfer_id"] or "", each["own_reference"]),
        each["row"] or "",
        *(ours, theirs, _figure(each["difference"]), each["agreement_id"]),
        each["agreement_version"] or "",
        *(each["rounding"], each["note"], each["next_step"]),
    )


def _figure(difference: int | str | None) -> str | Decimal:
    """A number as long as a spreadsheet keeps all its digits."""
    if difference is None:
        return ""
    value = Decimal(difference)
    return value if len(value.as_tuple().digits) <= DIGITS_MAX else str(difference)
