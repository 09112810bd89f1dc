"""The picture of a coalition's rates, as an SVG that needs nothing else. Pure: the same rates give
the same bytes.

A few programs stand on a circle with an arrow for each corridor; more are a matrix, source by
target, since arrows would cover each other. A colour says what a point comes back as that goes
through the corridor and back by the best way.

Format: Vega-Lite 6 through altair.
"""

from collections.abc import Sequence
from io import StringIO
from math import atan2, cos, degrees, hypot, pi, sin
from typing import Any

import altair as alt

from exchange.cli.agreements.rate_sets import CorridorRate

CIRCLE_MAX = 6
"""Programs that a circle has room for."""
FIGURES_MAX = 40
"""Programs whose matrix has room for figures."""
CIRCLE_PX = 560
BEND = 0.14
"""How far a corridor bends away from the one in the other direction, of its length."""
ASIDE = 0.04
"""How far beside it a corridor begins and ends, of the circle's radius."""
NODE = 0.17
"""Radius that is kept free around a program, of the circle's."""
CURVE_POINTS = 24

KINDS = (
    "other corridors",
    "loses 10 % or more",
    "loses up to 10 %",
    "gives all back",
    "a loop that gains",
)
COLOURS = ("#9aa5b1", "#2f6f9f", "#b7791f", "#8a5fb0", "#c8102e")
CLOSE = 1e-9
"""Of a return that is worked out in floats: what differs less from 1 is told as 1."""
INK, PAPER = "#1f2933", "#ffffff"
TITLE = "Points for one point, and what comes back by the best way"


def rates_svg(rates: Sequence[CorridorRate]) -> str:
    """The picture of these corridors, of which there is at least one."""
    names = sorted({name for each in rates for name in _ends(each)})
    chart = _circle(rates, names) if len(names) <= CIRCLE_MAX else _matrix(rates, names)
    styled = (
        chart.properties(
            title=alt.Title(TITLE, anchor="start", fontSize=15, color=INK, offset=14),
            background=PAPER,
            padding=18,
        )
        .configure(font="sans-serif")
        .configure_view(stroke=None)
        .configure_legend(labelColor=INK, labelFontSize=12, orient="bottom", title=None)
    )
    out = StringIO()
    styled.save(out, format="svg")
    return out.getvalue()


def kind_of(rate: CorridorRate) -> str:
    """In which of `KINDS` a corridor falls."""
    if rate.returns is None:
        return KINDS[0]
    if rate.returns <= 0.9 + CLOSE:
        return KINDS[1]
    if rate.returns < 1 - CLOSE:
        return KINDS[2]
    return KINDS[3] if rate.returns <= 1 + CLOSE else KINDS[4]


def figure(rate: CorridorRate) -> str:
    """What a point gives, to four significant digits."""
    shown = f"{float(rate.multiplier.factor):.4g}"
    return shown if "e" not in shown else f"{float(rate.multiplier.factor):.0e}"


def _ends(rate: CorridorRate) -> tuple[str, str]:
    return rate.multiplier.source, rate.multiplier.target


def _data(rows: Sequence[dict[str, Any]]) -> alt.InlineData:
    return alt.InlineData(values=list(rows))


def _colour(rates: Sequence[CorridorRate]) -> alt.Color:
    present = {kind_of(each) for each in rates}
    shown = [kind for kind in KINDS if kind in present]
    colours = [COLOURS[KINDS.index(kind)] for kind in shown]
    return alt.Color("kind:N", scale=alt.Scale(domain=shown, range=colours), sort=shown)


def _matrix(rates: Sequence[CorridorRate], names: Sequence[str]) -> Any:
    """Source by target; a cell is as large as its figure needs."""
    rows = [
        {
            "source": each.multiplier.source,
            "target": each.multiplier.target,
            "kind": kind_of(each),
            "figure": figure(each),
        }
        for each in rates
    ]
    figures = len(names) <= FIGURES_MAX
    wide, high = (54, 30) if figures else (10, 10)
    axis: dict[str, Any] = {
        "domain": False,
        "ticks": False,
        "labelColor": INK,
        "titleColor": INK,
        "labelLimit": 240,
        "labelFontSize": 12 if figures else 8,
    }
    scale = alt.Scale(domain=list(names), paddingInner=0.06)
    base = alt.Chart(_data(rows)).encode(
        x=alt.X("target:N", title="to", scale=scale).axis(**axis, orient="top", labelAngle=-40),
        y=alt.Y("source:N", title="from", scale=scale).axis(**axis),
    )
    cells = base.mark_rect(cornerRadius=3).encode(color=_colour(rates))
    text = base.mark_text(color=PAPER, fontSize=12).encode(text="figure:N")
    chart = alt.layer(cells, text) if figures else alt.layer(cells)
    return chart.properties(width=wide * len(names), height=high * len(names))


