"""What delivery counts, for Prometheus: labels are programs, kinds and outcomes, all from short
lists. What is measured of the calls themselves is `exchange.outbound.watch`'s.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge

from exchange.delivery.saga import InstructionKey
from exchange.delivery.watcher import Watcher
from partners.program_port import CreditOutcome, InstructionKind


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much waits for one program in one state."""

    program: str
    state: str
    instructions: int
    oldest_s: float
    """Since the oldest was sent, or could have been."""
    in_doubt: int
    """Reserved transfers among them of which the program may know."""


class DeliveryMetrics(Watcher):
    """Counts answers, faults and contradictions, and shows the backlog when somebody looks."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """`registry` is the server's own."""
        self._answers = Counter(
            "pointclear_delivery_answers",
            "Definite answers of programs.",
            ("program", "kind", "outcome"),
            registry=registry,
        )
        self._handed_out = Counter(
            "pointclear_delivery_handed_out",
            "Instructions that brands fetched, those that they fetched again included.",
            ("program",),
            registry=registry,
        )
        self._contradictions = Counter(
            "pointclear_delivery_contradictions",
            "Answers that cannot be true beside what was answered or decided before.",
            ("program",),
            registry=registry,
        )
        self._backlog = Gauge(
            "pointclear_delivery_backlog",
            "Instructions that are not concluded.",
            ("program", "state"),
            registry=registry,
        )
        self._oldest = Gauge(
            "pointclear_delivery_oldest_seconds",
            "Since when the oldest of them waits.",
            ("program", "state"),
            registry=registry,
        )
        self._in_doubt = Gauge(
            "pointclear_transfers_in_doubt",
            "Reserved transfers whose target may have been told, and has not answered.",
            ("program",),
            registry=registry,
        )

    def answered(self, program: str, kind: InstructionKind, outcome: CreditOutcome) -> None:
        """A program gave a definite answer."""
        self._answers.labels(program, kind.value, outcome.value).inc()

    def handed_out(self, program: str, instructions: int) -> None:
        """A brand fetched so many."""
        self._handed_out.labels(program).inc(instructions)

    def contradicted(self, program: str, key: InstructionKey) -> None:
        """An answer cannot be true beside an earlier one."""
        self._contradictions.labels(program).inc()

    def waits(self, backlogs: Iterable[Backlog]) -> None:
        """What waits now; programs and states that are not named have nothing that does."""
        for gauge in (self._backlog, self._oldest, self._in_doubt):
            gauge.clear()
        doubts: dict[str, int] = {}
        for each in backlogs:
            self._backlog.labels(each.program, each.state).set(each.instructions)
            self._oldest.labels(each.program, each.state).set(each.oldest_s)
            doubts[each.program] = doubts.get(each.program, 0) + each.in_doubt
        for program, transfers in doubts.items():
            self._in_doubt.labels(program).set(transfers)
