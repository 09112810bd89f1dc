"""The charts of the demo's report. Pure: the same figures give the same chart.

A chart is drawn for a width in pixels, once for a desk and once for a phone, so that its text is
never scaled until it cannot be read.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from exchange.cli.demo.chart_parts import (
    FIGURE_PX,
    FIGURE_TEXT,
    MONEY,
    NAMES,
    NARROW_PX,
    Chart,
    Row,
    by_name,
    chart_of,
    count_y,
    dates_x,
    money,
    money_y,
    sized,
    spans,
)
from exchange.cli.demo.coalition import BRANDS, CURRENCY
from exchange.cli.demo.totals import Totals


def flows(totals: Totals, width: int) -> Chart:
    """A matrix of source points, source by target. Shades follow the square root."""
    ids = [brand.partner_id for brand in BRANDS]
    points = totals.source_points
    rows = [
        {"source": source, "target": target, "points": points[source, target]}
        for source in ids
        for target in ids
        if source != target
    ]
    narrow = width < NARROW_PX
    scale = alt.Scale(domain=ids, padding=0.04)
    label_px = 72 if narrow else 90
    # On a phone the words above the chart say which way to read it.
    style: dict[str, Any] = {
        "domain": False,
        "ticks": False,
        "minExtent": label_px,
        "titlePadding": 0,
    }
    style |= {"title": None, "labelFontSize": 10} if narrow else {}
    cells = chart_of(rows).encode(
        x=alt.X("target:N", title="to", scale=scale).axis(
            **style, orient="top", labelAngle=-90 if narrow else -40
        ),
        y=alt.Y("source:N", title="from", scale=scale).axis(**style),
    )
    largest = max(points.values(), default=1)
    shade = alt.Scale(type="sqrt", domain=[0, largest], range=[0.05, 1])
    shaded = cells.mark_rect(color="var(--heat)").encode(
        opacity=alt.Opacity("points:Q", scale=shade, legend=None)
    )
    on_dark = alt.when(alt.datum.points > 0.6 * largest).then(alt.value("var(--heat-ink)"))
    figures = (
        cells.transform_filter(alt.datum.points > 0)
        .mark_text(fontSize=9 if narrow else 12)
        .encode(
            text=alt.Text("points:Q", format=".2~s" if narrow else ".3~s"),
            color=on_dark.otherwise(alt.value("var(--ink)")),
        )
    )
    height = 270 if narrow else 380
    return sized(shaded + figures, width - label_px - (0 if narrow else 24), height)


def nets(totals: Totals, width: int) -> Chart:
    """Each partner's net of every span: one panel each, every panel with a scale of its own."""
    shown = spans(totals)
    rows = [
        {"date": span.begins, "name": name, "net": money(span.totals.nets[partner])}
        for span in shown
        for partner, name in NAMES.items()
    ]
    columns = 1 if width < NARROW_PX else 3
    header = alt.Header(
        labelAnchor="start", labelFontWeight="bold", labelColor="var(--ink)", labelPadding=6
    )
    bars = chart_of(rows).mark_bar().encode(x=dates_x(shown), y=money_y(), color=by_name())
    panels: alt.FacetChart = (
        bars.properties(width=width // columns - FIGURE_PX - 6, height=90)
        .facet(
            alt.Facet("name:N", sort=list(NAMES.values()), title=None, header=header),
            columns=columns,
            bounds="flush",
            spacing={"row": 62, "column": FIGURE_PX + 8},
        )
        .resolve_scale(y="independent")
        .resolve_axis(x="independent")
    )
    return panels


def orders(totals: Totals, width: int) -> Chart:
    """Orders of every span, committed and refused."""
    shown = spans(totals)
    names = ("committed", "refused")
    rows = [
        {"date": span.begins, "orders": count, "outcome": name, "place": place}
        for span in shown
        for place, (name, count) in enumerate(
            zip(names, (span.totals.committed, span.totals.refused.total()), strict=True)
        )
    ]
    colour = alt.Scale(domain=names, range=["var(--accent)", "var(--warning)"])
    legend = alt.Legend(title=None) if totals.refused else None
    bars = (
        chart_of(rows)
        .mark_bar()
        .encode(
            x=dates_x(shown),
            y=count_y("orders:Q"),
            color=alt.Color("outcome:N", scale=colour, legend=legend),
            order="place:Q",
        )
    )
    return sized(bars, width - FIGURE_PX, 180)


def throughput(totals: Totals, width: int) -> Chart:
    """Orders per second while orders were under way, of every span."""
    shown = spans(totals)
    rows = [
        {"date": span.begins, "rate": round(span.totals.orders_per_second, 1)}
        for span in shown
        if span.totals.orders
    ]
    line = chart_of(rows).encode(x=dates_x(shown), y=count_y("rate:Q"))
    drawn = line.mark_line(color="var(--accent)", strokeWidth=2) + line.mark_point(
        color="var(--accent)", fill="var(--paper)", size=36, opacity=1
    )
    return sized(drawn, width - FIGURE_PX, 180)


def refusals(rows: Sequence[Row], width: int) -> Chart:
    """Refused orders by `reason` and `origin`; `orders` is how many."""
    narrow = width < NARROW_PX
    origins = list(dict.fromkeys(row["origin"] for row in rows))
    reasons = sorted({row["reason"] for row in rows})
    colours = ["var(--warning)", "var(--accent)"][-len(origins) :]
    # A bar of one order is not to look like much.
    longest = max(5, *(sum(r["orders"] for r in rows if r["reason"] == each) for each in reasons))
    label_px = 150 if narrow else 200
    bars = (
        chart_of(rows)
        .mark_bar()
        .encode(
            x=alt.X("orders:Q", title="orders", scale=alt.Scale(domain=[0, longest])).axis(
                format=",~f", tickCount=5, tickMinStep=1
            ),
            y=alt.Y("reason:N", title=None, scale=alt.Scale(domain=reasons)).axis(
                labelLimit=label_px, labelFontSize=9 if narrow else 12, domain=False, ticks=False
            ),
            color=alt.Color(
                "origin:N",
                scale=alt.Scale(domain=origins, range=colours),
                legend=alt.Legend(title=None),
            ),
        )
    )
    return sized(bars, width - label_px, 28 * len(reasons))


def legs(paid: Mapping[str, tuple[int, int]], width: int) -> Chart:
    """What each brand paid in (to the left) and was paid out (to the right), in all."""
    narrow = width < NARROW_PX
    shown = {key: key if narrow else NAMES[key] for key in paid}
    rows = [
        {"name": NAMES[key], "shown": shown[key], "paid": money(amount), "sum": money(abs(amount))}
        for key, (paid_in, paid_out) in paid.items()
        for amount in (-paid_in, paid_out)
        if amount
    ]
    label_px = 90 if narrow else 200
    # Room on both sides for the figures beside the longest bars.
    room = 64 if narrow else 90
    base = chart_of(rows).encode(
        y=alt.Y("shown:N", title=None, scale=alt.Scale(domain=list(shown.values()))).axis(
            labelLimit=label_px, domain=False, ticks=False
        ),
        x=alt.X(
            "paid:Q",
            title=f"← paid in · {CURRENCY} · paid out →",
            scale=alt.Scale(padding=room, nice=False),
        ).axis(format=MONEY, tickCount=3 if narrow else 7),
    )
    text = alt.Text("sum:Q", format=",.2f")
    paid_in, paid_out = alt.datum.paid < 0, alt.datum.paid > 0
    left = base.transform_filter(paid_in).mark_text(align="right", dx=-4, **FIGURE_TEXT)
    right = base.transform_filter(paid_out).mark_text(align="left", dx=4, **FIGURE_TEXT)
    bars = base.mark_bar().encode(color=by_name())
    drawn = alt.layer(bars, left.encode(text=text), right.encode(text=text))
    return sized(drawn, width - label_px, 28 * len(shown))
