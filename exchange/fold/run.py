"""A batch in progress: what changes in it, and what every decision does to that.

A run is private to one call of `fold`, so that `fold` is pure.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from exchange.cap_alerts import CapAlert, alerts_of
from exchange.commands import Fact
from exchange.fold.state import Cell, Limits, State
from exchange.ledger.accounts import party_of
from exchange.ledger.postings import (
    NOTHING,
    CreditCell,
    Posting,
    post,
    waiting_credits,
    window_steps,
)
from exchange.outcomes import Booked, Effect, Outcome, Repeated, Reversed, Window
from exchange.promotions import PromotionKey, grants
from exchange.quotes.quote import Quote
from partners.errors import Reason, Refused


class Run:
    """One batch in progress: the parts of the state that change, private to one call of `fold`."""

    def __init__(self, state: State, now: datetime, limits: Limits) -> None:
        self.before = state
        self.now = now
        self.limits = limits
        self.index = state.next_index
        self.registry = state.registry
        self.answers = dict(state.answers)
        self.entries = dict(state.entries)
        self.windows = dict(state.windows)
        self.balances = dict(state.balances)
        self.tallies = dict(state.tallies)
        self.resolved = state.resolved
        self.quotes = dict(state.quotes)
        self.quote_changes = state.quote_changes
        self.links = dict(state.links)
        self.day_tallies = dict(state.day_tallies)
        self.promotion_points = dict(state.promotion_points)
        self.proposals = dict(state.proposals)
        self.held = dict(state.held)
        self.reserved = dict(state.reserved)
        self.asked = dict(state.asked)
        self.originals = dict(state.originals)
        self.forced: dict[int, int] = {}
        self.steps: dict[Cell, int] = {}
        self.outcomes: list[Outcome] = []
        self.alerts: list[CapAlert] = []

    def state_after(self) -> State:
        return State(
            self.index,
            self.now if self.outcomes else self.before.recorded_at,
            self.registry,
            self.answers,
            self.entries,
            self.windows,
            self.balances,
            self.sums,
            self.tallies,
            self.resolved,
            self.links,
            self.day_tallies,
            self.held,
            self.before.member_secret,
            self.promotion_points,
            self.proposals,
            self.quotes,
            self.quote_changes,
            self.reserved,
            self.originals,
            self.asked,
        )

    @property
    def sums(self) -> dict[Cell, int]:
        """The windows' sums with what the batch has added so far."""
        before = self.before.window_sums
        return {**before, **{cell: before.get(cell, 0) + by for cell, by in self.steps.items()}}

    def offer(self, quote: Quote) -> None:
        """Make a quote, and hold its bonus points in the promotions' budgets."""
        held = grants(quote.terms, quote.conversion)
        self.grant(held)
        self.quotes[quote.quote_id] = replace(quote, reserves=bool(held))
        self.quote_changes += 1

    def use(self, quote: Quote, transfer_id: UUID) -> None:
        """Commit a transfer at a quote: what it held is granted."""
        self.quotes[quote.quote_id] = replace(quote, used_by=transfer_id, reserves=False)

    def release_lapsed(self) -> None:
        """Give back what lapsed quotes hold."""
        for quote in self.before.quotes.values():
            if quote.reserves and not quote.is_live(self.now):
                for key, held in grants(quote.terms, quote.conversion).items():
                    self.promotion_points[key] -= held
                self.quotes[quote.quote_id] = replace(quote, reserves=False)
                self.quote_changes += 1

    def open_windows(self) -> dict[str, Window]:
        return {w.currency: w for w in self.windows.values() if w.state == "OPEN"}

    def window(self, wanted: str) -> Window:
        window = self.windows.get(wanted)
        if window is None:
            raise Refused(Reason.WINDOW_UNKNOWN, "window_id", f"there is no window {wanted}")
        return window

    def apply(
        self,
        postings: tuple[Posting, ...],
        window: Window | None,
        released: Mapping[int, int] = NOTHING,
    ) -> None:
        """Post to the balances and add to the window's sums; raises CounterFull or OutOfBounds
        with nothing changed.
        """
        post(self.balances, postings, released=released)
        if window is not None:
            self.count(postings, window)

    def force(
        self,
        postings: tuple[Posting, ...],
        window: Window,
        released: Mapping[int, int] = NOTHING,
    ) -> None:
        """Post what no cap refuses, and add to the window's sums; raises CounterFull or OutOfBounds
        with nothing changed.
        """
        post(self.balances, postings, is_forced=True, released=released)
        for posting in postings:
            self.forced[posting.debit] = self.forced.get(posting.debit, 0) + posting.amount
        self.count(postings, window)

    def count(self, postings: tuple[Posting, ...], window: Window) -> None:
        """Add what was posted to the window's sums."""
        for posting in postings:
            for cell, amount in window_steps(posting):
                key = (window.number, cell)
                self.steps[key] = self.steps.get(key, 0) + amount
        for account, credit in waiting_credits(postings).items():
            self.credit(window.number, party_of(account), credit)

    def credit(self, window_number: int, party: int, amount: int) -> None:
        """Add to what a window credits to a partner, or take off what it was paid."""
        key = (window_number, CreditCell(party))
        self.steps[key] = self.steps.get(key, 0) + amount

    def waits(self, window_number: int, party: int) -> int:
        """What of a window's credits to a partner waits, where its credits do."""
        return self.waits_after(window_number, party, 0)

    def waits_after(self, window_number: int, party: int, credit: int) -> int:
        """The same once the window has credited so much more."""
        key = (window_number, CreditCell(party))
        return max(0, self.before.window_sums.get(key, 0) + self.steps.get(key, 0) + credit)

    def grant(self, points: Mapping[PromotionKey, int]) -> None:
        """Take bonus points from the promotions' budgets."""
        for key, taken in points.items():
            self.promotion_points[key] += taken

    def enter(
        self,
        entry_key: str,
        body_type: str,
        body: bytes,
        *,
        postings: tuple[Posting, ...] = (),
        window: Window | None = None,
        effect: Effect | None = None,
        facts: tuple[Fact, ...] = (),
        is_forced: bool = False,
        released: Mapping[int, int] = NOTHING,
    ) -> Booked:
        booked = Booked(
            self.index,
            self.now,
            entry_key,
            body_type,
            body,
            postings,
            window,
            effect,
            facts,
            is_forced,
        )
        self.entries[entry_key] = (self.index, body)
        self.append(booked, released)
        return booked

    def same_body(
        self, entry_key: str, body: bytes, field: str, reason: Reason = Reason.ALREADY_EXISTS
    ) -> Repeated:
        """The first outcome of an entry, if `body` is what it was entered with; raises Refused
        otherwise.
        """
        index, entered = self.entries.get(entry_key, (0, b""))
        if entered != body:
            raise Refused(reason, field, f"{entry_key} exists with other content")
        return Repeated(index)

    def append(self, outcome: Outcome, released: Mapping[int, int] = NOTHING) -> None:
        is_forced = isinstance(outcome, Reversed) or (
            isinstance(outcome, Booked) and outcome.is_forced
        )
        self.alerts += alerts_of(
            outcome.log_index, outcome.postings, self.balances, released, is_forced=is_forced
        )
        self.outcomes.append(outcome)
        self.index += 1
