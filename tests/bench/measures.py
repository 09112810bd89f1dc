"""From what was measured to what is reported: medians, ratios, spreads. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tests.bench.load import Rate


@dataclass(frozen=True, slots=True)
class Pair:
    """Two measurements taken one right after the other."""

    value: float
    baseline: float


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the report."""

    name: str
    value: float
    """Median over the pairs."""
    unit: str
    baseline: float
    """Median over the pairs."""
    ratio: float
    """Median of the pairs' own ratios, which is not the ratio of the medians."""
    spread: tuple[float, float]
    """Least and greatest of the pairs' ratios."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """How it was measured, and what it is made of."""


def result_of(name: str, unit: str, pairs: Sequence[Pair], details: Mapping[str, Any]) -> Result:
    """The result of one or more pairs; raises ValueError for none."""
    if not pairs:
        raise ValueError(f"{name} was never measured")
    ratios = [each.value / each.baseline for each in pairs]
    return Result(
        name,
        median(each.value for each in pairs),
        unit,
        median(each.baseline for each in pairs),
        median(ratios),
        (min(ratios), max(ratios)),
        {"pairs": [[rounded(each.value), rounded(each.baseline)] for each in pairs], **details},
    )


def latencies(rates: Sequence[Rate]) -> dict[str, float]:
    """Medians, over repeated loads, of what half and 99 in 100 of the calls took at most."""
    return {
        "p50_ms": rounded(median(each.p50_ms for each in rates)),
        "p99_ms": rounded(median(each.p99_ms for each in rates)),
    }


def document_of(result: Result) -> dict[str, Any]:
    """The result as it is written."""
    return {
        "name": result.name,
        "value": rounded(result.value),
        "unit": result.unit,
        "baseline": rounded(result.baseline),
        "ratio": rounded(result.ratio),
        "spread": [rounded(each) for each in result.spread],
        "details": dict(result.details),
    }


def row_of(result: Result) -> tuple[str, ...]:
    """The result as a row for people: name, value, baseline, unit, ratio, spread, latency."""
    low, high = result.spread
    return (
        result.name,
        f"{rounded(result.value):,g}",
        f"{rounded(result.baseline):,g}",
        result.unit,
        f"{result.ratio:.2f}",
        f"{low:.2f} to {high:.2f}",
        " / ".join(
            f"{result.details[name]:g}" for name in ("p50_ms", "p99_ms") if name in result.details
        ),
    )


def rounded(figure: float) -> float:
    """Three digits behind the point for small figures, none for large ones: the rest is noise."""
    return round(figure, 3) if abs(figure) < 100 else round(figure)
