"""Transfers that were held for review."""

import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from exchange.commands import Command, DecideHeld, Held, Verdict
from exchange.ledger.postings import Code, Phase, Posting
from exchange.store.queries import QUERIES
from exchange.wire.records import held_order
from partners.store import utc


def load_held(connection: Any, commands: Iterable[Command]) -> dict[UUID, Held]:
    """The transfers that these commands decide, if they were ever held."""
    ids = [str(each.transfer_id) for each in commands if isinstance(each, DecideHeld)]
    if not ids:
        return {}
    rows = list(QUERIES.held(connection, transfer_ids=ids))
    pending: dict[int, list[Posting]] = {row[1]: [] for row in rows}
    for index, code, debit, credit, amount, phase in QUERIES.postings_of(
        connection, log_indexes=sorted(pending)
    ):
        pending[index].append(Posting(Code(code), debit, credit, amount, Phase(phase)))
    held = {}
    for transfer_id, index, recorded_at, record, kept, verdict, decided_index in rows:
        facts = json.loads(kept)
        held[UUID(str(transfer_id))] = Held(
            index,
            utc(recorded_at),
            held_order(bytes(record), facts["segment"]),
            tuple(pending[index]),
            tuple((subject, day, amount) for subject, day, amount in facts["counted"]),
            tuple(facts["promotions"]),
            Verdict(verdict) if verdict else None,
            decided_index,
        )
    return held
