"""Reads what there is of partners' collateral. All functions take a psycopg2 connection."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from exchange.fold.funding import free_collateral
from exchange.ledger.accounts import collateral_account, position_account
from exchange.ledger.postings import Balance, Code, Phase
from partners.envelope import from_json
from partners.errors import Reason, Refused
from partners.queries import load_queries
from partners.store import utc
from settlement.collateral.movements import APPROVED, DRAWN, REFUSED, REQUESTED, Depositor
from settlement.collateral.withdrawal import Request, Withdrawal, WithdrawalState
from settlement.facts import entries_of
from settlement.references import withdrawal_reference

QUERIES = load_queries(Path(__file__).with_name("collateral.sql"))

BY_BANK = ("bank_top_up", "bank_withdrawn")
"""Kinds of the facts of the bank's files: what nobody had recorded before."""


class MovementKind(StrEnum):
    """What moved collateral, or is to."""

    TOP_UP = "TOP_UP"
    WITHDRAWAL = "WITHDRAWAL"
    DRAW = "DRAW"
    BANK = "BANK"
    """By the bank itself."""


@dataclass(frozen=True, slots=True)
class Movement:
    """A movement of a partner's collateral."""

    kind: MovementKind
    amount: int
    """Units; positive is money in."""
    reference: str
    """The payment's, or the bank's name of its entry."""
    is_confirmed: bool
    log_index: int
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """A partner's collateral in figures: units of its currency's scale."""

    balance: int
    """At the bank."""
    on_its_way: int
    free: int
    """Covers nothing that the partner owes."""


def depositors(connection: Any, partner_id: str | None = None) -> tuple[Depositor, ...]:
    """The partner of this id, if there is one, or all partners by id."""
    return tuple(Depositor(*row) for row in QUERIES.depositors(connection, partner_id=partner_id))


def depositor(connection: Any, partner_id: str) -> Depositor:
    """The partner of this id; raises Refused(PARTNER_UNKNOWN)."""
    for each in depositors(connection, partner_id):
        return each
    raise Refused(Reason.PARTNER_UNKNOWN, "partner_id", f"there is no partner {partner_id}")


def standing(connection: Any, of: Depositor) -> Standing:
    """How a partner's collateral stands."""
    row = QUERIES.balances(
        connection,
        collateral=collateral_account(of.unit, of.number),
        position=position_account(of.unit, of.number),
    )
    collateral, position = Balance(*row[:7]), Balance(*row[7:])
    free = free_collateral(collateral, position)
    return Standing(collateral.posted, collateral.debits_pending, free)


def movements(connection: Any, of: Depositor) -> tuple[Movement, ...]:
    """What moved a partner's collateral, or waits for the bank; what was taken back is left out."""
    rows = QUERIES.movements(
        connection,
        currency=of.currency,
        partner_number=of.number,
        kinds=[*BY_BANK, DRAWN, APPROVED],
    )
    return tuple(_movement(*row) for row in rows if row[8] != Phase.VOIDS)


def _movement(
    kind: str,
    subject: str,
    entry_key: str,
    log_index: int,
    recorded_at: datetime,
    code: int,
    amount: int,
    phase: int,
    done: int | None,
) -> Movement:
    what = {DRAWN: MovementKind.DRAW, APPROVED: MovementKind.WITHDRAWAL}.get(kind)
    if what is None:
        what = MovementKind.TOP_UP if code == Code.TOP_UP else MovementKind.BANK
    return Movement(
        what,
        amount if code == Code.TOP_UP else -amount,
        subject if kind in BY_BANK else entry_key.rpartition("/")[2],
        phase == Phase.POSTED or done == Phase.CONFIRMS,
        log_index,
        utc(recorded_at),
    )


def withdrawals(
    connection: Any, of: Depositor, read: Callable[[bytes], Request]
) -> tuple[Withdrawal, ...]:
    """The withdrawals that a partner asked for, oldest first; `read` reads a signed payload."""
    asked = entries_of(connection, REQUESTED, currency=of.currency, partner_number=of.number)
    refused = {
        each.fact.subject
        for each in entries_of(connection, REFUSED, currency=of.currency, partner_number=of.number)
    }
    approved = {
        each.fact.subject: each.log_index
        for each in entries_of(connection, APPROVED, currency=of.currency, partner_number=of.number)
    }
    paid = {each.log_index for each in movements(connection, of) if each.is_confirmed}
    found = []
    for entry in asked:
        payload = from_json(entry.body.decode()).payload
        request = read(payload)
        index = approved.get(request.withdrawal_id)
        state = WithdrawalState.REQUESTED
        if request.withdrawal_id in refused:
            state = WithdrawalState.REFUSED
        elif index is not None:
            state = WithdrawalState.PAID if index in paid else WithdrawalState.APPROVED
        found.append(
            Withdrawal(
                request,
                hashlib.sha256(payload).digest(),
                entry.log_index,
                entry.recorded_at,
                withdrawal_reference(entry.log_index),
                index,
                state,
            )
        )
    return tuple(found)
