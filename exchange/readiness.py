"""Whether a server is ready for calls, and what is measured only when somebody looks."""

import asyncio
from collections.abc import Mapping

from exchange.database import CONNECTION_ERRORS, MEASURES, Database
from exchange.database_watch import DatabaseWatch
from exchange.ledger.migration import REVISION
from exchange.metrics import Metrics
from exchange.sequencer import Sequencer

ANSWER_S = 2.0
"""How long the database may take to answer; beyond it the server is not ready."""


class Readiness:
    """Asked by `/readyz` and `/metrics`."""

    def __init__(self, database: Database, watch: DatabaseWatch, metrics: Metrics) -> None:
        self._database = database
        self._watch = watch
        self._metrics = metrics
        self._sequencer: Sequencer | None = None
        self._stopping = False

    def serves(self, sequencer: Sequencer) -> None:
        """The server takes calls from now on."""
        self._sequencer = sequencer

    def stops(self) -> None:
        """The server is told to stop."""
        self._stopping = True

    async def reasons(self) -> list[str]:
        """Why the server is not ready; nothing when it is."""
        if self._stopping:
            return ["stopping"]
        if self._sequencer is None:
            return ["starting"]
        reasons = [] if self._sequencer.running else ["the sequencer has ended"]
        return reasons + await self._database_reasons()

    async def _database_reasons(self) -> list[str]:
        if not self._watch.up:
            return ["the database is down"]
        try:
            revision = await asyncio.wait_for(
                asyncio.to_thread(self._database.schema_revision), ANSWER_S
            )
        except (*CONNECTION_ERRORS, TimeoutError):
            self._watch.lost()
            return ["the database does not answer"]
        if revision != REVISION:
            return [f"the database is at schema revision {revision}, not {REVISION}"]
        return []

    async def measure_windows(self) -> None:
        """Bring the open windows' ages up to date; they stay as they were while the database is
        away.
        """
        if not self._watch.up:
            return
        try:
            ages = await asyncio.wait_for(asyncio.to_thread(self._window_ages), ANSWER_S)
        except (*CONNECTION_ERRORS, TimeoutError):
            self._watch.lost()
        else:
            self._metrics.windows_open(ages)

    def _window_ages(self) -> Mapping[str, float]:
        with self._database.engine.begin() as transaction:
            connection = transaction.connection.dbapi_connection
            return {
                currency: float(age_s) for currency, age_s in MEASURES.open_window_ages(connection)
            }
