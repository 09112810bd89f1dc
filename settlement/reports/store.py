"""Keeps report files and gives them out again. All functions take a psycopg2 connection.

A file is kept once under its name, in parts, with its digest; nothing changes it afterwards. Who
asks again gets the same bytes, whatever program or font made them.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import IO, Any, Final

from exchange.fold import InvariantBroken
from exchange.wire.records import entry_body
from partners.errors import Reason, Refused
from partners.queries import load_queries
from settlement.bank.matching import AccountKind
from settlement.bank.reading import parse_bank_file
from settlement.bank.statement import BankFile
from settlement.reports.catalogue import Format, Kind, ReportName
from settlement.reports.wire import refusal_of

QUERIES = load_queries(Path(__file__).with_name("reports.sql"))

PART_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class StoredReport:
    """A file that is kept."""

    name: ReportName
    sha256: bytes
    size: int


@dataclass(frozen=True, slots=True)
class PartnerNames:
    """A partner as papers name it."""

    number: int
    partner_id: str
    legal_name: str
    currency: str


def found(connection: Any, name: ReportName) -> StoredReport | None:
    """The file of this name, if it was made. A line file was made when its window was stated."""
    if _is_line_file(name):
        row = QUERIES.line_file_named(
            connection, window_id=name.period, partner_number=name.partner_number
        )
    else:
        row = QUERIES.report(connection, **asdict(name))
    return StoredReport(name, bytes(row[0]), row[1]) if row else None


def _is_line_file(name: ReportName) -> bool:
    return (name.kind, name.format) == (Kind.LINES, Format.CSV)


def reports_of(connection: Any, period: str, partner_number: int) -> tuple[StoredReport, ...]:
    """What is kept of a period for a partner, or for the operator."""
    rows = QUERIES.reports_of(connection, period=period, partner_number=partner_number)
    return tuple(
        StoredReport(ReportName(*name), bytes(sha256), size) for *name, sha256, size in rows
    )


def keep(connection: Any, name: ReportName, content: IO[bytes]) -> StoredReport:
    """Keep a file. A repeat with the same bytes changes nothing.

    One transaction: a crash before its commit leaves nothing. Raises InvariantBroken where other
    bytes were kept under the name.
    """
    digest, size = hashlib.sha256(), 0
    content.seek(0)
    while part := content.read(PART_BYTES):
        digest.update(part)
        size += len(part)
    stored = StoredReport(name, digest.digest(), size)
    kept = QUERIES.keep_report(connection, **asdict(name), sha256=stored.sha256, size=size)
    if not kept:
        if found(connection, name) != stored:
            raise InvariantBroken(f"{name.file_name} was kept with other bytes")
        return stored
    content.seek(0)
    for place in count():
        if not (part := content.read(PART_BYTES)):
            return stored
        QUERIES.keep_part(connection, **asdict(name), place=place, content=part)
    raise AssertionError("a file has an end")


def part(connection: Any, name: ReportName, place: int) -> bytes | None:
    """One part of a kept file, counted from 0; None behind the last."""
    if _is_line_file(name):
        content = QUERIES.line_file_part_named(
            connection, window_id=name.period, partner_number=name.partner_number, place=place
        )
    else:
        content = QUERIES.part(connection, **asdict(name), place=place)
    return None if content is None else bytes(content)


def partner_named(connection: Any, partner_id: str) -> PartnerNames:
    """A partner; raises Refused(PARTNER_UNKNOWN)."""
    row = QUERIES.partner_row(connection, partner_id=partner_id)
    if row is None:
        raise Refused(Reason.PARTNER_UNKNOWN, "partner_id", f"there is no partner {partner_id}")
    number, legal_name, currency = row
    return PartnerNames(number, partner_id, legal_name, currency)


def partner_ids(connection: Any) -> dict[int, str]:
    """Partners' ids by their numbers."""
    return {number: partner_id for number, partner_id, _ in QUERIES.partner_names(connection)}


def refused_orders(
    connection: Any, partner_number: int, first_seq: int, last_seq: int
) -> Iterator[tuple[str, str, str]]:
    """Source program, target program and reason of what a partner ordered in vain in a part of its
    stream.
    """
    rows = QUERIES.refusals(
        connection, partner_number=partner_number, first_seq=first_seq, last_seq=last_seq
    )
    return (refusal_of(bytes(payload)) for (payload,) in rows)


def balances_at(connection: Any, unit: int, log_index: int) -> tuple[tuple[str, int], ...]:
    """Posted balances of a unit's accounts before an entry of the log, credits less debits."""
    return tuple(QUERIES.balances_at(connection, unit_number=unit, log_index=log_index))


def last_bank_file(
    connection: Any, currency: str, kind: AccountKind, before: int
) -> BankFile | None:
    """The bank's last file of an account before an entry of the log."""
    row = QUERIES.last_bank_file_before(
        connection, currency=currency, prefix=f"{kind}/", log_index=before
    )
    return parse_bank_file(entry_body(bytes(row[0]))) if row else None
