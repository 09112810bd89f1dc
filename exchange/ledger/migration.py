"""Brings a database to the schema revision that this program needs.

`schema.sql` is the truth and makes an empty database whole. From the second revision on,
`migrations/NNNN_<why>.sql` leads from the revision before to NNNN; a test holds that both ways end
in the same schema. Each file runs in one transaction as the owner: a crash leaves the revision
before it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from exchange.errors import CannotStart

REVISION = 18
"""The schema revision that this program needs."""

_HERE = Path(__file__).parent


def migrate(connection: Any, say: Callable[[str], None]) -> None:
    """Bring the database to `REVISION`; `connection` is the owner's psycopg2 connection, autocommit
    off.

    Raises CannotStart when the database is newer than this program.
    """
    with connection.cursor() as cursor:
        # Of two processes that start on one empty database, the second finds the schema made. The
        # lock goes with the connection, however that ends.
        cursor.execute("SELECT pg_advisory_lock(7034)")
    found = revision_of(connection)
    if found is None:
        say(f"making the schema of revision {REVISION}")
        _run(connection, _HERE / "schema.sql")
        return
    refuse_newer(found)
    for path in sorted((_HERE / "migrations").glob("[0-9][0-9][0-9][0-9]_*.sql")):
        if found < int(path.name[:4]):
            say(f"migrating to revision {int(path.name[:4])}: {path.stem[5:]}")
            _run(connection, path)
    say(f"the schema is at revision {REVISION}")


def require_revision(connection: Any) -> None:
    """Raise CannotStart, naming the command that helps, unless the database is at `REVISION`."""
    found = revision_of(connection)
    if found is None:
        raise CannotStart(
            "the database is empty",
            "run `pointclear migrate --database-url <the owner's URL>` first",
        )
    refuse_newer(found)
    if found < REVISION:
        raise CannotStart(
            f"the database is at schema revision {found}, this program needs {REVISION}",
            "run `pointclear migrate --database-url <the owner's URL>` first",
        )


def refuse_newer(found: int) -> None:
    """Raise CannotStart for a database that a newer program has migrated."""
    if found > REVISION:
        raise CannotStart(
            f"the database is at schema revision {found}, this program knows {REVISION}",
            "install the newer Pointclear that migrated it",
        )


def revision_of(connection: Any) -> int | None:
    """The database's schema revision, or None when it has none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('public.deployment') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return None
        cursor.execute("SELECT schema_revision FROM public.deployment")
        return int(cursor.fetchone()[0])


def _run(connection: Any, path: Path) -> None:
    with connection.cursor() as cursor:
        cursor.execute(path.read_text(encoding="utf-8"))
    connection.commit()
