"""Reads what the month needs. All functions take a psycopg2 connection in a transaction."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from exchange.ledger.postings import Code
from exchange.seal import LeafKind
from exchange.wire.records import entry_body
from partners.agreement import HUB
from partners.errors import Reason, Refused
from partners.queries import load_queries
from partners.store import utc
from settlement import store as windows_store
from settlement.facts import Entry, entries_of
from settlement.month.ageing import AgedLeg, AgedPosition, aged, days_late
from settlement.month.invoices import Document, document_from, entry_key
from settlement.month.invoicing import KIND as INVOICING
from settlement.month.invoicing import Invoicing, invoicing_from
from settlement.month.period import Period
from settlement.month.promotion_costs import PromotionBudget
from settlement.month.supplies import Original
from settlement.schemes.scheme import scheme_of
from settlement.statement import Statement
from settlement.windows import WindowState
from settlement.wire import window_of_record

QUERIES = load_queries(Path(__file__).with_name("month.sql"))

INVOICE_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}/[A-Z0-9-]{1,24}/[1-9][0-9]{0,17}")
INVOICE = "invoice"
"""Kind of the facts by which documents are found: one for the supplier, one for the customer."""
NUMBER = "invoice-number"
"""Kind of the fact that counts a series."""


def windows_of(
    connection: Any, currency: str, period: Period
) -> tuple[tuple[str, WindowState], ...]:
    """The windows of a period with their states, in their order."""
    rows = QUERIES.windows_of(connection, currency=currency, first=period.first, last=period.last)
    return tuple((window_id, WindowState(state)) for window_id, state in rows)


def is_over(connection: Any, currency: str, period: Period) -> bool:
    """Whether no window of the period can be opened any more: one of a later day was."""
    return bool(QUERIES.is_over(connection, currency=currency, last=period.last))


def partners_of(connection: Any, currency: str) -> dict[str, tuple[int, str]]:
    """Number and legal name of each partner of a currency, in the order of their numbers."""
    rows = QUERIES.partners_of(connection, currency=currency)
    return {partner_id: (number, name) for number, partner_id, name in rows}


def names_of(connection: Any, currency: str) -> dict[str, str]:
    """What documents call each partner of a currency, and the operator."""
    names = {each: name for each, (_, name) in partners_of(connection, currency).items()}
    return {**names, HUB: scheme_of(connection, currency).operator_name or "The operator"}


def program_owners(connection: Any) -> dict[str, str]:
    """Program to its partner."""
    return dict(QUERIES.program_owners(connection))


def tax_rates(connection: Any) -> dict[str, tuple[tuple[datetime, int], ...]]:
    """Tax code to its rates, oldest first."""
    rates: dict[str, tuple[tuple[datetime, int], ...]] = {}
    for code, since, basis_points in QUERIES.tax_rates(connection):
        rates[code] = (*rates.get(code, ()), (utc(since), basis_points))
    return rates


def originals_of(connection: Any, transfer_ids: Iterable[UUID]) -> dict[UUID, Original]:
    """The transfers that reversals take back: the month that counted each, and its time."""
    wanted = sorted({str(each) for each in transfer_ids})
    if not wanted:
        return {}
    found = {
        UUID(str(transfer_id)): (
            window_of_record(LeafKind.TRANSFER, bytes(record)),
            utc(recorded_at),
        )
        for transfer_id, recorded_at, record in QUERIES.transfers(connection, transfer_ids=wanted)
    }
    names = sorted({window_id for window_id, _ in found.values()})
    days: dict[str, date] = dict(QUERIES.business_dates(connection, window_ids=names))
    return {
        transfer_id: Original(Period.holding(days[window_id]).name, recorded_at)
        for transfer_id, (window_id, recorded_at) in found.items()
    }


def recorded_invoicing(connection: Any, currency: str) -> tuple[Invoicing, ...]:
    """What was recorded about invoicing, oldest first."""
    return tuple(
        invoicing_from(each.body) for each in entries_of(connection, INVOICING, currency=currency)
    )


def document_about(connection: Any, currency: str, subject: str) -> Document | None:
    """The document of a subject, where one was issued."""
    found = issued(connection, currency, subject=subject)
    return found[0].document if found else None


@dataclass(frozen=True, slots=True)
class Issued:
    """A document as it was booked."""

    document: Document
    issued_at: datetime
    log_index: int


def issued(
    connection: Any,
    currency: str,
    *,
    partner_number: int | None = None,
    subject: str | None = None,
) -> tuple[Issued, ...]:
    """The documents of a currency in the order of the log: of a partner, or about a subject."""
    found = entries_of(
        connection, INVOICE, currency=currency, partner_number=partner_number, subject=subject
    )
    # The operator has no number: its fact beside a partner's would show a document twice.
    return tuple({each.entry_key: _issued(each) for each in found}.values())


def issued_as(connection: Any, invoice_id: str) -> Issued | None:
    """The document of this id, if it was issued."""
    found = INVOICE_ID.fullmatch(invoice_id)
    row = QUERIES.entry(connection, entry_key=entry_key(invoice_id)) if found else None
    if row is None:
        return None
    log_index, recorded_at, record = row
    document = document_from(entry_body(bytes(record)))
    return Issued(document, utc(recorded_at), log_index)


def _issued(entry: Entry) -> Issued:
    return Issued(document_from(entry.body), utc(entry.recorded_at), entry.log_index)


def last_numbers(connection: Any) -> dict[str, int]:
    """The newest number of each series, by `<issuer>/<series>`."""
    return dict(QUERIES.last_numbers(connection))


def number_of(connection: Any, currency: str, partner_id: str) -> int:
    """A partner's number; raises Refused(PARTNER_UNKNOWN) for one that settles in another
    currency, too.
    """
    found = partners_of(connection, currency).get(partner_id)
    if found is None:
        raise Refused(
            Reason.PARTNER_UNKNOWN, "partner_id", f"no partner {partner_id} settles in {currency}"
        )
    return found[0]


def open_disputes(connection: Any, currency: str) -> int:
    """How many withholdings nobody has decided."""
    return int(QUERIES.open_disputes(connection, currency=currency))


def open_breaks(connection: Any, currency: str, period: Period) -> int:
    """How many differences of partners' own files in a period are open and not explained."""
    return int(
        QUERIES.open_breaks(connection, currency=currency, first=period.first, last=period.last)
    )


