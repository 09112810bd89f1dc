"""A bank for demonstrations, sandboxes and tests: it books what it is asked to pay, or what
partners pay in fact, and writes its statement of either account in any of its formats.

Pure but for `write_bank_file`. It imports nothing of ours but its own papers on purpose: like a
real bank it knows the requests and the formats, and not the books.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Literal

from settlement.bank_papers import Booking, Day, Kind, Paper, closing_of, write

__all__ = [
    "BankDay",
    "Paper",
    "Payer",
    "PaymentRequest",
    "bank_day",
    "booked_on",
    "closing_of",
    "paid_by",
    "write_bank_file",
]


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """A payment that the bank sees: a partner's into the account, or one out of it."""

    direction: Literal["PAY_IN", "PAY_OUT"]
    amount: Decimal
    """Positive, in whole minor units of the currency."""
    reference: str
    partner: str
    """Name of the partner, shown beside the entry."""
    kind: Kind = "PAYMENT"
    is_reversal: bool = False


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
    paper: Paper = Paper.CSV


def bank_day(
    statement_id: str,
    currency: str,
    booking_date: date,
    opening: Decimal,
    requests: Iterable[PaymentRequest],
    *,
    unpaid: Collection[str] = (),
    account: str = "",
    paper: Paper = Paper.CSV,
    number: int = 0,
) -> BankDay:
    """Book every request whose reference is not in `unpaid`; payments in come first.

    `account` is the settlement account where none is named; `number` is the bank's count of its
    statements, where it keeps one.
    """
    booked = sorted(
        (each for each in requests if each.reference not in unpaid),
        key=lambda each: each.direction,
    )
    day = Day(
        statement_id,
        number,
        account or f"pointclear-settlement-{currency.lower()}",
        currency,
        booking_date,
        opening,
        [_booking(each) for each in booked],
    )
    return BankDay(write(day, paper), day.closing, paper)


def _booking(request: PaymentRequest) -> Booking:
    amount = request.amount if request.direction == "PAY_IN" else -request.amount
    return Booking(amount, request.reference, request.partner, request.kind, request.is_reversal)


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


def write_bank_file(folder: Path, statement_id: str, day: BankDay) -> Path:
    """Write the day's statement into `folder` and return its path.

    A crash leaves a file that is cut short, which is refused.
    """
    path = folder / f"{statement_id}.bank{day.paper.suffix}"
    path.write_bytes(day.content)
    return path
