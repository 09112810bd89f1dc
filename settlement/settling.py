"""The steps of a settlement as entries to book. Pure.

    CLOSED              statements are booked, then `stated`
    PENDING_SETTLEMENT  legs are booked, bank files confirm them, then `settled`
    SETTLED

Every entry's key and body follow from the window alone, so any step can be repeated after any
crash: what was booked before is answered as a repeat, what was not is booked now.

Why a leg may have to wait: a pay-in never does, since it takes no room. A pay-out needs money that
lies in the account and belongs to nobody unknown (suspense is not lent), and it needs the partner's
position to bear the debit. A creditor may have spent its credit as headroom in the open window;
then the position's floor refuses the pay-out until the partner's next pay-in is confirmed. Both
resolve by themselves: later bank files try again.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping

from exchange.commands import Book, Fact, WindowStep
from exchange.json_body import JSON_BODY, json_body
from exchange.ledger.accounts import HUB, HubAccount, hub_account, position_account
from exchange.ledger.postings import Code, Phase, Posting, PostingRef, bank_settlement
from partners.envelope import SETTLEMENT_STATEMENT
from partners.errors import Reason, Refused
from settlement.bank.matching import Expected
from settlement.statement import Statement
from settlement.windows import Leg, LegDirection, LegState, SettlementWindow, WindowState

STATEMENT = "statement"
STATED = "stated"
"""Kinds of facts."""


def check_stateable(window: SettlementWindow, previous: SettlementWindow | None) -> None:
    """Raise Refused(WINDOW_STATE) unless the window has closed and the one before it was stated."""
    if window.state is WindowState.OPEN:
        raise Refused(
            Reason.WINDOW_STATE, "window_id", f"{window.window_id} is open; close it first"
        )
    if window.state is WindowState.CLOSED and previous is not None and not previous.state.is_stated:
        raise Refused(
            Reason.WINDOW_STATE,
            "window_id",
            f"{previous.window_id} is {previous.state}; settle it before {window.window_id}",
            {"earlierWindowId": previous.window_id},
        )


def leg_of(window: SettlementWindow, partner_number: int, statement: Statement) -> Leg | None:
    """The payment that a statement asks for, if any."""
    if not statement.payment:
        return None
    return Leg(
        window.window_id,
        partner_number,
        statement.partner_id,
        statement.payment_reference,
        statement.payment,
    )


def statement_key(window_id: str, partner_id: str, version: int = 1) -> str:
    """Entry key of a version of a partner's statement."""
    later = f"/v{version}" if version > 1 else ""
    return f"statement/{window_id}/{partner_id}{later}"


def statement_entry(
    window: SettlementWindow, partner_number: int, statement: Statement, payload: bytes
) -> Book:
    """Puts a version of a partner's statement into the log."""
    fact = Fact(
        STATEMENT, window.currency.code, partner_number, window.number, str(statement.version)
    )
    key = statement_key(window.window_id, statement.partner_id, statement.version)
    return Book(key, SETTLEMENT_STATEMENT, payload, facts=(fact,))


def stated_entry(window: SettlementWindow, payloads: Mapping[str, bytes]) -> Book:
    """Ends the stating of a window, naming the digest of each partner's statement."""
    body = {
        "statements": {
            partner: hashlib.sha256(payload).hexdigest() for partner, payload in payloads.items()
        },
        "window_id": window.window_id,
    }
    step = WindowStep(window.window_id, WindowState.CLOSED, WindowState.PENDING_SETTLEMENT)
    fact = Fact(STATED, window.currency.code, window_number=window.number)
    key = f"{STATED}/{window.window_id}"
    return Book(key, JSON_BODY, json_body(body), step=step, facts=(fact,))


