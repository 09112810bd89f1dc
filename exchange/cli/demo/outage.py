"""One brand's program goes down in the middle of the replay and comes back a day later: what waits
for it meanwhile, and that nobody else waits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from time import time

from exchange.cli.demo.brand_client import Wish
from exchange.cli.demo.deliveries import Deliveries, Look
from exchange.cli.demo.programs import ProgramProcess

BEFORE_S, AFTER_S = 1.0, 1.0
"""What is shown before it went down, and after all was caught up."""


@dataclass(frozen=True, slots=True)
class Outage:
    """What was seen of it. Times are seconds since 1970."""

    brand: str
    hung_at: float
    """Calls were taken from here on, and not answered."""
    killed_at: float
    back_at: float
    """At work again."""
    drained_at: float
    """When nothing was seen to wait for it any more."""
    left_in_window: int
    """Transfers that waited for it when a day was closed and settled without them."""
    looks: tuple[Look, ...]
    """From a moment before to a moment after."""

    @property
    def down_s(self) -> float:
        """From its last answer until it was at work again."""
        return self.back_at - self.hung_at

    @property
    def waiting_max(self) -> int:
        """The most instructions that were seen to wait for it."""
        return max((each.waiting.get(self.brand, 0) for each in self.looks), default=0)

    @property
    def in_doubt_max(self) -> int:
        """The most transfers that were seen to be in doubt."""
        return max((each.in_doubt.get(self.brand, 0) for each in self.looks), default=0)

    @property
    def steps(self) -> tuple["Step", ...]:
        """What waited, at each look that differed from the one before, and at the last."""
        every = [step_of(self, each) for each in self.looks]
        return tuple(
            each
            for place, each in enumerate(every)
            if not place or place == len(every) - 1 or each.counts != every[place - 1].counts
        )


@dataclass(frozen=True, slots=True)
class Step:
    """What waited from a moment on."""

    second: float
    """Since the program stopped answering."""
    waiting: int
    """For it."""
    in_doubt: int
    """Of these."""
    others: int
    """For all other programs."""

    @property
    def counts(self) -> tuple[int, int, int]:
        """All three."""
        return self.waiting, self.in_doubt, self.others


def step_of(outage: Outage, look: Look) -> Step:
    """One look at an outage."""
    own = look.waiting.get(outage.brand, 0)
    return Step(
        round(look.at - outage.hung_at, 2),
        own,
        look.in_doubt.get(outage.brand, 0),
        sum(look.waiting.values()) - own,
    )


class Downtime:
    """Takes a program down in the day `first` and brings it back in the day `last`."""

    def __init__(
        self, program: ProgramProcess, deliveries: Deliveries, first: int, last: int
    ) -> None:
        """Days count from 0. They may be the same."""
        self._program = program
        self._deliveries = deliveries
        self._first, self._last = first, last
        self.times = (0.0, 0.0, 0.0)
        """When it hung, was killed, and was at work again."""
        self._left_in_window = 0

    def begins(self, day: int) -> None:
        """A day's orders are about to be sent."""
        if day == self._first:
            self._program.hang()
            self.times = (time(), 0.0, 0.0)

    def ordered(self, day: int, wishes: Sequence[Wish]) -> None:
        """A day's orders were sent. Raises Failed."""
        brand = self._program.brand.partner_id
        if day == self._first:
            if any(each.target == brand for each in wishes):
                self._deliveries.wait_until(
                    "a transfer in doubt", lambda look: look.in_doubt.get(brand, 0) > 0
                )
            self._program.kill()
            self.times = (self.times[0], time(), 0.0)
        if day == self._last and self.is_down:
            self.ends()

    @property
    def is_down(self) -> bool:
        """Whether the program was killed and is not back."""
        _, killed_at, back_at = self.times
        return bool(killed_at) and not back_at

    def ends(self) -> None:
        """The program comes back. Raises Failed."""
        self._program.start()
        self._program.ready()
        self.times = (*self.times[:2], time())

    def lasts(self) -> None:
        """A day is closed while transfers wait for the program. Raises Failed."""
        brand = self._program.brand.partner_id
        self._left_in_window = self._deliveries.look().reserved.get(brand, 0)

    def outage(self) -> Outage:
        """All of it, when it is over."""
        brand = self._program.brand.partner_id
        looks = self._deliveries.looks
        hung_at, killed_at, back_at = self.times
        drained = (e.at for e in looks if e.at >= back_at and not e.waiting.get(brand))
        drained_at = next(drained, looks[-1].at)
        begins, ends = hung_at - BEFORE_S, drained_at + AFTER_S
        return Outage(
            brand,
            hung_at,
            killed_at,
            back_at,
            drained_at,
            self._left_in_window,
            tuple(each for each in looks if begins <= each.at <= ends),
        )
