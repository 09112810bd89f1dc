"""What the charts of the demo's report share: spans of days, axes, colours, and the SVG. Pure.

Rules kept here:

- Colours are the page's own CSS variables, so that a chart follows the page into the dark and onto
  paper. A brand has one colour everywhere, and its name beside it.
- No clipping and no gradients: these need ids, which would collide within the page.

Format: Vega-Lite 6 through altair.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import altair as alt

from exchange.cli.demo.coalition import BRANDS, SCALE
from exchange.cli.demo.totals import HUB, Totals

NARROW_PX = 480
"""Below this width a chart is drawn for a phone."""
DAYS_SHOWN_MAX = 70
"""More days than this are shown as weeks."""

HUB_NAME = "The operator"
NAMES = {brand.partner_id: brand.legal_name for brand in BRANDS} | {HUB: HUB_NAME}
"""By partner and `hub`, in the order in which they are shown."""
COLOURS: Mapping[str, str] = {
    name: f"var(--brand-{place})" for place, name in enumerate(NAMES.values())
}

MONEY = "$,~f"
"""Of the demo's `CURRENCY`."""
FIGURE_PX = 50
"""Beside a scale of figures."""
FIGURE_TEXT: dict[str, Any] = {"color": "var(--ink)", "fontSize": 11}

Row = Mapping[str, Any]
Chart = alt.Chart | alt.LayerChart | alt.FacetChart


@dataclass(frozen=True, slots=True)
class Span:
    """A day, or a week of a long replay: one bar of a chart."""

    begins: str
    """ISO 8601 date."""
    totals: Totals


def spans(totals: Totals) -> tuple[Span, ...]:
    """The days, or the weeks from the first day on where there are too many days to be seen."""
    step = 1 if totals.days <= DAYS_SHOWN_MAX else 7
    parts = (totals.by_day[first : first + step] for first in range(0, totals.days, step))
    return tuple(Span(part[0].business_date.isoformat(), Totals(part)) for part in parts)


def svg(draw: Callable[[int], Chart], width: int, description: str) -> str:
    """The drawing as an `<svg>` element that scales down with its page; `description` is what a
    screen reader says for it, already escaped.
    """
    out = StringIO()
    styled = draw(width).configure(**_STYLE)
    styled.save(out, format="svg")
    opening = re.compile(r'<svg [^>]*?width="([\d.]+)" height="[\d.]+" (viewBox="[^"]*")>')
    found = opening.match(out.getvalue())
    assert found, "the renderer begins with the svg element"
    attributes = f'role="img" aria-label="{description}" style="max-width:{found[1]}px"'
    return f"<svg {found[2]} {attributes}>{out.getvalue()[found.end() :].strip()}"


def money(amount: int) -> float:
    """Units of the currency's scale as a figure to draw."""
    return amount / float(10**SCALE)


def sized(chart: Chart, width: int, height: int) -> Chart:
    """The chart with a plot of this width and height in pixels, axes not counted."""
    result: Chart = chart.properties(width=width, height=height)
    return result


def chart_of(rows: Sequence[Row]) -> alt.Chart:
    """A chart that holds its rows itself."""
    return alt.Chart(alt.InlineData(values=[dict(row) for row in rows]))


def dates_x(shown: Sequence[Span]) -> alt.X:
    """A band for each span, by its rows' `date`; labels for days, weeks or months as they fit."""
    begins, label = [span.begins for span in shown], "%-d %b"
    if len(shown[0].totals.by_day) > 1:
        months = {day[:7]: day for day in reversed(begins)}
        begins, label = sorted(months.values()), "%b"
    elif len(begins) > 10:
        begins = begins[::7]
    return alt.X("date:O", title=None, scale=alt.Scale(paddingInner=0.15)).axis(
        values=begins,
        labelExpr=f"utcFormat(toDate(datum.value), '{label}')",
        labelAngle=0,
        labelOverlap="parity",
        labelSeparation=8,
    )


def count_y(field: str) -> alt.Y:
    """A scale of whole numbers from 0."""
    return alt.Y(field, title=None, scale=alt.Scale(zero=True)).axis(
        format=",~f", tickCount=5, tickMinStep=1, minExtent=FIGURE_PX
    )


def money_y() -> alt.Y:
    """A scale of the rows' `net`."""
    # A tick at the very top puts the names of all panels at one height.
    return alt.Y("net:Q", title=None, scale=alt.Scale(nice=4)).axis(
        format=MONEY, tickCount=4, minExtent=FIGURE_PX
    )


def by_name() -> alt.Color:
    """Each partner's own colour, by its rows' `name`."""
    scale = alt.Scale(domain=list(COLOURS), range=list(COLOURS.values()))
    return alt.Color("name:N", scale=scale, legend=None)


_STYLE: dict[str, Any] = {
    "aria": False,  # The page describes each chart as a whole and has its figures in a table.
    "background": "transparent",
    "font": "sans-serif",
    "padding": 2,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--muted)",
        "titleColor": "var(--muted)",
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "gridColor": "var(--line)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
    },
    "axisBand": {"grid": False},
    "header": {"labelFontSize": 13},
    "legend": {"orient": "top", "labelColor": "var(--ink)", "labelFontSize": 12, "offset": 8},
}
