"""What transfers take: bytes in the database, and memory of the server."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine

from exchange import embedded_postgres
from exchange.cli.failure import unavailable
from partners.queries import load_queries

QUERIES = load_queries(Path(__file__).parent / "storage.sql")


@dataclass(frozen=True, slots=True)
class Stored:
    """What a database holds at one moment."""

    transfers: int
    signed_bytes: int
    """Of orders with their signatures, receipts and notices: what must be kept in any case."""
    tables: Mapping[str, tuple[int, int]]
    """By name: bytes of the table and of its indexes."""

    @property
    def total(self) -> int:
        """Bytes of all tables and indexes."""
        return sum(map(sum, self.tables.values()))


def measure(data_dir: Path) -> Stored:
    """Measure the embedded database of a deployment that runs.

    After VACUUM, so that dead versions of the few running totals do not count; what a table has
    once grown to, does. The write-ahead log does not count.
    """
    with embedded_postgres.start(data_dir) as server:
        engine = create_engine(
            server.url(embedded_postgres.OWNER_ROLE), isolation_level="AUTOCOMMIT"
        )
        with engine.connect() as opened:
            opened.exec_driver_sql("VACUUM")
            connection = opened.connection.dbapi_connection
            transfers, signed_bytes = QUERIES.contents(connection)
            tables = {name: (table, index) for name, table, index in QUERIES.sizes(connection)}
        engine.dispose()
    return Stored(transfers, signed_bytes, tables)


def per_transfer(before: Stored, after: Stored) -> dict[str, Any]:
    """Bytes per transfer of each table and its indexes, the greatest first; those below a byte are
    left out.
    """
    transfers = after.transfers - before.transfers
    grown = {
        name: tuple((b - a) / transfers for a, b in zip(before.tables[name], sizes, strict=True))
        for name, sizes in after.tables.items()
    }
    return {
        name: {"table": round(table), "indexes": round(indexes)}
        for name, (table, indexes) in sorted(grown.items(), key=lambda each: -sum(each[1]))
        if table + indexes >= 1
    }


def memory_mb(pid: int) -> dict[str, float]:
    """Memory of a process in millions of bytes: `VmRSS` resident now, `VmHWM` at most so far."""
    path = Path("/proc") / str(pid) / "status"
    try:
        lines = dict(each.split(":", 1) for each in path.read_text().splitlines())
    except FileNotFoundError:
        raise unavailable(f"{path} is missing", "Run the benchmark on Linux.") from None
    return {name: int(lines[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM")}
