"""Withdrawals: what a partner asks for of its collateral, and what became of it. Pure.

    REQUESTED → APPROVED → PAID
    REQUESTED or APPROVED → REFUSED

The partner's signed request is kept; two operators let it go, and the books hold it until the
bank's file shows it; or two operators refuse it, and take it back where it was let go and the bank
has not made it. What is free may change in between: the books decide again when it is let go.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from partners.errors import Reason, Refused
from partners.points import CurrencyScale


class WithdrawalState(StrEnum):
    """How far a withdrawal has come."""

    REQUESTED = "REQUESTED"
    APPROVED = "APPROVED"
    """The bank is to make it."""
    PAID = "PAID"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Request:
    """What a partner signed."""

    withdrawal_id: str
    """A UUID."""
    partner_id: str
    currency: str
    amount: int
    """Units of the currency's scale."""


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A request and what became of it."""

    request: Request
    sha256: bytes
    """Of the signed payload."""
    requested_index: int
    requested_at: datetime
    reference: str
    approved_index: int | None = None
    state: WithdrawalState = WithdrawalState.REQUESTED


def check_amount(amount: int, currency: CurrencyScale) -> int:
    """The amount, if a bank can pay it; raises Refused(FIELD_INVALID)."""
    if amount <= 0 or amount % currency.minor_unit:
        raise Refused(
            Reason.FIELD_INVALID,
            "amount",
            f"a withdrawal is a whole number of minor units of {currency.code}, above 0",
        )
    return amount


def check_free(amount: int, free: int) -> None:
    """Raise Refused(COLLATERAL_NEEDED) where less collateral is free."""
    if amount > free:
        raise Refused(
            Reason.COLLATERAL_NEEDED,
            "amount",
            "the collateral covers what you owe, or is less; less of it is free",
            {"freeUnits": str(free)},
        )


def require_state(withdrawal: Withdrawal, *states: WithdrawalState) -> None:
    """Raise Refused(ALREADY_EXISTS) unless a withdrawal stands where it can still be decided."""
    if withdrawal.state not in states:
        raise Refused(
            Reason.ALREADY_EXISTS,
            "withdrawal_id",
            f"the withdrawal is {withdrawal.state.lower()}: that was decided before",
        )
