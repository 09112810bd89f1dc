"""The tables that show what the demo came to, and the same figures for machines. Pure."""

from collections.abc import Sequence
from dataclasses import asdict

from rich.console import RenderableType

from exchange.cli.demo.approval import Disputed
from exchange.cli.demo.coalition import BRANDS, CURRENCY, SCALE
from exchange.cli.demo.figures import Figures
from exchange.cli.demo.linked import Sight
from exchange.cli.demo.offers import OFFERS, TIERS
from exchange.cli.demo.operators import Acted
from exchange.cli.demo.outage import Outage
from exchange.cli.demo.own_books import Reconciled
from exchange.cli.demo.papers import Paper
from exchange.cli.demo.promotion_costs import PromotionCost
from exchange.cli.demo.reached import Reached
from exchange.cli.demo.report_tables import reached_table, reconciled_table
from exchange.cli.demo.totals import HUB, Totals
from exchange.cli.output import pairs, table
from partners.points import format_amount


def document(figures: Figures) -> dict[str, object]:
    """The figures for machines."""
    totals = figures.totals
    points_out, points_in, nets = totals.points_out, totals.points_in, totals.nets
    return {
        "days": totals.days,
        "orders": totals.orders,
        "committed": totals.committed,
        "committed_at_quotes": totals.quoted,
        "refused": dict(sorted(totals.refused.items())),
        "brands": {
            brand.partner_id: {
                "points_out": points_out[brand.partner_id],
                "points_in": points_in[brand.partner_id],
                "net": format_amount(nets[brand.partner_id], SCALE),
            }
            for brand in BRANDS
        },
        "hub_net": format_amount(nets[HUB], SCALE),
        "operator_paid": format_amount(totals.operator_paid, SCALE),
        "sum_of_nets": format_amount(nets.total(), SCALE),
        "promotions": promotions_document(totals, figures.costs),
        "tiers": {tier.segment_id: totals.uplift_points[tier.segment_id] for tier in TIERS},
        "linked_member": [asdict(each) for each in figures.sights],
        "operators": [asdict(each) for each in figures.acted],
        "programs": {each.brand: asdict(each) for each in figures.reached},
        "outage": outage_document(figures.outage),
        "statements_acknowledged": figures.acknowledged,
        "disputed": disputed_document(figures.disputed),
        "papers": [asdict(each) for each in figures.papers],
        "reconciled": reconciled_document(figures.reconciled),
        "currency": CURRENCY,
        "bank_balance": figures.bank_balance,
        "refused_on_purpose": [asdict(each) for each in figures.mishaps],
        "verified": dict(figures.verified),
        "transfers_per_second": round(totals.orders_per_second, 1),
    }


def outage_document(outage: Outage | None) -> dict[str, object] | None:
    """How a brand's program was down."""
    if outage is None:
        return None
    return {
        "brand": outage.brand,
        "down_seconds": round(outage.down_s, 1),
        "waiting_max": outage.waiting_max,
        "in_doubt_max": outage.in_doubt_max,
        "left_in_window": outage.left_in_window,
        "caught_up_after_seconds": round(outage.drained_at - outage.back_at, 1),
    }


def disputed_document(disputed: Disputed | None) -> dict[str, object] | None:
    """What was withheld for a day."""
    if disputed is None:
        return None
    return {**asdict(disputed), "amount": format_amount(disputed.amount, SCALE)}


def reconciled_document(reconciled: Reconciled | None) -> dict[str, object] | None:
    """What was found in a brand's own file."""
    return None if reconciled is None else asdict(reconciled)


def promotions_document(
    totals: Totals, costs: Sequence[PromotionCost]
) -> dict[str, dict[str, object]]:
    """What each promotion granted, and what it cost whom."""
    return {
        offer.promotion_id: {
            "source": offer.source,
            "target": offer.target,
            "budget_points": offer.budget_points,
            "granted_points": totals.bonus_points[offer.promotion_id],
            "paid": {
                cost.funder: format_amount(cost.amount, SCALE)
                for cost in costs
                if cost.offer is offer
            },
        }
        for offer in OFFERS
    }


