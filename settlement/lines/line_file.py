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
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

from partners.cells import neutralised, original
from partners.errors import PointclearError, Refused
from partners.points import format_amount, parse_amount
from settlement.lines.line import REVERSED, Line, LineFile, Role, Share, Totals
from settlement.lines.line_sums import LineSums, LineTally

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

PART_CHARS = 1 << 20
"""A part of a file is handed over when it has become longer than this."""


class LineFileWrong(PointclearError):
    """The bytes are not a whole and untouched line file."""


class LineFileWriter:
    """Writes a line file as its lines come, and adds them up: nothing but the part that is being
    written is held in memory, however many lines there are.
    """

    def __init__(
        self, window_id: str, partner_id: str, scale: int, keep: Callable[[bytes], None]
    ) -> None:
        """`keep` is given the file's bytes in parts, in their order."""
        self._window_id = window_id
        self._partner_id = partner_id
        self._scale = scale
        self._keep = keep
        self._tally = LineTally(partner_id)
        self._digest = hashlib.sha256()
        self._text = io.StringIO(newline="")
        self._rows = csv.writer(self._text, lineterminator="\r\n")
        self._rows.writerow(COLUMNS)

    def write(self, lines: Iterable[Line]) -> None:
        """Write lines, in the order of the log."""
        add, row, scale, text = self._tally.add, self._rows.writerow, self._scale, self._text
        for line in lines:
            add(line)
            row(_cells(line, scale))
            if text.tell() > PART_CHARS:
                self._hand_over()

    def end(self) -> LineSums:
        """Write the control totals and the end marker; returns what the lines come to."""
        sums = self._tally.sums()
        self._rows.writerows(
            _total_cells(role, sums.totals(role), self._scale) for role in sums.roles
        )
        end = {"row": "END", "transfer_id": self._window_id, "own_reference": self._partner_id}
        self._rows.writerow([end.get(column, "") for column in COLUMNS])
        self._hand_over()
        return sums.of_file(self._digest.digest())

    def _hand_over(self) -> None:
        part = self._text.getvalue().encode()
        self._text.seek(0)
        self._text.truncate()
        self._digest.update(part)
        self._keep(part)


def write_line_file(file: LineFile) -> bytes:
    """The one form of a line file."""
    parts: list[bytes] = []
    _written(file, parts.append)
    return b"".join(parts)


def line_sums(file: LineFile) -> LineSums:
    """What the lines of a file come to, with its digest."""
    return _written(file, lambda _part: None)


def _written(file: LineFile, keep: Callable[[bytes], None]) -> LineSums:
    writer = LineFileWriter(file.window_id, file.partner_id, file.scale, keep)
    writer.write(file.lines)
    return writer.end()


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


def lines_in(content: bytes, scale: int) -> Iterator[Line]:
    """The lines of a file that was checked before, as one is whose digest is the statement's: one
    after the other, since there may be a million.
    """
    rows = csv.reader(io.StringIO(content.decode(), newline=""), strict=True)
    for row in rows:
        if row[0] == "LINE":
            yield _line(dict(zip(COLUMNS, row, strict=True)), scale)


# What a window's lines repeat is worked out once: figures, names of programs and agreements, and
# the time, which all that one batch committed share.
_money = lru_cache(maxsize=8192)(format_amount)
_name = lru_cache(maxsize=1024)(neutralised)


@lru_cache(maxsize=64)
def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _cells(line: Line, scale: int) -> tuple[object, ...]:
    price, thousand = line.price_per_target_point, line.price_per_thousand
    return (
        "LINE",
        line.transfer_id,
        line.role.value,
        neutralised(line.own_reference),
        _name(line.source_program),
        _name(line.target_program),
        line.source_points,
        line.target_points,
        line.bonus_points,
        _name(line.agreement_id),
        _name(line.segment),
        line.rate_source_units,
        line.rate_target_units,
        _money(price, scale) if price else "",
        _money(thousand, scale) if thousand else "",
        _money(line.value, scale),
        _money(line.value_tax, scale),
        _name(line.value_tax_code),
        _money(line.promotion, scale),
        " ".join(
            f"{each.promotion_id}/{each.funder}={_money(each.amount, scale)}"
            for each in line.promotions
        )
        if line.promotions
        else "",
        _money(line.fee, scale),
        _money(line.tax, scale),
        _name(line.tax_code),
        line.currency,
        line.state,
        _time(line.recorded_at),
        line.log_index,
    )


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


# Reading has the same repetitions as writing.
_units = lru_cache(maxsize=8192)(parse_amount)
_plain = lru_cache(maxsize=1024)(original)


@lru_cache(maxsize=64)
def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


def _line(row: dict[str, str], scale: int) -> Line:
    if row["row"] != "LINE":
        raise ValueError(f"{row['row']!r} stands where a line should")
    return Line(
        UUID(row["transfer_id"]),
        Role(row["role"]),
        original(row["own_reference"]),
        _plain(row["source_program"]),
        _plain(row["target_program"]),
        int(row["source_points"]),
        int(row["target_points"]),
        int(row["bonus_points"]),
        _plain(row["agreement_id"]),
        _plain(row["segment"]),
        int(row["rate_source_units"]),
        int(row["rate_target_units"]),
        _units(row["price_per_target_point"] or "0", scale),
        _units(row["price_per_thousand"] or "0", scale),
        _units(row["value"], scale),
        _units(row["value_tax"], scale),
        _plain(row["value_tax_code"]),
        _units(row["promotion"], scale),
        tuple(_share(each, scale) for each in row["promotions"].split()),
        _units(row["fee"], scale),
        _units(row["tax"], scale),
        _plain(row["tax_code"]),
        row["currency"],
        row["state"],
        _moment(row["recorded_at"]),
        int(row["log_index"]),
    )


def _share(text: str, scale: int) -> Share:
    name, _, amount = text.partition("=")
    promotion_id, _, funder = name.partition("/")
    return Share(promotion_id, funder, parse_amount(amount, scale))
