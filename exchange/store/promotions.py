"""Promotions that commands may draw on, and what these have granted."""

from collections.abc import Iterable
from typing import Any

from exchange.commands import AskQuote, Command, Order
from exchange.outcomes import Held
from exchange.promotions import PromotionKey
from exchange.store.queries import QUERIES
from partners.registry import Registry


def load_promotion_points(
    connection: Any, names: Iterable[tuple[str, int]]
) -> dict[PromotionKey, int]:
    """The bonus points that the promotions of these agreement versions have granted."""
    wanted = sorted(names)
    if not wanted:
        return {}
    rows = QUERIES.promotion_points(
        connection,
        agreement_ids=[agreement_id for agreement_id, _ in wanted],
        versions=[version for _, version in wanted],
    )
    return {
        (agreement_id, version, promotion): granted
        for agreement_id, version, promotion, granted in rows
    }


def promotions_touched(
    registry: Registry, commands: Iterable[Command], held: Iterable[Held] = ()
) -> set[tuple[str, int]]:
    """The agreement versions with promotions under which these commands order, decide what was
    held, or ask for quotes of their programs. Quotes that are named may be under others.
    """
    named = {(each.order.agreement_id, each.order.agreement_version) for each in held}
    asked: set[tuple[str, str]] = set()
    for command in commands:
        match command:
            case Order():
                named.add((command.agreement_id, command.agreement_version))
            case AskQuote():
                asked.add((command.source_program, command.target_program))
            case _:
                pass
    if asked:
        named |= {
            force.terms.name
            for force in registry.agreements.values()
            if force.terms.corridor in asked
        }
    return {
        name
        for name in named
        if (force := registry.agreements.get(name)) is not None and force.terms.promotions
    }
