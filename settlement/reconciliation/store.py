"""Reads runs and breaks as they were kept. All functions take a psycopg2 connection in its caller's
transaction.
"""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from partners.errors import Reason, Refused
from settlement.reconciliation.breaks import BreakState, Category
from settlement.reconciliation.following import Elsewhere, Known, Standing
from settlement.reconciliation.gathering import QUERIES, Own, Range
from settlement.reconciliation.values import Event, KeptBreak, Run

_STANDINGS = {
    1: Standing.COMMITTED,
    2: Standing.REFUSED,
    4: Standing.HELD,
    5: Standing.RESERVED,
}
"""By the leaf's kind; a refusal after a hold or a reservation is an abort."""


# Runs


def same_run(
    connection: Any, own: Own, sha256: bytes, mapping_version: int, span: Range
) -> int | None:
    """The run of this very file, by this mapping, over these windows."""
    number = QUERIES.same_run(
        connection,
        partner_number=own.number,
        sha256=sha256,
        mapping_version=mapping_version,
        first_window=span.first.number,
        last_window=span.last.number,
    )
    return None if number is None else int(number)


def known_breaks(connection: Any, own: Own) -> tuple[Known, ...]:
    """The partner's breaks that are not closed."""
    rows = QUERIES.known_breaks(connection, partner_number=own.number)
    return tuple(
        Known(
            number,
            bytes(key),
            Category(category),
            BreakState(state),
            window_id,
            log_index,
            json.loads(body)["facts"],
        )
        for number, key, category, state, window_id, log_index, body in rows
    )


def elsewhere(connection: Any, own: Own, transfer_ids: Sequence[str]) -> dict[str, Elsewhere]:
    """What the books have of transfers, as far as the partner may know."""
    found: dict[str, Elsewhere] = {}
    rows = QUERIES.records_of(
        connection, partner_number=own.number, transfer_ids=list(transfer_ids)
    )
    for transfer_id, kind, log_index, window_id in rows:
        standing = _STANDINGS[kind]
        if standing is Standing.REFUSED and transfer_id in found:
            standing = Standing.ABORTED
        found[transfer_id] = Elsewhere(standing, window_id or "", log_index)
    return found


def run_numbered(connection: Any, own: Own, number: int) -> Run:
    """A run, or the newest for 0; raises Refused(RECONCILIATION_UNKNOWN)."""
    row = QUERIES.run_numbered(connection, partner_number=own.number, run_number=number)
    if row is None:
        raise Refused(Reason.RECONCILIATION_UNKNOWN, "run_id", "there is no such run")
    counts = list(QUERIES.run_counts(connection, partner_number=own.number, run_number=row[1]))
    partner_id, found, first, last, sha256, name, version, rows, lines, matched, at, cleared = row
    return Run(
        partner_id,
        found,
        first,
        last,
        bytes(sha256),
        name,
        version,
        rows,
        lines,
        matched,
        at,
        cleared,
        {Category(category): count for category, count, _ in counts},
        sum(still for _, _, still in counts),
    )


# Breaks


def breaks_page(
    connection: Any,
    partner_number: int,
    run_number: int,
    category: str,
    after: tuple[int, int],
    breaks_max: int,
    *,
    open_only: bool,
) -> tuple[KeptBreak, ...]:
    """Some breaks in their order: of one partner or of all (0), of one run or of any (0)."""
    rows = QUERIES.breaks_page(
        connection,
        partner_number=partner_number,
        run_number=run_number,
        open_only=open_only,
        category=category,
        after_partner=after[0],
        after_break=after[1],
        breaks_max=breaks_max,
    )
    return tuple(map(_break, rows))


def break_numbered(connection: Any, own: Own, number: int) -> KeptBreak:
    """One break; raises Refused(RECONCILIATION_UNKNOWN)."""
    row = QUERIES.break_numbered(connection, partner_number=own.number, break_number=number)
    if row is None:
        raise Refused(Reason.RECONCILIATION_UNKNOWN, "break_id", "there is no such break")
    return _break(row)


def _break(row: Any) -> KeptBreak:
    partner, partner_id, number, category, state, owner, first, newest, opened, closed, *rest = row
    window_id, log_index, transfer_id, body, currency = rest
    return KeptBreak(
        partner,
        partner_id,
        number,
        Category(category),
        BreakState(state),
        owner,
        first,
        newest,
        opened,
        closed,
        window_id,
        log_index,
        UUID(transfer_id) if transfer_id else None,
        json.loads(body),
        currency,
    )


def events_of(connection: Any, own: Own, number: int) -> tuple[Event, ...]:
    """What happened to a break, oldest first."""
    rows = QUERIES.events_of(connection, partner_number=own.number, break_number=number)
    return tuple(Event(*row) for row in rows)


def is_entry(connection: Any, entry_key: str) -> bool:
    """Whether such an entry is booked."""
    return bool(QUERIES.is_entry(connection, entry_key=entry_key))
