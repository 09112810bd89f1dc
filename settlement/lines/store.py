"""Reads the lines of a window from a partner's stream, and keeps line files. All functions take a
psycopg2 connection.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from exchange.fold import InvariantBroken
from partners.queries import load_queries
from partners.registry import Partner
from settlement.lines.line import Line
from settlement.lines.line_file import LineFileWriter
from settlement.lines.line_sums import LineSums
from settlement.lines.wire import line_of
from settlement.statement import StreamRange
from settlement.windows import SettlementWindow

QUERIES = load_queries(Path(__file__).with_name("lines.sql"))

LINES_READ = 2000
"""Stream entries that are fetched at once."""


def lines_of(
    connection: Any, window: SettlementWindow, partner: Partner, stream: StreamRange
) -> Iterator[Line]:
    """The committed transfers of a partner's stream in a window, read as they are asked for."""
    with connection.cursor(name="stream_payloads") as rows:
        rows.itersize = LINES_READ
        rows.execute(
            QUERIES.stream_payloads.sql,
            {"partner_number": partner.number, "first_seq": stream.first, "last_seq": stream.last},
        )
        for kind, payload, order in rows:
            line = line_of(window.window_id, kind, bytes(payload), bytes(order) if order else None)
            if line is not None:
                yield line


def keep_line_file(
    connection: Any, window: SettlementWindow, partner: Partner, lines: Iterable[Line]
) -> LineSums:
    """Keep a line file, written as its lines come; returns what they come to.

    A repeat changes nothing; raises InvariantBroken if another content was kept before.
    """
    known = QUERIES.line_file(connection, window_id=window.window_id, partner_id=partner.partner_id)
    names = {"window_number": window.number, "partner_number": partner.number}
    parts = count()

    def keep(content: bytes) -> None:
        if known is None:
            QUERIES.keep_line_file_part(connection, **names, part=next(parts), content=content)

    writer = LineFileWriter(window.window_id, partner.partner_id, window.currency.scale, keep)
    writer.write(lines)
    sums = writer.end()
    if known is None:
        QUERIES.keep_line_file(connection, **names, sha256=sums.sha256)
    kept = line_file_of(connection, window.window_id, partner.partner_id)
    if kept is None or kept.sha256 != sums.sha256:
        raise InvariantBroken(
            f"another line file of {partner.partner_id} was kept for {window.window_id}"
        )
    return sums


@dataclass(frozen=True, slots=True)
class StoredLineFile:
    """A line file as it was kept."""

    window_number: int
    partner_number: int
    sha256: bytes

    def parts(self, connection: Any) -> Iterator[bytes]:
        """Its bytes, part by part."""
        for part in count():
            content = self.part(connection, part)
            if content is None:
                return
            yield content

    def part(self, connection: Any, part: int) -> bytes | None:
        """One part of its bytes, counted from 0; None behind the last."""
        content = QUERIES.line_file_part(
            connection,
            window_number=self.window_number,
            partner_number=self.partner_number,
            part=part,
        )
        return None if content is None else bytes(content)


def line_file_of(connection: Any, window_id: str, partner_id: str) -> StoredLineFile | None:
    """A line file as it was kept. Raises InvariantBroken if its digest is not the one beside it."""
    row = QUERIES.line_file(connection, window_id=window_id, partner_id=partner_id)
    if row is None:
        return None
    stored = StoredLineFile(row[0], row[1], bytes(row[2]))
    digest = hashlib.sha256()
    for content in stored.parts(connection):
        digest.update(content)
    if digest.digest() != stored.sha256:
        raise InvariantBroken(f"the line file of {partner_id} in {window_id} was altered")
    return stored


def stored_line_file(connection: Any, window_id: str, partner_id: str) -> bytes | None:
    """All bytes of a line file, where they are few enough to be held at once. Raises
    InvariantBroken if their digest is not the one beside them.
    """
    stored = line_file_of(connection, window_id, partner_id)
    return b"".join(stored.parts(connection)) if stored else None
