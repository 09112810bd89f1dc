"""The whole books in other programs' formats, as they stand in one snapshot.

Effects: reads the database, writes files into a folder that it is given. Nothing is kept: an export
is a copy, and the next one has more in it.
"""

import csv
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from exchange.ledger.postings import Code, Phase
from exchange.wire.records import entry_body
from partners.errors import Reason, Refused
from partners.points import format_amount
from settlement import wire
from settlement.lines.store import line_file_of
from settlement.reports.beancount_file import BookedAccount, Movement, Unit, beancount_file
from settlement.reports.columnar import DECIMAL, JOURNAL_TYPES, write_lines, write_table
from settlement.reports.items import Item, net_rows
from settlement.reports.store import QUERIES
from settlement.statement import Statement

_FIGURES = tuple(item.value.replace("-", "_") for item in Item)
_BALANCES = (
    *("brought_forward", "restated", "net", "withheld", "due", "payment", "carried_forward"),
)
STATEMENT_TYPES = {
    **dict.fromkeys(("window_id", "partner_id", "currency"), "VARCHAR"),
    "version": "SMALLINT",
    "business_date": "DATE",
    **dict.fromkeys((*_FIGURES, *(f"reversed_{name}" for name in _FIGURES)), DECIMAL),
    **dict.fromkeys(_BALANCES, DECIMAL),
    "payment_reference": "VARCHAR",
    "line_count": "BIGINT",
    "line_file_sha256": "VARCHAR",
}


class ExportFormat(StrEnum):
    """What the books can be written as."""

    BEANCOUNT = "beancount"
    PARQUET = "parquet"
    JSON = "json"


def export_format(name: str) -> ExportFormat:
    """A format by its name; raises Refused(FIELD_INVALID)."""
    try:
        return ExportFormat(name)
    except ValueError:
        raise Refused(
            Reason.FIELD_INVALID, "format", f"{name!r} is none of {', '.join(ExportFormat)}"
        ) from None


def export(engine: Engine, format_: ExportFormat, audience: str, folder: Path) -> tuple[Path, ...]:
    """Write the books into an empty folder; returns the files in their order."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as snapshot:
        connection = snapshot.connection.dbapi_connection
        if format_ is ExportFormat.BEANCOUNT:
            return (_beancount(connection, audience, folder),)
        suffix = "parquet" if format_ is ExportFormat.PARQUET else "jsonl"
        return (
            _journal(connection, folder, format_, suffix),
            _lines(connection, folder, format_, suffix),
            _statements(connection, folder, format_, suffix),
        )


def _beancount(connection: Any, audience: str, folder: Path) -> Path:
    accounts = {
        number: BookedAccount(name, Unit(unit, scale), balance)
        for number, name, unit, scale, balance in QUERIES.booked_accounts(connection)
    }
    moved = (
        Movement(day, window or "", source or "", target or "", Code(code).name, accounts[n], sum_)
        for day, window, source, target, code, n, sum_ in QUERIES.movements(connection)
    )
    path = folder / "books.beancount"
    with path.open("wb") as file:
        file.writelines(beancount_file(audience, accounts.values(), moved))
    return path


def _journal(connection: Any, folder: Path, format_: str, suffix: str) -> Path:
    source, target = folder / "journal.csv", folder / f"journal.{suffix}"
    with source.open("wb") as file, connection.cursor() as cursor:
        cursor.copy_expert(_journal_copy(), file)
    write_table(source, target, JOURNAL_TYPES, format_, ("log_index", "place"))
    source.unlink()
    return target


def _journal_copy() -> str:
    """Every posting with the names of its code, phase, unit and accounts, as PostgreSQL writes it.

    An amount's point is set by its text: division would round.
    """
    names = {kind: ", ".join(f"({each.value}, '{each.name}')" for each in kind) for kind in _ENUMS}
    return (
        "COPY (SELECT p.log_index, p.place, w.window_id, w.business_date, code.name AS code,"
        " phase.name AS phase, u.name AS unit, d.name AS debit, c.name AS credit,"
        " (p.amount * power(10::numeric, -u.scale))::numeric(38, 6) AS amount"
        " FROM posting AS p"
        " JOIN account AS d ON d.account_number = p.debit"
        " JOIN account AS c ON c.account_number = p.credit"
        " JOIN unit AS u ON u.unit_number = d.unit_number"
        f" JOIN (VALUES {names[Code]}) AS code (number, name) ON code.number = p.code"
        f" JOIN (VALUES {names[Phase]}) AS phase (number, name) ON phase.number = p.phase"
        " LEFT JOIN settlement_window AS w USING (window_number)"
        ") TO STDOUT WITH (FORMAT csv, HEADER)"
    )


_ENUMS: tuple[type[Code] | type[Phase], ...] = (Code, Phase)


def _lines(connection: Any, folder: Path, format_: str, suffix: str) -> Path:
    target = folder / f"lines.{suffix}"
    sources = []
    for window_id, partner_id in QUERIES.line_files(connection):
        stored = line_file_of(connection, window_id, partner_id)
        assert stored is not None, "it was listed in the same snapshot"
        sources.append(folder / f"{window_id}.{partner_id}.csv")
        with sources[-1].open("wb") as file:
            file.writelines(stored.parts(connection))
    write_lines(sources, target, format_)
    for path in sources:
        path.unlink()
    return target


def _statements(connection: Any, folder: Path, format_: str, suffix: str) -> Path:
    source, target = folder / "statements.csv", folder / f"statements.{suffix}"
    with source.open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, list(STATEMENT_TYPES))
        rows.writeheader()
        rows.writerows(map(statement_row, stated(connection)))
    order = ("business_date", "window_id", "partner_id", "version")
    write_table(source, target, STATEMENT_TYPES, format_, order)
    source.unlink()
    return target


def stated(connection: Any) -> Iterator[Statement]:
    """Every version of every statement."""
    for (record,) in QUERIES.statement_records(connection):
        yield wire.parse_statement(entry_body(bytes(record)))


def statement_row(statement: Statement) -> dict[str, str]:
    """A statement as one row of a table."""
    figures = dict.fromkeys((*_FIGURES, *(f"reversed_{each}" for each in _FIGURES)), 0)
    for row in net_rows(statement):
        name = row.item.value.replace("-", "_")
        figures[f"reversed_{name}" if row.is_reversed else name] += row.amount
    figures |= {name: getattr(statement, name) for name in _BALANCES}
    return {
        **{name: format_amount(units, statement.scale) for name, units in figures.items()},
        "window_id": statement.window_id,
        "partner_id": statement.partner_id,
        "currency": statement.currency,
        "version": str(statement.version),
        "business_date": statement.business_date.isoformat(),
        "payment_reference": statement.payment_reference,
        "line_count": str(statement.line_count),
        "line_file_sha256": statement.line_file_sha256.hex(),
    }
