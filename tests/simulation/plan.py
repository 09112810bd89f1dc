"""What a seed stands for: who orders what, and what goes wrong. Pure.

A plan is a value that can be printed, and be made smaller: without one of its transfers, or one of
its troubles, it is a plan still.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from tests.simulation.schedule import MINUTE, SECOND

QUIET_AT = 5 * MINUTE
"""From here on nothing goes wrong any more."""

CONFIRMED, PROMISED = "confirmed", "promised"


@dataclass(frozen=True, slots=True)
class Ordered:
    """A transfer that somebody will order."""

    number: int
    target: str
    mode: str
    """Whether the target confirms each credit, or has promised to honour all."""
    member: int
    at: int
    cancel_at: int | None = None


@dataclass(frozen=True, slots=True)
class Reversing:
    """Points that somebody will want back."""

    number: int
    """Of the transfer."""
    percent: int
    """Of the points that it credited."""
    by_source: bool
    """Whether the source asks the target's program, or the target takes them by itself."""
    at: int


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which a brand's system does not answer."""

    brand: str
    begins: int
    ends: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A course in advance. Probabilities are per mille of the occasions."""

    seed: int
    transfers: tuple[Ordered, ...]
    reversals: tuple[Reversing, ...] = ()
    processes: int = 1
    crash: int = 0
    """Before any effect: the process ends, and begins anew later."""
    crash_at: int = 0
    """Before the effect of this number, counted from 1: for all crash points in their order."""
    stall: int = 0
    """Before any effect: the task goes on when its lease is long over."""
    lost_database: int = 0
    """Before or after any effect on the database: its connection is lost."""
    lost_request: int = 0
    lost_answer: int = 0
    repeated: int = 0
    late: int = 0
    held_back: int = 0
    """Of the calls: not made, since the circuit is open."""
    at_work: int = 0
    """Of the credits: the brand takes it, and decides later."""
    declined: int = 0
    """Of the members: the brand gives them nothing."""
    lies: int = 0
    """Of the answers: the brand signs the opposite."""
    spent: int = 0
    """Of what is given: the member has spent half of it by the time that it is wanted back."""
    unsigned: tuple[str, ...] = ()
    """Brands whose answers nobody signs; one that fetches always does."""
    unsigned_until: int = 0
    """From when on they are signed after all; 0 for never."""
    revoked: tuple[tuple[str, int], ...] = ()
    """Brands whose key is revoked, and when; they sign by another from a while later on."""
    is_view_stale: bool = False
    """Whether answers by a key that was just revoked come through to the books."""
    outages: tuple[Outage, ...] = ()
    operators_at: int = 0
    """When operators end by evidence what is in doubt then; 0 for never before the end."""
    closing_at: int = 0
    """When the settlement window is closed; 0 for never."""

    def smaller(self) -> Iterator["Plan"]:
        """Plans with one thing less."""
        for each in self.transfers:
            if len(self.transfers) > 1:
                yield replace(self, transfers=tuple(t for t in self.transfers if t != each))
        for each in self.transfers:
            if each.cancel_at is not None:
                calm = replace(each, cancel_at=None)
                kept = tuple(calm if t == each else t for t in self.transfers)
                yield replace(self, transfers=kept)
        for name in TROUBLES:
            if getattr(self, name):
                less: dict[str, Any] = {name: 0}
                yield replace(self, **less)
        for name in ("reversals", "unsigned", "revoked", "outages"):
            several = getattr(self, name)
            for place in range(len(several)):
                fewer: dict[str, Any] = {name: several[:place] + several[place + 1 :]}
                yield replace(self, **fewer)
        if self.processes > 1:
            yield replace(self, processes=self.processes - 1)

    def __str__(self) -> str:
        """Its course in lines, without what does not happen."""
        quiet = Plan(self.seed, self.transfers)
        troubles = {
            name: getattr(self, name)
            for name in self.__slots__
            if getattr(self, name) != getattr(quiet, name)
        }
        return "\n".join(
            [
                f"seed {self.seed}",
                *map(str, self.transfers),
                *(f"{k} = {v}" for k, v in troubles.items()),
            ]
        )


TROUBLES = (
    "crash",
    "crash_at",
    "stall",
    "lost_database",
    "lost_request",
    "lost_answer",
    "repeated",
    "late",
    "held_back",
    "at_work",
    "declined",
    "lies",
    "spent",
    "unsigned_until",
    "is_view_stale",
    "operators_at",
    "closing_at",
)


def plan_of(seed: int) -> Plan:
    """The plan of a seed."""
    chance = Random(seed)

    def often(share: float, *values: int) -> int:
        """One of some values in this share of the seeds, else 0."""
        return chance.choice(values) if chance.random() < share else 0

    brands = ("fuel", "deli")
    transfers = tuple(an_order(chance, number) for number in range(1, chance.randint(2, 7)))
    reversing = chance.choice((0, 0, 0.2, 0.6))
    unsigned = ("fuel",) if chance.random() < 0.12 else ()
    revoked = tuple(
        (each, chance.randint(0, QUIET_AT)) for each in brands if chance.random() < 0.15
    )
    outages = tuple(
        Outage(brand, begins, begins + chance.randint(5 * SECOND, 3 * MINUTE))
        for brand in brands
        for begins in (chance.randint(0, 2 * MINUTE),)
        if chance.random() < 0.3
    )
    return Plan(
        seed,
        transfers,
        processes=chance.choice((1, 2, 2, 3)),
        crash=often(0.5, 5, 20, 80),
        stall=often(0.4, 10, 50, 150),
        lost_database=often(0.3, 10, 50),
        lost_request=often(0.5, 50, 300, 700),
        lost_answer=often(0.5, 50, 300, 700),
        repeated=often(0.4, 50, 300),
        late=often(0.4, 50, 300),
        held_back=often(0.3, 100, 500),
        at_work=often(0.2, 300, 1000),
        declined=often(0.4, 200, 500),
        unsigned=unsigned,
        reversals=tuple(
            Reversing(
                each.number,
                chance.choice((100, 100, 50, 20)),
                chance.random() < 0.7,
                each.at + chance.randint(0, 3 * MINUTE),
            )
            for each in transfers * 2
            if chance.random() < reversing
        ),
        spent=often(0.3, 500),
        unsigned_until=often(0.5, 2 * MINUTE, QUIET_AT),
        revoked=revoked,
        is_view_stale=chance.random() < 0.5,
        outages=outages,
        operators_at=often(0.2, 2 * MINUTE, 4 * MINUTE),
        closing_at=often(0.2, MINUTE, 3 * MINUTE),
    )


def an_order(chance: Random, number: int) -> Ordered:
    """A transfer to one of few members, so that some wait for another."""
    at = chance.randint(0, 2 * MINUTE)
    cancelled = chance.random() < 0.15
    return Ordered(
        number,
        chance.choice(("fuel", "deli")),
        chance.choice((CONFIRMED, CONFIRMED, PROMISED)),
        chance.randint(1, 2),
        at,
        at + chance.randint(0, MINUTE) if cancelled else None,
    )
