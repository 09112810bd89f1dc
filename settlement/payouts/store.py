"""Pay-out files in the journal, and what making the next one rests on.

    payout-file/<series>/<n>                        a file, with all that it says
    payout-file/<series>/<n>/rejected               the bank took nothing of it
    payout-file/<series>/<n>/rejected/<reference>   the bank took it without this payment

A series is a window, `cny-2017-01-01`, or one of a currency's accounts, `CNY/collateral`.

All functions that read take a psycopg2 connection.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from exchange.commands import Book, Fact
from exchange.json_body import JSON_BODY, json_body
from partners.queries import load_queries
from settlement.accounts.store import payees, versions_of
from settlement.accounts.versions import AccountVersion, effective
from settlement.facts import Entry, entries_of
from settlement.payouts.instruction import Instructed, PayoutFile, file_body, file_from
from settlement.payouts.series import Series
from settlement.store import entry_body

QUERIES = load_queries(Path(__file__).with_name("payouts.sql"))

FILE = "payout-file"
PAYOUT = "payout"
"""Of each payment of a file, under its reference."""
_REJECTED, _PAYMENT_REJECTED = "-rejected", "-payment-rejected"
"""Behind the kind of a file's fact; the subject is its number, and the payment's reference."""


@dataclass(frozen=True, slots=True)
class Filed:
    """A booked file."""

    file: PayoutFile
    rejected: frozenset[str]
    """References of the payments that the bank did not take."""

    @property
    def is_rejected(self) -> bool:
        """Whether the bank took nothing of it."""
        return not self.standing

    @property
    def standing(self) -> tuple[Instructed, ...]:
        """The payments that the bank is to make, or has made."""
        return tuple(each for each in self.file.payments if each.reference not in self.rejected)


def file_key(series: Series, number: int) -> str:
    """Entry key of a file."""
    return f"{FILE}/{series.name}/{number}"


def file_entry(file: PayoutFile, series: Series, numbers: Mapping[str, int]) -> Book:
    """Books a file; `numbers` are those of its partners."""
    currency, window_number = series.currency.code, series.window_number
    facts = (
        Fact(_kind(series), currency, window_number=window_number, subject=str(file.number)),
        *(
            Fact(PAYOUT, currency, numbers.get(each.partner_id), window_number, each.reference)
            for each in file.payments
        ),
    )
    key = file_key(series, file.number)
    return Book(key, JSON_BODY, file_body(file), facts=facts)


def rejection(file: PayoutFile, series: Series, reference: str = "") -> Book:
    """Books that the bank rejected a file, or one payment of it."""
    body = {
        "message_id": file.message_id,
        "number": file.number,
        "references": [reference] if reference else [each.reference for each in file.payments],
        "window_id": file.window_id,
    }
    fact = Fact(
        f"{_kind(series)}{_PAYMENT_REJECTED if reference else _REJECTED}",
        series.currency.code,
        window_number=series.window_number,
        subject=f"{file.number}/{reference}" if reference else str(file.number),
    )
    key = _rejected_key(file_key(series, file.number), reference)
    return Book(key, JSON_BODY, json_body(body), facts=(fact,))


def files_of(connection: Any, series: Series) -> tuple[Filed, ...]:
    """The files of a series, from the first."""
    kind = _kind(series)
    rejected = {
        each.fact.subject
        for behind in (_REJECTED, _PAYMENT_REJECTED)
        for each in _entries(connection, f"{kind}{behind}", series)
    }
    files = (file_from(each.body) for each in _entries(connection, kind, series))
    return tuple(Filed(file, _rejected_of(file, rejected)) for file in files)


def _rejected_of(file: PayoutFile, rejected: Collection[str]) -> frozenset[str]:
    """What of a file the bank did not take, by the subjects of what was booked."""
    return frozenset(
        each.reference
        for each in file.payments
        if str(file.number) in rejected or f"{file.number}/{each.reference}" in rejected
    )


def _entries(connection: Any, kind: str, series: Series) -> tuple[Entry, ...]:
    return entries_of(
        connection, kind, currency=series.currency.code, window_number=series.window_number
    )


def _kind(series: Series) -> str:
    """Kind of the facts of a series' files: an account's are found by it, for want of a window."""
    return FILE if series.window else f"{FILE}-{series.account.lower()}"


def _rejected_key(of_file: str, reference: str = "") -> str:
    return f"{of_file}/rejected/{reference}" if reference else f"{of_file}/rejected"


def file_with(connection: Any, reference: str) -> PayoutFile | None:
    """The file that has told the bank to make a payment; None where none has, or the bank did not
    take it.
    """
    for entry in entries_of(connection, PAYOUT, subject=reference):
        rejections = (_rejected_key(entry.entry_key, each) for each in ("", reference))
        if all(entry_body(connection, key) is None for key in rejections):
            return file_from(entry.body)
    return None


def references_in(files: tuple[Filed, ...]) -> frozenset[str]:
    """The references that stand in a file, and that the bank has not rejected."""
    return frozenset(payment.reference for filed in files for payment in filed.standing)


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
