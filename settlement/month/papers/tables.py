"""Ageing and accruals as CSV and XLSX, in the formats of `settlement.reports.tables`. Pure."""

from collections.abc import Sequence
from datetime import date

from settlement.month.ageing import NAMES, AgedLeg, AgedPosition
from settlement.month.store import Accrual
from settlement.reports.tables import Cell, Money, Sheet, workbook, write_csv

LEG_COLUMNS = ("row", "partner", "window", "reference", "due date", "days late", "amount")
POSITION_COLUMNS = ("row", "partner", "position", *NAMES)
AGEING_COLUMNS = (*LEG_COLUMNS, *POSITION_COLUMNS[2:])
ACCRUAL_COLUMNS = ("row", "window", "partner", "counterparty", "code", "tax", "amount")


def ageing_csv(
    legs: Sequence[AgedLeg], positions: Sequence[AgedPosition], scale: int, as_of: date
) -> bytes:
    """One table: rows of payments, then of positions, each with the cells of its kind."""
    room = len(AGEING_COLUMNS)
    rows: list[list[Cell]] = []
    for leg in _leg_rows(legs, scale):
        rows.append([*leg, *[None] * (room - len(leg))])
    for kind, partner, *amounts in _position_rows(positions, scale):
        rows.append([kind, partner, *[None] * (len(LEG_COLUMNS) - 2), *amounts])
    total: list[Cell] = ["TOTAL", str(len(legs) + len(positions)), *[None] * (room - 2)]
    total[LEG_COLUMNS.index("amount")] = Money(sum(each.payment for each in legs), scale)
    total[len(LEG_COLUMNS)] = Money(sum(each.position for each in positions), scale)
    end: list[Cell] = ["END", as_of.isoformat(), *[None] * (room - 2)]
    return write_csv(AGEING_COLUMNS, [*rows, total, end])


def ageing_workbook(
    legs: Sequence[AgedLeg], positions: Sequence[AgedPosition], scale: int, as_of: date
) -> bytes:
    """A sheet of payments and one of positions."""
    sheets = (
        Sheet("Payments", LEG_COLUMNS, _leg_rows(legs, scale)),
        Sheet("Positions", POSITION_COLUMNS, _position_rows(positions, scale)),
    )
    return workbook(sheets, f"Ageing as of {as_of}", as_of)


def accruals_csv(accruals: Sequence[Accrual], scale: int, month: str) -> bytes:
    """One row for each sum."""
    room = len(ACCRUAL_COLUMNS)
    total = Money(sum(each.amount for each in accruals), scale)
    ends: list[list[Cell]] = [
        ["TOTAL", str(len(accruals)), *[None] * (room - 3), total],
        ["END", month, *[None] * (room - 2)],
    ]
    return write_csv(ACCRUAL_COLUMNS, [*_accrual_rows(accruals, scale), *ends])


def accruals_workbook(accruals: Sequence[Accrual], scale: int, month: str, day: date) -> bytes:
    """One sheet."""
    sheet = Sheet("Accruals", ACCRUAL_COLUMNS, _accrual_rows(accruals, scale))
    return workbook((sheet,), f"Accruals of {month}", day)


def _leg_rows(legs: Sequence[AgedLeg], scale: int) -> list[list[Cell]]:
    return [
        [
            "PAYMENT",
            each.partner_id,
            each.window_id,
            each.reference,
            each.due_date.isoformat(),
            each.days_late,
            Money(each.payment, scale),
        ]
        for each in legs
    ]


def _position_rows(positions: Sequence[AgedPosition], scale: int) -> list[list[Cell]]:
    return [
        ["POSITION", each.partner_id, *(Money(units, scale) for units in _figures(each))]
        for each in positions
    ]


def _figures(position: AgedPosition) -> tuple[int, ...]:
    return position.position, *position.by_age


def _accrual_rows(accruals: Sequence[Accrual], scale: int) -> list[list[Cell]]:
    return [
        [
            "ACCRUAL",
            each.window_id,
            each.partner_id,
            each.counterparty,
            each.code.name,
            each.tax_code,
            Money(each.amount, scale),
        ]
        for each in accruals
    ]
