"""What a partner may read of its transfers: always its own side, always scoped by the caller. SQL
is in `ledger/reads.sql`.
"""

from dataclasses import dataclass
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


def _entry(row: Any) -> OwnEntry:
    record, seq, kind, payload, order = row
    return OwnEntry(
        bytes(record), seq, PayloadKind(kind), bytes(payload), bytes(order) if order else None
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
    return tuple(map(_entry, rows)), QUERIES.own_stream_end(connection, partner_id=partner_id) or 0
