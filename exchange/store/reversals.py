"""Transfers that are to be reversed, as they were recorded and as they stand."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from exchange.commands import Command, Original, Reverse
from exchange.store.queries import QUERIES
from exchange.wire.reversals import stored_original
from partners.registry import Registry


def load_originals(
    connection: Any, registry: Registry, commands: Iterable[Command]
) -> dict[UUID, Original]:
    """The transfers that these commands would reverse, as far as there are such."""
    ids = [str(each.transfer_id) for each in commands if isinstance(each, Reverse)]
    if not ids:
        return {}
    return {
        UUID(transfer_id): stored_original(registry, bytes(record), fee, tax, taken_back)
        for transfer_id, record, fee, tax, taken_back in QUERIES.originals(
            connection, transfer_ids=ids
        )
    }
