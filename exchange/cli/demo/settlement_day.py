"""One settlement day: close, look at the draft and approve it, have it accepted, ask for payments,
import what the bank booked, pay, settle.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Literal

from exchange.cli.connection import Connection
from exchange.cli.demo.coalition import CURRENCY, SCALE
from exchange.cli.failure import unavailable
from exchange.cli.files import write_output
from partners.points import format_amount
from pointclear.settlement.v1 import settlement_service_pb2 as pb
from pointclear.settlement.v1.approval_pb2 import GetDraftRequest, GetDraftResponse

SETTLE_TIMEOUT_S = 300.0


Direction = Literal["PAY_IN", "PAY_OUT"]
DIRECTIONS: tuple[Direction, Direction] = ("PAY_IN", "PAY_OUT")
"""In the order in which a day's payments are booked."""


@dataclass(frozen=True, slots=True)
class Payment:
    """What the bank is asked to book: a partner's payment in, or one out to a partner."""

    direction: Direction
    amount: Decimal
    reference: str
    partner: str


Bank = Callable[[str, date, Decimal, Sequence[Payment]], tuple[bytes, Decimal, str]]
"""Books payments: statement id, booking date, opening balance and payments to the statement file,
the closing balance, and the suffix of such a file's name.
"""


@dataclass(frozen=True, slots=True)
class SettledDay:
    """A window that is settled."""

    window: pb.Window
    legs: tuple[pb.Leg, ...]
    """Those that were paid."""
    bank_balance: Decimal
    """What the settlement account holds afterwards."""


def settle_day(
    operator: Connection,
    bank: Bank,
    bank_folder: Path,
    window_id: str,
    days: tuple[date, date],
    opening: Decimal,
    accept: Callable[[str], None],
) -> SettledDay:
    """Close the window and bring it to SETTLED. `days` are its business date and the next window's;
    `accept` has the brands accept its statements.

    The bank books the payments in first: payments out are instructed only when they are covered.
    """
    today, tomorrow = days
    close = pb.CloseWindowRequest(window_id=window_id, next_business_date=tomorrow.isoformat())
    operator.call(operator.settlement.CloseWindow, close)
    balance = opening
    approve(operator, window_id)
    accept(window_id)
    stated = settle(operator, window_id)
    for direction in DIRECTIONS:
        payments = pending(stated.legs, direction)
        if payments:
            statement_id = f"{window_id}-{direction.lower().replace('_', '-')}"
            content, balance, suffix = bank(statement_id, today, balance, payments)
            write_output(bank_folder / f"{statement_id}.bank{suffix}", content)
            imported = pb.ImportBankFileRequest(currency=CURRENCY, content=content)
            operator.call(operator.settlement.ImportBankFile, imported, SETTLE_TIMEOUT_S)
            stated = settle(operator, window_id)
    if stated.window.state != pb.WINDOW_STATE_SETTLED:
        name = pb.WindowState.Name(stated.window.state)
        raise unavailable(f"{window_id} did not settle: it is {name}", "This is a bug.")
    paid = tuple(leg for leg in stated.legs if leg.state == pb.LEG_STATE_CONFIRMED)
    return SettledDay(stated.window, paid, balance)


def approve(operator: Connection, window_id: str) -> None:
    """State the window as its draft says: both people of finance sign for that draft alone."""
    draft: GetDraftResponse = operator.call(
        operator.settlement.GetDraft, GetDraftRequest(window_id=window_id), SETTLE_TIMEOUT_S
    )
    request = pb.SettleWindowRequest(window_id=window_id, draft_sha256=draft.draft_sha256)
    operator.call(operator.settlement.SettleWindow, request, SETTLE_TIMEOUT_S)


def settle(operator: Connection, window_id: str) -> pb.SettleWindowResponse:
    """Take the window's settlement as far as it goes now."""
    request = pb.SettleWindowRequest(window_id=window_id)
    return operator.call(operator.settlement.SettleWindow, request, SETTLE_TIMEOUT_S)


def pending(legs: Sequence[pb.Leg], direction: Direction) -> tuple[Payment, ...]:
    """The legs of one direction that wait for the bank."""
    wanted = pb.LegDirection.Value(f"LEG_DIRECTION_{direction}")
    return tuple(
        Payment(direction, Decimal(format_amount(leg.amount, SCALE)), leg.reference, leg.partner_id)
        for leg in legs
        if leg.direction == wanted and leg.state == pb.LEG_STATE_PENDING
    )
