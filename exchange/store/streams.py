"""The ends of partners' streams, and the receipts in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from exchange.seal import StreamHead
from exchange.store.queries import QUERIES


@dataclass(frozen=True, slots=True)
class StoredReceipt:
    """A receipt's payload with the record that it carries."""

    payload: bytes
    record: bytes
    refused_field: str
    refused_text: str


def load_stream_heads(connection: Any, partner_numbers: Sequence[int]) -> dict[int, StreamHead]:
    """The ends of these partners' streams."""
    if not partner_numbers:
        return {}
    rows = QUERIES.stream_heads(connection, partner_numbers=list(partner_numbers))
    return {number: StreamHead(seq, bytes(digest)) for number, seq, digest in rows}


def load_receipts(connection: Any, log_indexes: Sequence[int]) -> dict[int, StoredReceipt]:
    """The sources' receipts of these transfers, by log index."""
    if not log_indexes:
        return {}
    rows = QUERIES.stream_payloads(connection, log_indexes=list(log_indexes))
    return {
        index: StoredReceipt(bytes(payload), bytes(record), field or "", text or "")
        for _partner, index, kind, payload, record, field, text in rows
        if kind == 1
    }
