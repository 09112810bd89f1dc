"""What the calendar reads: schemes, open windows, and the one clock. All take a psycopg2
connection.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

from exchange.wire.records import entry_body
from partners.queries import load_queries
from settlement.calendar.schedule import Standing
from settlement.schemes.scheme import KIND, scheme_from

QUERIES = load_queries(Path(__file__).with_name("calendar.sql"))


def standings(connection: Any) -> tuple[Standing, ...]:
    """Every currency that has a scheme, by its code."""
    return tuple(
        Standing(scheme_from(entry_body(bytes(record))), window_id, business_date)
        for record, window_id, business_date in QUERIES.standings(connection, kind=KIND)
    )


def now(connection: Any) -> datetime:
    """The database's clock: the one that all server processes on it share."""
    moment: datetime = QUERIES.clock(connection)
    return moment
