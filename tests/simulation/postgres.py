"""The exchange's database in PostgreSQL, in virtual time: the real ledger and the real store.

The store's statements ask the database for the time. Here they find another `now()` before the
database's own, which says what the schedule says. Each call is carried out where it is awaited,
without a thread, so that a course in PostgreSQL is step by step the one in memory.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Engine, create_engine

from exchange import reads
from exchange.batch import Ledger
from exchange.commands import Command
from exchange.delivery.sql_store import SqlDeliveryStore
from exchange.embedded_postgres import OWNER_ROLE, SERVICE_ROLE
from exchange.ledger.postings import Balance
from exchange.outcomes import Result
from partners.program_port import InstructionKind
from partners.registry import Registry
from tests import factories as make
from tests.database import Database, Databases
from tests.simulation.coalition import FOUNDING
from tests.simulation.database import Standing

VIRTUAL_NOW = f"""
CREATE SCHEMA virtual;
CREATE FUNCTION virtual.now() RETURNS timestamptz LANGUAGE sql STABLE
    AS $$ SELECT current_setting('virtual.now')::timestamptz $$;
GRANT USAGE ON SCHEMA virtual TO {SERVICE_ROLE};
"""

_Found = TypeVar("_Found")


def founded_in(postgres: Databases) -> Database:
    """A database with the coalition of every course, to be copied."""
    database = postgres.migrated()
    database.tell(VIRTUAL_NOW, role=OWNER_ROLE)
    with database.connection() as connection:
        reads.QUERIES.ensure_request_partitions(connection, now=make.NOW)
    ledger = Ledger(
        database.engine(),
        make.LETTERHEAD,
        lambda: make.NOW - timedelta(minutes=1),
        make.salts("founding"),
    )
    ledger.run(FOUNDING)
    ledger.close()
    database.close()
    return database


class SqlDatabase:
    """What the processes of a course share."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._engine = create_engine(
            database.url(),
            connect_args={"options": "-c timezone=UTC -c search_path=virtual,public,pg_catalog"},
        )
        self._ledger = Ledger(database.engine(), make.LETTERHEAD, now, make.salts())
        self.store = VirtualStore(self._engine, now)

    @property
    def registry(self) -> Registry:
        """As the last batch left it."""
        return self._ledger.registry

    def decide(self, command: Command) -> Result:
        """Carry out a batch of one."""
        (decided,) = self._ledger.run([command])
        return decided.result

    def standing(self) -> Sequence[Standing]:
        """How far each instruction has come, in the order of the log."""
        rows = self._database.ask(
            "SELECT instruction_id, kind, program_id, committed, state FROM delivery"
            " ORDER BY log_index"
        )
        return [
            Standing((UUID(str(name)), InstructionKind(kind)), program, committed, state)
            for name, kind, program, committed, state in rows
        ]

    def balances(self) -> dict[int, Balance]:
        """By account."""
        rows = self._database.ask(
            "SELECT account_number, debits_pending, debits_posted, credits_pending,"
            " credits_posted, floor, ceiling FROM balance"
        )
        return {number: Balance(*row) for number, *row in rows}

    def close(self) -> None:
        """Give its connections up."""
        self._ledger.close()
        self._engine.dispose()
        self._database.close()


class VirtualStore(SqlDeliveryStore):
    """The store at the schedule's time."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        super().__init__(engine)
        self._now = now

    async def _do(self, work: Callable[[Any], _Found]) -> _Found:
        with self._engine.begin() as transaction:
            connection: Any = transaction.connection.dbapi_connection
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT set_config('virtual.now', %s, true)", [self._now().isoformat()]
                )
            return work(connection)
