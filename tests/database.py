"""A PostgreSQL for tests: one server per test process, a fresh database of the newest schema each.

The databases are copied from one that was migrated once, which takes a tenth of migrating each.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url

from exchange.embedded_postgres import OWNER_ROLE, SERVICE_ROLE, RunningPostgres, start
from exchange.embedded_postgres.cluster import SUPERUSER
from exchange.ledger.migration import migrate
from exchange.log.merkle import Frontier

TEMPLATE = "migrated"


class Database:
    """One test's database."""

    def __init__(self, server: RunningPostgres, name: str) -> None:
        self._server = server
        self.name = name
        self._engines: list[Engine] = []

    def url(self, role: str = SERVICE_ROLE) -> str:
        """The URL of a role."""
        return self._server.url(role, self.name)

    def engine(self, role: str = SERVICE_ROLE) -> Engine:
        """A new engine, as a process of its own would have."""
        options = {"options": "-c timezone=UTC"}
        engine = create_engine(self.url(role), pool_size=2, connect_args=options)
        self._engines.append(engine)
        return engine

    def close(self) -> None:
        """Close all its connections."""
        for engine in self._engines:
            engine.dispose()
        # A ledger keeps its connection out of the pool; the server has few for a process's tests.
        with opened(self._server, SUPERUSER, "postgres") as connection:
            connection.cursor().execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                (self.name,),
            )

    @contextmanager
    def connection(self, role: str = SERVICE_ROLE) -> Iterator[Any]:
        """A psycopg2 connection whose work is committed at the end."""
        with opened(self._server, role, self.name) as connection, connection:
            yield connection

    def ask(self, query: str, *parameters: object, role: str = SERVICE_ROLE) -> list[Any]:
        """The rows of a query."""
        with self.connection(role) as connection, connection.cursor() as cursor:
            cursor.execute(query, parameters or None)
            return list(cursor.fetchall())

    def tell(self, statement: str, *parameters: object, role: str = SERVICE_ROLE) -> None:
        """Run a statement and commit it."""
        with self.connection(role) as connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)


class Databases:
    """Makes databases in one server."""

    def __init__(self, server: RunningPostgres) -> None:
        self.server = server
        self._numbers = count(1)
        self._tell(f"CREATE DATABASE {TEMPLATE} OWNER {OWNER_ROLE} TEMPLATE template0")
        with opened(server, OWNER_ROLE, TEMPLATE) as connection:
            migrate(connection, lambda _text: None)

    def empty(self) -> Database:
        """A database without any schema."""
        return self._copy_of("template0")

    def migrated(self) -> Database:
        """A database at the newest revision."""
        return self._copy_of(TEMPLATE)

    def copy_of(self, database: Database) -> Database:
        """Another one of the same content; nobody is connected to the first."""
        return self._copy_of(database.name)

    def _copy_of(self, template: str) -> Database:
        name = f"test_{next(self._numbers)}"
        self._tell(f"CREATE DATABASE {name} OWNER {OWNER_ROLE} TEMPLATE {template}")
        self._tell(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
        self._tell(f"GRANT CONNECT ON DATABASE {name} TO {SERVICE_ROLE}")
        return Database(self.server, name)

    def _tell(self, statement: str) -> None:
        with opened(self.server, SUPERUSER, "postgres") as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)


@contextmanager
def opened(server: RunningPostgres, role: str, database: str) -> Iterator[Any]:
    """A psycopg2 connection, closed at the end."""
    url = make_url(server.url(role, database))
    connection = psycopg2.connect(
        host=url.query["host"], port=url.query["port"], user=role, dbname=database
    )
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def databases() -> Iterator[Databases]:
    """A server of its own, ended and removed at the end."""
    # Not pytest's own folder: that one is closed to the user that the server runs as.
    folder = Path(tempfile.mkdtemp(prefix="pointclear-test-"))
    folder.chmod(0o711)
    try:
        with start(folder / "data", fsync=False) as server:
            yield Databases(server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def stored_frontier(database: Database) -> Frontier:
    """The head row's frontier."""
    ((stored,),) = database.ask("SELECT frontier FROM head")
    return Frontier.from_bytes(bytes(stored))
