"""The baseline of a write: pgbench's TPC-B on an embedded PostgreSQL of its own.

Each of its transactions updates three rows, reads one and inserts one, and waits for the disk as
ours do. Scale 10, prepared statements; source: PostgreSQL 18 manual, "pgbench".
"""

import re

from exchange.cli.failure import unavailable
from exchange.embedded_postgres import DATABASE, OWNER_ROLE, RunningPostgres

SCALE = 10
CLIENTS = (1, 2, 4, 8, 16, 32)
THREADS_MAX = 2


def prepare(server: RunningPostgres) -> None:
    """Make and fill pgbench's tables. Raises Failed."""
    _pgbench(server, "--initialize", "--quiet", f"--scale={SCALE}")


def transactions_per_s(server: RunningPostgres, clients: int, seconds: float) -> float:
    """Transactions a second with this many clients. Raises Failed."""
    said = _pgbench(
        server,
        f"--client={clients}",
        f"--jobs={min(clients, THREADS_MAX)}",
        f"--time={max(1, round(seconds))}",
        "--protocol=prepared",
        "--no-vacuum",
    )
    found = re.search(r"^tps = ([0-9.]+)", said, re.MULTILINE)
    if found is None:
        raise unavailable("pgbench named no rate", said.strip())
    return float(found.group(1))


def best_clients(server: RunningPostgres, seconds: float) -> int:
    """The number of clients with which pgbench is fastest here."""
    rates = {each: transactions_per_s(server, each, seconds) for each in CLIENTS}
    return max(rates, key=rates.__getitem__)


def _pgbench(server: RunningPostgres, *arguments: str) -> str:
    done = server.run("pgbench", "--username", OWNER_ROLE, *arguments, DATABASE)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise unavailable("pgbench failed", said[-1] if said else "it said nothing")
    return done.stdout
