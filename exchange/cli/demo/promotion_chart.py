"""The chart of what promotions cost whom. Pure: the same figures give the same chart."""

from collections.abc import Sequence

import altair as alt

from exchange.cli.demo.chart_parts import (
    FIGURE_TEXT,
    MONEY,
    NAMES,
    NARROW_PX,
    Chart,
    by_name,
    chart_of,
    money,
    sized,
)
from exchange.cli.demo.coalition import CURRENCY
from exchange.cli.demo.promotion_costs import PromotionCost


def promotion_costs(costs: Sequence[PromotionCost], width: int) -> Chart:
    """A bar for each funder of each promotion, in the funder's colour."""
    narrow = width < NARROW_PX
    label_px = 150 if narrow else 290
    # Room for the figure beside the longest bar.
    room = 30 if narrow else 40
    shown = [
        f"{cost.offer.promotion_id} · {cost.funder if narrow else NAMES[cost.funder]}"
        for cost in costs
    ]
    rows = [
        {
            "name": NAMES[cost.funder],
            "shown": label,
            "cost": money(cost.amount),
        }
        for cost, label in zip(costs, shown, strict=True)
    ]
    largest = max((money(cost.amount) for cost in costs), default=0.0) or 1.0
    base = chart_of(rows).encode(
        y=alt.Y("shown:N", title=None, scale=alt.Scale(domain=shown)).axis(
            labelLimit=label_px, domain=False, ticks=False
        ),
        x=alt.X(
            "cost:Q", title=f"paid, {CURRENCY}", scale=alt.Scale(domain=[0, largest], nice=True)
        ).axis(format=MONEY, tickCount=3 if narrow else 7, labelOverlap=True),
    )
    figures = base.mark_text(align="left", dx=4, **FIGURE_TEXT)
    bars = base.mark_bar().encode(color=by_name())
    drawn = alt.layer(bars, figures.encode(text=alt.Text("cost:Q", format=",.2f")))
    return sized(drawn, width - label_px - room, 28 * len(rows))
