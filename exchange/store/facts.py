"""The index over settlement's entries."""

from typing import Any

from exchange.outcomes import Booked
from exchange.store.queries import QUERIES


def write_facts(connection: Any, outcome: Booked) -> None:
    """Rows by which an entry is found again, in the order in which it names them."""
    for place, fact in enumerate(outcome.facts):
        QUERIES.write_fact(
            connection,
            log_index=outcome.log_index,
            place=place,
            kind=fact.kind,
            currency=fact.currency,
            partner_number=fact.partner_number,
            window_number=fact.window_number,
            subject=fact.subject,
        )
