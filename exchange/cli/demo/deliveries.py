"""What waits for the brands' programs, looked at again and again as an operator would, and what
came of all that they were told.
"""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import uuid_utils
from prometheus_client.parser import text_string_to_metric_families

from exchange.cli.connection import Connection
from exchange.cli.failure import unavailable
from partners.errors import PointclearError
from partners.program_port import CreditOutcome, Fault
from pointclear.exchange.v1 import exchange_service_pb2 as pb

LOOK_EVERY_S = 0.1
WAIT_S = 120.0
"""For what must come: no pause before an instruction is told again is nearly as long here."""
HTTP_TIMEOUT_S = 30.0
NOT_CALLED = frozenset({Fault.MAINTENANCE, Fault.CIRCUIT_OPEN, Fault.NO_SLOT})
"""What is counted among calls, and was none."""


@dataclass(frozen=True, slots=True)
class Look:
    """What waited at a moment, by program."""

    at: float
    """Seconds since 1970."""
    waiting: Mapping[str, int]
    """Instructions that were not concluded."""
    reserved: Mapping[str, int]
    """Of these, those of transfers that had not committed."""
    in_doubt: Mapping[str, int]
    """Of these, those of which the program may have known."""


@dataclass(frozen=True, slots=True)
class Told:
    """What came of all that one program was told."""

    answered: int = 0
    declined: int = 0
    """Of these."""
    attempts: int = 0
    """Calls that were made; for a brand that fetches, how often it was handed an instruction."""


class Deliveries:
    """Looks, and keeps what was seen."""

    def __init__(self, operator: Connection, metrics: str) -> None:
        """`metrics` is the host and port of the server's metrics."""
        self._operator = operator
        self._metrics = metrics
        self._turn = threading.Lock()
        self.looks: list[Look] = []
        self.longest_s: dict[str, float] = {}
        """By program, from an order until it was last seen to wait."""

    def look(self) -> Look:
        """What waits now. Raises Failed."""
        with self._turn:
            pages = self._operator.pages(
                self._operator.exchange.ListDeliveries, pb.ListDeliveriesRequest()
            )
            found = [each for page in pages for each in page.deliveries]
            seen = look_of(found, time.time())
            self.looks.append(seen)
            for each in found:
                # An order's id tells when it was made.
                waited_s = seen.at - uuid_utils.UUID(bytes=each.transfer_id).timestamp / 1000
                self.longest_s[each.program] = max(self.longest_s.get(each.program, 0), waited_s)
            return seen

    def wait_until(self, what: str, holds: Callable[[Look], bool]) -> None:
        """Look until it is so. Raises Failed where it does not become so."""
        until = time.monotonic() + WAIT_S
        while not holds(self.look()):
            if time.monotonic() > until:
                raise unavailable(f"{what} did not come about in {WAIT_S:.0f} s", "This is a bug.")
            time.sleep(LOOK_EVERY_S / 2)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """For the block, looks at a steady pace."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(LOOK_EVERY_S):
                try:
                    self.look()
                except PointclearError:
                    # Whoever needs to know looks, too, and is told.
                    return

        thread = threading.Thread(target=watch, name="deliveries")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def told(self) -> Mapping[str, Told]:
        """What came of everything so far, by program, as the server measures it."""
        connection = http.client.HTTPConnection(self._metrics, timeout=HTTP_TIMEOUT_S)
        try:
            connection.request("GET", "/metrics")
            return told_of(connection.getresponse().read().decode())
        finally:
            connection.close()


def look_of(found: Iterable[pb.Delivery], at: float) -> Look:
    """What waits, as it is listed."""
    waiting: Counter[str] = Counter()
    reserved: Counter[str] = Counter()
    in_doubt: Counter[str] = Counter()
    for each in found:
        waiting[each.program] += 1
        if not each.committed:
            reserved[each.program] += 1
            in_doubt[each.program] += each.state == pb.DELIVERY_STATE_SENT
    return Look(at, waiting, reserved, in_doubt)


def told_of(metrics: str) -> dict[str, Told]:
    """What the server's metrics say, by program."""
    answered: Counter[str] = Counter()
    declined: Counter[str] = Counter()
    attempts: Counter[str] = Counter()
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            program, count = sample.labels.get("program", ""), int(sample.value)
            outcome = sample.labels.get("outcome")
            match sample.name:
                case "pointclear_delivery_answers_total":
                    answered[program] += count
                    declined[program] += count * (outcome == CreditOutcome.DECLINED)
                case "pointclear_program_calls_total":
                    attempts[program] += count * (outcome not in NOT_CALLED)
                case "pointclear_delivery_handed_out_total":
                    attempts[program] += count
    programs = answered.keys() | attempts.keys()
    return {each: Told(answered[each], declined[each], attempts[each]) for each in programs}
