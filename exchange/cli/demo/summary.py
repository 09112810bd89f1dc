"""The tables that show what the demo came to, and the same figures for machines. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from rich.console import RenderableType

from exchange.cli.demo.coalition import BRANDS, CURRENCY, SCALE
from exchange.cli.demo.mishaps import Refusal
from exchange.cli.demo.offers import OFFERS, TIERS
from exchange.cli.demo.promotion_costs import PromotionCost
from exchange.cli.demo.totals import HUB, Totals
from exchange.cli.output import pairs, table
from partners.points import format_amount


def document(
    totals: Totals,
    costs: Sequence[PromotionCost],
    mishaps: Sequence[Refusal],
    verified: Mapping[str, int],
    bank_balance: str,
) -> dict[str, object]:
    """The figures for machines."""
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
        "sum_of_nets": format_amount(nets.total(), SCALE),
        "promotions": promotions_document(totals, costs),
        "tiers": {tier.segment_id: totals.uplift_points[tier.segment_id] for tier in TIERS},
        "currency": CURRENCY,
        "bank_balance": bank_balance,
        "refused_on_purpose": [asdict(each) for each in mishaps],
        "verified": dict(verified),
        "transfers_per_second": round(totals.orders_per_second, 1),
    }


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


def render(
    totals: Totals,
    costs: Sequence[PromotionCost],
    mishaps: Sequence[Refusal],
    verified: Mapping[str, int],
    bank_balance: str,
) -> tuple[RenderableType, ...]:
    """The figures for people."""
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
    refused = ", ".join(f"{count} {reason}" for reason, count in sorted(totals.refused.items()))
    return (
        table(
            ("brand", "points out", "points in", f"net {CURRENCY}"),
            rows,
            right=("points out", "points in", f"net {CURRENCY}"),
        ),
        table(
            ("promotion", "bonus points", "funder", f"paid {CURRENCY}"),
            [
                (
                    cost.offer.promotion_id,
                    f"{totals.bonus_points[cost.offer.promotion_id]:,}",
                    cost.funder,
                    format_amount(cost.amount, SCALE),
                )
                for cost in costs
            ],
            right=("bonus points", f"paid {CURRENCY}"),
        ),
        table(
            ("refused on purpose", "reason", "signed receipt"),
            [(each.what, each.reason, "yes" if each.recorded else "no") for each in mishaps],
        ),
        pairs(
            (
                ("days settled", totals.days),
                ("orders", totals.orders),
                ("committed", f"{totals.committed} ({totals.quoted} at quotes)"),
                ("refused", f"{totals.refused.total()} ({refused})" if refused else 0),
                ("bank balance", f"{bank_balance} {CURRENCY}"),
                *((f"{name.replace('_', ' ')} verified", n) for name, n in verified.items()),
                ("transfers per second", f"{totals.orders_per_second:,.0f}"),
            )
        ),
    )
