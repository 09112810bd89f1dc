"""Reads what the bank's room needs. All functions take a psycopg2 connection."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from exchange.ledger.accounts import hub_account, party_of
from exchange.ledger.postings import Code, Phase, Posting, PostingRef
from exchange.wire.records import entry_body
from partners.queries import load_queries
from settlement.bank.booking import bank_key, kind_of, uses_on
from settlement.bank.matching import Account, AccountKind, Expected, InSuspense
from settlement.bank.reading import parse_bank_file
from settlement.bank.statement import BankFile, Part
from settlement.bank.suspense import SuspenseItem
from settlement.references import collateral_reference

QUERIES = load_queries(Path(__file__).with_name("bank.sql"))


def mirror_posted(connection: Any, unit: int, kind: AccountKind) -> int:
    """Posted balance of an account's mirror: minus what the bank holds."""
    return int(
        QUERIES.mirror_posted(connection, account_number=hub_account(unit, kind.hub_account))
    )


def last_file(connection: Any, currency: str, kind: AccountKind) -> BankFile | None:
    """The file of an account that was imported last."""
    row = QUERIES.last_file(connection, prefix=bank_key(currency, "", kind))
    return parse_bank_file(entry_body(bytes(row[0]))) if row else None


def entries_seen(
    connection: Any, currency: str, kind: AccountKind, names: Iterable[str]
) -> dict[str, str]:
    """Those of these parts of entries that were booked before, each with the key of its file."""
    rows = QUERIES.entries_seen(
        connection,
        kinds=[use.value for use in uses_on(kind)],
        currency=currency,
        subjects=list(names),
    )
    return dict(rows)


def account(connection: Any, currency: str, unit: int, kind: AccountKind) -> Account:
    """An account with all that its next entries may be."""
    expected = expected_payments(connection, hub_account(unit, kind.hub_account))
    if kind is AccountKind.COLLATERAL:
        references = {
            collateral_reference(number): number
            for number, _ in QUERIES.partners(connection, currency=currency)
        }
        return Account(kind, unit, expected, (), references)
    whole = (
        InSuspense(each.item_id, each.amount, each.part.texts)
        for each in suspense_items(connection, currency)
        if each.open_amount == each.amount
    )
    return Account(kind, unit, expected, tuple(whole))


def expected_payments(connection: Any, mirror: int) -> tuple[Expected, ...]:
    """What was recorded on a mirror and waits for the bank, oldest first."""
    return tuple(
        _expected(mirror, *row) for row in QUERIES.pending_payments(connection, bank=mirror)
    )


def _expected(
    mirror: int, entry_key: str, log_index: int, place: int, code: int, *movement: int
) -> Expected:
    debit, credit, amount = movement
    confirms = Posting(
        Code(code), debit, credit, amount, Phase.CONFIRMS, PostingRef(log_index, place)
    )
    # The mirror is the bank's account seen from the other side: its debit is money in.
    is_in = debit == mirror
    partner = party_of(credit if is_in else debit) or None
    return Expected(entry_key.rpartition("/")[2], amount if is_in else -amount, confirms, partner)


def suspense_items(connection: Any, currency: str) -> tuple[SuspenseItem, ...]:
    """What lies in suspense, oldest first."""
    files: dict[int, dict[str, Part]] = {}
    items = []
    for row in QUERIES.suspense_items(connection, currency=currency):
        log_index, place, item_id, partner, since, record, amount, open_amount = row
        if log_index not in files:
            files[log_index] = {
                name: part
                for entry in parse_bank_file(entry_body(bytes(record))).entries
                for name, part in zip(entry.part_ids, entry.parts, strict=True)
            }
        items.append(
            SuspenseItem(
                item_id,
                log_index,
                place,
                since,
                amount,
                open_amount,
                partner,
                files[log_index][item_id],
            )
        )
    return tuple(items)


def partner_ids(connection: Any, currency: str) -> dict[int, str]:
    """Number to id of every partner that settles in a currency."""
    return dict(QUERIES.partners(connection, currency=currency))


def statements_seen(
    connection: Any, currency: str, kind: AccountKind, statement_ids: Iterable[str]
) -> tuple[str, ...]:
    """Those of these statements of an account that were imported before."""
    subjects = [f"{kind}/{each}" for each in statement_ids]
    rows = QUERIES.statements_seen(connection, currency=currency, subjects=subjects)
    return tuple(row[0].partition("/")[2] for row in rows)


def item_place(connection: Any, currency: str, item_id: str) -> tuple[int, int] | None:
    """Where an item that lies or lay in suspense was booked."""
    row = QUERIES.item_place(connection, currency=currency, item_id=item_id)
    return (row[0], row[1]) if row else None


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """A file that was booked."""

    log_index: int
    recorded_at: datetime
    kind: AccountKind
    file: BankFile


def newest_files(connection: Any, currency: str, files_max: int) -> tuple[ImportedFile, ...]:
    """The files of a currency that were imported last, newest first."""
    rows = QUERIES.newest_files(connection, currency=currency, files_max=files_max)
    return tuple(
        ImportedFile(
            log_index, recorded_at, kind_of(key), parse_bank_file(entry_body(bytes(record)))
        )
        for log_index, recorded_at, key, record in rows
    )
