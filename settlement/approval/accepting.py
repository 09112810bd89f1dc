"""Carries out what makes statements accepted: reads who has counter-signed, looks at the clock, and
books each acceptance with the points that it confirms.

A crash between two acceptances leaves some booked; the next run books the others.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from partners.errors import Reason, Refused
from partners.registry import Partner
from settlement import facts, store
from settlement.approval.acceptance import (
    ACCEPTED,
    ACKNOWLEDGED,
    PAYABLE,
    Clock,
    How,
    acceptance_entry,
    clock_of,
    payable_entry,
)
from settlement.approval.retirement import holdings_of, retire_and_issue
from settlement.schemes.scheme import scheme_of
from settlement.settling import STATED
from settlement.steps import Steps
from settlement.windows import SettlementWindow

TRIES = 5
"""How often an acceptance is booked anew where reversals change meanwhile what it confirms."""


def partners_with(connection: Any, window: SettlementWindow, kind: str) -> frozenset[int]:
    """The numbers of the partners that have an entry of this kind about a window."""
    found = facts.entries_of(connection, kind, window_number=window.number)
    return frozenset(
        each.fact.partner_number for each in found if each.fact.partner_number is not None
    )


def clock(connection: Any, window: SettlementWindow) -> Clock:
    """The clock of a stated window."""
    stated_at = store.booked_at(connection, f"{STATED}/{window.window_id}")
    assert stated_at is not None, "only a stated window has a clock"
    return clock_of(scheme_of(connection, window.currency.code), stated_at)


def payable(connection: Any, window: SettlementWindow) -> bool:
    """Whether a window's legs may be recorded."""
    return bool(facts.entries_of(connection, PAYABLE, window_number=window.number))


class Accepting:
    """Books acceptances, on the settlement's turn."""

    def __init__(self, steps: Steps, now: Callable[[], datetime]) -> None:
        """`now` reads the clock."""
        self._steps = steps
        self._now = now

    async def is_payable(self, window: SettlementWindow) -> bool:
        """Whether a window's legs may be recorded."""
        return await self._steps.read(payable, window)

    async def make_payable(self, window: SettlementWindow) -> None:
        """Let a window's legs be recorded."""
        await self._steps.book(payable_entry(window))

    async def accept(self, window: SettlementWindow) -> bool:
        """Book the acceptances that can be booked now; whether none is missing after that."""
        accepted = await self._steps.read(partners_with, window, ACCEPTED)
        acknowledged = await self._steps.read(partners_with, window, ACKNOWLEDGED)
        has_run_out = (await self._steps.read(clock, window)).has_run_out(self._now())
        is_complete = True
        for partner in await self._steps.read(store.partners_of, window):
            if partner.number in accepted:
                continue
            if partner.number in acknowledged:
                await self._book(window, partner, How.ACKNOWLEDGED)
            elif has_run_out:
                await self._book(window, partner, How.SILENCE)
            else:
                is_complete = False
        return is_complete

    async def _book(self, window: SettlementWindow, partner: Partner, how: How) -> None:
        for tried in range(1, TRIES + 1):
            holdings = await self._steps.read(holdings_of, partner.number, window.number, ACCEPTED)
            postings = retire_and_issue(holdings)
            entry = acceptance_entry(window, partner.number, partner.partner_id, how, postings)
            try:
                await self._steps.book(entry)
            except Refused as refusal:
                # Reversals took back meanwhile what it would have confirmed. Nothing was written.
                if refusal.reason is not Reason.LIMIT_EXCEEDED or tried == TRIES:
                    raise
            else:
                return
