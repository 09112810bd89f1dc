"""The database that a server uses: the embedded one, or one by URL, ready at the right schema
revision.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import psycopg2
import sqlalchemy.exc
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from exchange import embedded_postgres, reads
from exchange.embedded_postgres import OWNER_ROLE, SERVICE_ROLE
from exchange.errors import CannotStart
from exchange.ledger.migration import migrate, require_revision
from partners.environment import Environment
from partners.queries import load_queries
from partners.store import utc

_T = TypeVar("_T")

MEASURES = load_queries(Path(__file__).parent / "ledger" / "measures.sql")
"""What is asked of a running database to watch it."""

CONNECTION_ERRORS = (
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
    sqlalchemy.exc.TimeoutError,
)
"""The database was lost, or gave up: what was under way may have happened or not."""

POOL_SIZE = 8
CONNECTION_OPTIONS = {
    # Nobody waits long for a database that does not answer: the caller is told to try later.
    "connect_timeout": 3,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "options": "-c timezone=UTC",
}
POOL_TIMEOUT_S = 3
"""How long a call waits for a free connection."""


@dataclass(frozen=True, slots=True)
class Database:
    """A running server's database."""

    engine: Engine
    """The service role's."""
    embedded: embedded_postgres.RunningPostgres | None
    """None for an external database, which is never started or stopped."""

    def has_died(self) -> bool:
        """Whether it is an embedded one and nothing listens any more. Cheap; starts no process."""
        return self.embedded is not None and not self.embedded.is_alive()

    def revive(self) -> datetime:
        """Start an embedded database that died, and drop the connections that died with it; returns
        when the database that answers now was started.

        Blocks while a started one recovers. Raises EmbeddedPostgresError when it does not come up,
        and one of CONNECTION_ERRORS when it takes no sessions yet: try again.
        """
        if self.embedded is not None:
            self.embedded.ensure_running()
        # Connections in use are closed when their users give them back.
        self.engine.dispose()
        return self.started_at()

    def started_at(self) -> datetime:
        """When the database was started; raises one of CONNECTION_ERRORS."""
        with self.engine.begin() as transaction:
            connection = transaction.connection.dbapi_connection
            return utc(MEASURES.started_at(connection))

    def schema_revision(self) -> int:
        """The revision that the database is at; raises one of CONNECTION_ERRORS."""
        with self.engine.begin() as transaction:
            connection = transaction.connection.dbapi_connection
            revision, _audience = reads.QUERIES.deployment(connection)
            return int(revision)


@contextmanager
def service_database(
    data_dir: Path, database_url: str | None, pool_size: int, say: Callable[[str], None]
) -> Iterator[Database]:
    """The service's database. An embedded one is started, migrated, and stopped by its last user;
    an external one never.
    """
    if database_url is not None:
        engine = engine_of(database_url, pool_size)
        with connected(engine) as connection:
            require_revision(connection)
        yield Database(engine, None)
        engine.dispose()
        return
    with embedded_postgres.start(data_dir, say=say) as server:
        migrate_at(server.url(OWNER_ROLE), lambda _text: None)
        engine = engine_of(server.url(SERVICE_ROLE), pool_size)
        yield Database(engine, server)
        engine.dispose()


def read_at(url: str, read: Callable[[Any], _T]) -> _T:
    """What `read` makes of the database at the service's URL, whose schema must be this program's;
    `read` is given a connection on which no transaction has begun.
    """
    engine = engine_of(url)
    try:
        with connected(engine) as connection:
            require_revision(connection)
            connection.rollback()
            try:
                return read(connection)
            finally:
                connection.rollback()
    finally:
        engine.dispose()


def migrate_at(owner_url: str, say: Callable[[str], None]) -> None:
    """Migrate the database of the owner's URL."""
    engine = engine_of(owner_url)
    with connected(engine) as connection:
        migrate(connection, say)
    engine.dispose()


def engine_of(url: str, pool_size: int = POOL_SIZE) -> Engine:
    """An engine for a PostgreSQL URL; raises CannotStart for another kind of URL."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # The latter for a port that is no number.
        parsed = None
    if parsed is None or parsed.get_backend_name() != "postgresql":
        raise CannotStart(
            "the database URL is none of PostgreSQL",
            "give --database-url or POINTCLEAR_DATABASE_URL as postgresql://user@host/database",
        )
    return create_engine(
        parsed.set(drivername="postgresql+psycopg2"),
        pool_size=pool_size,
        pool_timeout=POOL_TIMEOUT_S,
        # A connection that died with its server is found by the call that uses it, or dropped by
        # `Database.revive`; asking before each use would cost every batch a round trip.
        pool_pre_ping=False,
        connect_args=CONNECTION_OPTIONS,
    )


@contextmanager
def connected(engine: Engine) -> Iterator[Any]:
    """A psycopg2 connection; raises CannotStart when the database cannot be reached, or refuses
    what the block asks of it.
    """
    shown = engine.url.render_as_string(hide_password=True)
    try:
        transaction = engine.connect()
    except SQLAlchemyError as error:
        raise CannotStart(
            f"no connection to {shown} ({_first_line(getattr(error, 'orig', error))})",
            "check --database-url or POINTCLEAR_DATABASE_URL and that the server runs",
        ) from None
    with transaction:
        try:
            yield transaction.connection.dbapi_connection
        except psycopg2.Error as error:
            raise CannotStart(
                f"{shown} refuses ({_first_line(error)})",
                "check the role in --database-url: `migrate` takes the owner's, `serve` the"
                " service's",
            ) from None


def _first_line(error: object) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def claim(engine: Engine, audience: str, environment: Environment) -> datetime:
    """Make the database this deployment's and its partitions ready; returns the first moment whose
    transfer ids are stored.

    Raises CannotStart when the database belongs to another audience or environment.
    """
    with engine.begin() as transaction:
        connection = transaction.connection.dbapi_connection
        reads.QUERIES.claim_audience(connection, audience=audience)
        _revision, claimed = reads.QUERIES.deployment(connection)
        if claimed != audience:
            raise CannotStart(
                f"the database belongs to {claimed}, this data directory to {audience}",
                "give each deployment a database of its own",
            )
        reads.QUERIES.claim_environment(connection, environment=environment.value)
        found = reads.QUERIES.environment(connection)
        if found != environment:
            raise CannotStart(
                f"the database is for {found}, this data directory for {environment}",
                "restore deployment.json from its backup",
            )
    return ensure_partitions(engine)


def ensure_partitions(engine: Engine) -> datetime:
    """Make the partitions of this month and the next; returns the first moment whose transfer ids
    are stored.
    """
    with engine.begin() as transaction:
        connection = transaction.connection.dbapi_connection
        return utc(reads.QUERIES.ensure_request_partitions(connection, now=datetime.now(UTC)))
