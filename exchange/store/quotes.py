"""Quotes that may be used, and those that have lapsed."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from exchange.commands import AskQuote, Command, Order
from exchange.outcomes import Held
from exchange.quotes.quote import Quote
from exchange.quotes.wire import quote_from_payload
from exchange.store.queries import QUERIES
from partners.registry import Registry


def load_quotes(
    connection: Any, registry: Registry, commands: Iterable[Command], held: Iterable[Held]
) -> dict[UUID, Quote]:
    """The quotes that these commands name, and those of what was held."""
    ids = [str(each.order.quote_id) for each in held if each.order.quote_id]
    ids += [
        str(each.quote_id)
        for each in commands
        if isinstance(each, Order | AskQuote) and each.quote_id
    ]
    if not ids:
        return {}
    return _quotes(registry, QUERIES.quotes(connection, quote_ids=ids))


def load_lapsed_quotes(
    connection: Any, registry: Registry, names: Iterable[tuple[str, int]], now: datetime
) -> dict[UUID, Quote]:
    """The quotes under these agreement versions that hold bonus points though they have expired."""
    wanted = sorted(names)
    if not wanted:
        return {}
    rows = QUERIES.lapsed_quotes(
        connection,
        agreement_ids=[agreement_id for agreement_id, _ in wanted],
        versions=[version for _, version in wanted],
        now=now,
    )
    return _quotes(registry, rows)


def _quotes(registry: Registry, rows: Iterable[Any]) -> dict[UUID, Quote]:
    quotes = (
        quote_from_payload(
            bytes(payload),
            registry,
            bytes(asked),
            UUID(used_by) if used_by else None,
            reserves=reserves,
        )
        for payload, asked, used_by, reserves in rows
    )
    return {quote.quote_id: quote for quote in quotes}
