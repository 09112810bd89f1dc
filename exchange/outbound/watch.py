"""What is measured of calls to programs, for Prometheus.

Labels are registered programs, the port's methods, and outcomes from a short list. Nothing is told
of a member or an instruction.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

CALL_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class CallWatcher:
    """Is told of calls to programs. This one keeps nothing."""

    def began(self, program: str) -> None:
        """A call is under way."""

    def ended(self, program: str, method: str, outcome: str, seconds: float) -> None:
        """A call that was under way ended, with an answer or a fault."""

    def held_back(self, program: str, method: str, fault: str) -> None:
        """A call was not made."""

    def visited(self, program: str, event: str) -> None:
        """Something happened on a visit to a program that is not called."""

    def watch(
        self, program: str, circuit: Callable[[], float], closed: Callable[[], float]
    ) -> None:
        """Ask these for the state of a program's circuit, and whether it is in maintenance."""


UNWATCHED = CallWatcher()


class ProgramMetrics(CallWatcher):
    """Metrics of all calls to programs of one server."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = Counter(
            "pointclear_program_calls",
            "Calls to programs that ended or were not made, by what was answered or why not.",
            ("program", "method", "outcome"),
            registry=registry,
        )
        self._seconds = Histogram(
            "pointclear_program_call_duration_seconds",
            "From a call to a program to its answer, or to when it was given up.",
            ("program",),
            buckets=CALL_SECONDS,
            registry=registry,
        )
        self._in_flight = Gauge(
            "pointclear_program_calls_in_flight",
            "Calls to programs under way.",
            ("program",),
            registry=registry,
        )
        self._circuit = Gauge(
            "pointclear_program_circuit",
            "The circuit breaker of a program: 0 closed, 1 half open, 2 open.",
            ("program",),
            registry=registry,
        )
        self._closed = Gauge(
            "pointclear_program_in_maintenance",
            "Whether a program's calendar says that it is closed.",
            ("program",),
            registry=registry,
        )

        self._visits = Counter(
            "pointclear_program_visit_events",
            "What happened on visits to programs that take files.",
            ("program", "event"),
            registry=registry,
        )

    def visited(self, program: str, event: str) -> None:
        """Something happened on a visit."""
        self._visits.labels(program, event).inc()

    def began(self, program: str) -> None:
        """A call is under way."""
        self._in_flight.labels(program).inc()

    def ended(self, program: str, method: str, outcome: str, seconds: float) -> None:
        """A call that was under way ended."""
        self._in_flight.labels(program).dec()
        self._seconds.labels(program).observe(seconds)
        self._calls.labels(program, method, outcome).inc()

    def held_back(self, program: str, method: str, fault: str) -> None:
        """A call was not made."""
        self._calls.labels(program, method, fault).inc()

    def watch(
        self, program: str, circuit: Callable[[], float], closed: Callable[[], float]
    ) -> None:
        """The newest that is named for a program is asked, at each scrape."""
        self._circuit.labels(program).set_function(circuit)
        self._closed.labels(program).set_function(closed)
