"""The ends of partners' streams, and the receipts in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exchange.seal import PayloadKind, StreamHead
from exchange.store.queries import QUERIES


@dataclass(frozen=True, slots=True)
class StoredReceipt:
    """A receipt's payload, or a reversal notice's, with the record that it carries."""

    kind: PayloadKind
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


def load_receipts(connection: Any, senders: Mapping[int, str]) -> dict[int, StoredReceipt]:
    """What the senders of these orders got for them: the sources' receipts of transfers, and of
    reversals the notices. By log index, as `senders` names the partners.
    """
    if not senders:
        return {}
    rows = QUERIES.stream_payloads(connection, log_indexes=list(senders))
    return {
        index: StoredReceipt(
            PayloadKind(kind), bytes(payload), bytes(record), field or "", text or ""
        )
        for partner_id, index, kind, payload, record, field, text in rows
        if kind in (PayloadKind.RECEIPT, PayloadKind.REVERSAL) and partner_id == senders[index]
    }
