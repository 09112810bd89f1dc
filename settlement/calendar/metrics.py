"""What the scheduler counts, for Prometheus: the labels are settlement currencies."""

from datetime import timedelta

from prometheus_client import CollectorRegistry, Counter, Gauge


class WindowMetrics:
    """Counts closes by schedule, and shows windows that should have closed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """`registry` is the server's own."""
        self._closed = Counter(
            "pointclear_windows_closed_by_schedule",
            "Windows that this server closed at their cut-off.",
            ("currency",),
            registry=registry,
        )
        self._overdue = Gauge(
            "pointclear_window_overdue_seconds",
            "How long ago the cut-off of the open window passed; 0 before it.",
            ("currency",),
            registry=registry,
        )

    def closed(self, currency: str) -> None:
        """A window was closed by schedule; its currency's next has time."""
        self._closed.labels(currency).inc()
        self._overdue.labels(currency).set(0)

    def overdue(self, currency: str, by: timedelta) -> None:
        """So long ago a currency's open window should have closed; nothing before its cut-off."""
        self._overdue.labels(currency).set(by.total_seconds())
