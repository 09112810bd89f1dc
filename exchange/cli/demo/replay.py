"""The demo from start to finish: a deployment, ten brands, days of real purchases, settled one by
one, and all of it verified.
"""

from contextlib import ExitStack

from exchange.cli.connection import connect
from exchange.cli.demo.approval import Approval
from exchange.cli.demo.archive import write_archive
from exchange.cli.demo.billing import record_details
from exchange.cli.demo.clients import client_processes
from exchange.cli.demo.coalition import BRANDS, agreed_corridors
from exchange.cli.demo.deliveries import Deliveries
from exchange.cli.demo.figures import Figures
from exchange.cli.demo.host import running_server
from exchange.cli.demo.linked import sights
from exchange.cli.demo.mishaps import send_mishaps
from exchange.cli.demo.onboarding import onboard
from exchange.cli.demo.operators import OPERATORS, both_operators, read_trail
from exchange.cli.demo.outage import Downtime
from exchange.cli.demo.own_books import RECONCILES, reconcile
from exchange.cli.demo.papers import fetch_papers
from exchange.cli.demo.planted import plant
from exchange.cli.demo.programs import running_programs, set_routes
from exchange.cli.demo.promotion_costs import read_costs
from exchange.cli.demo.purchases import read_purchases
from exchange.cli.demo.reached import reached_by_kind
from exchange.cli.demo.settlement_day import Bank
from exchange.cli.demo.totals import Totals
from exchange.cli.demo.week import Players, Progress, Replay, play_all
from exchange.cli.profile import load_profile
from exchange.cli.verify import check_folder

CLIENT_PROCESSES = 2
DOWN = "meat"
"""The brand whose program goes down: it confirms, so that transfers wait for it."""


def replay(wanted: Replay, bank: Bank, progress: Progress) -> Figures:
    """Run the whole demo. The server and the client processes are ended on leaving, however that
    happens.
    """
    folder = wanted.data_dir / "brands"
    with ExitStack() as stack:
        progress.begin("starting PostgreSQL and the exchange", 1)
        served = stack.enter_context(running_server(wanted.data_dir, OPERATORS))
        operators = stack.enter_context(both_operators(wanted.data_dir, served.address))
        progress.begin("onboarding ten brands and 90 agreements", 2 * len(BRANDS))
        onboard(operators.together, wanted.data_dir, folder, progress.step)
        record_details(operators.together)
        profiles = [folder / brand.partner_id for brand in BRANDS]
        clients = stack.enter_context(client_processes(profiles, CLIENT_PROCESSES))
        brands = {each.name: stack.enter_context(connect(load_profile(each))) for each in profiles}
        bought = read_purchases(wanted.first_day, wanted.days)
        programs = stack.enter_context(
            running_programs(brands, folder, wanted.data_dir / "programs", bought)
        )
        set_routes(operators.together, programs)
        deliveries = Deliveries(operators.maker, served.http)
        stack.enter_context(deliveries.watched())
        # From one day to the next, where there is one.
        middle = wanted.days // 2
        downtime = Downtime(programs[DOWN], deliveries, middle, min(middle + 1, wanted.days - 1))
        approval = Approval(operators.together, brands, middle)
        players = Players(operators.together, brands, clients, bank, deliveries, downtime, approval)
        week = play_all(wanted, players, progress)
        corridor = agreed_corridors()["grocery", "fuel"]
        source, target = (brands[e.partner_id] for e in (corridor.source, corridor.target))
        mishaps = send_mishaps(source, corridor) + plant(operators, source, target, corridor)
        progress.begin("fetching receipts and statements", len(profiles) * len(week.window_ids))
        write_archive(profiles, week.window_ids, wanted.out, progress.step)
        progress.begin("fetching papers, and reconciling a brand's own file", len(brands) + 2)
        last = week.window_ids[-1]
        papers = fetch_papers(operators.maker, brands, last, wanted.out, progress.step)
        own, kept = brands[RECONCILES], wanted.out / RECONCILES
        reconciled = reconcile(own, week.window_ids, week.members, kept)
        progress.step(RECONCILES)
        seen = tuple(sights(week.linked, folder)) if week.linked else ()
        acted = read_trail(operators.maker)
        # What was promised is still told: last of all by files, whose results are asked for later.
        deliveries.wait_until("that nothing waits", lambda look: not look.waiting)
        reached = tuple(reached_by_kind(week.instructions, deliveries))
    progress.begin("verifying everything offline", 1)
    report = check_folder(wanted.out, quiet=True)
    progress.step()
    return Figures(
        totals=Totals(week.days),
        mishaps=mishaps,
        verified=report.checked,
        faults=tuple(str(fault) for fault in report.faults),
        bank_balance=str(week.bank_balance),
        costs=read_costs(wanted.out),
        sights=seen,
        acted=acted,
        reached=reached,
        outage=downtime.outage(),
        acknowledged=approval.acknowledged,
        disputed=approval.disputed,
        papers=papers,
        reconciled=reconciled,
    )
