"""Pay-out files in the journal, and what making the next one rests on.

    payout-file/<window>/<n>            a file, with all that it says
    payout-file/<window>/<n>/rejected   the bank took nothing of it

All functions that read take a psycopg2 connection.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from exchange.commands import Book, Fact
from partners.queries import load_queries
from settlement.accounts.store import payees, versions_of
from settlement.accounts.versions import AccountVersion, effective
from settlement.facts import entries_of
from settlement.payouts.instruction import PayoutFile, file_body, file_from
from settlement.windows import SettlementWindow

QUERIES = load_queries(Path(__file__).with_name("payouts.sql"))

FILE = "payout-file"
PAYOUT = "payout"
"""Of each payment of a file, under its reference."""
REJECTED = "payout-file-rejected"


@dataclass(frozen=True, slots=True)
class Filed:
    """A booked file."""

    file: PayoutFile
    rejected: bool


def file_key(window_id: str, number: int) -> str:
    """Entry key of a file."""
    return f"{FILE}/{window_id}/{number}"


def file_entry(file: PayoutFile, window: SettlementWindow, numbers: dict[str, int]) -> Book:
    """Books a file; `numbers` are those of its partners."""
    currency = window.currency.code
    facts = (
        Fact(FILE, currency, window_number=window.number, subject=str(file.number)),
        *(
            Fact(PAYOUT, currency, numbers[each.partner_id], window.number, each.reference)
            for each in file.payments
        ),
    )
    key = file_key(file.window_id, file.number)
    return Book(key, "application/json", file_body(file), facts=facts)


def rejection(file: PayoutFile, window: SettlementWindow) -> Book:
    """Books that the bank rejected a file."""
    body = {
        "message_id": file.message_id,
        "number": file.number,
        "references": [each.reference for each in file.payments],
        "window_id": file.window_id,
    }
    fact = Fact(
        REJECTED, window.currency.code, window_number=window.number, subject=str(file.number)
    )
    return Book(
        f"{file_key(file.window_id, file.number)}/rejected",
        "application/json",
        json.dumps(body, sort_keys=True, separators=(",", ":")).encode(),
        facts=(fact,),
    )


def files_of(connection: Any, window: SettlementWindow) -> tuple[Filed, ...]:
    """The files of a window, from the first."""
    rejected = {
        each.fact.subject for each in entries_of(connection, REJECTED, window_number=window.number)
    }
    return tuple(
        Filed(file_from(each.body), each.fact.subject in rejected)
        for each in entries_of(connection, FILE, window_number=window.number)
    )


def references_in(files: tuple[Filed, ...]) -> frozenset[str]:
    """The references that stand in a file which the bank has not rejected."""
    return frozenset(
        payment.reference
        for filed in files
        if not filed.rejected
        for payment in filed.file.payments
    )


def accounts_in_effect(
    connection: Any, partners: frozenset[str], audience: str, now: datetime
) -> dict[str, AccountVersion]:
    """The accounts by which these partners are paid now; those that have none are left out."""
    found = {}
    for payee in payees(connection):
        if payee.partner_id in partners:
            version = effective(versions_of(connection, payee, audience), now)
            if version is not None:
                found[payee.partner_id] = version
    return found


def recorded_at(connection: Any, log_index: int) -> datetime:
    """When an entry was recorded."""
    moment: datetime = QUERIES.recorded_at(connection, log_index=log_index)
    return moment
