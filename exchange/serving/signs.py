"""What tells how a server process is: its metrics, its health, its readiness, and the watch over
its database.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from starlette.applications import Starlette

from exchange.database import CONNECTION_ERRORS
from exchange.database_watch import DatabaseWatch
from exchange.delivery.metrics import DeliveryMetrics
from exchange.delivery.sql_store import SqlDeliveryStore
from exchange.grpc_listener import Health
from exchange.http_listener import pages
from exchange.metrics import Metrics
from exchange.readiness import Readiness
from exchange.serving.deployment import Deployment
from exchange.serving.services import descriptors


@dataclass(frozen=True, slots=True)
class Signs:
    """One process's."""

    metrics: Metrics
    delivery_metrics: DeliveryMetrics
    health: Health
    watch: DatabaseWatch
    readiness: Readiness
    page: Starlette
    """Shows them to whoever asks without a certificate."""
    hurry: asyncio.Event
    """Set when there is something new to tell programs."""


def signs_of(deployment: Deployment, instructions: SqlDeliveryStore) -> Signs:
    """Call on the loop's thread: what other threads tell is brought there."""
    loop = asyncio.get_running_loop()
    hurry = asyncio.Event()

    def lost() -> None:
        loop.call_soon_threadsafe(watch.lost)

    def instructed() -> None:
        loop.call_soon_threadsafe(hurry.set)

    metrics = Metrics(lost, instructed)
    delivery_metrics = DeliveryMetrics(metrics.registry)
    health = Health(tuple(each.full_name for each in descriptors()))
    watch = DatabaseWatch(deployment.database, metrics, deployment.log, health.turn)
    readiness = Readiness(deployment.database, watch, metrics)

    async def measure() -> None:
        await readiness.measure_windows()
        with suppress(*CONNECTION_ERRORS):
            delivery_metrics.waits(await instructions.backlog())

    page = pages(metrics.registry, readiness.reasons, measure)
    return Signs(metrics, delivery_metrics, health, watch, readiness, page, hurry)
