"""Day by day: what households convert is ordered, confirmed by the brands that want to, closed and
settled.

A day is closed when no transfer of it waits for a brand's answer, but for the day in which a
brand's program goes down. It is settled without what waits: that counts in the window in which it
is confirmed, and nobody else waits for it.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Protocol
from uuid import UUID

from exchange.cli.connection import Connection
from exchange.cli.demo.approval import Approval
from exchange.cli.demo.brand_client import COMMITTED, RESERVED, Outcome, Wish
from exchange.cli.demo.clients import ClientProcess, order_all
from exchange.cli.demo.coalition import CURRENCY, agreed_corridors
from exchange.cli.demo.deliveries import Deliveries
from exchange.cli.demo.households import Conversion, give_back, opening_holdings, plan
from exchange.cli.demo.linked import LinkedMember, link_first
from exchange.cli.demo.outage import Downtime
from exchange.cli.demo.purchases import dataset_days, read_purchases
from exchange.cli.demo.settlement_day import Bank, SettledDay, settle_day
from exchange.cli.demo.totals import Day, day_of
from exchange.cli.demo.wishes import budgets_left, wish_of
from partners.errors import Reason
from pointclear.common.v1.refusal_pb2 import Reason as ReasonName
from pointclear.exchange.v1.exchange_service_pb2 import GetTransferRequest
from pointclear.exchange.v1.transfer_pb2 import TRANSFER_STATE_COMMITTED
from pointclear.settlement.v1 import settlement_service_pb2 as pb

VOIDED = frozenset({Reason.CREDIT_REFUSED, Reason.TRANSFER_LAPSED})
"""How a transfer ends that was reserved and is not confirmed."""


class Progress(Protocol):
    """Where a long work says how far it is."""

    def begin(self, what: str, steps: int) -> None:
        """A part of the work with this many steps begins."""

    def step(self, what: str = "") -> None:
        """One step is done."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What is replayed, and where it goes."""

    first_day: date
    days: int
    data_dir: Path
    out: Path


@dataclass(frozen=True, slots=True)
class Players:
    """Who takes part."""

    operator: Connection
    brands: Mapping[str, Connection]
    clients: Sequence[ClientProcess]
    bank: Bank
    deliveries: Deliveries
    downtime: Downtime
    approval: Approval


@dataclass(frozen=True, slots=True)
class Played:
    """A day that was settled."""

    conversions: tuple[Conversion, ...]
    wishes: tuple[Wish, ...]
    outcomes: tuple[Outcome, ...]
    settled: SettledDay
    ordering_s: float

    @property
    def day(self) -> Day:
        """Its figures."""
        return day_of(self.wishes, self.outcomes, self.settled, self.ordering_s)