def unpaid_legs(connection: Any, currency: str, as_of: date) -> tuple[AgedLeg, ...]:
    """The payments that are not confirmed, oldest first."""
    legs = []
    for partner_id, window_id, reference, amount, day in QUERIES.unpaid_legs(
        connection, currency=currency
    ):
        statement = windows_store.statement_of(connection, window_id, partner_id)
        due = statement.due_date if statement and statement.due_date else day
        late = days_late(due, as_of)
        legs.append(AgedLeg(partner_id, window_id, reference, amount, due, late))
    return tuple(legs)


def aged_positions(connection: Any, currency: str, as_of: date) -> tuple[AgedPosition, ...]:
    """Every partner's position by age, in the order of their numbers."""
    positions = []
    for number, partner_id, position in QUERIES.positions(connection, currency=currency):
        nets = QUERIES.nets_of(connection, partner_number=number, currency=currency)
        positions.append(AgedPosition(partner_id, position, aged(position, nets, as_of)))
    return tuple(positions)


@dataclass(frozen=True, slots=True)
class Accrual:
    """What a window that is not stated came to so far between two parties under one code."""

    window_id: str
    partner_id: str
    counterparty: str
    """A partner's id, or `hub`."""
    code: Code
    tax_code: str
    amount: int
    """Units of the currency's scale; positive is owed to the partner."""


def accruals(connection: Any, currency: str, period: Period) -> tuple[Accrual, ...]:
    """By window, partner, counterparty and code."""
    rows = QUERIES.accruals(connection, currency=currency, first=period.first, last=period.last)
    return tuple(
        Accrual(window_id, partner_id, other, Code(code), tax_code, amount)
        for window_id, partner_id, other, code, tax_code, amount in rows
    )


def statements_of(connection: Any, currency: str, period: Period) -> Iterator[Statement]:
    """The statements of a period's stated windows."""
    for window_id, state in windows_of(connection, currency, period):
        if state.is_stated:
            window = windows_store.window_named(connection, window_id)
            for partner in windows_store.partners_of(connection, window):
                found = windows_store.statement_of(connection, window_id, partner.partner_id)
                if found is not None:
                    yield found


def promotion_budgets(connection: Any, currency: str) -> tuple[PromotionBudget, ...]:
    """Promotions by agreement, version and id."""
    return tuple(
        PromotionBudget(agreement_id, version, promotion_id, budget, granted, tuple(parties))
        for agreement_id, version, promotion_id, budget, granted, parties in (
            QUERIES.promotion_budgets(connection, currency=currency)
        )
    )
