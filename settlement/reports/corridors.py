"""What went through each corridor of a brand in a window. Pure.

One summary per brand, from its own lines: count, points out and in, effective rate, value, fees and
promotions by funder, for transfers and for reversals. What was refused, by reason, stands in the
summary of the source alone: it is nobody else's business.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from partners.cells import original
from partners.points import parse_amount
from settlement.lines.line_file import COLUMNS as LINE_COLUMNS
from settlement.reports.line_rows import line_rows
from settlement.reports.tables import Cell, Money, Sheet, workbook, write_csv

RATE_DIGITS: Final = 6
COLUMNS: Final = (
    *("row", "role", "source_program", "target_program", "promotion", "funder", "reason"),
    *("count", "source_points", "target_points", "bonus_points", "effective_rate"),
    *("value", "value_tax", "promotion_amount", "fee", "tax"),
)
_COUNTED: Final = ("source_points", "target_points", "bonus_points")
_AMOUNTS: Final = ("value", "value_tax", "promotion", "fee", "tax")

Way = tuple[str, str, str]
"""Role of the brand, source program, target program."""


@dataclass(slots=True)
class CorridorSums:
    """One corridor's figures, as they grow while lines are read."""

    count: int = 0
    points: Counter[str] = field(default_factory=Counter)
    amounts: Counter[str] = field(default_factory=Counter)
    shares: Counter[tuple[str, str]] = field(default_factory=Counter)
    """What each promotion cost each funder."""


@dataclass(frozen=True, slots=True)
class Refusals:
    """How often orders of one corridor were refused, or came to nothing, for one reason."""

    source_program: str
    target_program: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class CorridorSummary:
    """A brand's window by corridor."""

    window_id: str
    partner_id: str
    day: date
    scale: int
    ways: Mapping[Way, CorridorSums]
    refusals: tuple[Refusals, ...]


def corridor_sums(parts: Iterable[bytes], scale: int) -> dict[Way, CorridorSums]:
    """The sums of a line file, read line by line."""
    ways: dict[Way, CorridorSums] = {}
    for cells in line_rows(parts):
        row = dict(zip(LINE_COLUMNS, cells, strict=True))
        if row["row"] != "LINE":
            continue
        way = (row["role"], original(row["source_program"]), original(row["target_program"]))
        sums = ways.setdefault(way, CorridorSums())
        sums.count += 1
        for name in _COUNTED:
            sums.points[name] += int(row[name])
        for name in _AMOUNTS:
            sums.amounts[name] += parse_amount(row[name], scale)
        for share in row["promotions"].split():
            whose, _, amount = share.partition("=")
            promotion, _, funder = whose.partition("/")
            sums.shares[promotion, funder] += parse_amount(amount, scale)
    return dict(sorted(ways.items()))


def refusals_of(refused: Iterable[tuple[str, str, str]]) -> tuple[Refusals, ...]:
    """Refusals counted, from the source program, target program and reason of each."""
    return tuple(Refusals(*each, count) for each, count in sorted(Counter(refused).items()))


def corridors_csv(summary: CorridorSummary) -> bytes:
    """CORRIDOR, PROMOTION and REFUSED rows, TOTAL and END."""
    return write_csv(COLUMNS, [_aligned(each) for each in (*_rows(summary), *_end(summary))])


def corridors_xlsx(summary: CorridorSummary) -> bytes:
    """One sheet of the same rows, and one of refusals."""
    rows = list(_rows(summary))
    return workbook(
        (
            Sheet("Corridors", COLUMNS, [_aligned(each) for each in rows]),
            Sheet(
                "Refused",
                ("source_program", "target_program", "reason", "count"),
                [
                    [each.source_program, each.target_program, each.reason, each.count]
                    for each in summary.refusals
                ],
            ),
        ),
        f"Corridors of {summary.partner_id} in {summary.window_id}",
        summary.day,
    )


def effective_rate(source_points: int, target_points: int) -> str:
    """Target points for one source point, bonus included, half-even to six digits; empty where no
    point left.
    """
    if not source_points:
        return ""
    scaled, rest = divmod(target_points * 10**RATE_DIGITS, source_points)
    twice = 2 * rest
    if twice > source_points or (twice == source_points and scaled % 2):
        scaled += 1
    whole, fraction = divmod(scaled, 10**RATE_DIGITS)
    return f"{whole}.{fraction:0{RATE_DIGITS}d}"


def _aligned(cells: Mapping[str, Cell]) -> list[Cell]:
    return [cells.get(column) for column in COLUMNS]


def _rows(summary: CorridorSummary) -> Iterator[dict[str, Cell]]:
    for (role, source, target), sums in summary.ways.items():
        corridor: dict[str, Cell] = {"source_program": source, "target_program": target}
        yield {"row": "CORRIDOR", "role": role, **corridor, **_figures(sums, summary.scale)} | {
            "effective_rate": effective_rate(
                sums.points["source_points"], sums.points["target_points"]
            )
        }
        for (promotion, funder), amount in sorted(sums.shares.items()):
            yield {
                "row": "PROMOTION",
                "role": role,
                **corridor,
                "promotion": promotion,
                "funder": funder,
                "promotion_amount": Money(amount, summary.scale),
            }
    for each in summary.refusals:
        yield {
            "row": "REFUSED",
            "role": "source",
            "source_program": each.source_program,
            "target_program": each.target_program,
            "reason": each.reason,
            "count": each.count,
        }


def _figures(sums: CorridorSums, scale: int) -> dict[str, Cell]:
    return {
        "count": sums.count,
        **{name: sums.points[name] for name in _COUNTED},
        **{
            "promotion_amount" if name == "promotion" else name: Money(sums.amounts[name], scale)
            for name in _AMOUNTS
        },
    }


def _end(summary: CorridorSummary) -> Iterator[dict[str, Cell]]:
    total = CorridorSums()
    for sums in summary.ways.values():
        total.count += sums.count
        total.points.update(sums.points)
        total.amounts.update(sums.amounts)
    yield {"row": "TOTAL", **_figures(total, summary.scale)}
    yield {"row": "END", "source_program": summary.window_id, "target_program": summary.partner_id}
