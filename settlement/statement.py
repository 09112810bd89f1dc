"""A window's result for one partner, as a value. Pure.

A statement is put together from two independent sources: the window's sums, which the sequencer
kept, and the lines, which come from the partner's own stream. They must agree to the last unit, or
nothing is stated.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

from exchange.fold import InvariantBroken
from partners.registry import Partner
from settlement.lines.line_sums import LineSums, PromotionLine, Sums, ValueTax
from settlement.netting import Figures, Payment, ReversalFigures, pay
from settlement.references import leg_reference
from settlement.windows import SettlementWindow, TreeHead

__all__ = [
    "NOTHING_ELSE",
    "ProgramPoints",
    "PromotionLine",
    "Reversals",
    "Standing",
    "Statement",
    "StreamRange",
    "ValueTax",
    "check_lines",
    "restated_as",
    "reversals_of",
    "statement_of",
]


@dataclass(frozen=True, slots=True)
class ProgramPoints:
    """Points of one program that a window moved."""

    program_id: str
    points_out: int
    points_in: int
    """Bonuses among them."""
    bonus_points: int = 0
    reversed_out: int = 0
    """Given back to its members by reversals."""
    reversed_in: int = 0
    """Taken back from its members; bonuses among them."""
    reversed_bonus: int = 0


@dataclass(frozen=True, slots=True)
class Reversals:
    """What reversals gave back: the signs are against those of the statement's own lines."""

    outgoing_value: int = 0
    incoming_value: int = 0
    fees: int = 0
    taxes: tuple[tuple[str, int], ...] = ()
    value_taxes: tuple[ValueTax, ...] = ()
    promotions: int = 0
    promotion_lines: tuple[PromotionLine, ...] = ()


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
    value_taxes: tuple[ValueTax, ...]
    """By code."""
    promotions: int
    promotion_lines: tuple[PromotionLine, ...]
    """By agreement, promotion and funder."""
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
    reversals: Reversals = Reversals()
    version: int = 1
    supersedes_sha256: bytes = b""
    """Of the payload of the version before; empty for the first."""
    reason: str = ""
    """Why there is another version."""
    withheld: int = 0
    restated: int = 0
    adjustments: int = 0
    top_ups: int = 0
    withdrawals: int = 0
    draws: int = 0
    collateral: int = 0
    reserved_at_cut_off: int = 0
    due_date: date | None = None
    funding: str = ""
    aborted: bool = False

    @property
    def standing(self) -> int:
        """What stands to the partner before the payment, the withheld part too."""
        return self.brought_forward + self.restated + self.net


@dataclass(frozen=True, slots=True)
class Standing:
    """How a partner stands when its window is stated, beside what the window came to."""

    restated: int = 0
    """What came of earlier windows since the statement before."""
    withheld: int = 0
    collateral: int = 0
    reserved_at_cut_off: int = 0
    due_date: date | None = None
    funding: str = ""
    minimum_payout: int = 0


NOTHING_ELSE = Standing()


def check_lines(
    name: str, figures: Figures, points: Mapping[str, ProgramPoints], lines: LineSums
) -> None:
    """Raise InvariantBroken unless the lines add up to what the window's sums say."""
    moved = lines.moved()
    stated = {
        (each.program_id, what): count
        for each in points.values()
        for what, count in (
            ("out", each.points_out),
            ("in", each.points_in),
            ("bonus", each.bonus_points),
            ("reversed out", each.reversed_out),
            ("reversed in", each.reversed_in),
            ("reversed bonus", each.reversed_bonus),
        )
        if count
    }
    by_sums = (_sums_of(figures), _sums_of(figures.reversals))
    by_lines = (lines.money(given_back=False), lines.money(given_back=True))
    if by_sums != by_lines or stated != moved:
        raise InvariantBroken(
            f"the lines of {name} come to {by_lines} and {moved}, the window's sums to {by_sums} "
            f"and {stated}"
        )


def _sums_of(figures: Figures | ReversalFigures) -> Sums:
    return (
        figures.outgoing_value,
        figures.incoming_value,
        figures.fees,
        dict(figures.taxes),
        figures.value_tax,
        figures.promotions,
    )


def reversals_of(figures: ReversalFigures, lines: LineSums) -> Reversals:
    """What the lines of reversals come to, beside what the window's sums have of them."""
    return Reversals(
        figures.outgoing_value,
        figures.incoming_value,
        figures.fees,
        figures.taxes,
        lines.value_taxes(given_back=True),
        figures.promotions,
        lines.promotion_lines(given_back=True),
    )


def statement_of(
    window: SettlementWindow,
    partner: Partner,
    figures: Figures,
    lines: LineSums,
    *,
    brought_forward: int,
    points: Mapping[str, ProgramPoints],
    stream: StreamRange,
    audience: str,
    signing_key_id: str,
    standing: Standing = NOTHING_ELSE,
) -> Statement:
    """The first version of a partner's statement of a closed window; `points` holds its programs
    that moved, by id.

    Raises InvariantBroken where sums and lines differ.
    """
    name = f"{partner.partner_id} in {window.window_id}"
    check_lines(name, figures, points, lines)
    closing = window.closing_tree
    assert closing is not None, "only a closed window is stated"
    before = brought_forward + standing.restated + figures.net
    minor_unit = window.currency.minor_unit
    payment = pay(before, standing.withheld, minor_unit, standing.minimum_payout)
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
        value_taxes=lines.value_taxes(given_back=False),
        promotions=figures.promotions,
        promotion_lines=lines.promotion_lines(given_back=False),
        net=figures.net,
        due=payment.due,
        payment=payment.payment,
        payment_reference=reference,
        carried_forward=payment.carried_forward,
        payments_since=figures.payments_since,
        net_debit_cap=partner.net_debit_cap,
        points=tuple(points[program] for program in partner.programs if program in points),
        line_count=lines.line_count,
        line_file_sha256=lines.sha256,
        first_stream_seq=stream.first,
        last_stream_seq=stream.last,
        opening_tree=window.opening_tree,
        closing_tree=closing,
        signing_key_id=signing_key_id,
        reversals=reversals_of(figures.reversals, lines),
        withheld=standing.withheld,
        restated=standing.restated,
        adjustments=figures.adjustments,
        top_ups=figures.top_ups,
        withdrawals=figures.withdrawals,
        draws=figures.draws,
        collateral=standing.collateral,
        reserved_at_cut_off=standing.reserved_at_cut_off,
        due_date=standing.due_date,
        funding=standing.funding,
    )


def restated_as(
    stated: Statement,
    supersedes_sha256: bytes,
    reason: str,
    payment: Payment,
    withheld: int,
    reference: str,
    *,
    aborted: bool = False,
) -> Statement:
    """The next version of a statement: the same window, paid otherwise."""
    return replace(
        stated,
        version=stated.version + 1,
        supersedes_sha256=supersedes_sha256,
        reason=reason,
        withheld=withheld,
        due=payment.due,
        payment=payment.payment,
        payment_reference=reference,
        carried_forward=payment.carried_forward,
        aborted=aborted,
    )
