"""The demo's page: headline figures, charts and tables as one HTML file. Pure: the same figures
give the same bytes.

Rules kept here:

- The page is self-contained: no script, and nothing is loaded. Its own content security policy
  says so.
- Every chart has its figures in a table below it.
- Whatever is not our own markup is escaped; a chart comes as markup from the renderer.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from exchange.cli.demo import charts
from exchange.cli.demo import report_tables as tables
from exchange.cli.demo.chart_parts import NAMES, Chart, spans, svg
from exchange.cli.demo.coalition import CURRENCY
from exchange.cli.demo.figures import Figures
from exchange.cli.demo.offers import TIERS
from exchange.cli.demo.outage import Outage
from exchange.cli.demo.outage_chart import outage_chart
from exchange.cli.demo.promotion_chart import promotion_costs
from exchange.cli.demo.reached import Reached
from exchange.cli.demo.report_tables import Table, amount, count
from exchange.cli.demo.totals import Totals

WIDTHS_PX = {"wide": 900, "narrow": 330}
"""The page shows each chart in the width that fits."""
ON_PURPOSE = "wrong on purpose"


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart in every width, and its figures."""

    title: str
    text: str
    svgs: Mapping[str, Markup]
    """By the names of `WIDTHS_PX`; none where there is nothing to draw."""
    table: Table
    shown: Table | None = None
    """Stands above the chart."""


@dataclass(frozen=True, slots=True)
class Note:
    """A part of the page without a chart."""

    title: str
    text: str
    table: Table


