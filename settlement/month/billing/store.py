"""Reads billing details. All functions take a psycopg2 connection in a transaction."""

from typing import Any

from partners.store import utc
from settlement.calendar import store as calendar
from settlement.facts import entries_of
from settlement.month.billing.details import (
    KIND,
    BillingDetails,
    DetailsVersion,
    change_from,
    versions_on,
)


def versions_of(connection: Any, currency: str) -> tuple[DetailsVersion, ...]:
    """What was ever recorded for the documents of a currency, in the order of the log."""
    return tuple(
        DetailsVersion(change_from(each.body), utc(each.recorded_at), each.log_index)
        for each in entries_of(connection, KIND, currency=currency)
    )


def versions_in_effect(connection: Any, currency: str) -> dict[str, DetailsVersion]:
    """What a document would be issued with now, by party."""
    today = utc(calendar.now(connection)).date()
    return versions_on(today, versions_of(connection, currency))


def details_in_effect(connection: Any, currency: str) -> dict[str, BillingDetails]:
    """The same without their history."""
    held = versions_in_effect(connection, currency)
    return {party: each.change.details for party, each in held.items()}
