"""The settlement of a sample's first window, step by step as the real one goes, and how its bank
saw it. Pure but for the ledger that it fills.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from partners.points import format_amount
from settlement import settling
from settlement.bank.booking import bank_file_entry
from settlement.bank.matching import Account, AccountKind, match
from settlement.bank.reading import parse_bank_file
from settlement.bank_simulator import Payer, PaymentRequest, bank_day, booked_on, paid_by
from settlement.sample.coalition import Coalition
from settlement.sample.ledger import MemoryLedger
from settlement.sample.stating import Stated, state
from settlement.windows import Leg, LegDirection, SettlementWindow
from settlement.wire import statement_payload

BANK_FILE = ".bank.csv"
ASKED_AFTER = timedelta(hours=1)
PAID_AFTER = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Settled:
    """A window that is settled."""

    stated: tuple[Stated, ...] = ()
    bank_files: Mapping[str, bytes] = field(default_factory=dict)
    """By name: of what happened, and of what else partners might have done."""


def settle(
    ledger: MemoryLedger, coalition: Coalition, window_id: str, closed_at: datetime
) -> Settled:
    """State the window, ask for its payments, book what the bank saw on time, and end it."""
    window = ledger.window(window_id)
    stated = state(ledger, coalition, window, {})
    payloads = {each.partner.partner_id: statement_payload(each.statement) for each in stated}
    for each in stated:
        name, number = each.partner.partner_id, each.partner.number
        entry = settling.statement_entry(window, number, each.statement, payloads[name])
        ledger.run(entry, closed_at)
    ledger.run(settling.stated_entry(window, payloads), closed_at)
    planned = [settling.leg_of(window, each.partner.number, each.statement) for each in stated]
    legs = [leg for leg in planned if leg is not None]
    due = window.business_date + timedelta(days=1)
    files, balance = {}, Decimal("0.00")
    for direction in LegDirection:
        asked = [leg for leg in legs if leg.direction is direction]
        recorded = [record(ledger, window, leg, closed_at + ASKED_AFTER) for leg in asked]
        name = f"{window_id}-{Payer.ON_TIME}-{direction.lower().replace('_', '-')}"
        requests = requests_of(window, recorded)
        day = bank_day(name, window.currency.code, due, balance, requests)
        files[f"{name}{BANK_FILE}"], balance = day.content, day.closing
        take_in(ledger, window, recorded, day.content, closed_at + PAID_AFTER)
        if direction is LegDirection.PAY_IN:
            files |= otherwise(window, requests, due)
    ledger.run(settling.settled_entry(window, legs), closed_at + PAID_AFTER)
    return Settled(stated, files)


def record(ledger: MemoryLedger, window: SettlementWindow, leg: Leg, now: datetime) -> Leg:
    """Ask for a payment, or instruct it."""
    entry = settling.leg_entry(leg, window.currency.code, window.unit)
    return replace(leg, log_index=ledger.run(entry, now).log_index)


def take_in(
    ledger: MemoryLedger,
    window: SettlementWindow,
    legs: Sequence[Leg],
    content: bytes,
    now: datetime,
) -> None:
    """Book a bank file."""
    file = parse_bank_file(content)
    expected = tuple(settling.expected_of(leg, window.unit) for leg in legs)
    bookings = match(file, Account(AccountKind.SETTLEMENT, window.unit, expected))
    ledger.run(bank_file_entry(file, content, AccountKind.SETTLEMENT, bookings), now)


def otherwise(
    window: SettlementWindow, requests: Sequence[PaymentRequest], due: date
) -> dict[str, bytes]:
    """The file that the bank would have written instead, had partners paid short or late."""
    files = {}
    for payer in (Payer.SHORT, Payer.LATE):
        name = f"{window.window_id}-{payer}-pay-in"
        seen = [paid for each in requests if (paid := paid_by(each, payer))]
        day = bank_day(name, window.currency.code, booked_on(due, payer), Decimal("0.00"), seen)
        files[f"{name}{BANK_FILE}"] = day.content
    return files


def requests_of(window: SettlementWindow, legs: Sequence[Leg]) -> list[PaymentRequest]:
    """What the bank sees of the legs."""
    return [
        PaymentRequest(
            leg.direction.value,
            Decimal(format_amount(leg.amount, window.currency.scale)),
            leg.reference,
            leg.partner_id,
        )
        for leg in legs
    ]