def _circle(rates: Sequence[CorridorRate], names: Sequence[str]) -> Any:
    """Programs on a circle, the first at the top."""
    turn = 2 * pi / len(names)
    at = {name: (sin(turn * place), cos(turn * place)) for place, name in enumerate(names)}
    curves: list[dict[str, Any]] = []
    heads: list[dict[str, Any]] = []
    labels: list[dict[str, Any]] = []
    for each in rates:
        source, target = _ends(each)
        points = _curve(at[source], at[target])
        shared = {"kind": kind_of(each), "corridor": f"{source} {target}"}
        curves += [
            {**shared, "x": x, "y": y, "place": place} for place, (x, y) in enumerate(points)
        ]
        (before_x, before_y), (x, y) = points[-2:]
        # Vega turns a triangle, which points up, clockwise.
        angle = 90 - degrees(atan2(y - before_y, x - before_x))
        heads.append({**shared, "x": x, "y": y, "angle": round(angle, 3)})
        # Not half-way, where corridors of a circle cross.
        x, y = points[round(CURVE_POINTS * 0.36)]
        labels.append({**shared, "x": x, "y": y, "figure": figure(each)})
    nodes = [{"name": name, "x": x, "y": y} for name, (x, y) in at.items()]
    scale = alt.Scale(domain=[-1.15, 1.15], nice=False, zero=False)
    place: dict[str, Any] = {
        "x": alt.X("x:Q", scale=scale, axis=None),
        "y": alt.Y("y:Q", scale=scale, axis=None),
    }
    colour = _colour(rates)
    lines = (
        alt.Chart(_data(curves))
        .mark_line(strokeWidth=2)
        .encode(**place, color=colour, detail="corridor:N", order="place:Q")
    )
    arrows = (
        alt.Chart(_data(heads))
        .mark_point(shape="triangle", filled=True, size=110, opacity=1)
        .encode(**place, color=colour, angle=alt.Angle("angle:Q", scale=None))
    )
    figures = alt.Chart(_data(labels)).encode(**place, text="figure:N")
    written = [
        # A broad rim in the paper's colour keeps figures legible where they cross a line.
        figures.mark_text(fontSize=13, fontWeight="bold", stroke=PAPER, strokeWidth=5),
        figures.mark_text(fontSize=13, fontWeight="bold").encode(color=colour),
    ]
    named = alt.Chart(_data(nodes)).encode(**place)
    programs = [
        named.mark_text(fontSize=14, fontWeight="bold", stroke=PAPER, strokeWidth=4).encode(
            text="name:N"
        ),
        named.mark_text(fontSize=14, fontWeight="bold", color=INK).encode(text="name:N"),
    ]
    return alt.layer(lines, arrows, *written, *programs).properties(
        width=CIRCLE_PX, height=CIRCLE_PX
    )


def _curve(begin: tuple[float, float], end: tuple[float, float]) -> list[tuple[float, float]]:
    """Points of a curve from near one program to near another, bent to its left; rounded, so that
    the bytes do not hang on a processor's last digit.
    """
    length = hypot(end[0] - begin[0], end[1] - begin[1])
    left_x = -(end[1] - begin[1]) / length * ASIDE
    left_y = (end[0] - begin[0]) / length * ASIDE
    (x0, y0), (x2, y2) = ((x + left_x, y + left_y) for x, y in (begin, end))
    x1 = (x0 + x2) / 2 - (y2 - y0) * BEND
    y1 = (y0 + y2) / 2 + (x2 - x0) * BEND
    first = NODE / length
    found = []
    for place in range(CURVE_POINTS + 1):
        t = first + (1 - 2 * first) * place / CURVE_POINTS
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t**2
        found.append((round(a * x0 + b * x1 + c * x2, 4), round(a * y0 + b * y1 + c * y2, 4)))
    return found
