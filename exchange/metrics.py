"""What a server counts and times, for Prometheus.

Every label's values come from a short list: methods, codes, reasons, steps, registered programs and
currencies. No metric names a caller, a transfer or a member. All of it lives in a registry of its
own, so that two servers in one process do not share it. The methods may be called on any thread.
Source: Prometheus' "Metric and label naming".
"""

from collections.abc import Callable, Mapping, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from exchange.calls import Call
from exchange.cap_alerts import LEVELS, PAST_CAP, CapAlert
from exchange.observer import Observer, Step
from exchange.outcomes import Booked, Outcome, Recorded, TransferState

CALL_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
STEP_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5)
BATCH_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Metrics(Observer):
    """All metrics of one server. It is the sequencer's observer and the edge's watcher."""

    def __init__(
        self,
        on_database_lost: Callable[[], None] = lambda: None,
        on_instruction: Callable[[], None] = lambda: None,
    ) -> None:
        """Both are called on any thread: whenever a call or a batch lost the database, and whenever
        a program is to be told something.
        """
        self._on_database_lost = on_database_lost
        self._on_instruction = on_instruction
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self._calls = Counter(
            "pointclear_calls",
            "Calls that ended, by the status code and the reason that the caller was given.",
            ("method", "code", "reason"),
            registry=registry,
        )
        self._call_seconds = Histogram(
            "pointclear_call_duration_seconds",
            "From the request's arrival to the answer.",
            ("method",),
            buckets=CALL_SECONDS,
            registry=registry,
        )
        self._known_calls: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        self._items = Counter(
            "pointclear_batch_orders_refused",
            "Orders refused inside batches that were answered OK.",
            ("reason",),
            registry=registry,
        )
        self._batch_size = Histogram(
            "pointclear_batch_size",
            "Commands in one transaction of the sequencer.",
            buckets=BATCH_SIZES,
            registry=registry,
        )
        self._queue = Gauge(
            "pointclear_queue_length",
            "Commands left waiting when the newest batch began.",
            registry=registry,
        )
        self._steps = Histogram(
            "pointclear_step_duration_seconds",
            "Where a batch's time goes.",
            ("step",),
            buckets=STEP_SECONDS,
            registry=registry,
        )
        self._transfers = Counter(
            "pointclear_transfers",
            "Transfers committed, by corridor.",
            ("source_program", "target_program"),
            registry=registry,
        )
        self._reversals = Counter(
            "pointclear_reversals",
            "Reversals booked, each of a part of a transfer or of the whole, by its corridor.",
            ("source_program", "target_program"),
            registry=registry,
        )
        self._refusals = Counter(
            "pointclear_refusals_recorded",
            "Orders whose refusal was recorded.",
            ("reason",),
            registry=registry,
        )
        self._cap_alerts = Counter(
            "pointclear_cap_alerts",
            "Positions that came to a level of their cap, in percent; at 100 by force.",
            ("level",),
            registry=registry,
        )
        for level in (PAST_CAP, *LEVELS):
            self._cap_alerts.labels(str(level))
        self._watches = Gauge(
            "pointclear_watches", "Partners' watches that are open.", registry=registry
        )
        self._windows = Gauge(
            "pointclear_window_age_seconds",
            "How long the settlement window has been open.",
            ("currency",),
            registry=registry,
        )
        self._up = Gauge(
            "pointclear_database_up", "Whether the database answered last.", registry=registry
        )
        self._lost = Counter(
            "pointclear_database_lost",
            "Calls and batches that lost the database.",
            registry=registry,
        )
        self._restarts = Counter(
            "pointclear_database_restarts",
            "Times that the database was lost and found to have been started anew.",
            registry=registry,
        )

    def ended(self, call: Call) -> None:
        """A call ended."""
        key = (call.method, call.code, call.reason)
        known = self._known_calls.get(key)
        if known is None:
            # Looking labels up costs more than counting does.
            known = (self._calls.labels(*key), self._call_seconds.labels(call.method))
            self._known_calls[key] = known
        count, seconds = known
        count.inc()
        seconds.observe(call.seconds)
        for reason, orders in call.refused.items():
            self._items.labels(reason).inc(orders)

    def batch(self, size: int, queue_length: int) -> None:
        """A batch begins."""
        self._batch_size.observe(size)
        self._queue.set(queue_length)

    def took(self, step: Step, seconds: float) -> None:
        """One step of a batch ended."""
        self._steps.labels(step).observe(seconds)

    def recorded(self, outcomes: Sequence[Outcome]) -> None:
        """Outcomes were committed."""
        for each in outcomes:
            if isinstance(each, Booked):
                continue
            if isinstance(each, Recorded):
                self._recorded(each)
            elif each.reason is not None:
                self._refusals.labels(each.reason.value).inc()
            elif each.original and each.original.terms:
                self._reversals.labels(*each.original.terms.corridor).inc()

    def _recorded(self, each: Recorded) -> None:
        if each.instruction is not None:
            self._on_instruction()
        if each.state is TransferState.COMMITTED:
            order = each.order
            self._transfers.labels(order.source_program, order.target_program).inc()
        elif each.reason is not None:
            self._refusals.labels(each.reason.value).inc()

    def alerted(self, alerts: Sequence[CapAlert]) -> None:
        """Positions came near their caps."""
        for each in alerts:
            self._cap_alerts.labels(str(each.level)).inc()

    def database_lost(self) -> None:
        """A call or a batch lost the database."""
        self._lost.inc()
        self._on_database_lost()

    def database_is(self, up: bool) -> None:
        """Whether the database answers."""
        self._up.set(up)

    def database_restarted(self) -> None:
        """The database was lost and has been started anew."""
        self._restarts.inc()

    def watches_open(self, watches: int) -> None:
        """So many watches are open."""
        self._watches.set(watches)

    def windows_open(self, ages_s: Mapping[str, float]) -> None:
        """The age of every open window, by currency; those not named are open no more."""
        self._windows.clear()
        for currency, age_s in ages_s.items():
            self._windows.labels(currency).set(age_s)
