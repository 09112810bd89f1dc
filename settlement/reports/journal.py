"""A partner's general ledger journal of a window, by its own account map. Pure.

Up to four entries, each balanced:

    net         every figure of the statement's net on its own account, against the position
    restated    what came of earlier windows, back from the payment account to the position
    payment     what the statement asks for, from the position to the payment account
    collateral  what went into collateral, came out or was drawn since the statement before

The position's lines come to carried forward less brought forward, so that the account stands at
what the statement carries; the payment account is cleared by the partner's own bank journal. A
later version of a statement has a whole journal of its own, which takes the place of the one
before. Amounts have all digits of the currency's scale; figures of 0 make no line.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from exchange.fold import InvariantBroken
from partners.points import format_amount
from settlement.reports.account_map import AccountMap, Own
from settlement.reports.items import Row, net_rows
from settlement.reports.tables import Cell, Money, write_csv
from settlement.statement import Statement

COLUMNS: Final = (
    *("row", "entry", "line", "date", "document", "currency", "account", "item", "reversed"),
    *("tax_code", "agreement_id", "promotion_id", "funder", "debit", "credit"),
)


@dataclass(frozen=True, slots=True)
class JournalLine:
    """One side of an entry. Units of the currency's scale, one of the two is 0."""

    entry: str
    account: str
    item: str
    debit: int
    credit: int
    code: str = ""
    is_reversed: bool = False
    agreement_id: str = ""
    promotion_id: str = ""
    funder: str = ""


@dataclass(frozen=True, slots=True)
class Journal:
    """A statement as a partner books it."""

    statement: Statement
    lines: tuple[JournalLine, ...]

    @property
    def document(self) -> str:
        """Names it among the partner's documents."""
        return f"{self.statement.window_id}/{self.statement.partner_id}/{self.statement.version}"


def journal(statement: Statement, accounts: AccountMap) -> Journal:
    """The journal of a statement; raises InvariantBroken where it would not balance, or the
    position not come to what is carried forward.
    """
    lines = (
        *_net(statement, accounts),
        *_moved("restated", -statement.restated, Own.PAYMENT, Own.POSITION, accounts),
        *_moved("payment", statement.payment, Own.PAYMENT, Own.POSITION, accounts),
        *_collateral(statement, accounts),
    )
    balances: dict[str, int] = {}
    for line in lines:
        balances[line.entry] = balances.get(line.entry, 0) + line.debit - line.credit
    position = sum(line.debit - line.credit for line in lines if line.item == Own.POSITION)
    if any(balances.values()) or (
        position != statement.carried_forward - statement.brought_forward
    ):
        raise InvariantBroken(f"the journal of {statement.window_id} does not come out: {balances}")
    return Journal(statement, lines)


def _net(statement: Statement, accounts: AccountMap) -> Iterator[JournalLine]:
    for row in net_rows(statement):
        yield _line(row, accounts)
    if statement.net:
        yield _sided("net", accounts, Own.POSITION, statement.net)


def _line(row: Row, accounts: AccountMap) -> JournalLine:
    # What is owed to the partner is a credit of its figure, and a debit of the position.
    return JournalLine(
        "net",
        accounts.account(row.item, row.code),
        row.item,
        max(-row.amount, 0),
        max(row.amount, 0),
        row.code,
        row.is_reversed,
        row.agreement_id,
        row.promotion_id,
        row.funder,
    )


def _collateral(statement: Statement, accounts: AccountMap) -> Iterator[JournalLine]:
    # Draws pay what a statement asked for; other withdrawals come back to the partner's bank.
    returned = -statement.withdrawals - statement.draws
    clearing = statement.top_ups - returned
    yield from _moved("collateral", clearing, Own.COLLATERAL, Own.COLLATERAL_PAYMENT, accounts)
    yield from _moved("collateral", statement.draws, Own.PAYMENT, Own.COLLATERAL, accounts)


def _moved(
    entry: str, amount: int, debit: Own, credit: Own, accounts: AccountMap
) -> Iterator[JournalLine]:
    if amount:
        yield _sided(entry, accounts, debit, amount)
        yield _sided(entry, accounts, credit, -amount)


def _sided(entry: str, accounts: AccountMap, item: Own, debit: int) -> JournalLine:
    """A line of our own: a debit, or a credit where it is negative."""
    return JournalLine(entry, accounts.account(item), item, max(debit, 0), max(-debit, 0))


def journal_csv(booked: Journal) -> bytes:
    """LINE rows, the TOTAL of both sides, and END."""
    statement = booked.statement

    def money(units: int) -> Cell:
        return Money(units, statement.scale)

    rows: list[list[Cell]] = [
        [
            *("LINE", line.entry, number, statement.business_date.isoformat(), booked.document),
            *(statement.currency, line.account, line.item),
            "reversed" if line.is_reversed else None,
            *(line.code, line.agreement_id, line.promotion_id, line.funder),
            money(line.debit) if line.debit else None,
            money(line.credit) if line.credit else None,
        ]
        for number, line in enumerate(booked.lines, 1)
    ]
    blank: list[Cell] = [None] * (len(COLUMNS) - 5)
    debits, credits = _totals(booked)
    rows.append(["TOTAL", None, len(booked.lines), *blank, money(debits), money(credits)])
    rows.append(["END", None, None, None, booked.document, *([None] * (len(COLUMNS) - 5))])
    return write_csv(COLUMNS, rows)


def journal_json(booked: Journal) -> bytes:
    """The same as one JSON document; amounts are decimals in strings."""
    statement = booked.statement
    debits, credits = _totals(booked)
    document = {
        "document": booked.document,
        "partner_id": statement.partner_id,
        "window_id": statement.window_id,
        "version": statement.version,
        "date": statement.business_date.isoformat(),
        "currency": statement.currency,
        "lines": [
            {
                "entry": line.entry,
                "account": line.account,
                "item": line.item,
                "reversed": line.is_reversed,
                "tax_code": line.code,
                "agreement_id": line.agreement_id,
                "promotion_id": line.promotion_id,
                "funder": line.funder,
                "debit": format_amount(line.debit, statement.scale),
                "credit": format_amount(line.credit, statement.scale),
            }
            for line in booked.lines
        ],
        "debits": format_amount(debits, statement.scale),
        "credits": format_amount(credits, statement.scale),
    }
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def _totals(booked: Journal) -> tuple[int, int]:
    return sum(line.debit for line in booked.lines), sum(line.credit for line in booked.lines)
