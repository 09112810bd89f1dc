"""What a batch is decided against, and what it came to. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from exchange.cap_alerts import CapAlert
from exchange.commands import Asked
from exchange.day_limits import DayTally
from exchange.ledger.postings import (
    Balance,
    CreditCell,
    MoneyCell,
    PointsCell,
    PostingRef,
)
from exchange.outcomes import Answer, Held, Original, Outcome, Result, Window
from exchange.promotions import PromotionKey
from exchange.quotes.quote import Quote
from partners.errors import PointclearError
from partners.links.link import Link
from partners.negotiation.proposal import Proposal
from partners.registry import Registry


class InvariantBroken(PointclearError):
    """The books contradict themselves. Nothing of the batch is written; an operator must look."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds the fold besides the terms."""

    refusals_per_minute: int = 600
    """Refusals of one partner that are recorded in one minute; beyond it they are RATE_LIMITED, so
    that nobody fills the store with them."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many refusals of a partner were recorded in a minute."""

    minute: int = 0
    """Minutes since 1970."""
    refused: int = 0


Cell = tuple[int, MoneyCell | PointsCell | CreditCell]
"""A window's number and a key of its sums."""


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class State:
    """What a batch is decided against. The mappings hold at least what its commands can touch."""

    next_index: int
    recorded_at: datetime
    """Time of the newest leaf."""
    registry: Registry
    answers: Mapping[UUID, Answer] = field(default_factory=dict)
    entries: Mapping[str, tuple[int, bytes]] = field(default_factory=dict)
    """Entry keys already used, with the log index and the body."""
    windows: Mapping[str, Window] = field(default_factory=dict)
    """By window id: every open window, and those that the commands name."""
    balances: Mapping[int, Balance] = field(default_factory=dict)
    window_sums: Mapping[Cell, int] = field(default_factory=dict)
    """Sums of the windows that the commands close, and the credits of those that they settle, abort
    or pay, or of the partners whose funding they change."""
    tallies: Mapping[str, Tally] = field(default_factory=dict)
    """Recorded refusals by partner id."""
    resolved: frozenset[PostingRef] = frozenset()
    """Those pending postings which the commands would resolve and which were resolved before."""
    links: Mapping[UUID, Link] = field(default_factory=dict)
    """Those that the commands name, and those of members who are to be forgotten."""
    day_tallies: Mapping[str, DayTally] = field(default_factory=dict)
    """By subject, of the newest day each; at least of all that a limit may count."""
    held: Mapping[UUID, Held] = field(default_factory=dict)
    """Transfers that were held, of those that the commands decide."""
    member_secret: bytes = bytes(32)
    """Under which members are counted."""
    promotion_points: Mapping[PromotionKey, int] = field(default_factory=dict)
    """Bonus points granted so far, of every promotion that the commands can touch."""
    proposals: Mapping[tuple[str, int], Proposal] = field(default_factory=dict)
    """The newest proposal of each agreement version that the commands name."""
    quotes: Mapping[UUID, Quote] = field(default_factory=dict)
    """Those that the commands name, and those that have lapsed and still hold bonus points of
    promotions that the commands can touch."""
    quote_changes: int = 0
    """Counts the quotes that were made or have lapsed: they make no leaf, and by this another
    process sees that what it remembers of the budgets is old."""
    reserved: Mapping[UUID, Held] = field(default_factory=dict)
    """Transfers that were reserved, of those that the commands conclude or cancel."""
    originals: Mapping[UUID, Original] = field(default_factory=dict)
    """Transfers that the commands would reverse."""
    asked: Mapping[UUID, Asked] = field(default_factory=dict)
    """Requests to take points back, of those whose answers the commands book."""


@dataclass(frozen=True, slots=True)
class Folded:
    """What a batch came to."""

    state: State
    results: tuple[Result, ...]
    """One per command, in their order."""
    outcomes: tuple[Outcome, ...]
    """Those that are written, in log order."""
    window_steps: Mapping[Cell, int]
    """What the batch adds to the windows' sums."""
    alerts: tuple[CapAlert, ...] = ()
    """Positions that came near their caps, in log order."""
    forced: Mapping[int, int] = field(default_factory=dict)
    """By account: what the batch debited whatever its floor."""
