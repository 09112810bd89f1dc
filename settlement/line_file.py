"""The line file: one row per committed transfer of a partner in a window. Pure, and all that an
offline verifier needs.

Format: RFC 4180 (CRLF, quotes only where needed), UTF-8, one header row of `COLUMNS`, equally many
cells in every row. The first cell says what a row is:

    LINE    a transfer, or a reversal of a transfer, which the role says
    TOTAL   control totals of each role; `transfer_id` counts the lines
    END     the end marker, last; `transfer_id` holds the window id, `own_reference` the partner id

`value`, `value_tax`, `promotion`, `fee` and `tax` are decimals with all digits of the currency's
scale, signed from the partner's view, so that each column adds up to the statement. `promotions`
says whose money `promotion` is: `<promotion>/<funder>=<amount>` for each share, with a space
between two. A target sees all shares, its own among them, which is a memo and not in `promotion`;
others see their own.

The roles are `source`, `target` and `funder`, and for what is given back `source-reversed`,
`target-reversed` and `funder-reversed`. The line of a reversal names the transfer that it reverses,
in the state REVERSED, and the log index of its own; its points are those that it takes back, as
positive as the transfer's, its money is signed the other way. Control totals stand for the first
three roles always, and for a role of reversals where there is a line of it: so a file of a time
before reversals has the same form still.

A text cell that begins with `=`, `+`,
`-`, `@`, a tab, a carriage return or an apostrophe is written with an apostrophe before it, because
spreadsheets run such cells; our own numbers are not touched. A file has exactly one form: equal
lines give equal bytes, and reading refuses any other bytes.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from partners.cells import neutralised, original
from partners.errors import PointclearError, Refused
from partners.points import format_amount, parse_amount

COLUMNS = (
    "row",
    "transfer_id",
    "role",
    "own_reference",
    "source_program",
    "target_program",
    "source_points",
    "target_points",
    "bonus_points",
    "agreement_id",
    "segment",
    "rate_source_units",
    "rate_target_units",
    "price_per_target_point",
    "price_per_thousand",
    "value",
    "value_tax",
    "value_tax_code",
    "promotion",
    "promotions",
    "fee",
    "tax",
    "tax_code",
    "currency",
    "state",
    "recorded_at",
    "log_index",
)


class LineFileWrong(PointclearError):
    """The bytes are not a whole and untouched line file."""


class Role(StrEnum):
    """Which side of a transfer the partner is."""

    SOURCE = "source"
    TARGET = "target"
    FUNDER = "funder"
    """Neither, but it pays for a bonus."""
    SOURCE_REVERSED = "source-reversed"
    TARGET_REVERSED = "target-reversed"
    FUNDER_REVERSED = "funder-reversed"

    @property
    def is_reversed(self) -> bool:
        """Whether it is a side of a reversal."""
        return self in REVERSED.values()


REVERSED = {
    Role.SOURCE: Role.SOURCE_REVERSED,
    Role.TARGET: Role.TARGET_REVERSED,
    Role.FUNDER: Role.FUNDER_REVERSED,
}
"""The side of a reversal that each side of its transfer is."""


@dataclass(frozen=True, slots=True)
class Share:
    """A funder's part of a bonus."""

    promotion_id: str
    funder: str
    amount: int
    """In units of the currency's scale, not negative."""


@dataclass(frozen=True, slots=True)
class Line:
    """One transfer, or one reversal, as one partner sees it.

    Money is in units of the currency's scale; positive is owed to the partner.
    """

    transfer_id: UUID
    role: Role
    own_reference: str
    """The sender's own reference from its order; empty for others."""
    source_program: str
    target_program: str
    source_points: int
    target_points: int
    """All that was granted, bonuses among it."""
    bonus_points: int
    agreement_id: str
    segment: str
    rate_source_units: int
    rate_target_units: int
    price_per_target_point: int
    """0 where a thousand are priced."""
    price_per_thousand: int
    value: int
    value_tax: int
    value_tax_code: str
    promotion: int
    promotions: tuple[Share, ...]
    """Those that are the partner's business, its own among them."""
    fee: int
    tax: int
    tax_code: str
    """Empty for whoever does not bear the fee."""
    currency: str
    state: str
    recorded_at: datetime
    log_index: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Control totals of the lines of one role. Points are added whatever their program is."""

    count: int = 0
    source_points: int = 0
    target_points: int = 0
    bonus_points: int = 0
    value: int = 0
    value_tax: int = 0
    promotion: int = 0
    fee: int = 0
    tax: int = 0


@dataclass(frozen=True, slots=True)
class LineFile:
    """A partner's transfers of a window, in the order of the log."""

    window_id: str
    partner_id: str
    scale: int
    """Digits after the point of the currency's unit."""
    lines: tuple[Line, ...]

    @property
    def roles(self) -> tuple[Role, ...]:
        """Those that have control totals."""
        present = {line.role for line in self.lines}
        return tuple(role for role in Role if role in REVERSED or role in present)

    def totals(self, role: Role) -> Totals:
        """Control totals of one role."""
        return total(line for line in self.lines if line.role is role)


