"""Named SQL queries from `.sql` files. A query's parameters are those that its text names."""

from pathlib import Path
from typing import Any

import aiosql


def load_queries(path: Path) -> Any:
    """The queries of a file as functions of a psycopg2 connection and keyword parameters."""
    return aiosql.from_path(path, "psycopg2", mandatory_parameters=False)
