"""Whether a line file is what its statement sums up. Pure.

The line file is the one whose digest is signed, and its sums are the statement's: count, values,
fees, taxes by code, promotions by funder, points by program.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence

from exchange.cli.checks.line_file import Line, read_lines
from exchange.cli.checks.statement import Figures, Statement
from exchange.cli.checks.verification import (
    Broken,
    Fault,
    compare,
)
from pointclear.settlement.v1.statement_pb2 import SettlementStatement


def check_line_file(
    statement: Statement, place: str, content: bytes
) -> tuple[tuple[Line, ...] | None, tuple[Fault, ...]]:
    """The lines of a statement's line file, and whether they are what the statement sums up.

    None where the file cannot be read.
    """
    message = statement.message
    digest = hashlib.sha256(content).digest()
    faults = [
        *compare(place, "SHA-256 that the statement states", message.line_file_sha256, digest)
    ]
    try:
        file = read_lines(place, content, message.scale)
    except Broken as broken:
        return None, (*faults, *broken.faults)
    lines = file.lines
    faults += file.faults
    faults += compare(place, "window in the end marker", message.window_id, file.window_id)
    faults += compare(place, "partner in the end marker", message.partner_id, file.partner_id)
    faults += compare(
        place, "line_count of the statement and of the lines", message.line_count, len(lines)
    )
    transferred = [line for line in lines if not line.is_reversed]
    reversed_ = [line for line in lines if line.is_reversed]
    faults += _line_sum_faults(place, "", message, transferred)
    faults += _line_sum_faults(place, "reversed ", message.reversals, reversed_)
    faults += _points_faults(place, message, lines)
    return lines, tuple(faults)


def _line_sum_faults(
    place: str, prefix: str, figures: Figures, lines: Sequence[Line]
) -> Iterator[Fault]:
    for what, stated, summed in (
        (
            "outgoing_value",
            figures.outgoing_value,
            sum(line.value for line in lines if line.is_outgoing),
        ),
        (
            "incoming_value",
            figures.incoming_value,
            sum(line.value for line in lines if not line.is_outgoing),
        ),
        ("fees", figures.fees, sum(line.fee for line in lines)),
        ("promotions", figures.promotions, sum(line.promotion for line in lines)),
    ):
        said = f"{prefix}{what} of the statement and of the lines"
        yield from compare(place, said, stated, summed)
    yield from _tax_faults(place, prefix, figures, lines)


def _tax_faults(
    place: str, prefix: str, figures: Figures, lines: Sequence[Line]
) -> Iterator[Fault]:
    stated, summed = Counter[str](), Counter[str]()
    for tax in figures.taxes:
        stated[tax.tax_code] += tax.amount
    for value_tax in figures.value_taxes:
        stated[f"outgoing {value_tax.tax_code}"] += value_tax.outgoing
        stated[f"incoming {value_tax.tax_code}"] += value_tax.incoming
    for line in lines:
        summed[line.cells["tax_code"]] += line.tax
        if line.value_tax:
            way = "outgoing" if line.is_outgoing else "incoming"
            summed[f"{way} {line.cells['value_tax_code']}"] += line.value_tax
    for code in sorted(stated.keys() | summed.keys()):
        what = f"{prefix}tax {code or 'without a code'} of the statement and of the lines"
        yield from compare(place, what, stated[code], summed[code])


def _points_faults(
    place: str, message: SettlementStatement, lines: Sequence[Line]
) -> Iterator[Fault]:
    stated, summed = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for points in message.points:
        stated[points.program_id, "out"] += points.points_out
        stated[points.program_id, "in"] += points.points_in
        stated[points.program_id, "bonus"] += points.bonus_points
        stated[points.program_id, "reversed out"] += points.reversed_out
        stated[points.program_id, "reversed in"] += points.reversed_in
        stated[points.program_id, "reversed bonus"] += points.reversed_bonus
    for line in lines:
        for program, way, count in line.own_points:
            summed[program, way] += count
    for program, way in sorted(stated.keys() | summed.keys()):
        what = f"points {way} of {program} of the statement and of the lines"
        yield from compare(place, what, stated[program, way], summed[program, way])
