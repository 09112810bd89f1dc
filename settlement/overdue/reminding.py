"""Reminds partners of what they have not paid, while a server runs, and shows what is overdue.

A reminder is an entry of the log, once for each leg, so any number of processes may look at once,
and a crash leaves nothing that the next look does not find. Nothing else is done by itself: see
`settlement.overdue.waterfall`.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, Gauge

from exchange.at_work import keep_looking
from settlement.course import Course
from settlement.overdue.store import overdue_legs, reminder_entry, unsettled_currencies
from settlement.overdue.waterfall import Step

log = logging.getLogger(__name__)

LOOK_EVERY_S = 60.0


class OverdueMetrics:
    """Shows what is overdue, for Prometheus: the labels are settlement currencies and steps."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """`registry` is the server's own."""
        self._legs = Gauge(
            "pointclear_overdue_payments",
            "Payments that partners have not made in time.",
            ("currency",),
            registry=registry,
        )
        self._steps = Gauge(
            "pointclear_overdue_steps",
            "Of these, those for which a step is due and not done.",
            ("currency", "step"),
            registry=registry,
        )
        self._seen: set[str] = set()

    def overdue(self, currency: str, legs: int, steps: Sequence[Step]) -> None:
        """What is overdue in a currency now."""
        self._seen.add(currency)
        self._legs.labels(currency).set(legs)
        for step in Step:
            self._steps.labels(currency, step).set(steps.count(step))

    def settled_but(self, currencies: tuple[str, ...]) -> None:
        """Nothing is overdue in any other currency."""
        for currency in self._seen - set(currencies):
            self.overdue(currency, 0, ())


class Reminding:
    """One process's."""

    def __init__(
        self, course: Course, now: Callable[[], datetime], metrics: OverdueMetrics
    ) -> None:
        self._course = course
        self._now = now
        self._metrics = metrics

    async def run(self) -> None:
        """Look until cancelled."""
        await keep_looking(self.look, LOOK_EVERY_S, "what is overdue", log)

    async def look(self) -> None:
        """Remind whom it is time to remind."""
        currencies = await self._course.read(unsettled_currencies)
        self._metrics.settled_but(currencies)
        for currency in currencies:
            found = await self._course.read(overdue_legs, currency, self._now())
            for each in found:
                if Step.REMIND in each.steps:
                    await self._course.book(reminder_entry(each, currency))
                    log.info("reminded %s of %s", each.leg.partner_id, each.leg.reference)
            waiting = [step for each in found for step in each.steps if step is not Step.REMIND]
            self._metrics.overdue(currency, len(found), waiting)
