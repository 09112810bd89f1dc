"""A settlement window, its sums and its legs as the read side shows them. Pure."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from exchange.ledger.postings import Code
from partners.points import CurrencyScale


class WindowState(StrEnum):
    """How far a window has come."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"
    PENDING_SETTLEMENT = "PENDING_SETTLEMENT"
    SETTLED = "SETTLED"
    ABORTED = "ABORTED"
    """What was not paid is handed to the next settlement."""

    @property
    def is_stated(self) -> bool:
        """Whether every statement of the window is in the log."""
        return self not in (WindowState.OPEN, WindowState.CLOSED)


@dataclass(frozen=True, slots=True)
class TreeHead:
    """A size of the log and its RFC 6962 root."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class SettlementWindow:
    """A settlement day of one currency: the range of log indexes between its two trees."""

    number: int
    window_id: str
    currency: CurrencyScale
    unit: int
    """Number of the currency among the units."""
    business_date: date
    state: WindowState
    opening_tree: TreeHead
    closing_tree: TreeHead | None
    """None while the window is open."""


@dataclass(frozen=True, slots=True)
class WindowSum:
    """What one party's window counts against one counterparty under one code and tax."""

    party: int
    """Partner number, 0 for the operator."""
    counterparty: int
    code: Code
    tax_number: int
    amount: int
    """Units of the currency's scale, signed from the party's view: positive is owed to it."""


@dataclass(frozen=True, slots=True)
class NetPosition:
    """A party's net of a window."""

    party: str
    """Partner id, or `hub` for the operator."""
    net: int
    """Units of the currency's scale; positive is owed to the party."""


class LegDirection(StrEnum):
    """Which way the money of a leg goes."""

    PAY_IN = "PAY_IN"
    """The partner pays."""
    PAY_OUT = "PAY_OUT"
    """The partner is paid."""


class LegState(StrEnum):
    """How far a leg has come."""

    WAITING = "WAITING"
    """Not recorded: the money or the room that it needs is not there."""
    PENDING = "PENDING"
    """Asked for, or instructed."""
    CONFIRMED = "CONFIRMED"
    """The bank's statement shows it, or money in suspense was found to be it."""
    CANCELLED = "CANCELLED"
    """A later version of the statement asks for something else."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One payment that a settlement asks for or makes."""

    window_id: str
    partner_number: int
    partner_id: str
    reference: str
    """ISO 11649."""
    payment: int
    """Units of the currency's scale, never 0; positive is paid to the partner."""
    log_index: int | None = None
    """Where its pending posting was booked."""
    confirmed_index: int | None = None
    """Where the bank's entry was booked."""
    version: int = 1
    """Of the statement that asks for it."""
    cancelled_index: int | None = None

    @property
    def direction(self) -> LegDirection:
        """Which way the money goes."""
        return LegDirection.PAY_OUT if self.payment > 0 else LegDirection.PAY_IN

    @property
    def amount(self) -> int:
        """Units that are paid, either way."""
        return abs(self.payment)

    @property
    def state(self) -> LegState:
        """How far it has come."""
        if self.cancelled_index is not None:
            return LegState.CANCELLED
        if self.confirmed_index is not None:
            return LegState.CONFIRMED
        return LegState.WAITING if self.log_index is None else LegState.PENDING
