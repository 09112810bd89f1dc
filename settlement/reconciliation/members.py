"""Members of both sides, compared by keyed digests.

The exchange knows whom a partner's line concerns from the order that was sent; the partner says it
in its file. Both become HMAC-SHA-256 under a key of the exchange and that partner, so nothing that
leaves this process names a person, and digests of one partner's members say nothing about
another's. Only the partner's own references are ever read: what the other brand calls its member is
not in question.

Effects: reads the orders that were copied beside the file; DuckDB tables.
"""

import csv
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from settlement.reconciliation import wire
from settlement.reconciliation.reading import NOTHING, literal

SHOWN_DIGITS = 16
"""Hexadecimal digits of a digest that a break shows."""
BLOCK = 64
"""Of SHA-256."""


def member_key(secret: bytes, partner_id: str) -> bytes:
    """The key of the exchange and one partner."""
    return hmac.digest(secret, b"reconciliation\0" + partner_id.encode(), hashlib.sha256)


@dataclass(frozen=True, slots=True)
class Members:
    """What is known of them."""

    orders: Path | None
    """CSV: log index, kind of the partner's paper, payload of the order in hexadecimal, member of
    the link that the order names. None where the file names no members."""
    key: bytes

    def digest(self, expression: str) -> str:
        """The digest of a text as a DuckDB expression: RFC 2104, written out."""
        padded = self.key.ljust(BLOCK, b"\0")
        inner, outer = (
            literal("".join(f"\\x{each ^ mask:02X}" for each in padded)) for mask in (0x36, 0x5C)
        )
        first = f"unhex(sha256({inner}::BLOB || encode({expression})))"
        return f"substr(sha256({outer}::BLOB || {first}), 1, {SHOWN_DIGITS})"

    def read_orders(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make the table `ordered`: `log_index`, `outward` and `member`."""
        assert self.orders is not None, "only files that name members need it"
        plain = self.orders.with_name("members.csv")
        with plain.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(_ordered(self.orders))
        columns = "{'log_index': 'BIGINT', 'outward': 'BOOLEAN', 'name': 'VARCHAR'}"
        connection.execute(
            f"CREATE OR REPLACE TABLE ordered AS SELECT log_index, outward,"
            f" {self.digest('name')} AS member FROM read_csv({literal(str(plain))},"
            f" auto_detect = false, header = false, delim = ',', quote = '\"', escape = '\"',"
            f" nullstr = {NOTHING}, columns = {columns})"
        )
        plain.unlink()


def _ordered(orders: Path) -> Iterator[tuple[str, bool, str]]:
    # Orders are protobuf, which no engine reads: the one place where rows pass through Python.
    with orders.open(encoding="utf-8", newline="") as file:
        for log_index, kind, payload, linked in csv.reader(file):
            is_source = int(kind) == wire.RECEIPT_KIND
            name = linked or wire.member_of(bytes.fromhex(payload), is_source)
            if name:
                yield log_index, is_source, name
