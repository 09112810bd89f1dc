"""What the demo came to: the figures, and the tables that show them. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from rich.console import RenderableType

from exchange.cli.demo.brand_client import COMMITTED, Outcome, Wish
from exchange.cli.demo.coalition import BRANDS, CURRENCY, SCALE
from exchange.cli.demo.mishaps import Refusal
from exchange.cli.output import pairs, table
from partners.points import format_amount
from pointclear.settlement.v1 import settlement_service_pb2 as pb

HUB = "hub"


@dataclass(slots=True)
class Totals:
    """Running totals of a replay."""

    orders: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    points_out: Counter[str] = field(default_factory=Counter)
    points_in: Counter[str] = field(default_factory=Counter)
    nets: Counter[str] = field(default_factory=Counter)
    """By partner and `hub`, in units of the currency's scale."""
    days: int = 0
    ordering_s: float = 0.0
    """Time in which orders were under way."""

    def add_day(
        self,
        wishes: Iterable[Wish],
        outcomes: Iterable[Outcome],
        window: pb.Window,
        ordering_s: float,
    ) -> None:
        """Count a day's orders and the net of its window."""
        for wish, outcome in zip(wishes, outcomes, strict=True):
            self.orders += 1
            if outcome.outcome == COMMITTED:
                self.points_out[wish.source] += wish.source_points
                self.points_in[wish.target] += wish.target_points
            else:
                self.refused[outcome.outcome] += 1
        for position in window.net_positions:
            self.nets[position.partner_id] += position.net
        self.days += 1
        self.ordering_s += ordering_s

    @property
    def committed(self) -> int:
        """Orders that became transfers."""
        return self.orders - self.refused.total()

    @property
    def orders_per_second(self) -> float:
        """While orders were under way."""
        return self.orders / self.ordering_s if self.ordering_s else 0.0


def document(
    totals: Totals, mishaps: Sequence[Refusal], verified: Mapping[str, int], bank_balance: str
) -> dict[str, object]:
    """The figures for machines."""
    return {
        "days": totals.days,
        "orders": totals.orders,
        "committed": totals.committed,
        "refused": dict(sorted(totals.refused.items())),
        "brands": {
            brand.partner_id: {
                "points_out": totals.points_out[brand.partner_id],
                "points_in": totals.points_in[brand.partner_id],
                "net": format_amount(totals.nets[brand.partner_id], SCALE),
            }
            for brand in BRANDS
        },
        "hub_net": format_amount(totals.nets[HUB], SCALE),
        "sum_of_nets": format_amount(totals.nets.total(), SCALE),
        "currency": CURRENCY,
        "bank_balance": bank_balance,
        "refused_on_purpose": [asdict(each) for each in mishaps],
        "verified": dict(verified),
        "transfers_per_second": round(totals.orders_per_second, 1),
    }


def render(
    totals: Totals, mishaps: Sequence[Refusal], verified: Mapping[str, int], bank_balance: str
) -> tuple[RenderableType, ...]:
    """The figures for people."""
    rows = [
        (
            brand.legal_name,
            f"{totals.points_out[brand.partner_id]:,}",
            f"{totals.points_in[brand.partner_id]:,}",
            format_amount(totals.nets[brand.partner_id], SCALE),
        )
        for brand in BRANDS
    ]
    rows.append(("the operator (fees and tax)", "", "", format_amount(totals.nets[HUB], SCALE)))
    rows.append(("Σ", "", "", format_amount(totals.nets.total(), SCALE)))
    refused = ", ".join(f"{count} {reason}" for reason, count in sorted(totals.refused.items()))
    return (
        table(
            ("brand", "points out", "points in", f"net {CURRENCY}"),
            rows,
            right=("points out", "points in", f"net {CURRENCY}"),
        ),
        table(
            ("refused on purpose", "reason", "signed receipt"),
            [(each.what, each.reason, "yes" if each.recorded else "no") for each in mishaps],
        ),
        pairs(
            (
                ("days settled", totals.days),
                ("orders", totals.orders),
                ("committed", totals.committed),
                ("refused", f"{totals.refused.total()} ({refused})" if refused else 0),
                ("bank balance", f"{bank_balance} {CURRENCY}"),
                *((f"{name.replace('_', ' ')} verified", n) for name, n in verified.items()),
                ("transfers per second", f"{totals.orders_per_second:,.0f}"),
            )
        ),
    )
