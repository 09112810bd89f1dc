"""What is overdue, from the books: legs and reminders (`reminder/<reference>`).

All functions that read take a psycopg2 connection.
"""

from datetime import date, datetime
from pathlib import Path
from typing import Any

from exchange.commands import Book, Fact
from exchange.json_body import JSON_BODY, json_body
from exchange.ledger.accounts import HUB, collateral_account
from partners.queries import load_queries
from settlement import store
from settlement.approval.draft import PAIRS, draft_from, draft_key
from settlement.approval.store import open_withholdings
from settlement.approval.unwinding import unwind_of
from settlement.facts import entries_of
from settlement.overdue.drawing import LEG_DRAWN
from settlement.overdue.unwinding import UnwindReport, unwind_report
from settlement.overdue.waterfall import Known, Overdue, overdue
from settlement.pairs.store import withheld_of
from settlement.schemes.scheme import scheme_of
from settlement.standing import partners_on_hold
from settlement.windows import Leg, LegDirection, LegState, SettlementWindow

QUERIES = load_queries(Path(__file__).with_name("overdue.sql"))

REMINDER = "reminder"


def unsettled_currencies(connection: Any) -> tuple[str, ...]:
    """Currencies in which somebody may be overdue."""
    return tuple(name for (name,) in QUERIES.unsettled_currencies(connection))


def overdue_legs(connection: Any, currency: str, now: datetime) -> tuple[Overdue, ...]:
    """Every overdue pay-in of a currency, the operator's own too, the oldest window first."""
    scheme = scheme_of(connection, currency)
    on_hold = partners_on_hold(connection)
    reminded = {
        each.fact.subject: each.recorded_at
        for each in entries_of(connection, REMINDER, currency=currency)
    }
    drawn = {each.fact.subject for each in entries_of(connection, LEG_DRAWN, currency=currency)}
    found = []
    for window in store.pending_windows(connection, currency):
        in_pairs = bool(entries_of(connection, PAIRS, window_number=window.number))
        for leg in store.legs(connection, window):
            if leg.direction is not LegDirection.PAY_IN or leg.state is not LegState.PENDING:
                continue
            due = _due_date(connection, window, leg)
            known = Known()
            if leg.partner_number != HUB:
                known = Known(
                    collateral_of(connection, window.unit, leg.partner_number),
                    leg.partner_id in on_hold,
                    reminded.get(leg.reference),
                    leg.reference in drawn,
                    in_pairs,
                )
            each = overdue(scheme, leg, due, known, now) if due else None
            if each is not None:
                found.append(each)
    return tuple(found)


def _due_date(connection: Any, window: SettlementWindow, leg: Leg) -> date | None:
    """By when a leg is to be paid, where that was stated: the operator's own by the draft."""
    if leg.partner_number == HUB:
        draft = store.entry_body(connection, draft_key(window.window_id))
        return draft_from(draft).due_date if draft else None
    statement = store.statement_of(connection, window.window_id, leg.partner_id)
    return statement.due_date if statement else None


def collateral_of(connection: Any, unit: int, partner_number: int) -> int:
    """A partner's collateral that is not on its way out, units."""
    account = collateral_account(unit, partner_number)
    available: int = QUERIES.available(connection, account_number=account)
    return available


def reminder_entry(each: Overdue, currency: str) -> Book:
    """Reminds a partner of a leg, once."""
    body = {
        "amount": each.leg.amount,
        "due_date": each.due_date.isoformat(),
        "partner_id": each.leg.partner_id,
        "reference": each.leg.reference,
        "window_id": each.leg.window_id,
    }
    number = each.leg.partner_number
    return Book(
        f"reminder/{each.leg.reference}",
        JSON_BODY,
        json_body(body),
        facts=(Fact(REMINDER, currency, number, subject=each.leg.reference),),
    )


def report_of(connection: Any, window: SettlementWindow, missing: str) -> UnwindReport:
    """What a stated window would come to without a partner. Raises Refused(PARTNER_UNKNOWN)."""
    partners = store.partners_of(connection, window)
    number = store.partner_named(connection, window, missing).number
    names = {each.number: each.partner_id for each in partners}
    sums = store.window_sums(connection, window)
    open_ones = open_withholdings(connection, window.currency.code)
    (line,) = unwind_of(window, number, names, sums, open_ones).lines
    statements = {
        name: stated
        for name in names.values()
        if (stated := store.statement_of(connection, window.window_id, name)) is not None
    }
    # Where it was taken out already, its part is among what is withheld.
    already = _is_unwound(connection, window, missing)
    return unwind_report(
        window.window_id,
        missing,
        statements,
        withheld_of(connection, window),
        {} if already else line.amounts,
        window.currency.minor_unit,
        scheme_of(connection, window.currency.code).minimum_payout,
    )


def _is_unwound(connection: Any, window: SettlementWindow, missing: str) -> bool:
    subject = f"unwind/{window.window_id}/{missing}"
    return any(
        each.subject == subject for each in open_withholdings(connection, window.currency.code)
    )
