"""The day of whatever a posting relates to: what a lock is asked about. Read only."""

from collections.abc import Iterable
from datetime import date
from typing import Any
from uuid import UUID

from partners.errors import Reason, Refused
from settlement.bank.matching import Use
from settlement.month.locks import check_unlocked
from settlement.month.period import Period
from settlement.month.store import QUERIES, issued_as
from settlement.store import window_named
from settlement.wire import window_of_record


def day_related_to(connection: Any, relates_to: str, parties: Iterable[str]) -> date | None:
    """The business date of what an id names: a window, a transfer or reversal, a dispute, a break
    of one of these partners, a payment, an entry of the bank, an adjustment, a document, a day or a
    month. None where it names nothing of ours.
    """
    try:
        row = QUERIES.committed(connection, transfer_id=str(UUID(relates_to)))
    except ValueError:
        row = None
    if row is not None:
        window_id = window_of_record(row[0], bytes(row[1]))
        return window_named(connection, window_id).business_date
    day: date | None = QUERIES.day_related_to(
        connection,
        relates_to=relates_to,
        parties=list(parties),
        bank_kinds=[str(each) for each in Use],
    )
    if day is not None:
        return day
    document = issued_as(connection, relates_to)
    if document is not None:
        return Period.of_month(document.document.month).first
    try:
        return Period.named(relates_to).first
    except Refused:
        return None


def adjustment_period(
    connection: Any, currency: str, relates_to: str, parties: Iterable[str], reason: str
) -> str:
    """The adjustment period to which a posting belongs, empty where it needs none.

    Raises Refused: PERIOD_STATE where what it relates to is locked, FIELD_INVALID where it relates
    to nothing that is here. A slip of the pen would else be a way past every lock.
    """
    day = day_related_to(connection, relates_to, parties)
    if day is None:
        raise Refused(
            Reason.FIELD_INVALID,
            "relates_to",
            f"{relates_to!r} names nothing here: name the window, transfer, dispute, break,"
            " payment, bank entry or document that it puts right, or its day or month",
        )
    return check_unlocked(connection, currency, day, reason)
