"""The tables of the demo's report: every chart's figures, in full. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from exchange.cli.demo.approval import Disputed
from exchange.cli.demo.chart_parts import HUB_NAME, NAMES
from exchange.cli.demo.coalition import BRANDS, CURRENCY, SCALE
from exchange.cli.demo.linked import Sight
from exchange.cli.demo.mishaps import Refusal
from exchange.cli.demo.operators import Acted
from exchange.cli.demo.outage import Outage
from exchange.cli.demo.own_books import Reconciled
from exchange.cli.demo.papers import Paper
from exchange.cli.demo.promotion_costs import PromotionCost
from exchange.cli.demo.reached import Reached
from exchange.cli.demo.totals import HUB, Totals
from partners.points import format_amount

BRAND_IDS = tuple(brand.partner_id for brand in BRANDS)
REPLAYED = "replayed purchases"
STATES = {"CARRIED_OUT": "was done", "REFUSED": "was refused", "PENDING": "waits"}
"""Of an operator's action, for people."""
NEXT_STEPS = {
    "MISSING_AT_PARTNER": "look it up; dispute it where nobody was credited",
    "MISSING_AT_EXCHANGE": "a stray row: take it out, or order a transfer",
    "POINTS_MISMATCH": "compare with the agreement version",
    "MONEY_MISMATCH": "compare price and rounding",
    "RATE_MISMATCH": "compare with the agreement version",
    "FEE_MISMATCH": "compare the fee's terms",
    "TAX_MISMATCH": "compare the tax code and its rate",
    "STATUS_MISMATCH": "can end a transfer in doubt",
    "DUPLICATE_AT_PARTNER": "reverse one",
    "TIMING": "clears itself with the other day's file",
    "MEMBER_MISMATCH": "compare by digests, never by references",
    "ROUNDING": "explained, never dropped",
}
"""What to do about a break, for people."""
WAYS = {
    "PULL": "fetches",
    "GRPC": "is called over gRPC",
    "HTTP": "is called over HTTP",
    "FILE": "takes files",
    "SIMULATED": "is simulated",
}
"""Of instructions to a program, for people."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first column of a row names it."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    sums: tuple[str, ...] = ()
    """The last row, where figures add up."""
    words: bool = False
    """Whether it holds words and not figures."""
    names: int = 1
    """How many of the first columns hold words in any case."""


@dataclass(frozen=True, slots=True)
class Paid:
    """A brand's legs of all days, in units of the currency's scale."""

    paid_in: int
    paid_out: int
    legs: int


def brand_table(totals: Totals) -> Table:
    """Each brand's points and net, as the command prints them."""
    out, in_, nets = totals.points_out, totals.points_in, totals.nets
    rows = [
        (brand.legal_name, count(out[key]), count(in_[key]), amount(nets[key]))
        for key, brand in zip(BRAND_IDS, BRANDS, strict=True)
    ]
    rows.append((HUB_NAME, "", "", amount(nets[HUB])))
    return Table(
        ("brand", "points out", "points in", f"net {CURRENCY}"),
        tuple(rows),
        ("Σ", "", "", amount(nets.total())),
    )


def flow_table(totals: Totals) -> Table:
    """Source points and what was given for them, by corridor."""
    rows = [
        (f"{source} → {target}", count(points), count(totals.target_points[source, target]))
        for (source, target), points in totals.source_points.most_common()
    ]
    return Table(("from → to", "points taken", "points given"), tuple(rows))


def net_table(totals: Totals) -> Table:
    """Every day's nets; each row sums to 0."""
    partners = (*BRAND_IDS, HUB)
    rows = [
        (
            day.business_date.isoformat(),
            *(amount(day.nets.get(partner, 0)) for partner in partners),
            amount(sum(day.nets.values())),
        )
        for day in totals.by_day
    ]
    nets = totals.nets
    sums = ("Σ", *(amount(nets[partner]) for partner in partners), amount(nets.total()))
    return Table(("day", *BRAND_IDS, "operator", "Σ"), tuple(rows), sums)


def order_table(totals: Totals) -> Table:
    """Every day's orders."""
    rows = []
    for day in totals.by_day:
        refused = sum(day.refused.values())
        figures = (count(day.orders), count(day.orders - refused), count(refused))
        rows.append((day.business_date.isoformat(), *figures))
    sums = (count(totals.orders), count(totals.committed), count(totals.refused.total()))
    return Table(("day", "orders", "committed", "refused"), tuple(rows), ("Σ", *sums))


def throughput_table(totals: Totals) -> Table:
    """Every day's orders, the time they took, and both as a rate."""
    rows = [
        (
            day.business_date.isoformat(),
            count(day.orders),
            f"{day.ordering_s:.3f}",
            f"{Totals((day,)).orders_per_second:,.1f}",
        )
        for day in totals.by_day
    ]
    return Table(("day", "orders", "seconds", "orders per second"), tuple(rows))


def refusal_table(refused: Mapping[str, int], mishaps: Iterable[Refusal]) -> Table:
    """The replay's refusals by reason, then each order that went wrong on purpose."""
    rows = [(reason, count(n), REPLAYED, "") for reason, n in sorted(refused.items())]
    rows += [(e.reason, "1", e.what, "yes" if e.recorded else "no") for e in mishaps]
    return Table(("reason", "orders", "what was wrong", "signed receipt"), tuple(rows), words=True)


