"""Reads what settlement needs from the exchange's tables and views, and keeps legs.

Everything else that settlement writes goes through the sequencer. All functions take a psycopg2
connection.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from exchange.fold import InvariantBroken
from exchange.ledger.postings import Code
from exchange.wire.records import entry_body as entry_record_body
from partners.errors import Reason, Refused
from partners.points import currency_scale
from partners.queries import load_queries
from partners.registry import Partner
from partners.store import utc
from settlement import wire
from settlement.settling import statement_key
from settlement.statement import ProgramPoints, Statement, StreamRange
from settlement.windows import Leg, NetPosition, SettlementWindow, TreeHead, WindowState, WindowSum

QUERIES = load_queries(Path(__file__).with_name("settlement.sql"))

TURN = 7036
"""Number of the advisory lock under which one process at a time settles."""


def _window(row: Any) -> SettlementWindow:
    number, window_id, currency, unit, day, state, first_index, first_root, end_index, root = row
    return SettlementWindow(
        number,
        window_id,
        currency_scale(currency),
        unit,
        day,
        WindowState(state),
        TreeHead(first_index, bytes(first_root)),
        None if end_index is None else TreeHead(end_index, bytes(root)),
    )


def revoked_keys(connection: Any, key_ids: Sequence[str]) -> frozenset[str]:
    """Those of these keys that were revoked."""
    rows = QUERIES.revoked_keys(connection, key_ids=list(key_ids))
    return frozenset(row[0] for row in rows)


def window_named(connection: Any, window_id: str) -> SettlementWindow:
    """The window of this id; raises Refused(WINDOW_UNKNOWN)."""
    row = QUERIES.window_by_id(connection, window_id=window_id)
    if row is None:
        raise Refused(Reason.WINDOW_UNKNOWN, "window_id", f"there is no window {window_id}")
    return _window(row)


def window_before(connection: Any, window: SettlementWindow) -> SettlementWindow | None:
    """The window of the same currency before this one, if there is one."""
    row = QUERIES.window_before(connection, window_number=window.number)
    return _window(row) if row else None


def window_after(connection: Any, window: SettlementWindow) -> SettlementWindow:
    """The window that the closing of this one opened."""
    return _window(QUERIES.window_after(connection, window_number=window.number))


def newest_windows(
    connection: Any, currency: str | None, windows_max: int
) -> tuple[SettlementWindow, ...]:
    """The newest windows of one currency, or of all, newest first."""
    rows = QUERIES.windows_newest_first(connection, currency=currency, windows_max=windows_max)
    return tuple(map(_window, rows))


def pending_windows(connection: Any, currency: str) -> tuple[SettlementWindow, ...]:
    """The windows of a currency that are stated and not settled, oldest first."""
    state = WindowState.PENDING_SETTLEMENT.value
    return tuple(map(_window, QUERIES.windows_in_state(connection, currency=currency, state=state)))


def net_positions(
    connection: Any, windows: Iterable[SettlementWindow]
) -> Mapping[int, tuple[NetPosition, ...]]:
    """The nets of the closed ones among these windows, by window number."""
    numbers = [window.number for window in windows if window.closing_tree is not None]
    nets: dict[int, list[NetPosition]] = {}
    for number, party, net in QUERIES.net_positions(connection, window_numbers=numbers):
        nets.setdefault(number, []).append(NetPosition(party, net))
    return {number: tuple(each) for number, each in nets.items()}


def partners_of(connection: Any, window: SettlementWindow) -> tuple[Partner, ...]:
    """The partners of a closed window's currency that had joined before it closed."""
    assert window.closing_tree is not None, "an open window may still be joined"
    rows = QUERIES.partners_before(
        connection, currency=window.currency.code, end_index=window.closing_tree.size
    )
    return tuple(
        Partner(number, partner_id, name, tuple(programs or ()), currency, cap)
        for number, partner_id, name, programs, currency, cap in rows
    )


def partner_named(connection: Any, window: SettlementWindow, partner_id: str) -> Partner:
    """A partner that a closed window is stated for; raises Refused(PARTNER_UNKNOWN)."""
    for each in partners_of(connection, window):
        if each.partner_id == partner_id:
            return each
    raise Refused(
        Reason.PARTNER_UNKNOWN, "partner_id", f"{window.window_id} has no partner {partner_id}"
    )


def currency_of(connection: Any, partner_id: str) -> str:
    """In what a partner settles; raises Refused(PARTNER_UNKNOWN)."""
    currency = QUERIES.partner_currency(connection, partner_id=partner_id)
    if currency is None:
        raise Refused(Reason.PARTNER_UNKNOWN, "partner_id", f"there is no partner {partner_id}")
    return str(currency)


