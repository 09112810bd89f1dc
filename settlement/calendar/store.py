"""What the calendar reads: schemes, open windows, and the one clock. All take a psycopg2
connection.
"""

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from exchange.wire.records import entry_body
from partners.queries import load_queries
from settlement.scheme import KIND, Scheme, scheme_from

QUERIES = load_queries(Path(__file__).with_name("calendar.sql"))


@dataclass(frozen=True, slots=True)
class Standing:
    """A currency that has a scheme, and how its windows stand."""

    scheme: Scheme
    is_settled_in: bool
    """Whether a partner settles in the currency: before that it has no windows."""
    window_id: str | None
    """The open one; None before the first."""
    business_date: date | None


def standings(connection: Any) -> tuple[Standing, ...]:
    """Every currency that has a scheme, by its code."""
    return tuple(
        Standing(scheme_from(entry_body(bytes(record))), settled_in, window_id, business_date)
        for record, settled_in, window_id, business_date in QUERIES.standings(connection, kind=KIND)
    )


def now(connection: Any) -> datetime:
    """The database's clock: the one that all server processes on it share."""
    moment: datetime = QUERIES.clock(connection)
    return moment
