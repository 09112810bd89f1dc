"""Transfers that are to be reversed, as they were recorded and as they stand."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from exchange.commands import Asked, Command, Reverse, TakeBack, Undo
from exchange.outcomes import Original
from exchange.store.queries import QUERIES
from exchange.wire.reversals import stored_original, stored_reversal
from partners.registry import Registry


def load_asked(connection: Any, commands: Iterable[Command]) -> dict[UUID, Asked]:
    """The requests to take points back whose answers these commands book."""
    ids = [str(each.reversal_id) for each in commands if isinstance(each, TakeBack)]
    if not ids:
        return {}
    asked = {}
    for reversal_id, payload, key_id, signature, decided_index in QUERIES.asked(
        connection, reversal_ids=ids
    ):
        order = stored_reversal(bytes(payload), key_id, bytes(signature))
        if order is not None:
            asked[UUID(str(reversal_id))] = Asked(order, decided_index)
    return asked


def load_originals(
    connection: Any, registry: Registry, commands: Iterable[Command], asked: Iterable[Asked]
) -> dict[UUID, Original]:
    """The transfers that these commands would reverse, as far as there are such."""
    ids = {str(each.transfer_id) for each in commands if isinstance(each, Reverse)}
    ids |= {str(each.order.transfer_id) for each in commands if isinstance(each, Undo)}
    ids |= {str(each.order.transfer_id) for each in asked}
    if not ids:
        return {}
    return {
        UUID(transfer_id): stored_original(
            registry, bytes(record), fee, tax, taken_back, asked_points
        )
        for transfer_id, record, fee, tax, taken_back, asked_points in QUERIES.originals(
            connection, transfer_ids=sorted(ids)
        )
    }
