"""A bank for demonstrations, sandboxes and tests: it books what it is asked to pay, or what
partners pay in fact, and writes its statement.

Pure but for `write_bank_file`. It imports nothing of ours on purpose: like a real bank it knows the
requests and the format that `settlement.bank` describes, and not the books.
"""

import csv
import io
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """A payment that the bank sees: a partner's into the settlement account, or one out of it."""

    direction: Literal["PAY_IN", "PAY_OUT"]
    amount: Decimal
    """Positive, in whole minor units of the currency."""
    reference: str
    partner: str
    """Name of the partner, shown beside the entry."""


class Payer(StrEnum):
    """How a partner pays what it is asked for."""

    ON_TIME = "on-time"
    SHORT = "short"
    """One whole unit of the currency too little; nothing where no more is asked for."""
    LATE = "late"
    """All of it, `LATE_BY` after the day."""
    NOT = "not"


LATE_BY = timedelta(days=3)
SHORT_BY = Decimal(1)


@dataclass(frozen=True, slots=True)
class BankDay:
    """What the bank did: its statement file, and the balance with which the next one opens."""

    content: bytes
    closing: Decimal


def bank_day(
    statement_id: str,
    currency: str,
    booking_date: date,
    opening: Decimal,
    requests: Iterable[PaymentRequest],
    *,
    unpaid: Collection[str] = (),
) -> BankDay:
    """Book every request whose reference is not in `unpaid`; payments in come first."""
    booked = sorted(
        (each for each in requests if each.reference not in unpaid),
        key=lambda each: each.direction,
    )
    balance = opening
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow(["POINTCLEAR-BANK-STATEMENT", "1"])
    rows.writerow(["STATEMENT", statement_id])
    rows.writerow(["ACCOUNT", f"pointclear-settlement-{currency.lower()}"])
    rows.writerow(["CURRENCY", currency])
    rows.writerow(["OPENING", f"{opening:f}"])
    for place, each in enumerate(booked, start=1):
        amount = each.amount if each.direction == "PAY_IN" else -each.amount
        balance += amount
        rows.writerow(
            [
                "ENTRY",
                f"{statement_id}-{place}",
                booking_date.isoformat(),
                f"{amount:f}",
                each.reference,
                each.partner,
            ]
        )
    rows.writerow(["CLOSING", f"{balance:f}"])
    rows.writerow(["END", str(len(booked))])
    return BankDay(text.getvalue().encode(), balance)


def paid_by(request: PaymentRequest, payer: Payer) -> PaymentRequest | None:
    """What the bank sees of a request; None where nobody pays. Payments out are the bank's own to
    make: they are on time.
    """
    if request.direction == "PAY_OUT" or payer in (Payer.ON_TIME, Payer.LATE):
        return request
    short = replace(request, amount=request.amount - SHORT_BY)
    return short if payer is Payer.SHORT and short.amount > 0 else None


def booked_on(day: date, payer: Payer) -> date:
    """When the bank books what is due on a day."""
    return day + LATE_BY if payer is Payer.LATE else day


def closing_of(content: str) -> Decimal:
    """The balance with which a bank file closes. Raises ValueError for another file."""
    for row in csv.reader(io.StringIO(content)):
        if len(row) == 2 and row[0] == "CLOSING":
            return Decimal(row[1])
    raise ValueError("no CLOSING")


def write_bank_file(folder: Path, statement_id: str, day: BankDay) -> Path:
    """Write the day's statement into `folder` and return its path.

    A crash leaves a file without END, which is refused.
    """
    path = folder / f"{statement_id}.bank.csv"
    path.write_bytes(day.content)
    return path
