"""What the newcomer's own system might have written of the same days, with differences planted.
Pure.

Format: RFC 4180 (CRLF), UTF-8, one header row of `COLUMNS`. The first cell says what a row is:

    ROW     points that the brand took from a member (`out`) or gave to one (`in`)
    TOTAL   control totals: `transfer_id` counts the rows, `points` adds them up
    END     the end marker, last: `transfer_id` holds the business date

It is no format of ours: a brand maps the columns of whatever its system writes.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from settlement.lines.line import Line, Role
from settlement.sample.seed import Seed

COLUMNS = (
    *("row", "booked_at", "transfer_id", "own_reference", "member"),
    *("direction", "program", "points"),
)


@dataclass(frozen=True, slots=True)
class OwnRow:
    """One booking of the brand's."""

    booked_at: datetime
    transfer_id: UUID
    own_reference: str
    member: str
    direction: str
    program: str
    points: int


@dataclass(frozen=True, slots=True)
class Planted:
    """A difference that a reconciliation must find."""

    kind: str
    """As the exchange calls such a break."""
    transfer_id: UUID
    what: str


@dataclass(frozen=True, slots=True)
class OwnDays:
    """The brand's rows of each day, and what is wrong with them."""

    days: tuple[tuple[OwnRow, ...], ...]
    planted: tuple[Planted, ...]


def own_days(
    seed: Seed, first: Sequence[Line], second: Sequence[Line], members: Mapping[UUID, str]
) -> OwnDays:
    """The rows of both days. `members` are the brand's own, by transfer."""
    of_first, of_second = (
        [row_of(seed, line, members) for line in lines if line.role is not Role.FUNDER]
        for lines in (first, second)
    )
    late = of_first.pop()
    missing = of_first.pop(seed.between(0, len(of_first) - 1, "missing"))
    twice, wrong = two_of(seed, of_first)
    again = replace(twice, booked_at=twice.booked_at + timedelta(minutes=2))
    off = replace(wrong, points=wrong.points + seed.between(1, 9, "points too many"))
    at = of_first.index(twice)
    of_first[at : at + 1] = [twice, again]
    of_first[of_first.index(wrong)] = off
    planted = (
        Planted("MISSING_AT_PARTNER", missing.transfer_id, "is in no row"),
        Planted("DUPLICATE_AT_PARTNER", twice.transfer_id, "is in two rows"),
        Planted(
            "POINTS_MISMATCH",
            wrong.transfer_id,
            f"has {off.points} points, and {wrong.points} are right",
        ),
        Planted(
            "TIMING", late.transfer_id, "came just before the day ended: it is in the next day's"
        ),
    )
    return OwnDays((tuple(of_first), (late, *of_second)), planted)


def two_of(seed: Seed, rows: Sequence[OwnRow]) -> tuple[OwnRow, OwnRow]:
    """Two different rows."""
    first = seed.between(0, len(rows) - 1, "twice")
    step = seed.between(1, len(rows) - 1, "wrong")
    return rows[first], rows[(first + step) % len(rows)]


def row_of(seed: Seed, line: Line, members: Mapping[UUID, str]) -> OwnRow:
    """What the brand books of a transfer, some seconds after the exchange did."""
    out = line.role is Role.SOURCE
    after = timedelta(seconds=seed.between(2, 20, f"booked {line.transfer_id}"))
    return OwnRow(
        line.recorded_at + after,
        line.transfer_id,
        line.own_reference,
        members[line.transfer_id],
        "out" if out else "in",
        line.source_program if out else line.target_program,
        line.source_points if out else line.target_points,
    )


def write_own_file(day: date, rows: Iterable[OwnRow]) -> bytes:
    """The file of a day."""
    rows = tuple(rows)
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\r\n")
    table.writerow(COLUMNS)
    for row in rows:
        table.writerow(
            (
                *("ROW", row.booked_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")),
                *(row.transfer_id, row.own_reference, row.member),
                *(row.direction, row.program, row.points),
            )
        )
    points = sum(row.points for row in rows)
    table.writerow(("TOTAL", "", len(rows), "", "", "", "", points))
    table.writerow(("END", "", day.isoformat(), "", "", "", "", ""))
    return text.getvalue().encode()
