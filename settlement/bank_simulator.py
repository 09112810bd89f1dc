"""A bank for demonstrations and tests: it books what it is asked to pay and writes its statement.

Pure but for `write_bank_file`. It imports nothing of ours on purpose: like a real bank it knows the
requests and the format that `settlement.bank` describes, and not the books.
"""

import csv
import io
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
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


def write_bank_file(folder: Path, statement_id: str, day: BankDay) -> Path:
    """Write the day's statement into `folder` and return its path.

    A crash leaves a file without END, which is refused.
    """
    path = folder / f"{statement_id}.bank.csv"
    path.write_bytes(day.content)
    return path