def paid_by_party(totals: Totals) -> dict[str, Paid]:
    """What each brand, and the operator, paid in and was paid out."""
    parties = (*BRAND_IDS, HUB)
    legs = {key: [day.paid[key] for day in totals.by_day if key in day.paid] for key in parties}
    return {key: _paid(amounts) for key, amounts in legs.items()}


def leg_table(paid: Mapping[str, Paid]) -> Table:
    """Each brand's legs, and the operator's own."""
    rows = [
        (NAMES[key], count(own.legs), amount(own.paid_in), amount(own.paid_out))
        for key, own in paid.items()
    ]
    every = paid.values()
    sums = (
        count(sum(own.legs for own in every)),
        amount(sum(own.paid_in for own in every)),
        amount(sum(own.paid_out for own in every)),
    )
    columns = ("brand", "legs", f"paid in, {CURRENCY}", f"paid out, {CURRENCY}")
    return Table(columns, tuple(rows), ("Σ", *sums))


def promotion_table(costs: Sequence[PromotionCost], granted: Mapping[str, int]) -> Table:
    """What every promotion granted, and what it cost each of its funders."""
    rows: list[tuple[str, ...]] = []
    for cost in costs:
        offer = cost.offer
        points = (count(granted.get(offer.promotion_id, 0)), count(offer.budget_points))
        first = not rows or rows[-1][0] != offer.promotion_id
        rows.append(
            (
                offer.promotion_id,
                f"{offer.source} → {offer.target}",
                *(points if first else ("", "")),
                NAMES[cost.funder],
                f"{cost.share_basis_points / 10_000:.0%}",
                amount(cost.amount),
            )
        )
    columns = ("promotion", "from → to", "points granted", "budget", "funder", "share")
    total = amount(sum(cost.amount for cost in costs))
    sums = ("Σ", "", count(sum(granted.values())), "", "", "", total)
    return Table((*columns, f"paid, {CURRENCY}"), tuple(rows), sums)


def link_table(sights: Sequence[Sight]) -> Table:
    """What each of two brands saw of a linked member."""
    rows = [
        (
            each.brand,
            ", ".join(each.shown),
            count(each.transfers),
            f"{count(each.learnt)} times" if each.learnt else "never",
        )
        for each in sights
    ]
    columns = ("brand", "references that it saw", "receipts and notices", "saw the other's")
    return Table(columns, tuple(rows), words=True)


def operator_table(acted: Sequence[Acted]) -> Table:
    """What the operators signed for, and who approved it."""
    rows = [
        (each.call, count(each.count), each.maker, each.checker, STATES.get(each.state, each.state))
        for each in acted
    ]
    return Table(("call", "times", "made by", "approved by", "it"), tuple(rows), words=True)


def reached_table(reached: Sequence[Reached]) -> Table:
    """What every brand with a program was told, and what came of it."""
    rows = [
        (
            NAMES[each.brand],
            WAYS[each.kind] + (", confirms" if each.confirms else ""),
            count(each.instructions),
            count(each.answered),
            count(each.attempts),
            count(each.declined),
            f"{each.longest_wait_s:.1f} s",
        )
        for each in reached
    ]
    columns = ("brand", "its program", "told", "answered", "attempts", "declined", "longest wait")
    return Table(columns, tuple(rows), names=2)


def outage_table(outage: Outage) -> Table:
    """What waited while a brand's program was down."""
    rows = [
        (f"{each.second:.2f}", count(each.waiting), count(each.in_doubt), count(each.others))
        for each in outage.steps
    ]
    columns = ("second", f"wait for {outage.brand}", "of these in doubt", "wait for other brands")
    return Table(columns, tuple(rows))


def reconciled_table(reconciled: Reconciled) -> Table:
    """What was planted into a brand's own file, and what was found in it."""
    rows = [
        (
            category,
            count(reconciled.planted.get(category, 0)),
            count(reconciled.found.get(category, 0)),
            NEXT_STEPS.get(category, ""),
        )
        for category in sorted({*reconciled.planted, *reconciled.found})
    ]
    columns = (f"break in {reconciled.brand}'s own file", "planted", "found", "next step")
    return Table(columns, tuple(rows), words=True)


def paper_table(papers: Sequence[Paper]) -> Table:
    """What the last day produced for people."""
    rows = [
        (NAMES.get(each.whose, HUB_NAME), each.name, count(each.size), each.sha256[:16])
        for each in papers
    ]
    return Table(("whose", "file", "bytes", "SHA-256 begins with"), tuple(rows), words=True)


def dispute_table(disputed: Disputed) -> Table:
    """What was in dispute for a day."""
    rows = (
        (
            disputed.window_id,
            NAMES[disputed.brand],
            NAMES.get(disputed.other, disputed.other),
            amount(disputed.amount),
            ", ".join(NAMES[name] for name, n in disputed.versions.items() if n > 1),
            "withdrawn the next day" if disputed.withdrawn else "not decided yet",
        ),
    )
    columns = ("window", "disputed by", "with", f"withheld {CURRENCY}", "stated again", "then")
    return Table(columns, rows, words=True)


def count(number: int) -> str:
    """A whole number for people."""
    return f"{number:,}"


def amount(units: int) -> str:
    """Money in full: every figure of the currency's scale."""
    return f"{Decimal(format_amount(units, SCALE)):,}"


def _paid(amounts: Sequence[int]) -> Paid:
    paid_in = -sum(each for each in amounts if each < 0)
    return Paid(paid_in, sum(each for each in amounts if each > 0), len(amounts))
