"""Reads journals, and what they need to be booked. All functions take a psycopg2 connection."""

from pathlib import Path
from typing import Any

from exchange.wire.records import entry_body
from partners.errors import Reason, Refused
from partners.queries import load_queries
from partners.store import utc
from settlement.journals.journal import BookedJournal, journal_from, journal_key

QUERIES = load_queries(Path(__file__).with_name("journals.sql"))


def parties(connection: Any, currency: str) -> tuple[int, dict[str, int]]:
    """Number of a currency, and the partners that settle in it by their numbers; raises
    Refused(FIELD_INVALID) where nobody does.
    """
    rows = list(QUERIES.parties(connection, currency=currency))
    if not rows:
        text = f"no partner settles in {currency!r}"
        raise Refused(Reason.FIELD_INVALID, "currency", text)
    return rows[0][2], {name: number for name, number, _ in rows if name is not None}


def journal_of(connection: Any, action_id: str) -> BookedJournal | None:
    """The journal that an action ordered, if it is booked."""
    row = QUERIES.journal(connection, entry_key=journal_key(action_id))
    return _booked(row) if row else None


def journals(
    connection: Any, currency: str | None, partner_id: str | None, relates_to: str | None
) -> tuple[BookedJournal, ...]:
    """Journals, oldest first; None asks for any."""
    rows = QUERIES.journals(
        connection, currency=currency, partner_id=partner_id, relates_to=relates_to
    )
    return tuple(map(_booked, rows))


def _booked(row: Any) -> BookedJournal:
    log_index, recorded_at, record, window_id = row
    journal = journal_from(entry_body(bytes(record)))
    return BookedJournal(journal, window_id, log_index, utc(recorded_at))