def page(figures: Figures) -> str:
    """The page as HTML."""
    environment = Environment(
        loader=PackageLoader("exchange.cli.demo", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    totals = figures.totals
    return environment.get_template("report.html.j2").render(
        period=period(totals.by_day[0].business_date, totals.by_day[-1].business_date),
        headlines=tuple(headlines(figures)),
        sum_of_nets=totals.nets.total(),
        faults=figures.faults,
        blind=figures.brands_are_blind,
        delivered=figures.is_delivered,
        verified=figures.verified,
        brands=tables.brand_table(totals),
        drawings=tuple(drawings(figures)),
        notes=(*notes(figures), *finance_notes(figures)),
        reconciled=figures.is_reconciled,
    )


def period(first: date, last: date) -> str:
    """The days, as people write them."""
    begin = f"{first.day} {first:%B %Y}"
    return begin if first == last else f"{begin} to {last.day} {last:%B %Y}"


def headlines(figures: Figures) -> Iterator[tuple[str, str, str]]:
    """What stands above all else: a name, a figure, and a line on it."""
    totals, verified = figures.totals, figures.verified
    committed, refused = totals.committed, totals.refused.total()
    legs = sum(paid.legs for paid in tables.paid_by_party(totals).values())
    statements = count(verified.get("statements", 0))
    yield "Orders", count(totals.orders), f"in {count(totals.days)} settled days"
    share = f"{committed / max(totals.orders, 1):.1%} of orders"
    yield "Committed", count(committed), f"{share}, {count(totals.quoted)} at quotes"
    yield "Refused", count(refused), f"and {len(figures.mishaps)} {ON_PURPOSE}"
    given = count(totals.points_in.total())
    yield "Points taken", count(totals.points_out.total()), f"{given} given for them"
    yield f"Σ of nets, {CURRENCY}", amount(totals.nets.total()), "all that is owed is due"
    yield "Receipts verified", count(verified.get("receipts", 0)), f"and {statements} statements"
    yield "Orders per second", f"{totals.orders_per_second:,.0f}", "signed, sent and answered"
    yield f"Bank balance, {CURRENCY}", figures.bank_balance, f"after {count(legs)} paid legs"


def drawings(figures: Figures) -> Iterator[Drawing]:
    """Every chart of the page, in order."""
    totals = figures.totals
    yield drawing(
        "Points between brands",
        "Points taken from members of the brand on the left and turned into points of the brand"
        " above. The figures are points of the brand on the left.",
        partial(charts.flows, totals),
        tables.flow_table(totals),
    )
    yield promotion_drawing(figures)
    every = "day" if len(spans(totals)) == totals.days else "week"
    yield from money_drawings(totals, every)
    yield from order_drawings(totals, every)
    yield refusal_drawing(figures)
    if figures.outage is not None:
        yield program_drawing(figures.reached, figures.outage)


def promotion_drawing(figures: Figures) -> Drawing:
    """What bonuses came to, and who paid."""
    given = figures.totals.uplift_points
    tiers = " and ".join(f"{count(given[tier.segment_id])} to {tier.segment_id}" for tier in TIERS)
    return drawing(
        "What each promotion cost whom",
        "Bonus points that two pay for, at the price of the brand that grants them, as its signed"
        " statements tell it. What that brand pays itself is its own and moves nowhere. Once a"
        " budget is used up, orders that count on the bonus are refused. The same two corridors"
        f" have tiers, which gave {tiers} members; these points the source pays for.",
        partial(promotion_costs, figures.costs) if figures.costs else None,
        tables.promotion_table(figures.costs, figures.totals.bonus_points),
    )


def money_drawings(totals: Totals, every: str) -> Iterator[Drawing]:
    """Who owes, and who paid."""
    yield drawing(
        f"Net positions by {every}",
        f"What each brand is owed for the {every} (above zero) or owes (below), in {CURRENCY}."
        " Each panel has a scale of its own.",
        partial(charts.nets, totals),
        tables.net_table(totals),
    )
    paid = tables.paid_by_party(totals)
    yield drawing(
        "Settlement legs",
        f"What each brand paid in and was paid out through the bank in all, in {CURRENCY}, and the"
        " operator for the bonuses that it funds. Whole cents are paid; what is left is carried to"
        " the next day.",
        partial(charts.legs, {key: (own.paid_in, own.paid_out) for key, own in paid.items()}),
        tables.leg_table(paid),
    )


def order_drawings(totals: Totals, every: str) -> Iterator[Drawing]:
    """How many orders there were, and how fast they went."""
    yield drawing(
        f"Orders by {every}",
        "How many orders the brands sent.",
        partial(charts.orders, totals),
        tables.order_table(totals),
    )
    yield drawing(
        f"Throughput by {every}",
        "Orders per second, from the first order sent to the last one answered. A day of few"
        " orders does not fill the exchange, and the first day opens every brand's channel.",
        partial(charts.throughput, totals),
        tables.throughput_table(totals),
    )


def refusal_drawing(figures: Figures) -> Drawing:
    """Refusals of the replay, and of the orders that went wrong on purpose."""
    refused = figures.totals.refused
    origins = {tables.REPLAYED: refused, ON_PURPOSE: Counter(e.reason for e in figures.mishaps)}
    rows = [
        {"reason": reason, "origin": origin, "orders": n}
        for origin, reasons in origins.items()
        for reason, n in sorted(reasons.items())
    ]
    return drawing(
        "Refusals by reason",
        "What is refused moves nothing. After the last day a few orders are sent that are wrong on"
        " purpose, terms by which points would grow in a circle, and one operator tries to be"
        " two; a refusal that is recorded comes with a signed receipt.",
        partial(charts.refusals, rows) if rows else None,
        tables.refusal_table(refused, figures.mishaps),
    )


def program_drawing(reached: Sequence[Reached], outage: Outage) -> Drawing:
    """How instructions came to programs, and how one of these was down."""
    name = NAMES[outage.brand]
    confirming = ", ".join(NAMES[each.brand] for each in reached if each.confirms)
    settled = (
        f" A day was closed and settled without {count(outage.left_in_window)} of them; they count"
        " in the next day's window."
        if outage.left_in_window
        else ""
    )
    drawn = drawing(
        "Every kind of brand",
        "One brand for each way by which a program is told what to give its members; all others"
        f" read their streams. A transfer to {confirming} commits by its signed answer alone, and"
        " is void where it declines: some households have left it. In the middle of the replay the"
        f" program of {name} stopped answering, was killed, and was back after"
        f" {outage.down_s:.1f} s. What it may have been told is in doubt until it says what became"
        f" of it.{settled} Instructions to other brands went on.",
        partial(outage_chart, outage),
        tables.outage_table(outage),
    )
    return replace(drawn, shown=tables.reached_table(reached))


def notes(figures: Figures) -> Iterator[Note]:
    """What is told in tables alone."""
    if figures.sights:
        source, target = figures.sights
        never = "and never" if figures.brands_are_blind else "and also"
        yield Note(
            "A member with a link",
            f"A household linked its accounts at two brands: {source.brand} started the link and"
            f" {target.brand} confirmed it with its signature. Since then its orders between them"
            " name the link and no member. In all that the exchange told either brand its own"
            f" reference stands, {never} the other's.",
            tables.link_table(figures.sights),
        )
    if figures.acted:
        together = sum(each.count for each in figures.acted if each.checker)
        yield Note(
            "Who acted for the coalition",
            "Every change by an operator is a signed action, recorded in the log. What gives or"
            f" moves money takes two: {count(together)} times one operator made it and another"
            " approved the very bytes. What nobody has approved waits, and has changed nothing.",
            tables.operator_table(figures.acted),
        )


def finance_notes(figures: Figures) -> Iterator[Note]:
    """How the days were closed, in tables."""
    if figures.disputed is not None:
        yield Note(
            "A line in dispute",
            "Two people of finance approve each day's draft by its digest; then every brand looks"
            f" at its statement and counter-signs it: {count(figures.acknowledged)} times. On one"
            " day a brand did not find a credit. Its line was withheld on both sides, the two"
            " statements were stated again, and nobody else waited.",
            tables.dispute_table(figures.disputed),
        )
    if figures.reconciled is not None:
        found = figures.reconciled
        yield Note(
            "A brand's own file, reconciled",
            f"{NAMES[found.brand]} held its own file of {count(found.rows)} rows against the"
            f" exchange's {count(found.lines)} lines of {found.window_id}. One difference of every"
            " kind had been planted into it.",
            tables.reconciled_table(found),
        )
    if figures.papers:
        yield Note(
            "Papers of the last day",
            "A statement as PDF and the lines as a workbook for every brand, and for the operator"
            " who owes whom and the proof that the bank holds it. The same bytes come out again.",
            tables.paper_table(figures.papers),
        )


def drawing(title: str, text: str, draw: Callable[[int], Chart] | None, table: Table) -> Drawing:
    """A chart in every width, with its table."""
    described = str(escape(f"Chart: {title}. {text} The same figures are in the table below."))
    widths = WIDTHS_PX if draw else {}
    svgs = {name: Markup(svg(draw, width, described)) for name, width in widths.items() if draw}
    return Drawing(title, text, svgs, table)