def total(lines: Iterable[Line]) -> Totals:
    """Control totals of `lines`."""
    rows = [
        (
            1,
            line.source_points,
            line.target_points,
            line.bonus_points,
            line.value,
            line.value_tax,
            line.promotion,
            line.fee,
            line.tax,
        )
        for line in lines
    ]
    return Totals(*(sum(column) for column in zip(*rows, strict=True)))


def write_line_file(file: LineFile) -> bytes:
    """The one form of a line file."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow(COLUMNS)
    rows.writerows(_cells(line, file.scale) for line in file.lines)
    rows.writerows(_total_cells(role, file.totals(role), file.scale) for role in file.roles)
    end = {"row": "END", "transfer_id": file.window_id, "own_reference": file.partner_id}
    rows.writerow([end.get(column, "") for column in COLUMNS])
    return text.getvalue().encode()


def read_line_file(content: bytes) -> LineFile:
    """Read a line file and check it: columns, control totals, end marker, form.

    Raises LineFileWrong.
    """
    try:
        rows = list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))
        file = _parse(rows)
    except (UnicodeDecodeError, csv.Error, ValueError, Refused) as wrong:
        raise LineFileWrong(f"this is no line file: {wrong}") from wrong
    if write_line_file(file) != content:
        raise LineFileWrong("the file's bytes are not in the one form of a line file")
    return file


def _cells(line: Line, scale: int) -> list[str]:
    def money(units: int) -> str:
        return format_amount(units, scale)

    return [
        "LINE",
        str(line.transfer_id),
        line.role,
        neutralised(line.own_reference),
        neutralised(line.source_program),
        neutralised(line.target_program),
        str(line.source_points),
        str(line.target_points),
        str(line.bonus_points),
        neutralised(line.agreement_id),
        neutralised(line.segment),
        str(line.rate_source_units),
        str(line.rate_target_units),
        money(line.price_per_target_point) if line.price_per_target_point else "",
        money(line.price_per_thousand) if line.price_per_thousand else "",
        money(line.value),
        money(line.value_tax),
        neutralised(line.value_tax_code),
        money(line.promotion),
        " ".join(
            f"{each.promotion_id}/{each.funder}={money(each.amount)}" for each in line.promotions
        ),
        money(line.fee),
        money(line.tax),
        neutralised(line.tax_code),
        line.currency,
        line.state,
        line.recorded_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        str(line.log_index),
    ]


def _total_cells(role: Role, totals: Totals, scale: int) -> list[str]:
    cells = {
        "row": "TOTAL",
        "transfer_id": str(totals.count),
        "role": role.value,
        "source_points": str(totals.source_points),
        "target_points": str(totals.target_points),
        "bonus_points": str(totals.bonus_points),
        "value": format_amount(totals.value, scale),
        "value_tax": format_amount(totals.value_tax, scale),
        "promotion": format_amount(totals.promotion, scale),
        "fee": format_amount(totals.fee, scale),
        "tax": format_amount(totals.tax, scale),
    }
    return [cells.get(column, "") for column in COLUMNS]


def _parse(rows: list[list[str]]) -> LineFile:
    if len(rows) < 5 or rows[-1][:1] != ["END"]:
        raise ValueError("the end marker is missing, so the file may be cut short")
    if any(len(row) != len(COLUMNS) for row in rows) or tuple(rows[0]) != COLUMNS:
        raise ValueError("the columns are not those of a line file")
    *body, end = (dict(zip(COLUMNS, row, strict=True)) for row in rows[1:])
    totals = [row for row in body if row["row"] == "TOTAL"]
    if len(totals) < len(REVERSED):
        raise ValueError("control totals are missing")
    body = body[: -len(totals)]
    scale = len(totals[0]["value"].partition(".")[2])
    file = LineFile(
        end["transfer_id"],
        end["own_reference"],
        scale,
        tuple(_line(row, scale) for row in body),
    )
    for role, row in zip(file.roles, totals, strict=True):
        if list(row.values()) != _total_cells(role, file.totals(role), scale):
            raise ValueError(f"the control totals of role {role} are not those of the lines")
    return file


def _line(row: dict[str, str], scale: int) -> Line:
    if row["row"] != "LINE":
        raise ValueError(f"{row['row']!r} stands where a line should")
    return Line(
        UUID(row["transfer_id"]),
        Role(row["role"]),
        original(row["own_reference"]),
        original(row["source_program"]),
        original(row["target_program"]),
        int(row["source_points"]),
        int(row["target_points"]),
        int(row["bonus_points"]),
        original(row["agreement_id"]),
        original(row["segment"]),
        int(row["rate_source_units"]),
        int(row["rate_target_units"]),
        parse_amount(row["price_per_target_point"] or "0", scale),
        parse_amount(row["price_per_thousand"] or "0", scale),
        parse_amount(row["value"], scale),
        parse_amount(row["value_tax"], scale),
        original(row["value_tax_code"]),
        parse_amount(row["promotion"], scale),
        tuple(_share(each, scale) for each in row["promotions"].split()),
        parse_amount(row["fee"], scale),
        parse_amount(row["tax"], scale),
        original(row["tax_code"]),
        row["currency"],
        row["state"],
        datetime.strptime(row["recorded_at"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC),
        int(row["log_index"]),
    )


def _share(text: str, scale: int) -> Share:
    name, _, amount = text.partition("=")
    promotion_id, _, funder = name.partition("/")
    return Share(promotion_id, funder, parse_amount(amount, scale))
