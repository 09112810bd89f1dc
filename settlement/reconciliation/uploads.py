"""A partner's mapping and the parts of its file, as they are kept. All functions take a psycopg2
connection in its caller's transaction.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from partners.errors import Reason, Refused
from settlement.reconciliation.gathering import QUERIES, Own
from settlement.reconciliation.values import KeptMapping


def newest_mapping(connection: Any, own: Own) -> KeptMapping | None:
    """The mapping that holds."""
    row = QUERIES.newest_mapping(connection, partner_number=own.number)
    return KeptMapping(row[0], bytes(row[1]), row[2]) if row else None


def keep_mapping(connection: Any, own: Own, body: bytes, now: datetime) -> int:
    """Keep a mapping; the version of the same one, if it is that."""
    QUERIES.take_turn(connection, partner_number=own.number)
    newest = newest_mapping(connection, own)
    if newest is not None and newest.body == body:
        return newest.version
    version = newest.version + 1 if newest else 1
    QUERIES.keep_mapping(connection, partner_number=own.number, version=version, body=body, now=now)
    return version


def keep_chunk(
    connection: Any, own: Own, sha256: bytes, offset: int, content: bytes, now: datetime
) -> int:
    """Keep the next part of a file; how much is here then. Raises Refused(FIELD_INVALID) for a part
    that leaves a gap.
    """
    QUERIES.take_turn(connection, partner_number=own.number)
    QUERIES.drop_other_chunks(connection, partner_number=own.number, sha256=sha256)
    received = int(QUERIES.received(connection, partner_number=own.number, sha256=sha256))
    if offset > received:
        raise Refused(Reason.FIELD_INVALID, "offset", f"the next part begins at {received}")
    if offset < received or not content:
        return received
    QUERIES.keep_chunk(
        connection,
        partner_number=own.number,
        sha256=sha256,
        chunk_offset=offset,
        content=content,
        now=now,
    )
    return received + len(content)


def chunks(connection: Any, own: Own, sha256: bytes) -> Iterator[bytes]:
    """The parts of a file, in order."""
    offset = 0
    while True:
        content = QUERIES.chunk_from(
            connection, partner_number=own.number, sha256=sha256, chunk_offset=offset
        )
        if content is None:
            return
        yield bytes(content)
        offset += len(content)


def drop_chunks(connection: Any, own: Own, sha256: bytes) -> None:
    """Forget an uploaded file."""
    QUERIES.drop_chunks(connection, partner_number=own.number, sha256=sha256)
