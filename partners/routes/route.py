"""The way by which instructions reach a program, as a value. Pure.

A program whose route was never set has none: its brand credits by the credit notices of its stream.
What is set for a program replaces all that was set before, from the entry that sets it on;
instructions that exist already go by the newest route.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from partners.routes.maintenance import ALWAYS_OPEN, MaintenanceCalendar


class RouteKind(StrEnum):
    """By what way."""

    STREAM = "STREAM"
    """None: the brand reads its stream, and tells nobody what it did."""
    PULL = "PULL"
    """The brand fetches its instructions."""
    GRPC = "GRPC"
    HTTP = "HTTP"
    FILE = "FILE"
    SIMULATED = "SIMULATED"
    """A program that the exchange simulates."""


@dataclass(frozen=True, slots=True)
class Route:
    """The way to one program."""

    program: str
    kind: RouteKind = RouteKind.STREAM
    address: str = ""
    timeout: timedelta = timedelta(seconds=5)
    """Of one call."""
    calls_max: int = 8
    """Under way at a time from one process."""
    answer_within: timedelta = timedelta(minutes=15)
    """From when on a reserved transfer that was sent is only asked for, and one that was not is
    void."""
    lease: timedelta = timedelta(seconds=60)
    """For how long an instruction that was pulled is the puller's."""
    maintenance: MaintenanceCalendar = ALWAYS_OPEN
    """When nothing is sent there."""

    @property
    def subject(self) -> str:
        """Whose it is."""
        return f"program/{self.program}"

    @property
    def is_in_turn(self) -> bool:
        """Whether the program does what it has at work in the order in which it was told: a batch
        of files is done from its first line to its last, after the batch before it.
        """
        return self.kind is RouteKind.FILE

    @property
    def is_pulled(self) -> bool:
        """Whether the brand fetches what there is to do: it may do so where nothing else is set."""
        return self.kind in (RouteKind.STREAM, RouteKind.PULL)
