"""Two days of a sample, run through the books: orders, the windows' ends, and the settlement of the
first day. Pure but for the ledger that it fills.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from exchange.commands import CloseWindow, OpenWindow
from exchange.fold import window_id
from exchange.seal import Letterhead
from partners.key_events import EXCHANGE
from partners.keys import Purpose
from partners.registry import Registry, Tax, TaxRate
from settlement.sample.coalition import Coalition
from settlement.sample.ledger import MemoryLedger
from settlement.sample.settling import Settled, settle
from settlement.sample.wire import TAX_CODE, Wish, order_of

FIRST_DAY = date(2026, 3, 2)
DAYS = (FIRST_DAY, FIRST_DAY + timedelta(days=1))
ORDERS = (30, 10)
"""On each day."""
OPENS_AFTER = (timedelta(minutes=1), timedelta(hours=13))
"""The first order of each day: on the second, after the bank has paid for the first."""
CLOSES_BEFORE = timedelta(seconds=1)
"""The last order of a day comes so long before its end: a brand may well book it on the next."""
POINTS_MAX = (60, 20, 60, 20, 20)
"""Hundreds of points in one order, by corridor: the newcomer's members leave more than they get, so
that it owes.
"""
TAX_BASIS_POINTS = 600


@dataclass(frozen=True, slots=True)
class History:
    """What happened."""

    ledger: MemoryLedger
    window_ids: tuple[str, ...]
    wishes: tuple[Wish, ...]
    settled: Settled
    """What the first window came to, and how the bank saw it."""


def live(coalition: Coalition) -> History:
    """Run both days."""
    ledger = empty_ledger(coalition)
    founded = midnight(FIRST_DAY)
    for command in coalition.founding(founded):
        ledger.run(command, founded)
    currency = coalition.currency.code
    ledger.run(OpenWindow(currency, FIRST_DAY), founded)
    window_ids = tuple(window_id(currency, day) for day in DAYS)
    wishes: list[Wish] = []
    settled = Settled()
    for place, day in enumerate(DAYS):
        of_day = tuple(wishes_of(coalition, place))
        for wish in of_day:
            signer = coalition.seed.signer(wish.corridor.source.holder, Purpose.ORDERS)
            ledger.run(order_of(wish, coalition.audience, signer), wish.issued_at)
        wishes += of_day
        ends = midnight(day + timedelta(days=1))
        ledger.run(CloseWindow(window_ids[place], None), ends)
        if place == 0:
            settled = settle(ledger, coalition, window_ids[place], ends)
    return History(ledger, window_ids, tuple(wishes), settled)


def empty_ledger(coalition: Coalition) -> MemoryLedger:
    """Books with nothing in them but a tax."""
    seed = coalition.seed
    count = iter(range(1 << 30))
    since = midnight(FIRST_DAY) - timedelta(days=1)
    return MemoryLedger(
        Registry(taxes={TAX_CODE: Tax(TAX_CODE, 1, (TaxRate(since, TAX_BASIS_POINTS),))}),
        since,
        Letterhead(coalition.audience, (seed.signer(EXCHANGE, Purpose.RECEIPTS).key_id,)),
        lambda: seed.digest(f"salt {next(count)}"),
    )


def wishes_of(coalition: Coalition, place: int) -> Iterator[Wish]:
    """A day's orders in the order of time. The last one leaves from the newcomer's program just
    before the day ends; one in the middle expects a point too many, and is refused.
    """
    seed, orders = coalition.seed, ORDERS[place]
    opens = midnight(DAYS[place]) + OPENS_AFTER[place]
    ends = midnight(DAYS[place]) + timedelta(days=1) - CLOSES_BEFORE
    for number in range(orders):
        name = f"day {place} order {number}"
        last = number == orders - 1
        # All corridors in turn first: no seed leaves a kind of line out.
        corridors = coalition.corridors
        drawn = seed.between(0, len(corridors) - 1, f"{name} corridor")
        chosen = 0 if last else number % len(corridors) if number < 10 else drawn
        corridor = corridors[chosen]
        each = (ends - opens) // orders
        into = timedelta(seconds=seed.between(0, each // timedelta(seconds=2), f"{name} time"))
        at = ends if last else opens + number * each + into
        member = seed.between(1, 400, f"{name} member")
        yield Wish(
            seed.id_at(at, name),
            corridor,
            at,
            100 * seed.between(1, POINTS_MAX[chosen], f"{name} points"),
            f"{corridor.source.program[:40]}-{member:04d}",
            f"{corridor.target.program[:40]}-{member + 1000:04d}",
            f"{corridor.source.partner_id[:40]}-{place + 1}{number:03d}",
            target_points_off=int(number == orders // 2),
        )


def midnight(day: date) -> datetime:
    """When a day begins, in UTC."""
    return datetime.combine(day, time(), UTC)
