"""Transfers that were held for review, or reserved until their target answers."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from exchange.commands import Command, Conclude, DecideHeld, SourceLot, Verdict
from exchange.ledger.postings import Code, Phase, Posting
from exchange.outcomes import Held
from exchange.store.queries import QUERIES
from exchange.wire.records import held_order
from partners.store import utc


def load_held(connection: Any, commands: Iterable[Command]) -> dict[UUID, Held]:
    """The transfers that these commands decide, if they were ever held."""
    ids = [str(each.transfer_id) for each in commands if isinstance(each, DecideHeld)]
    return _held(connection, list(QUERIES.held(connection, transfer_ids=ids))) if ids else {}


def load_reserved(connection: Any, commands: Iterable[Command]) -> dict[UUID, Held]:
    """The transfers that these commands conclude or cancel, if they were ever reserved.

    It locks what their targets' systems are to be told of them, so that nobody sends it any more
    who has not begun to.
    """
    ids = [str(each.transfer_id) for each in commands if isinstance(each, Conclude | DecideHeld)]
    return _held(connection, list(QUERIES.reserved(connection, transfer_ids=ids))) if ids else {}


def _held(connection: Any, rows: Sequence[Any]) -> dict[UUID, Held]:
    pending: dict[int, list[Posting]] = {row[1]: [] for row in rows}
    if not pending:
        return {}
    for index, code, debit, credit, amount, phase in QUERIES.postings_of(
        connection, log_indexes=sorted(pending)
    ):
        pending[index].append(Posting(Code(code), debit, credit, amount, Phase(phase)))
    held = {}
    for transfer_id, index, recorded_at, record, kept, verdict, decided_index, sent in rows:
        facts = json.loads(kept)
        lots = tuple(
            SourceLot(points, datetime.fromisoformat(expires_at))
            for points, expires_at in facts.get("lots", ())
        )
        held[UUID(str(transfer_id))] = Held(
            index,
            utc(recorded_at),
            held_order(bytes(record), facts["segment"], lots),
            tuple(pending[index]),
            tuple((subject, day, amount) for subject, day, amount in facts["counted"]),
            tuple(facts["promotions"]),
            Verdict(verdict) if verdict else None,
            decided_index,
            sent,
        )
    return held
