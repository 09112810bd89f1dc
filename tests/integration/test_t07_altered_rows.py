"""What other hands change in the database is noticed: by the next order that needs it, and by the
check of everything.
"""

from collections.abc import Callable
from datetime import timedelta

import pytest

from exchange.batch import Ledger
from exchange.embedded_postgres import OWNER_ROLE
from exchange.outcomes import Recorded
from partners.errors import Reason, Refused
from settlement.checks.evidence import check_evidence, rows_to_check
from settlement.checks.invariants import Finding
from tests import factories as make
from tests.database import Database
from tests.integration.test_ledger import a_history, a_ledger, a_payment, found, in_batches

CHEAPER = make.agreement_payload(price_per_target_point=1)
"""Grocery to fuel, version 1, at a price that nobody signed."""


@pytest.fixture
def coalition(fresh_database: Callable[[], Database]) -> tuple[Database, Ledger]:
    database = fresh_database()
    ledger = found(database)
    with database.connection() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE deployment SET audience = %s", (make.AUDIENCE,))
    return database, ledger


def alter(database: Database, table: str, change: str, *values: object) -> None:
    """Change a row as the owner, past the triggers that refuse it."""
    with database.connection(OWNER_ROLE) as connection, connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(change, values or None)
        assert cursor.rowcount == 1
        for (name,) in triggers(cursor, table):
            cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")


def triggers(cursor: object, table: str) -> list[tuple[str]]:
    cursor.execute(  # type: ignore[attr-defined]
        "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal", (table,)
    )
    return list(cursor.fetchall())  # type: ignore[attr-defined]


def findings(database: Database) -> list[Finding]:
    """What the check of everything finds."""
    seen: list[int] = []
    with database.connection() as connection:
        found = list(check_evidence(connection, seen.append))
        assert sum(seen) == rows_to_check(connection)
    return found


def answered(ledger: Ledger, number: int, source: str = "grocery", target: str = "fuel") -> object:
    """What an order under version 1 is answered with."""
    under = make.terms_of(make.AGREEMENTS[source, target, 1])
    (decided,) = ledger.run([make.an_order(number, under)])
    assert isinstance(decided.result, Recorded)
    return decided.refusal.reason if isinstance(decided.refusal, Refused) else None


ALTERED = {
    "its price": (
        "agreement",
        "UPDATE agreement SET payload = %s WHERE (agreement_id, version) = ('grocery-fuel', 1)",
        (CHEAPER,),
    ),
    "the instant from which it is in force": (
        "agreement_force",
        "UPDATE agreement_force SET effective = tstzrange(%s, NULL)"
        " WHERE (agreement_id, version) = ('grocery-fuel', 1)",
        (make.NOW - timedelta(days=9),),
    ),
}


@pytest.mark.parametrize("what", ALTERED)
def test_t07_the_next_transfer_under_an_altered_agreement_is_refused_and_fsck_names_the_row(
    coalition: tuple[Database, Ledger], what: str
) -> None:
    database, ledger = coalition
    assert answered(ledger, 1) is None
    assert findings(database) == []
    table, change, values = ALTERED[what]
    alter(database, table, change, *values)
    assert answered(ledger, 2) is Reason.AGREEMENT_ALTERED
    # Nobody else's agreement is in doubt.
    assert answered(ledger, 3, "fuel", "grocery") is None
    subjects = {each.subject for each in findings(database)}
    assert "agreement grocery-fuel version 1 round 1" in subjects


def test_t07_a_process_that_starts_on_an_altered_agreement_converts_nothing_by_it(
    coalition: tuple[Database, Ledger],
) -> None:
    database, ledger = coalition
    assert answered(ledger, 1) is None
    table, change, values = ALTERED["its price"]
    alter(database, table, change, *values)
    fresh = a_ledger(database, "fresh")
    assert answered(fresh, 2) is Reason.AGREEMENT_ALTERED
    assert answered(fresh, 3, "fuel", "grocery") is None


def test_what_was_signed_and_logged_is_found_as_it_is(coalition: tuple[Database, Ledger]) -> None:
    database, ledger = coalition
    in_batches(ledger, a_history(3), [9])
    ledger.run([make.add_tax_rate("vat6", 700, make.NOW + timedelta(days=1))])
    assert findings(database) == []


TOUCHED = {
    "a record": (
        "record",
        "UPDATE record SET record = set_byte(record, 40, get_byte(record, 40) # 1)"
        " WHERE log_index = (SELECT max(log_index) FROM record WHERE transfer_id IS NOT NULL)",
        "records_are_their_leaves",
    ),
    "a leaf": (
        "record",
        "UPDATE record SET leaf_hash = set_byte(leaf_hash, 0, get_byte(leaf_hash, 0) # 1)"
        " WHERE log_index = 3",
        "records_are_their_leaves",
    ),
    "the newest record": (
        "record",
        "DELETE FROM record WHERE log_index = (SELECT max(log_index) FROM record)",
        "head_is_the_root_over_the_leaves",
    ),
    "a receipt": (
        "stream_entry",
        "UPDATE stream_entry SET payload = set_byte(payload, 60, get_byte(payload, 60) # 1)"
        " WHERE (partner_number, stream_seq) = (1, 1)",
        "streams_are_chained",
    ),
    "a signature": (
        "agreement_signature",
        "UPDATE agreement_signature"
        " SET signature = set_byte(signature, 9, get_byte(signature, 9) # 1)"
        " WHERE (agreement_id, version, partner_id) = ('grocery-fuel', 1, 'fuel')",
        "agreements_are_as_signed",
    ),
    "a rate of a tax": (
        "tax_rate",
        "UPDATE tax_rate SET basis_points = 0 WHERE log_index IS NOT NULL",
        "taxes_are_as_logged",
    ),
}


@pytest.mark.parametrize("what", TOUCHED)
def test_t08_a_bit_that_is_changed_anywhere_is_found(
    coalition: tuple[Database, Ledger], what: str
) -> None:
    database, ledger = coalition
    ledger.run([make.add_tax_rate("vat6", 700, make.NOW + timedelta(days=1))])
    ledger.run([make.an_order(number) for number in (1, 2, 3)])
    ledger.run([a_payment("pay/1", 7)])
    table, change, rule = TOUCHED[what]
    alter(database, table, change)
    assert rule in {each.rule for each in findings(database)}
