"""What the brand must not forget: who has how many points, and what each instruction came to.

One SQLite file. Whatever an instruction does is one transaction with its answer, on the disk before
the answer leaves: a crash at any moment leaves both or neither, and the same instruction, sent
again, is then carried out or answered as it was.
"""

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Journal:
    """The brand's books. Calls take turns, in threads of this process and in other processes."""

    def __init__(self, path: Path) -> None:
        self._turn = threading.Lock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        self._db.execute("PRAGMA journal_mode = WAL")
        # FULL: the disk has it before COMMIT returns.
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(Path(__file__).with_name("schema.sql").read_text())

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything that is done in it, or nothing."""
        with self._turn:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def enrol(self, references: Iterable[str], *, eligible: bool) -> None:
        """Make people members, or change whether they may take part."""
        with self.transaction() as db:
            db.executemany(
                "INSERT INTO member (reference, eligible) VALUES (?, ?)"
                " ON CONFLICT (reference) DO UPDATE SET eligible = excluded.eligible",
                [(each, eligible) for each in references],
            )

    def member(self, reference: str) -> tuple[bool, int] | None:
        """Whether a member may take part, and the points; None for nobody."""
        with self.transaction() as db:
            row = db.execute(
                "SELECT eligible, points FROM member WHERE reference = ?", (reference,)
            ).fetchone()
        return (bool(row[0]), row[1]) if row else None