class Week:
    """The days so far."""

    def __init__(self, wanted: Replay, players: Players) -> None:
        """Before the first day."""
        data_begins, _ = dataset_days()
        before = read_purchases(data_begins, max((wanted.first_day - data_begins).days, 0))
        self._holdings = opening_holdings(before)
        self._wanted = wanted
        self._players = players
        self._agreed = agreed_corridors()
        self._played: list[Played] = []
        self._days: list[Day] = []
        self.bank_balance = Decimal("0.00")
        self.linked: LinkedMember | None = None
        """The first member who can links two accounts before the first order, and orders by the
        link from then on."""

    @property
    def days(self) -> tuple[Day, ...]:
        """Their figures. What is still reserved counts as committed."""
        return tuple(self._days)

    @property
    def window_ids(self) -> tuple[str, ...]:
        """Their windows."""
        return tuple(each.settled.window.window_id for each in self._played)

    @property
    def members(self) -> dict[str, str]:
        """By transfer, what its brands call the member; without those who are known by a link."""
        return {
            outcome.transfer_id: wish.member
            for played in self._played
            for wish, outcome in zip(played.wishes, played.outcomes, strict=True)
            if not wish.link_id
        }

    @property
    def instructions(self) -> Counter[str]:
        """By target, the transfers of which its program was to be told."""
        return Counter(
            wish.target
            for played in self._played
            for wish, outcome in zip(played.wishes, played.outcomes, strict=True)
            if outcome.outcome in (COMMITTED, RESERVED, *VOIDED)
        )

    def play(self, day: date) -> str:
        """Order, close and settle one day; what there is to say of it. Raises Failed."""
        players, wanted, place = self._players, self._wanted, len(self._played)
        planned = plan(self._holdings, read_purchases(day, 1))
        self.linked = self.linked or link_first(planned.conversions, wanted.data_dir / "brands")
        left = budgets_left(self._days)
        wishes = tuple(
            wish_of(each, self._agreed, left, self.linked) for each in planned.conversions
        )
        players.approval.begins(place)
        players.downtime.begins(place)
        started = time.perf_counter()
        outcomes = tuple(order_all(players.clients, wishes))
        ordering_s = time.perf_counter() - started
        refused = [
            conversion
            for conversion, outcome in zip(planned.conversions, outcomes, strict=True)
            if outcome.outcome not in (COMMITTED, RESERVED)
        ]
        self._holdings = give_back(planned.holdings, refused)
        players.downtime.ordered(place, wishes)
        if players.downtime.is_down:
            players.downtime.lasts()
        else:
            players.deliveries.wait_until(
                "that no transfer is in doubt", lambda look: not any(look.reserved.values())
            )
        settled = settle_day(
            players.operator,
            players.bank,
            wanted.out / "bank",
            f"{CURRENCY.lower()}-{day}",
            (day, day + timedelta(days=1)),
            self.bank_balance,
            lambda window_id: players.approval.accept(window_id, place),
        )
        self.bank_balance = settled.bank_balance
        self._played.append(Played(planned.conversions, wishes, outcomes, settled, ordering_s))
        self._days.append(self._played[-1].day)
        self._learn()
        return f"{day}: {len(wishes)} orders, settled"

    def _learn(self) -> None:
        """Ask what became of transfers that were reserved; who did not get points keeps them."""
        for place, played in enumerate(self._played):
            if any(each.outcome == RESERVED for each in played.outcomes):
                outcomes = tuple(self._as_it_stands(played))
                both = zip(played.conversions, played.outcomes, outcomes, strict=True)
                voided = [each for each, was, now in both if was != now and now.outcome in VOIDED]
                self._holdings = give_back(self._holdings, voided)
                self._played[place] = replace(played, outcomes=outcomes)
                self._days[place] = self._played[place].day

    def _as_it_stands(self, played: Played) -> Iterator[Outcome]:
        for wish, outcome in zip(played.wishes, played.outcomes, strict=True):
            if outcome.outcome == RESERVED:
                yield stands(self._players.brands[wish.source], outcome)
            else:
                yield outcome


def stands(own: Connection, outcome: Outcome) -> Outcome:
    """A reserved transfer's outcome as its source sees it now. Raises Failed."""
    request = GetTransferRequest(transfer_id=UUID(outcome.transfer_id).bytes)
    found = own.call(own.exchange.GetTransfer, request)
    if found.state == TRANSFER_STATE_COMMITTED:
        return replace(outcome, outcome=COMMITTED)
    if not found.reason:
        return outcome
    reason = ReasonName.Name(found.reason).removeprefix("REASON_")
    return replace(outcome, outcome=reason, quoted=False)


def play_all(wanted: Replay, players: Players, progress: Progress) -> Week:
    """Replay every day. Raises Failed."""
    operator = players.operator
    request = pb.OpenWindowRequest(currency=CURRENCY, business_date=wanted.first_day.isoformat())
    operator.call(operator.settlement.OpenWindow, request)
    players.approval.agree()
    progress.begin("replaying days of purchases", wanted.days)
    week = Week(wanted, players)
    for day in (wanted.first_day + timedelta(days=n) for n in range(wanted.days)):
        progress.step(week.play(day))
    return week
