"""Draws on collateral that pay a leg: the entry `leg/<reference of the draw>`, and what is in the
journal of them. The functions that read take a psycopg2 connection.
"""

from dataclasses import replace
from typing import Any

from exchange.commands import Book, Fact
from exchange.ledger.postings import Phase
from settlement.collateral.movements import DRAWN, Depositor, draw_entry
from settlement.facts import entries_of
from settlement.settling import leg_posting
from settlement.windows import Leg, SettlementWindow

LEG_DRAWN = "leg-drawn"
"""Of a draw, under the reference of the leg that it pays."""


def draw_for(leg: Leg, window: SettlementWindow, number: int) -> Book:
    """Has a partner's collateral pay a leg. One entry: what was asked of the partner is asked no
    more, and the draw waits for the bank in its place, so that the leg is paid once.
    """
    currency = window.currency.code
    of = Depositor(leg.partner_number, leg.partner_id, currency, window.unit)
    entry = draw_entry(of, leg.amount, window.number, number)
    # The draw's own postings stay in their places: by these the bank's files confirm them.
    return replace(
        entry,
        postings=(*entry.postings, leg_posting(leg, window.unit, Phase.VOIDS)),
        facts=(
            *entry.facts,
            Fact(LEG_DRAWN, currency, leg.partner_number, window.number, leg.reference),
        ),
    )


def draws_of(connection: Any, window: SettlementWindow, partner_number: int) -> int:
    """How many draws there were on a partner's collateral for a window."""
    found = entries_of(
        connection, DRAWN, partner_number=partner_number, window_number=window.number
    )
    return len(found)


def drawn_references(connection: Any, window: SettlementWindow) -> frozenset[str]:
    """The legs of a window that a draw pays, or has paid."""
    found = entries_of(connection, LEG_DRAWN, window_number=window.number)
    return frozenset(each.fact.subject for each in found)


def drawn_entry_body(connection: Any, window: SettlementWindow, reference: str) -> bytes | None:
    """The body of the draw that pays a leg, if there is one."""
    found = entries_of(connection, LEG_DRAWN, window_number=window.number, subject=reference)
    return found[0].body if found else None
