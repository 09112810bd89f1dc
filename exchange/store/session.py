"""A batch's transaction on the sequencer's own connection: its turn, its rows, its commit.

The statements that it prepares are in `ledger/prepared.sql`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from exchange.fold import Folded, State
from exchange.ledger.array_literal import array_literal
from exchange.log.merkle import Frontier
from exchange.outcomes import Answer
from exchange.seal import Sealed
from exchange.store.queries import LEDGER, QUERIES
from exchange.store.rows import rows_of
from exchange.wire.orders import stored_order
from exchange.wire.reversals import stored_reversal
from partners.store import utc


@dataclass(frozen=True, slots=True)
class Head:
    """The head row."""

    next_index: int
    frontier: Frontier
    recorded_at: datetime
    terms_revision: int
    quote_changes: int


Execution = tuple[str, list[Any]]
"""The name of a prepared statement, and its parameters."""


def prepare(connection: Any) -> None:
    """Prepare the statements of every batch on a connection of the sequencer's own, which commits
    nothing by itself: `begin` and `commit` say where a transaction starts and ends.
    """
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute((LEDGER / "prepared.sql").read_text(encoding="utf-8"))


def begin(connection: Any, ids: Sequence[UUID]) -> tuple[Head, dict[UUID, Answer]]:
    """Begin a transaction and take this process's turn, after the others'; one round trip.

    Returns the head, and what these ids were answered with before.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "BEGIN; EXECUTE lock_head; EXECUTE read_head (%s)",
            [array_literal([str(each) for each in ids])],
        )
        rows = cursor.fetchall()
    index, frontier, recorded_at, revision, quotes = rows[0][:5]
    head = Head(index, Frontier.from_bytes(bytes(frontier)), utc(recorded_at), revision, quotes)
    return head, dict(_answer(*row[5:]) for row in rows if row[5] is not None)


def _answer(
    transfer_id: str,
    partner_id: str,
    digest: memoryview,
    log_index: int,
    payload: memoryview,
    key_id: str,
    signature: memoryview,
    is_reversal: bool,
) -> tuple[UUID, Answer]:
    read = stored_reversal if is_reversal else stored_order
    order = read(bytes(payload), key_id, bytes(signature))
    return UUID(transfer_id), Answer(partner_id, bytes(digest), log_index, order)


def executions(
    before: State, folded: Folded, sealed: Sealed, terms_revision: int
) -> list[Execution]:
    """What writes a batch and moves the head. Nothing where the batch changes nothing."""
    written = [
        (statement, [array_literal(column) for column in zip(*rows, strict=True)])
        for statement, rows in rows_of(before, folded, sealed).items()
        if rows
    ]
    if not written:
        return []
    head = [
        folded.state.next_index,
        sealed.frontier.to_bytes(),
        folded.state.recorded_at,
        terms_revision,
        folded.state.quote_changes,
    ]
    return [*written, ("move_head", head)]


def commit(connection: Any, writes: Iterable[Execution]) -> None:
    """Write and commit, in one round trip.

    A crash before the database has committed leaves nothing of the batch; after that all of it is
    there, whether the answer arrives or not.
    """
    with connection.cursor() as cursor:
        texts = [
            cursor.mogrify(f"EXECUTE {name} ({', '.join(['%s'] * len(parameters))})", parameters)
            for name, parameters in writes
        ]
        cursor.execute(b";".join([*texts, b"COMMIT"]))


def load_leaf(connection: Any, log_index: int) -> bytes | None:
    """The leaf hash at an index, or None where nothing was committed."""
    leaf = QUERIES.leaf(connection, log_index=log_index)
    return None if leaf is None else bytes(leaf)