def settled_entry(window: SettlementWindow, legs: Iterable[Leg]) -> Book:
    """Ends the settlement of a window whose legs are all confirmed."""
    confirmed = (leg.reference for leg in legs if leg.state is LegState.CONFIRMED)
    body = {"legs": sorted(confirmed), "window_id": window.window_id}
    step = WindowStep(window.window_id, WindowState.PENDING_SETTLEMENT, WindowState.SETTLED)
    return Book(f"settled/{window.window_id}", JSON_BODY, json_body(body), step=step)


def aborted_entry(window: SettlementWindow, legs: Iterable[Leg]) -> Book:
    """Ends the settlement of a window whose other legs were cancelled."""
    confirmed = (leg.reference for leg in legs if leg.state is LegState.CONFIRMED)
    body = {"legs": sorted(confirmed), "window_id": window.window_id}
    step = WindowStep(window.window_id, WindowState.PENDING_SETTLEMENT, WindowState.ABORTED)
    return Book(f"aborted/{window.window_id}", JSON_BODY, json_body(body), step=step)


def cancelled_entry(leg: Leg, currency: str, unit: int) -> Book:
    """Takes a leg back that the bank has not confirmed; what it held is free again, or waits again
    where its partner's credits do.
    """
    postings = () if leg.log_index is None else (leg_posting(leg, unit, Phase.VOIDS),)
    body = {"reference": leg.reference, "window_id": leg.window_id}
    key = f"cancelled/{leg.reference}"
    return Book(key, JSON_BODY, json_body(body), postings, currency, pays=leg.window_id)


def leg_entry(leg: Leg, currency: str, unit: int) -> Book:
    """Records a leg as a pending posting: it moves no position, but holds a pay-out."""
    body = {
        "amount": leg.amount,
        "currency": currency,
        "direction": leg.direction,
        "partner_id": leg.partner_id,
        "reference": leg.reference,
        "window_id": leg.window_id,
    }
    posting = leg_posting(leg, unit, Phase.PENDING)
    return Book(
        f"leg/{leg.reference}",
        JSON_BODY,
        json_body(body),
        (posting,),
        currency,
        pays=leg.window_id,
    )


def leg_posting(leg: Leg, unit: int, phase: Phase) -> Posting:
    """A leg's posting: pending when it is recorded, then confirming what was pending."""
    resolves = None
    if phase in (Phase.CONFIRMS, Phase.VOIDS):
        assert leg.log_index is not None, "only a recorded leg can be confirmed or taken back"
        resolves = PostingRef(leg.log_index, 0)
    bank, owes = bank_settlement(unit), hub_account(unit, HubAccount.PROMOTIONS)
    if leg.partner_number != HUB:
        owes = position_account(unit, leg.partner_number)
    if leg.direction is LegDirection.PAY_IN:
        return Posting(Code.PAY_IN, bank, owes, leg.amount, phase, resolves)
    return Posting(Code.PAY_OUT, owes, bank, leg.amount, phase, resolves)


def expected_of(leg: Leg, unit: int) -> Expected:
    """A recorded leg as the bank will show it."""
    confirms = leg_posting(leg, unit, Phase.CONFIRMS)
    return Expected(leg.reference, -leg.payment, confirms, leg.partner_number or None)


def legs_to_record(
    legs: Iterable[Leg], payable: int, on_hold: Collection[str] = ()
) -> tuple[Leg, ...]:
    """The waiting legs that can be recorded now: every pay-in, and pay-outs while `payable` lasts.
    Nothing is paid to partners whose settlement is on hold.

    `payable` is what lies in the account, less what is on its way out and less suspense, in units.
    A larger pay-out that does not fit does not hold up smaller ones after it.
    """
    chosen: list[Leg] = []
    for leg in legs:
        if leg.state is not LegState.WAITING:
            continue
        if leg.direction is LegDirection.PAY_IN:
            chosen.append(leg)
        elif leg.amount <= payable and leg.partner_id not in on_hold:
            payable -= leg.amount
            chosen.append(leg)
    return tuple(chosen)
