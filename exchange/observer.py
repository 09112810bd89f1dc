"""What the sequencer tells whoever measures it. Pure but for the monotonic clock.

Its methods are called on the sequencer's thread and on the signing threads, so they are quick, safe
between threads, and raise nothing. What they are told holds member references: nothing of an order
but its corridor and its reason may be kept.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from exchange.cap_alerts import CapAlert
from exchange.outcomes import Outcome

Step = Literal["wait", "read", "fold", "write", "commit", "sign", "answer"]
"""Where a batch's time goes, in their order: waiting for the head's lock, reading, deciding,
sealing and writing, committing, signing receipts, answering.
"""


class Observer:
    """Is told what the sequencer does. This one keeps nothing."""

    def batch(self, size: int, queue_length: int) -> None:
        """A batch of `size` commands begins, and `queue_length` commands are left waiting."""

    def reached(self, point: str) -> None:
        """A batch has come to `before-<step>` or `after-<step>`; tests end the process there."""

    def took(self, step: Step, seconds: float) -> None:
        """One step of one batch took so long, of the monotonic clock."""

    def recorded(self, outcomes: Sequence[Outcome]) -> None:
        """These outcomes were committed."""

    def alerted(self, alerts: Sequence[CapAlert]) -> None:
        """These positions came near their caps by what was committed."""

    def database_lost(self) -> None:
        """A batch lost the database."""

    @contextmanager
    def step(self, name: Step) -> Iterator[None]:
        """Time a block as one step, also when it raises."""
        self.reached(f"before-{name}")
        began = time.perf_counter()
        try:
            yield
        finally:
            self.took(name, time.perf_counter() - began)
        self.reached(f"after-{name}")


UNOBSERVED = Observer()
"""Where nobody measures. It holds nothing, so all may share it."""
