"""What the database itself refuses, whatever the code above it does, and how it comes to be."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2 import errors

from exchange.embedded_postgres import OWNER_ROLE, SERVICE_ROLE
from exchange.errors import CannotStart
from exchange.ledger import migration
from exchange.ledger.migration import REVISION, migrate, require_revision, revision_of
from tests import factories as make
from tests.database import Database, Databases
from tests.integration.test_ledger import a_payment, found

APPEND_ONLY = [
    "record",
    "posting",
    "stream_entry",
    "line_file",
    "line_file_part",
    "entry_fact",
    "leg",
    "agreement",
    "agreement_signature",
    "agreement_withdrawal",
    "agreement_termination",
    "delivery_answer",
    "report_file",
    "report_part",
    "recon_mapping",
    "recon_run",
    "recon_found",
    "recon_event",
    "tax",
    "tax_rate",
    "partner_state",
    "operator_roles",
    "operator_action",
    "action_approval",
    "action_outcome",
]
EITHER_ROLE = pytest.mark.parametrize("role", [OWNER_ROLE, SERVICE_ROLE])

LINK_COLUMNS = ("state", "frozen", "log_index", "confirmed_at", "method", "consent_version")
CNY, GROCERY = 1 << 20, 2 << 20


@pytest.fixture(scope="module")
def coalition(postgres: Databases) -> Iterator[Database]:
    """Rows in all tables that the sequencer writes. Every statement meant for it is refused."""
    database = postgres.migrated()
    found(database).run([make.an_order(), a_payment("pay/1", 7)])
    yield database
    database.close()


def refused_by(database: Database, statement: str, role: str = SERVICE_ROLE) -> str:
    """Name of the constraint that a statement meets, or the message where it has none."""
    with pytest.raises(psycopg2.Error) as refused:
        database.tell(statement, role=role)
    return refused.value.diag.constraint_name or refused.value.diag.message_primary or ""


def a_posting(debit: int, credit: int, amount: int = 1, phase: int = 1, more: str = "") -> str:
    """An INSERT of one posting, at an index that nothing else has."""
    columns = "log_index, place, code, phase, debit, credit, amount, resolves_index, resolves_place"
    return (
        f"INSERT INTO posting ({columns})"
        f" VALUES (9999, 0, 4, {phase}, {debit}, {credit}, {amount}, {more or 'NULL, NULL'})"
    )


# Postings and balances


@EITHER_ROLE
def test_a_posting_across_two_units_cannot_be_written(coalition: Database, role: str) -> None:
    constraint = refused_by(coalition, a_posting(CNY | 3, GROCERY | 1), role)
    assert constraint == "posting_has_one_unit"


@EITHER_ROLE
def test_a_posting_from_an_account_to_itself_cannot_be_written(
    coalition: Database, role: str
) -> None:
    assert refused_by(coalition, a_posting(CNY | 3, CNY | 3), role) == "posting_has_two_accounts"


@pytest.mark.parametrize("amount", [0, -1])
def test_a_posting_moves_at_least_one_unit(coalition: Database, amount: int) -> None:
    assert refused_by(coalition, a_posting(CNY | 3, CNY | 5, amount)) == "posting_amount_check"


def test_a_hold_is_resolved_once(coalition: Database) -> None:
    insert = a_posting(CNY | 3, CNY | 5, 1, 3, "5, 0")
    again = a_posting(CNY | 3, CNY | 5, 1, 4, "5, 0").replace("9999", "10000")
    assert refused_by(coalition, f"{insert}; {again}") == "posting_resolves_once"


@pytest.mark.parametrize(("phase", "more"), [(1, "5, 0"), (2, "5, 0"), (3, ""), (4, "")])
def test_only_what_confirms_or_voids_names_a_hold(
    coalition: Database, phase: int, more: str
) -> None:
    insert = a_posting(CNY | 3, CNY | 5, 1, phase, more)
    assert refused_by(coalition, insert).startswith("posting_check")


def account_of(database: Database, name: str) -> int:
    """Number of an account."""
    ((number,),) = database.ask("SELECT account_number FROM account WHERE name = %s", name)
    assert isinstance(number, int)
    return number


@EITHER_ROLE
@pytest.mark.parametrize(
    ("account", "step", "constraint"),
    [
        ("grocery.position", f"debits_posted = debits_posted + {make.CAP + 1}", "balance_floor"),
        ("grocery.position", f"debits_pending = {make.CAP + 8}", "balance_floor"),
        ("grocery.collateral", "debits_posted = 1", "balance_floor"),
        ("grocery.redeemed", "debits_posted = debits_posted + 101", "balance_floor"),
        ("hub.suspense", "debits_pending = 1", "balance_floor"),
        ("hub.bank.settlement", "credits_posted = credits_posted + 8", "balance_ceiling"),
        ("hub.bank.settlement", "credits_pending = 8", "balance_ceiling"),
        ("hub.bank.collateral", "credits_posted = 1", "balance_ceiling"),
        ("fuel.granted", "credits_posted = 51", "balance_ceiling"),
        ("hub.fees", "debits_posted = -1", "balance_debits_posted_check"),
    ],
)
def test_a_balance_keeps_its_floor_and_its_ceiling(
    coalition: Database, role: str, account: str, step: str, constraint: str
) -> None:
    number = account_of(coalition, account)
    update = f"UPDATE balance SET {step} WHERE account_number = {number}"
    assert refused_by(coalition, update, role) == constraint


def test_a_pay_out_may_be_pending_as_far_as_the_bank_account_has_money(database: Database) -> None:
    found(database).run([a_payment("pay/1", 7)])
    number = account_of(database, "hub.bank.settlement")
    database.tell(f"UPDATE balance SET credits_pending = 7 WHERE account_number = {number}")
    ((posted,),) = database.ask(
        "SELECT credits_posted - debits_posted FROM balance WHERE account_number = %s", number
    )
    assert posted == -7


# Append-only


@EITHER_ROLE
@pytest.mark.parametrize("table", APPEND_ONLY)
def test_t08_what_is_append_only_is_neither_emptied_nor_truncated(
    coalition: Database, table: str, role: str
) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        coalition.tell(f"TRUNCATE {table} CASCADE", role=role)


@EITHER_ROLE
@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("record", "record"),
        ("posting", "amount"),
        ("stream_entry", "payload"),
        ("agreement", "payload"),
        ("agreement_signature", "signature"),
    ],
)
def test_t08_no_row_of_the_books_is_changed_or_deleted(
    coalition: Database, table: str, column: str, role: str
) -> None:
    for statement in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
        with pytest.raises(errors.InsufficientPrivilege):
            coalition.tell(statement, role=role)


def test_t08_the_triggers_fire_even_for_a_session_that_replicates(coalition: Database) -> None:
    rows = coalition.ask(
        "SELECT relname, tgname FROM pg_trigger JOIN pg_class AS c ON c.oid = tgrelid"
        " WHERE NOT tgisinternal AND tgenabled = 'A' ORDER BY 1, 2"
    )
    assert [tuple(row) for row in rows] == [
        (table, name) for table in sorted(APPEND_ONLY) for name in ("append_only", "never_emptied")
    ]


# What the service may do


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (n integer)",
        "CREATE TEMPORARY TABLE mine (n integer)",
        "CREATE TABLE mine PARTITION OF request DEFAULT",
        "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA mine",
        "ALTER TABLE record DISABLE TRIGGER append_only",
        "ALTER TABLE posting DROP CONSTRAINT posting_has_one_unit",
        "DROP TABLE request",
        "DROP TRIGGER append_only ON record",
        "SET session_replication_role = replica",
        "DELETE FROM request",
        "UPDATE request SET payload = ''",
        "UPDATE balance SET ceiling = NULL",
        "UPDATE account SET name = 'x'",
        "UPDATE unit SET scale = 2",
        "UPDATE partner SET net_debit_cap = 0",
        "UPDATE signing_key SET public_key = public_key",
        "UPDATE signing_key SET valid_until = now()",
        "UPDATE settlement_window SET first_index = 0",
        "UPDATE window_sum SET party = 0",
        "UPDATE deployment SET schema_revision = 2",
        "UPDATE tax_rate SET basis_points = 0",
        "DELETE FROM tax",
        "INSERT INTO head VALUES (false, 0, '', now(), 0)",
        "DELETE FROM agreement_force",
        "DELETE FROM stream_head",
        "DELETE FROM balance",
        f"SET ROLE {OWNER_ROLE}",
    ],
)
def test_the_service_may_not(coalition: Database, statement: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        coalition.tell(statement)


def test_the_service_updates_running_totals_and_nothing_else(database: Database) -> None:
    rows = database.ask(
        "SELECT table_name || '.' || column_name FROM information_schema.column_privileges"
        " WHERE grantee = %s AND privilege_type = 'UPDATE' ORDER BY 1",
        SERVICE_ROLE,
        role=OWNER_ROLE,
    )
    assert {name for (name,) in rows} == {
        *("balance." + name for name in ("debits_pending", "debits_posted", "credits_pending")),
        *("balance." + name for name in ("credits_posted", "version", "floor", "lowest")),
        *("day_tally." + name for name in ("day", "transfers", "amount")),
        *("review." + name for name in ("verdict", "decided_index")),
        *("reservation." + name for name in ("verdict", "decided_index")),
        *("delivery." + name for name in ("state", "attempts", "next_at", "leased_until")),
        *("delivery." + name for name in ("answer_by", "sent_at", "fault", "answer_sha256")),
        "restraint.body",
        "restraint.log_index",
        *("head." + name for name in ("next_index", "frontier", "recorded_at", "terms_revision")),
        *("settlement_window." + name for name in ("state", "end_index", "end_root")),
        *("stream_head." + name for name in ("last_seq", "last_sha256")),
        *("link." + name for name in LINK_COLUMNS),
        *("look_up_tally." + name for name in ("day", "asked")),
        *("recon_break." + name for name in ("category", "state", "owner", "newest_run")),
        *("recon_break." + name for name in ("closed_at", "log_index", "window_number", "body")),
        "program.link_required",
        "refusal_tally.minute",
        "refusal_tally.refused",
        "agreement_force.effective",
        "deployment.audience",
        "deployment.environment",
        "signing_key.revoked_index",
        "window_points.points",
        "window_sum.amount",
        "promotion.granted_points",
        "reversed_transfer.reversed_points",
        "quote.used_by",
        "quote.reserves",
        "head.quote_changes",
        "window_credit.amount",
        "balance.credits_held",
    }


def test_the_service_makes_partitions_by_the_owners_function_only(database: Database) -> None:
    database.tell("SELECT ensure_request_partitions(now())")
    ((owner,),) = database.ask(
        "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relname ~ '^request_[0-9]'"
    )
    assert owner == OWNER_ROLE


# Terms, windows, keys, the log


def test_one_version_is_in_force_per_corridor(coalition: Database) -> None:
    insert = (
        "INSERT INTO agreement_force (agreement_id, version, round, corridor, effective, log_index)"
        " SELECT 'grocery-fuel', 2, 1, corridor, tstzrange(%s, NULL), 99"
        " FROM agreement_force WHERE agreement_id = 'grocery-fuel'"
    )
    with pytest.raises(errors.ExclusionViolation) as refused:
        coalition.tell(insert, make.NOW)
    assert refused.value.diag.constraint_name == "one_version_in_force_per_corridor"


def test_one_window_of_a_currency_is_open(coalition: Database) -> None:
    insert = (
        "INSERT INTO settlement_window (window_number, window_id, currency, business_date, state,"
        " first_index, first_root) VALUES (9, 'x', 'CNY', '2030-01-01', 'OPEN', 1, '')"
    )
    assert refused_by(coalition, insert) == "one_open_window_per_currency"


@pytest.mark.parametrize(
    ("column", "constraint"),
    [
        ("log_index", "record_pkey"),
        ("transfer_id", "record_by_transfer"),
        ("entry_key", "record_by_entry_key"),
    ],
)
def test_an_index_a_transfer_and_an_entry_are_recorded_once(
    coalition: Database, column: str, constraint: str
) -> None:
    fresh = {"log_index": "9999", "transfer_id": "gen_random_uuid()", "entry_key": "'new'"}
    kept = {name: name if name == column else value for name, value in fresh.items()}
    other = "entry_key" if column != "entry_key" else "transfer_id"
    kept[other] = "NULL"
    insert = (
        f"INSERT INTO record SELECT {kept['log_index']}, kind, {kept['transfer_id']},"
        f" {kept['entry_key']}, recorded_at, salt, record, leaf_hash FROM record"
        f" WHERE {'TRUE' if column == 'log_index' else column + ' IS NOT NULL'} LIMIT 1"
    )
    assert refused_by(coalition, insert) == constraint


def test_t03_an_id_is_used_once(coalition: Database) -> None:
    insert = (
        "INSERT INTO request SELECT transfer_id, 2, payload_sha256, 99, payload, key_id, signature"
        " FROM request"
    )
    assert re.fullmatch(r"request_\d{4}_\d{2}_pkey", refused_by(coalition, insert))


def test_a_public_key_is_registered_once(coalition: Database) -> None:
    insert = (
        "INSERT INTO signing_key SELECT 'other', holder, purpose, public_key, valid_from,"
        " valid_until, 99 FROM signing_key LIMIT 1"
    )
    assert refused_by(coalition, insert) == "signing_key_public_key_key"


def test_an_account_belongs_to_a_unit_that_exists(coalition: Database) -> None:
    insert = f"INSERT INTO account (account_number, name) VALUES ({99 << 20 | 1}, 'nowhere')"
    assert refused_by(coalition, insert) == "account_unit_number_fkey"


# How the schema comes to be


CATALOGUE = (
    "SELECT table_name, column_name, data_type, is_nullable, column_default, is_generated"
    " FROM information_schema.columns WHERE table_schema = 'public'"
    " AND table_name !~ '^request_[0-9]' ORDER BY 1, 2",
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = 'public'::regnamespace AND contype <> 'n' ORDER BY 1, 2",
    "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
    "SELECT tgrelid::regclass::text, tgname, tgenabled, pg_get_triggerdef(oid) FROM pg_trigger"
    " WHERE NOT tgisinternal ORDER BY 1, 2",
    "SELECT oid::regproc::text, prosrc, prosecdef, proacl::text FROM pg_proc"
    " WHERE pronamespace = 'public'::regnamespace ORDER BY 1",
    "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public' ORDER BY 1",
    "SELECT table_name, column_name, grantee, privilege_type"
    " FROM information_schema.column_privileges WHERE table_schema = 'public' ORDER BY 1, 2, 3, 4",
    "SELECT table_name, grantee, privilege_type"
    " FROM information_schema.table_privileges WHERE table_schema = 'public' ORDER BY 1, 2, 3",
    "SELECT relname, reloptions::text FROM pg_class"
    " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1",
    "SELECT * FROM tax ORDER BY 1",
    "SELECT * FROM tax_rate ORDER BY 1, 2",
    "SELECT * FROM deployment",
    "SELECT * FROM head",
)
"""What makes one schema equal to another, with the rows that every database begins with. That a
column is not null counts, but not the name that newer servers give to that.
"""


def test_a_migrated_database_equals_one_that_was_made_new(
    postgres: Databases, database: Database
) -> None:
    old = postgres.empty()
    first = Path(__file__).with_name("revision_1.sql").read_text(encoding="utf-8")
    with old.connection(OWNER_ROLE) as connection, connection.cursor() as cursor:
        cursor.execute(first)
    assert connection_said(old)[-1] == f"the schema is at revision {REVISION}"
    for query in CATALOGUE:
        assert old.ask(query, role=OWNER_ROLE) == database.ask(query, role=OWNER_ROLE)


def connection_said(database: Database) -> list[str]:
    """What `migrate` says of a database."""
    said: list[str] = []
    with database.connection(OWNER_ROLE) as connection:
        migrate(connection, said.append)
    return said


def test_an_empty_database_gets_the_schema_and_a_second_run_changes_nothing(
    postgres: Databases,
) -> None:
    empty = postgres.empty()
    with empty.connection(OWNER_ROLE) as connection:
        assert revision_of(connection) is None
    assert connection_said(empty) == [f"making the schema of revision {REVISION}"]
    assert connection_said(empty) == [f"the schema is at revision {REVISION}"]
    with empty.connection() as connection:
        assert revision_of(connection) == REVISION
        require_revision(connection)


def test_a_crash_while_the_schema_is_made_leaves_an_empty_database(
    postgres: Databases, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = (Path(migration.__file__).parent / "schema.sql").read_text() + "\nSELECT 1 / 0;"
    (tmp_path / "schema.sql").write_text(broken)
    empty = postgres.empty()
    with monkeypatch.context() as patched:
        patched.setattr(migration, "_HERE", tmp_path)
        with pytest.raises(errors.DivisionByZero):
            connection_said(empty)
    with empty.connection(OWNER_ROLE) as connection:
        assert revision_of(connection) is None
    connection_said(empty)


def refusal_of(check: Any, database: Database, role: str) -> str:
    """The one line with which a database is refused."""
    with database.connection(role) as connection, pytest.raises(CannotStart) as refused:
        check(connection)
    (line,) = str(refused.value).splitlines()
    return line


def test_an_empty_database_is_refused_with_the_command_that_helps(postgres: Databases) -> None:
    line = refusal_of(require_revision, postgres.empty(), OWNER_ROLE)
    assert line == (
        "the database is empty: run `pointclear migrate --database-url <the owner's URL>` first"
    )


def at_revision(database: Database, revision: int) -> Database:
    """The database as if another program had migrated it."""
    database.tell(f"UPDATE deployment SET schema_revision = {revision}", role=OWNER_ROLE)
    return database


def test_a_newer_database_is_refused_by_serving_and_by_migrating(database: Database) -> None:
    newer = at_revision(database, REVISION + 1)
    expected = (
        f"the database is at schema revision {REVISION + 1}, this program knows {REVISION}:"
        " install the newer Pointclear that migrated it"
    )
    assert refusal_of(require_revision, newer, SERVICE_ROLE) == expected
    assert refusal_of(lambda c: migrate(c, print), newer, OWNER_ROLE) == expected


def test_an_older_database_is_refused_with_the_command_that_helps(database: Database) -> None:
    older = at_revision(database, REVISION - 1)
    assert refusal_of(require_revision, older, SERVICE_ROLE) == (
        f"the database is at schema revision {REVISION - 1}, this program needs {REVISION}:"
        " run `pointclear migrate --database-url <the owner's URL>` first"
    )
