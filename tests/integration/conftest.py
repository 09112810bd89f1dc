"""One PostgreSQL for all tests of a process, a database for each."""

from collections.abc import Callable, Iterator

import pytest

from tests.database import Database, Databases, databases


@pytest.fixture(scope="session")
def postgres() -> Iterator[Databases]:
    """The server."""
    with databases() as server:
        yield server


@pytest.fixture
def fresh_database(postgres: Databases) -> Iterator[Callable[[], Database]]:
    """Makes databases of the newest schema."""
    made: list[Database] = []

    def make() -> Database:
        made.append(postgres.migrated())
        return made[-1]

    yield make
    for database in made:
        database.close()


@pytest.fixture
def database(fresh_database: Callable[[], Database]) -> Database:
    """A fresh database of the newest schema."""
    return fresh_database()
