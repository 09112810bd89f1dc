"""What a client keeps on disk, so that a crash at any moment costs nothing: an SQLite file.

- An order is written down, signed, before it is sent. So the same key is the same bytes for ever,
  whoever asks again: this process, the next one, or two at once.
- An answer that is final stays. One that is lost by a crash is asked for again, and is the same.
- The file belongs to one partner at one exchange and holds its members' references: mode 0600.

Effects: each method is one transaction, on disk when it returns (synchronous=FULL).
"""

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from partners.envelope import Envelope, from_json, to_json
from pointclear.client.errors import JournalUnusable, KeyUsedOtherwise
from pointclear.client.refusals import Refusal
from pointclear.client.values import START, Bookmark

VERSION = 1
BUSY_S = 30
_SCHEMA = Path(__file__).with_suffix(".sql")
_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Kept:
    """An order as it was written down, and how it was answered so far."""

    key: str
    order_id: UUID
    envelope: Envelope
    receipt: Envelope | None = None
    """What answered it, verified when it came."""
    refusal: Refusal | None = None
    final: bool = False
    is_new: bool = False
    """Whether it was written down just now: then nobody has sent it yet."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An order that is to be written down, unless its key is there."""

    key: str
    order_id: UUID
    """The transfer's id, or the reversal's."""
    asked: str
    """Digest of what is asked for: the same key may not stand for two orders."""
    envelope: Envelope


_COLUMNS = "key, order_id, asked, envelope, receipt, refusal, final"


class Journal:
    """The file. Its methods may be called from any thread."""

    def __init__(self, path: Path, partner_id: str, audience: str) -> None:
        """Open it, or make it. Raises JournalUnusable for a damaged one and for another's."""
        self._lock = threading.Lock()
        self.path = path
        try:
            # Made here, since SQLite would make it readable for others.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, _MODE))
            self._db = sqlite3.connect(
                path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
            )
            self._prepare(partner_id, audience)
        except (OSError, sqlite3.Error) as error:
            raise JournalUnusable(
                f"{path}: {error}; restore it, or name a file of this client's own"
            ) from None

    def _prepare(self, partner_id: str, audience: str) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise JournalUnusable(f"{self.path}: a newer version made it; use that one")
        self._db.executescript(_SCHEMA.read_text(encoding="utf-8"))
        self._db.execute(f"PRAGMA user_version = {VERSION}")
        with self._transaction():
            self._db.execute(
                "INSERT INTO owner (one, partner_id, audience) VALUES (1, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (partner_id, audience),
            )
            owner = self._db.execute("SELECT partner_id, audience FROM owner").fetchone()
        if owner != (partner_id, audience):
            raise JournalUnusable(
                f"{self.path} belongs to {owner[0]} at {owner[1]}; give each a file of its own"
            )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def keep(self, drafts: Sequence[Draft], now: datetime) -> list[Kept]:
        """Write orders down, all in one transaction; one whose key is there stays as it was.

        Raises KeyUsedOtherwise for a key that stands for another order, and ValueError for an empty
        one; then none is written.
        """
        if not all(each.key for each in drafts):
            raise ValueError("an order has a key: your own name for it, such as a redemption's id")
        with self._transaction():
            return [self._keep(each, now) for each in drafts]

    def _keep(self, draft: Draft, now: datetime) -> Kept:
        row = self._row(draft.key)
        if row is None:
            self._db.execute(
                "INSERT INTO sent_order (key, order_id, asked, envelope, made_at)"
                " VALUES (?, ?, ?, ?, ?)",
                (
                    draft.key,
                    draft.order_id.bytes,
                    draft.asked,
                    to_json(draft.envelope),
                    _stamp(now),
                ),
            )
            return Kept(draft.key, draft.order_id, draft.envelope, is_new=True)
        if row[2] != draft.asked:
            raise KeyUsedOtherwise(
                f"{draft.key} stands for another order, {UUID(bytes=row[1])};"
                " look it up by its key, and give a new order a key of its own"
            )
        return _kept(row)

    def find(self, key: str) -> Kept | None:
        """The order of a key."""
        with self._transaction("BEGIN"):
            row = self._row(key)
        return None if row is None else _kept(row)

    def unanswered(self) -> list[Kept]:
        """The orders without a final answer, oldest first."""
        query = f"SELECT {_COLUMNS} FROM sent_order WHERE NOT final ORDER BY made_at, key"
        with self._transaction("BEGIN"):
            return [_kept(row) for row in self._db.execute(query)]

    def answer(
        self,
        key: str,
        receipt: Envelope | None,
        stream_seq: int | None,
        refusal: Refusal | None,
        *,
        final: bool,
    ) -> None:
        """Write a verified answer down. A final one with its receipt stays, whatever comes later;
        one without, a refusal that was recorded nowhere, stays until there is one.
        """
        # A crash before this costs nothing: the same bytes get the same answer.
        with self._transaction():
            self._db.execute(
                "UPDATE sent_order SET receipt = ?, stream_seq = ?, refusal = ?, final = ?"
                " WHERE key = ? AND (NOT final OR receipt IS NULL)",
                (
                    receipt and to_json(receipt),
                    stream_seq,
                    refusal and refusal.to_json(),
                    final,
                    key,
                ),
            )

    def receipt_at(self, stream_seq: int) -> Envelope | None:
        """The receipt that answered an order and stands at a position of the stream."""
        query = "SELECT receipt FROM sent_order WHERE stream_seq = ?"
        with self._transaction("BEGIN"):
            row = self._db.execute(query, (stream_seq,)).fetchone()
        return None if row is None else from_json(row[0])

    def bookmark(self) -> Bookmark:
        """How far the stream was read."""
        with self._transaction("BEGIN"):
            row = self._db.execute("SELECT stream_seq, sha256 FROM bookmark").fetchone()
        return START if row is None else Bookmark(*row)

    def move_bookmark(self, to: Bookmark) -> None:
        """The stream was read as far as this. It never moves back."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO bookmark (one, stream_seq, sha256) VALUES (1, ?, ?)"
                " ON CONFLICT (one) DO UPDATE SET"
                " stream_seq = excluded.stream_seq, sha256 = excluded.sha256"
                " WHERE excluded.stream_seq > stream_seq",
                (to.stream_seq, to.sha256),
            )

    def forget(self, before: datetime) -> int:
        """Remove the orders with a final answer that were made before a moment; how many."""
        with self._transaction():
            gone = self._db.execute(
                "DELETE FROM sent_order WHERE final AND made_at < ?", (_stamp(before),)
            )
            return gone.rowcount

    def _row(self, key: str) -> tuple[Any, ...] | None:
        query = f"SELECT {_COLUMNS} FROM sent_order WHERE key = ?"
        row: tuple[Any, ...] | None = self._db.execute(query, (key,)).fetchone()
        return row

    @contextmanager
    def _transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
        """One at a time of this process's threads; of those that write, also of all processes."""
        with self._lock:
            try:
                self._db.execute(begin)
                try:
                    yield
                    self._db.execute("COMMIT")
                finally:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise JournalUnusable(f"{self.path}: {error}") from None


def _kept(row: tuple[Any, ...]) -> Kept:
    key, order_id, _asked, envelope, receipt, refusal, final = row
    proof = None if receipt is None else from_json(receipt)
    return Kept(
        key,
        UUID(bytes=order_id),
        from_json(envelope),
        proof,
        None if refusal is None else Refusal.from_json(refusal, proof),
        bool(final),
    )


def _stamp(moment: datetime) -> str:
    """One width, so that texts sort as times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
