"""What a run needs of the books, as files in a folder of its own.

Effects: reads the database in the caller's transaction, writes files. A crash leaves the folder,
and nothing that refers to it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from partners.errors import Reason, Refused
from partners.points import CurrencyScale, currency_scale
from partners.queries import load_queries
from partners.registry import Partner
from settlement import store as books
from settlement.lines.line_file import LineFileWriter
from settlement.lines.store import line_file_of, lines_of
from settlement.reconciliation.apart import ORDERS, Job
from settlement.reconciliation.mapping import ColumnMapping
from settlement.reconciliation.members import member_key
from settlement.statement import StreamRange
from settlement.windows import SettlementWindow

QUERIES = load_queries(Path(__file__).with_name("reconciliation.sql"))

WINDOWS_MAX = 31
"""Of one run."""
NEXT_ENTRIES_MAX = 20_000
"""Of a window that is not stated: rows that came before their window are of its beginning."""
_FAR = 2**62


@dataclass(frozen=True, slots=True)
class Own:
    """The partner whose file it is."""

    number: int
    partner_id: str
    currency: CurrencyScale
    programs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """The windows of a run."""

    windows: tuple[SettlementWindow, ...]
    before: SettlementWindow | None
    after: SettlementWindow | None

    @property
    def first(self) -> SettlementWindow:
        """The oldest."""
        return self.windows[0]

    @property
    def last(self) -> SettlementWindow:
        """The newest."""
        return self.windows[-1]


def partner_named(connection: Any, partner_id: str) -> Own:
    """A partner; raises Refused(PARTNER_UNKNOWN)."""
    row = QUERIES.partner_named(connection, partner_id=partner_id)
    if row is None:
        raise Refused(Reason.PARTNER_UNKNOWN, "partner_id", f"there is no partner {partner_id}")
    number, currency, programs = row
    return Own(number, partner_id, currency_scale(currency), tuple(programs))


def range_of(connection: Any, own: Own, first_id: str, last_id: str) -> Range:
    """The windows from the first to the last, all stated; empty ids mean the newest and the first.

    Raises Refused(WINDOW_UNKNOWN, WINDOW_STATE or FIELD_INVALID).
    """
    if not first_id:
        first_id = QUERIES.newest_stated(connection, currency=own.currency.code) or ""
        if not first_id:
            raise Refused(Reason.WINDOW_STATE, "first_window_id", "no window was stated yet")
    first = _window(connection, own, first_id, "first_window_id")
    last = _window(connection, own, last_id or first_id, "last_window_id")
    if last.number < first.number:
        raise Refused(Reason.FIELD_INVALID, "last_window_id", "it is before the first")
    windows = [first]
    while windows[-1].number < last.number:
        windows.append(books.window_after(connection, windows[-1]))
        if len(windows) > WINDOWS_MAX:
            raise Refused(
                Reason.FIELD_INVALID, "last_window_id", f"a run has at most {WINDOWS_MAX} windows"
            )
    following = QUERIES.next_window(
        connection, currency=own.currency.code, window_number=last.number
    )
    return Range(
        tuple(windows),
        books.window_before(connection, first),
        books.window_named(connection, following) if following else None,
    )


def _window(connection: Any, own: Own, window_id: str, field: str) -> SettlementWindow:
    window = books.window_named(connection, window_id)
    if window.currency.code != own.currency.code:
        raise Refused(Reason.WINDOW_UNKNOWN, field, f"there is no window {window_id} of yours")
    if books.statement_payload(connection, window_id, own.partner_id) is None:
        raise Refused(Reason.WINDOW_STATE, field, f"{window_id} is not stated for you yet")
    return window


def gather(
    connection: Any,
    folder: Path,
    own: Own,
    span: Range,
    document: bytes,
    mapping: ColumnMapping,
    watched: tuple[int, ...],
) -> Job:
    """Write the line files, and the orders where the file names members; the job that reads it."""
    lines = list(_line_files(connection, folder, own, span))
    if mapping.has("member"):
        _write_orders(connection, folder / ORDERS, own, span)
    return Job(
        document.decode(),
        own.programs,
        own.currency.code,
        _days(connection, span),
        tuple(lines),
        _closing(connection, span.last),
        member_key(bytes(QUERIES.member_secret(connection)), own.partner_id).hex(),
        watched,
    )


def _line_files(
    connection: Any, folder: Path, own: Own, span: Range
) -> Iterator[tuple[str, str, int]]:
    wanted = [(each, 0) for each in span.windows]
    wanted += [(each, place) for each, place in ((span.before, -1), (span.after, 1)) if each]
    for number, (window, place) in enumerate(wanted):
        name = f"lines-{number}.csv"
        stored = line_file_of(connection, window.window_id, own.partner_id)
        with (folder / name).open("wb") as file:
            if stored is not None:
                file.writelines(stored.parts(connection))
            else:
                _write_first_lines(connection, file, own, window)
        yield name, window.window_id, place


def _write_first_lines(connection: Any, file: Any, own: Own, window: SettlementWindow) -> None:
    """The lines of the beginning of a window that has no line file yet."""
    end = window.closing_tree.size if window.closing_tree else _FAR
    first, last = QUERIES.first_stream_entries(
        connection,
        partner_number=own.number,
        first_index=window.opening_tree.size,
        end_index=end,
        entries_max=NEXT_ENTRIES_MAX,
    )
    writer = LineFileWriter(window.window_id, own.partner_id, own.currency.scale, file.write)
    if first is not None:
        partner = Partner(own.number, own.partner_id, "", own.programs, own.currency.code, 0)
        writer.write(lines_of(connection, window, partner, StreamRange(first, last)))
    writer.end()


def _write_orders(connection: Any, path: Path, own: Own, span: Range) -> None:
    # The engine of the database writes the rows; none of them passes through this process's hands.
    closing = (span.after or span.last).closing_tree
    with path.open("wb") as file, connection.cursor() as cursor:
        query = cursor.mogrify(
            QUERIES.partner_orders.sql.rstrip().rstrip(";"),
            {
                "partner_number": own.number,
                "first_index": (span.before or span.first).opening_tree.size,
                "end_index": closing.size if closing else _FAR,
            },
        ).decode()
        cursor.copy_expert(f"COPY ({query}) TO STDOUT WITH (FORMAT csv)", file)


def _days(connection: Any, span: Range) -> tuple[tuple[str, str], ...]:
    """The business dates, and the days on which the log says that it was."""
    business = (span.first.business_date.isoformat(), span.last.business_date.isoformat())
    closing = span.last.closing_tree
    assert closing is not None, "a stated window is closed"
    first, last = QUERIES.recorded_between(
        connection, first_index=span.first.opening_tree.size, end_index=closing.size
    )
    recorded = [each.astimezone(UTC).date().isoformat() for each in (first, last) if each]
    return (business, (recorded[0], recorded[-1])) if recorded else (business,)


def _closing(connection: Any, window: SettlementWindow) -> dict[str, str]:
    """When the last window closed: only its own last lines may be in the next file."""
    closed: datetime | None = QUERIES.closed_at(connection, window_id=window.window_id)
    if closed is None:
        return {}
    return {window.window_id: closed.astimezone(UTC).replace(tzinfo=None).isoformat(" ")}
