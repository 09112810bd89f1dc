"""The demo from start to finish: a deployment, ten brands, days of real purchases, settled one by
one, and all of it verified.
"""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from exchange.cli.connection import Connection, connect
from exchange.cli.demo.archive import write_archive
from exchange.cli.demo.brand_client import COMMITTED
from exchange.cli.demo.clients import ClientProcess, client_processes, order_all
from exchange.cli.demo.coalition import BRANDS, CURRENCY, agreed_corridors
from exchange.cli.demo.figures import Figures
from exchange.cli.demo.host import running_server
from exchange.cli.demo.households import Holdings, give_back, opening_holdings, plan
from exchange.cli.demo.linked import LinkedMember, link_first, sights
from exchange.cli.demo.mishaps import send_mishaps
from exchange.cli.demo.onboarding import onboard
from exchange.cli.demo.operators import OPERATORS, both_operators, read_trail
from exchange.cli.demo.planted import plant
from exchange.cli.demo.promotion_costs import read_costs
from exchange.cli.demo.purchases import dataset_days, read_purchases
from exchange.cli.demo.settlement_day import Bank, settle_day
from exchange.cli.demo.totals import Day, Totals, day_of
from exchange.cli.demo.wishes import budgets_left, wish_of
from exchange.cli.profile import load_profile
from exchange.cli.verify import check_folder
from pointclear.settlement.v1 import settlement_service_pb2 as pb

CLIENT_PROCESSES = 2


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
class Week:
    """What the days came to."""

    window_ids: tuple[str, ...]
    days: tuple[Day, ...]
    bank_balance: Decimal
    """What the bank holds at the end."""
    linked: LinkedMember | None
    """Whose orders named a link."""


def replay(wanted: Replay, bank: Bank, progress: Progress) -> Figures:
    """Run the whole demo. The server and the client processes are ended on leaving, however that
    happens.
    """
    folder = wanted.data_dir / "brands"
    with ExitStack() as stack:
        progress.begin("starting PostgreSQL and the exchange", 1)
        address = stack.enter_context(running_server(wanted.data_dir, OPERATORS))
        operators = stack.enter_context(both_operators(wanted.data_dir, address))
        progress.begin("onboarding ten brands and 90 agreements", 2 * len(BRANDS))
        onboard(operators.together, wanted.data_dir, folder, progress.step)
        profiles = [folder / brand.partner_id for brand in BRANDS]
        clients = stack.enter_context(client_processes(profiles, CLIENT_PROCESSES))
        days = replay_days(wanted, operators.together, clients, bank, progress)
        corridor = agreed_corridors()["grocery", "fuel"]
        ends = (corridor.source.partner_id, corridor.target.partner_id)
        source, target = (stack.enter_context(connect(load_profile(folder / e))) for e in ends)
        mishaps = send_mishaps(source, corridor) + plant(operators, source, target, corridor)
        progress.begin("fetching receipts and statements", len(profiles) * len(days.window_ids))
        write_archive(profiles, days.window_ids, wanted.out, progress.step)
        seen = tuple(sights(days.linked, folder)) if days.linked else ()
        acted = read_trail(operators.maker)
    progress.begin("verifying everything offline", 1)
    report = check_folder(wanted.out, quiet=True)
    progress.step()
    return Figures(
        totals=Totals(days.days),
        mishaps=mishaps,
        verified=report.checked,
        faults=tuple(str(fault) for fault in report.faults),
        bank_balance=str(days.bank_balance),
        costs=read_costs(wanted.out),
        sights=seen,
        acted=acted,
    )


def replay_days(
    wanted: Replay,
    operator: Connection,
    clients: list[ClientProcess],
    bank: Bank,
    progress: Progress,
) -> Week:
    """Order, close and settle day by day. The first member who can links two accounts before the
    first order, and orders by the link from then on.
    """
    request = pb.OpenWindowRequest(currency=CURRENCY, business_date=wanted.first_day.isoformat())
    operator.call(operator.settlement.OpenWindow, request)
    progress.begin("replaying days of purchases", wanted.days)
    agreed = agreed_corridors()
    data_begins, _ = dataset_days()
    before = read_purchases(data_begins, max((wanted.first_day - data_begins).days, 0))
    holdings: Holdings = opening_holdings(before)
    window_ids: list[str] = []
    days: list[Day] = []
    balance = Decimal("0.00")
    linked: LinkedMember | None = None
    for day in (wanted.first_day + timedelta(days=n) for n in range(wanted.days)):
        planned = plan(holdings, read_purchases(day, 1))
        left = budgets_left(days)
        linked = linked or link_first(planned.conversions, wanted.data_dir / "brands")
        wishes = [wish_of(each, agreed, left, linked) for each in planned.conversions]
        started = time.perf_counter()
        outcomes = order_all(clients, wishes)
        ordering_s = time.perf_counter() - started
        refused = [
            conversion
            for conversion, outcome in zip(planned.conversions, outcomes, strict=True)
            if outcome.outcome != COMMITTED
        ]
        holdings = give_back(planned.holdings, refused)
        window_ids.append(f"{CURRENCY.lower()}-{day}")
        settled = settle_day(
            operator,
            bank,
            wanted.out / "bank",
            window_ids[-1],
            (day, day + timedelta(days=1)),
            balance,
        )
        balance = settled.bank_balance
        days.append(day_of(wishes, outcomes, settled, ordering_s))
        progress.step(f"{day}: {len(wishes)} orders, settled")
    return Week(tuple(window_ids), tuple(days), balance, linked)
