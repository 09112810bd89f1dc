"""The chart of what waited while a brand's program was down. Pure: the same figures give the same
chart.
"""

import altair as alt

from exchange.cli.demo.chart_parts import (
    FIGURE_PX,
    FIGURE_TEXT,
    NARROW_PX,
    Chart,
    Row,
    chart_of,
    count_y,
    sized,
)
from exchange.cli.demo.outage import Outage

HEIGHT_PX = 220
ROOM = 1.25
"""Of the tallest step: what is written above it."""


def outage_chart(outage: Outage, width: int) -> Chart:
    """Steps over seconds: what waits for the brand, what of it is in doubt, and what waits for all
    others; with what happened to the program.
    """
    narrow = width < NARROW_PX
    series = (
        f"wait for {outage.brand}",
        "of these in doubt",
        "wait for all other brands",
    )
    rows: list[Row] = [
        {"second": step.second, "count": count, "what": what}
        for step in outage.steps
        for what, count in zip(series, step.counts, strict=True)
    ]
    top = max(3, *(step.waiting for step in outage.steps), *(s.others for s in outage.steps))
    colour = alt.Scale(
        domain=list(series), range=["var(--accent)", "var(--warning)", "var(--muted)"]
    )
    legend = alt.Legend(title=None, columns=1 if narrow else 3, labelLimit=280, columnPadding=20)
    base = chart_of(rows).encode(
        x=alt.X(
            "second:Q", title="seconds since it stopped answering", scale=alt.Scale(nice=False)
        ).axis(grid=False, tickCount=5 if narrow else 10),
        y=count_y("count:Q").scale(domain=[0, ROOM * top]).stack(None),
    )
    filled = base.transform_filter(alt.datum.what == series[0]).mark_area(
        interpolate="step-after", color="var(--accent)", opacity=0.15
    )
    lines = base.mark_line(interpolate="step-after", strokeWidth=2).encode(
        color=alt.Color("what:N", scale=colour, legend=legend)
    )
    events = (
        ("stops answering", outage.hung_at),
        ("killed", outage.killed_at),
        ("at work again", outage.back_at),
    )
    # One below the other: they may be close.
    happened = chart_of(
        [
            {
                "second": round(at - outage.hung_at, 2),
                "event": event,
                "height": top * (ROOM - 0.08 * place),
            }
            for place, (event, at) in enumerate(events)
        ]
    ).encode(x="second:Q")
    rules = happened.mark_rule(color="var(--muted)", strokeDash=[3, 3])
    words = happened.mark_text(align="left", baseline="top", dx=4, **FIGURE_TEXT).encode(
        y="height:Q", text="event:N"
    )
    return sized(alt.layer(filled, lines, rules, words), width - FIGURE_PX, HEIGHT_PX)
