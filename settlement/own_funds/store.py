"""Reads what is the operator's own. All functions take a psycopg2 connection."""

import json
from pathlib import Path
from typing import Any

from exchange.ledger.postings import Phase
from exchange.wire.records import entry_body
from partners.points import currency_scale
from partners.queries import load_queries
from partners.store import utc
from settlement import store
from settlement.own_funds.withdrawal import OwnAccount, OwnFunds, OwnWithdrawal
from settlement.standing import bank_balances, standings

WINDOWS = 500
"""Among the newest so many are all that are not stated."""

QUERIES = load_queries(Path(__file__).with_name("own_funds.sql"))


def own_funds(connection: Any, currency: str) -> OwnFunds:
    """What is the operator's in a currency; raises Refused(FIELD_INVALID) where nobody settles in
    it.
    """
    scale = currency_scale(currency)
    unit = store.unit_of(connection, currency)
    payable = bank_balances(connection, unit).payable
    awaited: int = QUERIES.awaited(connection, currency=currency)
    return OwnFunds(
        scale,
        unit,
        tuple(
            OwnAccount(name, number, posted, on_its_way)
            for number, name, posted, on_its_way in QUERIES.accounts(connection, unit_number=unit)
        ),
        max(0, payable - awaited - _carried(connection, currency)),
        tuple(_withdrawal(*row) for row in QUERIES.withdrawals(connection, currency=currency)),
    )


def _carried(connection: Any, currency: str) -> int:
    """What stated windows have left to partners: pay-outs below the minimum, what is in dispute.
    It may lie at the bank, whatever fees of windows that nobody has paid yet were earned beside it.
    """
    windows = store.newest_windows(connection, currency, WINDOWS)
    unstated = [each for each in windows if not each.state.is_stated]
    if not unstated:
        return 0
    oldest = min(unstated, key=lambda each: each.number)
    return sum(max(0, each.carried) for each in standings(connection, oldest).values())


def _withdrawal(log_index: int, recorded_at: Any, record: Any, phase: int | None) -> OwnWithdrawal:
    body = json.loads(entry_body(bytes(record)))
    return OwnWithdrawal(
        body["number"],
        body["account"],
        body["amount"],
        body["reference"],
        log_index,
        utc(recorded_at),
        None if phase is None else Phase(phase),
    )
