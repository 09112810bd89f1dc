"""Reads what disputes are about, and what is withheld. All functions take a psycopg2 connection."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from partners.queries import load_queries
from settlement import facts
from settlement.approval.withholding import (
    END_KIND,
    KIND,
    DisputedLine,
    Withholding,
    withholding_from,
)

QUERIES = load_queries(Path(__file__).with_name("approval.sql"))


def disputed_line(connection: Any, line_id: str) -> tuple[str, DisputedLine] | None:
    """The currency of a transfer or reversal, and what it moved between partners; None where there
    is nothing of the kind.
    """
    amounts: dict[str, int] = {}
    rows = list(QUERIES.line_amounts(connection, line_id=line_id))
    for *_, payer, payee, amount in rows:
        amounts[payer] = amounts.get(payer, 0) - amount
        amounts[payee] = amounts.get(payee, 0) + amount
    if not rows:
        return None
    log_index, window_id, window_number, currency, *_ = rows[0]
    moved = {name: amount for name, amount in amounts.items() if amount}
    return currency, DisputedLine(line_id, log_index, window_id, window_number, moved)


def amounts_between(connection: Any, line_id: str) -> Iterator[tuple[str, str, int]]:
    """What a transfer or a reversal moved between partners: payer, payee, amount. What an unwind
    took out is no line, and gives none.
    """
    if "/" not in line_id:
        for *_, payer, payee, amount in QUERIES.line_amounts(connection, line_id=line_id):
            yield payer, payee, amount


def open_withholdings(connection: Any, currency: str) -> tuple[Withholding, ...]:
    """What is withheld in a currency at this moment."""
    found = facts.open_entries_of(connection, KIND, END_KIND, currency)
    return tuple(withholding_from(each.fact.subject, each.body, each.log_index) for each in found)


def currencies_unaccepted(connection: Any) -> tuple[str, ...]:
    """The currencies with stated windows of which not all statements are accepted."""
    return tuple(row[0] for row in QUERIES.currencies_unaccepted(connection))


def papers_of_line(connection: Any, line_id: str) -> list[tuple[str, int, int, bytes]]:
    """Partner, stream position, payload kind and payload of what streams hold of a transfer or
    reversal.
    """
    rows = QUERIES.papers_of_line(connection, line_id=line_id)
    return [(partner, seq, kind, bytes(payload)) for partner, seq, kind, payload in rows]
