"""What is always true of the books, asked of the database; the list is that of the design's page on
the books.

Read only. The rules are the queries of `invariants.sql`, each naming its exceptions, and two that
need what was imported or stated: the mirror is the bank's closing balance, and each position is
what the statements carry forward.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from partners.queries import load_queries
from settlement import store
from settlement.bank import store as bank_store
from settlement.bank.matching import AccountKind

QUERIES = load_queries(Path(__file__).with_name("invariants.sql"))

RULES = (
    "units_sum_to_zero",
    "balances_are_their_postings",
    "holds_are_resolved_as_they_were_made",
    "reservations_hold_until_they_end",
    "reservations_are_as_recorded",
    "open_reservations_are_pursued",
    "postings_lie_in_their_window",
    "window_sums_are_their_postings",
    "window_points_are_their_postings",
    "positions_are_nets_and_payments",
    "nets_sum_to_zero",
    "sums_mirror_each_other",
    "programs_sum_to_zero",
    "window_credits_are_their_postings",
    "credits_that_wait_are_unsettled",
    "postings_have_their_accounts",
    "adjustments_were_ordered",
    "withdrawals_were_asked_for",
    "bank_collateral_is_the_partners",
    "bank_settlement_is_positions_and_hub",
    "records_are_gapless",
    "postings_have_their_record",
    "streams_are_gapless",
    "payments_are_stated",
    "settled_windows_are_paid",
    "payments_between_partners_are_confirmed",
    "bonuses_are_what_promotions_granted",
    "reversals_are_their_postings",
    "keys_are_as_recorded",
    "invoices_are_gapless",
    "payments_stand_in_one_file",
)
"""Names of the queries, in the order in which they are asked."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that does not hold, and for what."""

    rule: str
    subject: str
    found: str


def check_books(connection: Any) -> tuple[Finding, ...]:
    """Every exception to every rule; none when the books are right.

    `connection` is a psycopg2 connection on which no transaction has begun: all rules are asked of
    one snapshot, so that transfers booked meanwhile do not look like mistakes. The caller ends the
    transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    by_query = (
        Finding(rule, subject, found)
        for rule in RULES
        for subject, found in getattr(QUERIES, rule)(connection)
    )
    return (*by_query, *mirrors_off(connection), *positions_off(connection))


def mirrors_off(connection: Any) -> Iterator[Finding]:
    """Mirrors of the two accounts at the bank that are not at the closing balance of the bank's
    last file of that account, in whatever format it came.
    """
    for currency, unit in QUERIES.currencies(connection):
        for kind in AccountKind:
            file = bank_store.last_file(connection, currency, kind)
            closing = file.closing if file else 0
            held = -bank_store.mirror_posted(connection, unit, kind)
            if closing != held:
                found = f"the bank closed {kind} at {closing}, the mirror stands at {held}"
                yield Finding("mirror_is_the_banks_closing", currency, found)


def positions_off(connection: Any) -> Iterator[Finding]:
    """Positions that differ from what was carried forward, what is still unpaid, what is not stated
    yet, and what has come of earlier windows since.
    """
    for number, partner_id, currency, account, position, unstated in QUERIES.stated_positions(
        connection
    ):
        carried = restated = 0
        name = QUERIES.last_stated_window(connection, currency=currency, partner_id=partner_id)
        if name is not None:
            statement = store.statement_of(connection, name, partner_id)
            assert statement is not None, "the query names a window that was stated"
            carried = statement.carried_forward
            restated = QUERIES.restated_since(
                connection, partner_number=number, window_id=name, position=account
            )
        unpaid = QUERIES.unpaid(connection, partner_number=number, currency=currency)
        if carried + unpaid + unstated + restated != position:
            found = (
                f"position {position}, carried {carried}, unpaid {unpaid}, not stated {unstated},"
                f" restated since {restated}"
            )
            yield Finding("position_is_carried_unpaid_and_unstated", partner_id, found)
