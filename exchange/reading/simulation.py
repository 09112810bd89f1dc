"""What an order sent now would come to: the fold's own decision, on balances that are only read."""

from datetime import datetime
from typing import Any

from exchange import store
from exchange.transfer import Simulation, simulate_transfer, terms_in_force
from partners.negotiation.store import log_moment
from partners.registry import Registry


def simulate(
    connection: Any,
    registry: Registry,
    corridor: tuple[str, str],
    source_points: int,
    segment_id: str,
    now: datetime,
) -> Simulation | None:
    """Simulate a transfer of the corridor (source and target program), or None where no agreement
    is in force; `connection` sees one snapshot.
    """
    moment = log_moment(connection, now)
    terms = terms_in_force(registry, corridor, moment)
    if terms is None:
        return None
    windows = store.load_windows(connection, ()).values()
    accounts = store.corridor_accounts(registry, *corridor)
    accounts |= store.funding_accounts(registry, terms)
    balances = store.load_balances(connection, accounts)
    granted = store.load_promotion_points(connection, [terms.name] if terms.promotions else [])
    tallies = store.load_corridor_tallies(connection, terms)
    return simulate_transfer(
        registry,
        {each.currency: each for each in windows},
        balances,
        granted,
        terms,
        source_points,
        segment_id,
        moment,
        tallies,
    )