def render(figures: Figures) -> tuple[RenderableType, ...]:
    """The figures for people."""
    totals = figures.totals
    verified = [(f"{name.replace('_', ' ')} verified", n) for name, n in figures.verified.items()]
    on_purpose = [(e.what, e.reason, "yes" if e.recorded else "no") for e in figures.mishaps]
    return (
        brands_table(totals),
        promotions_table(totals, figures.costs),
        table(
            ("linked member at", "is called", "by link", "the other's reference was seen"),
            [(each.brand, each.reference, each.transfers, seen(each)) for each in figures.sights],
            right=("by link",),
        ),
        programs_table(figures.reached),
        *([breaks_table(figures.reconciled)] if figures.reconciled else ()),
        table(("refused on purpose", "reason", "signed receipt"), on_purpose),
        pairs(
            (
                ("days settled", totals.days),
                ("orders", totals.orders),
                ("committed", f"{totals.committed} ({totals.quoted} at quotes)"),
                ("refused", reasons(totals)),
                ("bank balance", f"{figures.bank_balance} {CURRENCY}"),
                ("operator paid", f"{operator_paid(totals)} for its bonuses, by legs of its own"),
                ("statements acknowledged", figures.acknowledged),
                *(withheld(figures.disputed) if figures.disputed else ()),
                *(printed(figures.papers) if figures.papers else ()),
                ("operators signed", signed(figures.acted)),
                *(down(figures.outage) if figures.outage else ()),
                *verified,
                ("transfers per second", f"{totals.orders_per_second:,.0f}"),
            )
        ),
    )


def operator_paid(totals: Totals) -> str:
    """What the bank saw come in from the operator."""
    return f"{format_amount(totals.operator_paid, SCALE)} {CURRENCY}"


def brands_table(totals: Totals) -> RenderableType:
    """Each brand's points and net."""
    points_out, points_in, nets = totals.points_out, totals.points_in, totals.nets
    rows = [
        (
            brand.legal_name,
            f"{points_out[brand.partner_id]:,}",
            f"{points_in[brand.partner_id]:,}",
            format_amount(nets[brand.partner_id], SCALE),
        )
        for brand in BRANDS
    ]
    rows.append(("the operator", "", "", format_amount(nets[HUB], SCALE)))
    rows.append(("Σ", "", "", format_amount(nets.total(), SCALE)))
    columns = ("brand", "points out", "points in", f"net {CURRENCY}")
    return table(columns, rows, right=columns[1:])


def promotions_table(totals: Totals, costs: Sequence[PromotionCost]) -> RenderableType:
    """What each promotion granted, and what it cost whom."""
    rows = [
        (
            cost.offer.promotion_id,
            f"{totals.bonus_points[cost.offer.promotion_id]:,}",
            cost.funder,
            format_amount(cost.amount, SCALE),
        )
        for cost in costs
    ]
    columns = ("promotion", "bonus points", "funder", f"paid {CURRENCY}")
    return table(columns, rows, right=("bonus points", f"paid {CURRENCY}"))


def programs_table(reached: Sequence[Reached]) -> RenderableType:
    """What every brand with a program was told, and what came of it."""
    every = reached_table(reached)
    rows = [(each.brand, *row[1:]) for each, row in zip(reached, every.rows, strict=True)]
    return table(every.columns, rows, right=every.columns[2:])


def breaks_table(reconciled: Reconciled) -> RenderableType:
    """What was planted into a brand's own file, and what was found in it."""
    every = reconciled_table(reconciled)
    return table(every.columns, every.rows, right=every.columns[1:3])


def withheld(disputed: Disputed) -> tuple[tuple[str, str], ...]:
    """What was in dispute for a day."""
    versions = sum(each > 1 for each in disputed.versions.values())
    ended = "withdrawn the next day" if disputed.withdrawn else "not decided yet"
    amount = f"{format_amount(disputed.amount, SCALE)} {CURRENCY}"
    said = f"{amount} between {disputed.other} and {disputed.brand}, {versions} statements again"
    return (("in dispute", f"{said}, {ended}"),)


def printed(papers: Sequence[Paper]) -> tuple[tuple[str, str], ...]:
    """How many papers there are."""
    pdf = sum(each.name.endswith(".pdf") for each in papers)
    return (("papers of the last day", f"{pdf} PDF, {len(papers) - pdf} XLSX"),)


def down(outage: Outage) -> tuple[tuple[str, str], ...]:
    """How a brand's program was down."""
    most = f"{outage.waiting_max} waited, {outage.in_doubt_max} in doubt"
    caught_up = f"{outage.drained_at - outage.back_at:.1f} s to catch up"
    return ((f"{outage.brand} was down", f"{outage.down_s:.1f} s ({most}, {caught_up})"),)


def seen(sight: Sight) -> str:
    """How often a brand came upon what the other calls the member."""
    return f"{sight.learnt} times" if sight.learnt else "never"


def reasons(totals: Totals) -> str:
    """How many orders were refused, and why."""
    refused = ", ".join(f"{count} {reason}" for reason, count in sorted(totals.refused.items()))
    return f"{totals.refused.total()} ({refused})" if refused else "0"


def signed(acted: Sequence[Acted]) -> str:
    """How many actions the operators signed, and how many of them together."""
    every = sum(each.count for each in acted)
    together = sum(each.count for each in acted if each.checker)
    return f"{every} actions ({together} by two)"
