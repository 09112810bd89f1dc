"""Wires what goes on with settlements while nobody calls."""

from exchange import server
from exchange.at_work import Work
from exchange.metrics import Metrics
from exchange.server import Exchange
from settlement.approval.silence import Silence
from settlement.calendar.metrics import WindowMetrics
from settlement.calendar.scheduler import Scheduler
from settlement.course import Course
from settlement.overdue.reminding import OverdueMetrics, Reminding


def settling_of(exchange: Exchange, metrics: Metrics) -> tuple[Work, ...]:
    """Closes windows at their cut-off, lets silence accept, and reminds of what is overdue."""

    def course() -> Course:
        return Course(
            exchange.engine, exchange.submit, exchange.audience, exchange.keys.signers, server.now
        )

    return (
        Scheduler(exchange.engine, exchange.submit, WindowMetrics(metrics.registry)),
        Silence(course()),
        Reminding(course(), server.now, OverdueMetrics(metrics.registry)),
    )