def partner_number(connection: Any, partner_id: str) -> int:
    """A partner's number; raises Refused(PARTNER_UNKNOWN)."""
    number = QUERIES.partner_number(connection, partner_id=partner_id)
    if number is None:
        raise Refused(Reason.PARTNER_UNKNOWN, "partner_id", f"there is no partner {partner_id}")
    return int(number)


def tax_codes(connection: Any) -> dict[int, str]:
    """Tax number to its code."""
    return dict(QUERIES.tax_codes(connection))


def window_sums(connection: Any, window: SettlementWindow) -> tuple[WindowSum, ...]:
    """The money sums of a window."""
    return tuple(
        WindowSum(party, counterparty, Code(code), tax, amount)
        for party, counterparty, code, tax, amount in QUERIES.window_sums(
            connection, window_number=window.number
        )
    )


def program_points(connection: Any, window: SettlementWindow) -> dict[str, ProgramPoints]:
    """The points of each program that the window moved."""
    rows = QUERIES.program_points(connection, window_number=window.number)
    return {row[0]: ProgramPoints(*row) for row in rows}


def stream_ranges(connection: Any, window: SettlementWindow) -> dict[int, StreamRange]:
    """Each partner's stream positions in a closed window's range of the log, by partner number."""
    assert window.closing_tree is not None, "an open window's range has no end"
    rows = QUERIES.stream_ranges(
        connection, first_index=window.opening_tree.size, end_index=window.closing_tree.size
    )
    return {number: StreamRange(first, last) for number, first, last in rows}


def entry_body(connection: Any, entry_key: str) -> bytes | None:
    """The body of a booked entry, if it is booked."""
    row = QUERIES.entry_record(connection, entry_key=entry_key)
    return entry_record_body(bytes(row[0])) if row else None


def statement_payload(
    connection: Any, window_id: str, partner_id: str, version: int = 0
) -> bytes | None:
    """The payload of a partner's statement, if the window was stated for it; 0 asks for the newest
    version.
    """
    row = QUERIES.statement_version(
        connection, window_id=window_id, partner_id=partner_id, version=str(version or "")
    )
    if row is not None:
        return entry_record_body(bytes(row[0]))
    # Statements of a time before there were versions are found by their keys alone.
    return entry_body(connection, statement_key(window_id, partner_id)) if version < 2 else None


def statement_of(connection: Any, window_id: str, partner_id: str) -> Statement | None:
    """The newest version of a partner's statement, if the window was stated for it."""
    payload = statement_payload(connection, window_id, partner_id)
    return wire.parse_statement(payload) if payload is not None else None


def statement_digest(connection: Any, window_id: str, partner_id: str) -> bytes:
    """SHA-256 of the newest version of a partner's statement of a stated window."""
    payload = statement_payload(connection, window_id, partner_id)
    assert payload is not None, "the window was stated for the partner"
    return hashlib.sha256(payload).digest()


def take_turn(connection: Any) -> None:
    """Wait for the other processes that settle; the turn lasts as long as the connection's
    transaction.
    """
    QUERIES.take_turn(connection, number=TURN)


def unit_of(connection: Any, currency: str) -> int:
    """Number of a currency's unit; raises Refused(FIELD_INVALID) when nobody settles in it."""
    number = QUERIES.unit_number(connection, name=currency)
    if number is None or currency.startswith("PTS:"):
        raise Refused(Reason.FIELD_INVALID, "currency", f"no partner settles in {currency!r}")
    return int(number)


def _leg(row: Any) -> Leg:
    return Leg(*row)


def legs(connection: Any, window: SettlementWindow) -> tuple[Leg, ...]:
    """A window's legs, the operator's own first, then by partner number."""
    return tuple(map(_leg, QUERIES.legs(connection, window_number=window.number)))


def keep_legs(connection: Any, window: SettlementWindow, planned: Iterable[Leg]) -> None:
    """Keep legs of a window.

    A repeat changes nothing; raises InvariantBroken if others were kept for these partners and
    versions.
    """
    wanted = {(leg.partner_number, leg.version, leg.reference, leg.payment) for leg in planned}
    for number, version, reference, payment in sorted(wanted):
        QUERIES.keep_leg(
            connection,
            window_number=window.number,
            partner_number=number,
            reference=reference,
            amount=payment,
            version=version,
        )
    kept = {
        (leg.partner_number, leg.version, leg.reference, leg.payment)
        for leg in legs(connection, window)
    }
    if not wanted <= kept:
        raise InvariantBroken(f"other legs were kept for {window.window_id}: {kept} for {wanted}")


def closed_at(connection: Any, window: SettlementWindow) -> datetime:
    """When a window was closed, by the log's time."""
    return utc(QUERIES.closed_at(connection, window_id=window.window_id))


def booked_at(connection: Any, entry_key: str) -> datetime | None:
    """When an entry was booked, by the log's time, if it was."""
    moment = QUERIES.booked_at(connection, entry_key=entry_key)
    return utc(moment) if moment else None
