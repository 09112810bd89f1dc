"""What a partner may read of its transfers: always its own side, always scoped by the caller. SQL
is in `ledger/reads.sql`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from exchange.seal import PayloadKind
from partners.queries import load_queries

QUERIES = load_queries(Path(__file__).parent / "ledger" / "reads.sql")


@dataclass(frozen=True, slots=True)
class OwnEntry:
    """An entry of the caller's stream, with the order behind it while that is stored."""

    record: bytes
    stream_seq: int
    kind: PayloadKind
    payload: bytes
    order_payload: bytes | None
    """None where it is no longer stored, and where it was emptied to forget a member."""
    linked_member: str
    """The caller's own member by the link that the order names, empty where it names none."""
    superseded: bool = False
    """Whether it is a hold that has been decided: a later entry says how."""
    reversed_points: int = 0
    """Of a transfer: target points that reversals have taken back so far."""


def _entry(row: Any) -> OwnEntry:
    record, seq, kind, payload, order, member, superseded, reversed_points = row
    return OwnEntry(
        bytes(record),
        seq,
        PayloadKind(kind),
        bytes(payload),
        bytes(order) if order else None,
        member or "",
        superseded,
        reversed_points,
    )


def own_transfer(connection: Any, partner_id: str, transfer_id: UUID) -> OwnEntry | None:
    """The caller's side of a transfer, or None when there is none that it may see."""
    row = QUERIES.own_transfer(connection, partner_id=partner_id, transfer_id=str(transfer_id))
    return _entry(row) if row else None


def own_stream(
    connection: Any, partner_id: str, after_seq: int, entries_max: int
) -> tuple[tuple[OwnEntry, ...], int]:
    """The next entries of the caller's stream, and the newest position."""
    rows = QUERIES.own_stream(
        connection, partner_id=partner_id, after_seq=after_seq, entries_max=entries_max
    )
    return tuple(map(_entry, rows)), own_stream_last(connection, partner_id)


def own_stream_before(
    connection: Any, partner_id: str, from_seq: int, before_seq: int, entries_max: int
) -> tuple[OwnEntry, ...]:
    """The newest entries of the caller's stream in a half-open range of positions."""
    rows = QUERIES.own_stream_before(
        connection,
        partner_id=partner_id,
        from_seq=from_seq,
        before_seq=before_seq,
        entries_max=entries_max,
    )
    return tuple(map(_entry, rows))


def own_stream_last(connection: Any, partner_id: str) -> int:
    """The newest position of the caller's stream, 0 for none."""
    return QUERIES.own_stream_end(connection, partner_id=partner_id) or 0


def stream_ends(connection: Any, partner_ids: Sequence[str]) -> Mapping[str, int]:
    """The newest positions of these partners' streams; one that is empty is left out."""
    return dict(QUERIES.stream_ends(connection, partner_ids=list(partner_ids)))


def own_stream_point(connection: Any, partner_id: str, stream_seq: int) -> tuple[int, datetime]:
    """Log index and time of a position of the caller's stream."""
    log_index, recorded_at = QUERIES.own_stream_point(
        connection, partner_id=partner_id, stream_seq=stream_seq
    )
    return log_index, recorded_at


def newest_record(connection: Any, transfer_id: UUID) -> bytes:
    """The record of how a transfer stands."""
    return bytes(QUERIES.newest_record(connection, transfer_id=str(transfer_id)))


def held_transfers(connection: Any, after_index: int, entries_max: int) -> tuple[bytes, ...]:
    """The records of transfers that wait for review, oldest first, after a log index."""
    rows = QUERIES.held_transfers(connection, after_index=after_index, entries_max=entries_max)
    return tuple(bytes(record) for (record,) in rows)


def window_range(connection: Any, window_id: str) -> tuple[int, int | None] | None:
    """The half-open range of log indexes of a settlement window, without end while it is open."""
    row = QUERIES.window_range(connection, window_id=window_id)
    return (row[0], row[1]) if row else None
