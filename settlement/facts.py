"""Settlement's entries by what they are about. Read only.

The state of a settlement is the journal of its entries. A thing (a scheme, an acknowledgement, a
dispute, an invoice) is an entry with a key of its own and a body; its facts say what it is about,
and what it comes to is folded from the entries that are found by them.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from exchange.commands import Fact
from exchange.wire.records import entry_body
from partners.queries import load_queries

QUERIES = load_queries(Path(__file__).with_name("facts.sql"))


@dataclass(frozen=True, slots=True)
class Entry:
    """A booked entry, found by one of its facts."""

    log_index: int
    recorded_at: datetime
    entry_key: str
    body: bytes
    fact: Fact


def entries_of(
    connection: Any,
    kind: str,
    *,
    currency: str | None = None,
    partner_number: int | None = None,
    window_number: int | None = None,
    subject: str | None = None,
) -> tuple[Entry, ...]:
    """The entries with such a fact, in the order of the log; None asks for any."""
    rows = QUERIES.entries_of(
        connection,
        kind=kind,
        currency=currency,
        partner_number=partner_number,
        window_number=window_number,
        subject=subject,
    )
    return tuple(map(_entry, rows))


def open_entries_of(connection: Any, kind: str, end_kind: str, currency: str) -> tuple[Entry, ...]:
    """The entries with such a fact that no entry of `end_kind` has ended, in the order of the
    log.
    """
    rows = QUERIES.open_entries_of(connection, kind=kind, end_kind=end_kind, currency=currency)
    return tuple(map(_entry, rows))


def newest_entry_of(
    connection: Any,
    kind: str,
    currency: str,
    *,
    partner_number: int | None = None,
    subject: str | None = None,
) -> Entry | None:
    """The newest entry with such a fact, if there is one."""
    row = QUERIES.newest_entry_of(
        connection, kind=kind, currency=currency, partner_number=partner_number, subject=subject
    )
    return _entry(row) if row else None


def _entry(row: Any) -> Entry:
    log_index, recorded_at, entry_key, record, *fact = row
    return Entry(log_index, recorded_at, entry_key, entry_body(bytes(record)), Fact(*fact))
