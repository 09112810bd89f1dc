"""A window's result for one partner, as a value. Pure.

A statement is put together from two independent sources: the window's sums, which the sequencer
kept, and the lines, which come from the partner's own stream. They must agree to the last unit, or
nothing is stated.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from exchange.fold import InvariantBroken
from partners.registry import Partner
from settlement.line_file import LineFile, Role, write_line_file
from settlement.netting import Figures, pay
from settlement.references import leg_reference
from settlement.windows import SettlementWindow, TreeHead


@dataclass(frozen=True, slots=True)
class ProgramPoints:
    """Points of one program that a window moved."""

    program_id: str
    points_out: int
    points_in: int


@dataclass(frozen=True, slots=True)
class StreamRange:
    """First and last position of a partner's stream in a window; both 0 where there is none."""

    first: int = 0
    last: int = 0


@dataclass(frozen=True, slots=True)
class Statement:
    """What a window came to for one partner.

    Money is in units of the currency's scale; positive is owed to the partner.
    """

    audience: str
    partner_id: str
    window_id: str
    business_date: date
    currency: str
    scale: int
    brought_forward: int
    outgoing_value: int
    incoming_value: int
    fees: int
    taxes: tuple[tuple[str, int], ...]
    net: int
    due: int
    payment: int
    payment_reference: str
    """ISO 11649; empty where nothing is paid."""
    carried_forward: int
    payments_since: int
    net_debit_cap: int
    points: tuple[ProgramPoints, ...]
    line_count: int
    line_file_sha256: bytes
    first_stream_seq: int
    last_stream_seq: int
    opening_tree: TreeHead
    closing_tree: TreeHead
    signing_key_id: str


def check_lines(figures: Figures, points: Mapping[str, ProgramPoints], lines: LineFile) -> None:
    """Raise InvariantBroken unless the lines add up to what the window's sums say."""
    source, target = lines.totals(Role.SOURCE), lines.totals(Role.TARGET)
    taxes: dict[str, int] = {}
    moved: dict[tuple[str, Role], int] = {}
    for line in lines.lines:
        if line.tax:
            taxes[line.tax_code] = taxes.get(line.tax_code, 0) + line.tax
        own, count = (
            (line.source_program, line.source_points)
            if line.role is Role.SOURCE
            else (line.target_program, line.target_points)
        )
        moved[own, line.role] = moved.get((own, line.role), 0) + count
    stated = {
        (each.program_id, role): count
        for each in points.values()
        for role, count in ((Role.SOURCE, each.points_out), (Role.TARGET, each.points_in))
        if count
    }
    by_sums = (figures.outgoing_value, figures.incoming_value, figures.fees, dict(figures.taxes))
    by_lines = (source.value, target.value, source.fee + target.fee, taxes)
    if by_sums != by_lines or stated != moved:
        raise InvariantBroken(
            f"the lines of {lines.partner_id} in {lines.window_id} come to {by_lines} and {moved}, "
            f"the window's sums to {by_sums} and {stated}"
        )


def statement_of(
    window: SettlementWindow,
    partner: Partner,
    figures: Figures,
    lines: LineFile,
    *,
    brought_forward: int,
    points: Mapping[str, ProgramPoints],
    stream: StreamRange,
    audience: str,
    signing_key_id: str,
) -> Statement:
    """A partner's statement of a closed window; `points` holds its programs that moved, by id.

    Raises InvariantBroken where sums and lines differ.
    """
    check_lines(figures, points, lines)
    closing = window.closing_tree
    assert closing is not None, "only a closed window is stated"
    payment = pay(brought_forward, figures.net, window.currency.minor_unit)
    reference = leg_reference(window.number, partner.number) if payment.payment else ""
    return Statement(
        audience=audience,
        partner_id=partner.partner_id,
        window_id=window.window_id,
        business_date=window.business_date,
        currency=window.currency.code,
        scale=window.currency.scale,
        brought_forward=brought_forward,
        outgoing_value=figures.outgoing_value,
        incoming_value=figures.incoming_value,
        fees=figures.fees,
        taxes=figures.taxes,
        net=figures.net,
        due=payment.due,
        payment=payment.payment,
        payment_reference=reference,
        carried_forward=payment.carried_forward,
        payments_since=figures.payments_since,
        net_debit_cap=partner.net_debit_cap,
        points=tuple(points[program] for program in partner.programs if program in points),
        line_count=len(lines.lines),
        line_file_sha256=hashlib.sha256(write_line_file(lines)).digest(),
        first_stream_seq=stream.first,
        last_stream_seq=stream.last,
        opening_tree=window.opening_tree,
        closing_tree=closing,
        signing_key_id=signing_key_id,
    )
