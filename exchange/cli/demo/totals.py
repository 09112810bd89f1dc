"""What a replay came to, day by day and in sum. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar

from exchange.cli.demo.brand_client import COMMITTED, RESERVED, Outcome, Wish
from exchange.cli.demo.settlement_day import SettledDay
from pointclear.settlement.v1 import settlement_service_pb2 as pb

HUB = "hub"
"""Names the operator among the nets."""

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Day:
    """What one day came to. Money is in units of the currency's scale."""

    business_date: date
    orders: int
    refused: Mapping[str, int]
    """Orders by the reason of their refusal."""
    source_points: Mapping[tuple[str, str], int]
    """What was taken, by corridor: source and target."""
    target_points: Mapping[tuple[str, str], int]
    """What was given for it, by corridor."""
    nets: Mapping[str, int]
    """By partner and `hub`; positive is owed to it. They sum to 0."""
    paid: Mapping[str, int]
    """The settlement legs by partner and `hub`: positive was paid to it, negative by it."""
    ordering_s: float
    """Time in which orders were under way."""
    bonus_points: Mapping[str, int] = field(default_factory=dict)
    """Of the target points, by promotion."""
    uplift_points: Mapping[str, int] = field(default_factory=dict)
    """Of the target points, by tier."""
    quoted: int = 0
    """Orders that became transfers at a quote."""


def day_of(
    wishes: Sequence[Wish], outcomes: Sequence[Outcome], settled: SettledDay, ordering_s: float
) -> Day:
    """Count what was ordered, and the net and the legs of the day's window. What is reserved counts
    as if it were committed.
    """
    refused: Counter[str] = Counter()
    source_points: Counter[tuple[str, str]] = Counter()
    target_points: Counter[tuple[str, str]] = Counter()
    bonus_points: Counter[str] = Counter()
    uplift_points: Counter[str] = Counter()
    for wish, outcome in zip(wishes, outcomes, strict=True):
        if outcome.outcome in (COMMITTED, RESERVED):
            source_points[wish.source, wish.target] += wish.source_points
            target_points[wish.source, wish.target] += wish.target_points
            if wish.promotion_id:
                bonus_points[wish.promotion_id] += wish.bonus_points
            if wish.segment:
                uplift_points[wish.segment] += wish.uplift_points
        else:
            refused[outcome.outcome] += 1
    return Day(
        business_date=date.fromisoformat(settled.window.business_date),
        orders=len(wishes),
        refused=refused,
        source_points=source_points,
        target_points=target_points,
        nets={each.partner_id: each.net for each in settled.window.net_positions},
        paid={
            leg.partner_id: leg.amount if leg.direction == pb.LEG_DIRECTION_PAY_OUT else -leg.amount
            for leg in settled.legs
        },
        ordering_s=ordering_s,
        bonus_points=bonus_points,
        uplift_points=uplift_points,
        quoted=sum(each.quoted for each in outcomes),
    )


@dataclass(frozen=True, slots=True)
class Totals:
    """The days of a replay in order, and their sums."""

    by_day: tuple[Day, ...]

    @property
    def days(self) -> int:
        """How many were replayed."""
        return len(self.by_day)

    @property
    def orders(self) -> int:
        """Orders that were sent."""
        return sum(day.orders for day in self.by_day)

    @property
    def refused(self) -> Counter[str]:
        """Orders by the reason of their refusal."""
        return _sum(day.refused for day in self.by_day)

    @property
    def committed(self) -> int:
        """Orders that became transfers."""
        return self.orders - self.refused.total()

    @property
    def quoted(self) -> int:
        """Of these, at a quote."""
        return sum(day.quoted for day in self.by_day)

    @property
    def source_points(self) -> Counter[tuple[str, str]]:
        """What was taken, by corridor."""
        return _sum(day.source_points for day in self.by_day)

    @property
    def target_points(self) -> Counter[tuple[str, str]]:
        """What was given for it, by corridor."""
        return _sum(day.target_points for day in self.by_day)

    @property
    def bonus_points(self) -> Counter[str]:
        """What promotions gave, by promotion."""
        return _sum(day.bonus_points for day in self.by_day)

    @property
    def uplift_points(self) -> Counter[str]:
        """What tiers gave, by tier."""
        return _sum(day.uplift_points for day in self.by_day)

    @property
    def points_out(self) -> Counter[str]:
        """By source."""
        return _sum({source: n} for (source, _), n in self.source_points.items())

    @property
    def points_in(self) -> Counter[str]:
        """By target."""
        return _sum({target: n} for (_, target), n in self.target_points.items())

    @property
    def nets(self) -> Counter[str]:
        """By partner and `hub`, in units of the currency's scale."""
        return _sum(day.nets for day in self.by_day)

    @property
    def operator_paid(self) -> int:
        """For bonuses, by legs of its own."""
        return -sum(day.paid.get(HUB, 0) for day in self.by_day)

    @property
    def orders_per_second(self) -> float:
        """While orders were under way."""
        ordering_s = sum(day.ordering_s for day in self.by_day)
        return self.orders / ordering_s if ordering_s else 0.0


def _sum(parts: Iterable[Mapping[Key, int]]) -> Counter[Key]:
    total: Counter[Key] = Counter()
    for part in parts:
        total.update(part)
    return total
