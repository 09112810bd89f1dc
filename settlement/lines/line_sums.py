"""What the lines of a partner in a window come to, added up in one pass over them. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from settlement.lines.line import REVERSED, Line, Role, Totals

OUTGOING = (Role.SOURCE, Role.SOURCE_REVERSED)
INCOMING = (Role.TARGET, Role.TARGET_REVERSED)


@dataclass(frozen=True, slots=True)
class ValueTax:
    """Tax of one code on value that left the partner, and on value that came to it."""

    tax_code: str
    outgoing: int
    incoming: int


@dataclass(frozen=True, slots=True)
class PromotionLine:
    """What one funder paid for one promotion, from the partner's view."""

    agreement_id: str
    promotion_id: str
    funder: str
    amount: int
    """What moved: negative where the partner paid."""
    own_share: int
    """What the partner bears itself, of bonuses of its own program: a memo."""


Sums = tuple[int, int, int, dict[str, int], int, int]
"""Outgoing and incoming value, fees, taxes on them by code, tax on value, promotions."""

Kind = tuple[Role, str, str, str, str]
"""Role, source program, target program, code of the tax on value, code of the tax on the fee."""


@dataclass(frozen=True, slots=True)
class LineSums:
    """What all lines of a file come to."""

    by_kind: dict[Kind, Totals]
    paid: dict[tuple[bool, str, str, str], tuple[int, int]]
    """By whether it was given back, agreement, promotion and funder: what moved, and the partner's
    own share.
    """
    sha256: bytes = b""
    """Of the file."""

    def of_file(self, sha256: bytes) -> "LineSums":
        """The sums with the digest of the file that the lines are in."""
        return replace(self, sha256=sha256)

    @property
    def line_count(self) -> int:
        """How many lines there are."""
        return sum(each.count for each in self.by_kind.values())

    @property
    def roles(self) -> tuple[Role, ...]:
        """Those that have control totals."""
        present = {kind[0] for kind in self.by_kind}
        return tuple(role for role in Role if role in REVERSED or role in present)

    def totals(self, role: Role) -> Totals:
        """Control totals of one role."""
        found = Totals()
        for kind, each in self.by_kind.items():
            if kind[0] is role:
                found += each
        return found

    def money(self, *, given_back: bool) -> Sums:
        """What the window's sums must say as well, of transfers or of their reversals."""
        values = {True: 0, False: 0}
        taxes: dict[str, int] = {}
        fees = value_tax = promotions = 0
        for (role, _, _, _, tax_code), each in self._kinds(given_back=given_back):
            values[role in OUTGOING] += each.value
            fees += each.fee
            value_tax += each.value_tax
            promotions += each.promotion
            if each.tax:
                taxes[tax_code] = taxes.get(tax_code, 0) + each.tax
        return values[True], values[False], fees, taxes, value_tax, promotions

    def moved(self) -> dict[tuple[str, str], int]:
        """The points that the partner's own programs moved, by program and what it was; none that
        is 0. A funder's points are others'.
        """
        found: dict[tuple[str, str], int] = {}
        for (role, source, target, _, _), each in self.by_kind.items():
            prefix = "reversed " if role.is_reversed else ""
            parts = {
                True: ((source, "out", each.source_points),),
                False: ((target, "in", each.target_points), (target, "bonus", each.bonus_points)),
            }
            if role in OUTGOING or role in INCOMING:
                for program, what, points in parts[role in OUTGOING]:
                    key = (program, prefix + what)
                    found[key] = found.get(key, 0) + points
        return {key: points for key, points in found.items() if points}

    def value_taxes(self, *, given_back: bool) -> tuple[ValueTax, ...]:
        """Tax on value by code, none that is 0 both ways."""
        sums: dict[str, dict[bool, int]] = {}
        for (role, _, _, code, _), each in self._kinds(given_back=given_back):
            if each.value_tax:
                of_code = sums.setdefault(code, {True: 0, False: 0})
                of_code[role in OUTGOING] += each.value_tax
        return tuple(ValueTax(code, each[True], each[False]) for code, each in sorted(sums.items()))

    def promotion_lines(self, *, given_back: bool) -> tuple[PromotionLine, ...]:
        """What each promotion cost whom, as far as it is the partner's business; of reversals, what
        each gave back.
        """
        return tuple(
            PromotionLine(*key[1:], *figures)
            for key, figures in sorted(self.paid.items())
            if key[0] is given_back
        )

    def _kinds(self, *, given_back: bool) -> Iterator[tuple[Kind, Totals]]:
        return (each for each in self.by_kind.items() if each[0][0].is_reversed is given_back)


class LineTally:
    """Adds lines up, one after the other."""

    def __init__(self, partner_id: str) -> None:
        """`partner_id` is whose lines they are."""
        self._partner_id = partner_id
        self._by_kind: dict[Kind, list[int]] = {}
        self._paid: dict[tuple[bool, str, str, str], tuple[int, int]] = {}

    def add(self, line: Line) -> None:
        """Add one line."""
        kind = (
            line.role,
            line.source_program,
            line.target_program,
            line.value_tax_code,
            line.tax_code,
        )
        sums = self._by_kind.get(kind)
        if sums is None:
            sums = self._by_kind[kind] = [0] * 9
        # Written out: this runs for every line of a day.
        sums[0] += 1
        sums[1] += line.source_points
        sums[2] += line.target_points
        sums[3] += line.bonus_points
        sums[4] += line.value
        sums[5] += line.value_tax
        sums[6] += line.promotion
        sums[7] += line.fee
        sums[8] += line.tax
        if line.promotions:
            self._add_shares(line)

    def _add_shares(self, line: Line) -> None:
        given_back = line.role.is_reversed
        sign = -1 if given_back else 1
        for share in line.promotions:
            key = (given_back, line.agreement_id, share.promotion_id, share.funder)
            moved, own = self._paid.get(key, (0, 0))
            if line.role not in INCOMING:
                moved -= sign * share.amount
            elif share.funder == self._partner_id:
                own += sign * share.amount
            else:
                moved += sign * share.amount
            self._paid[key] = (moved, own)

    def sums(self) -> LineSums:
        """What they come to so far."""
        return LineSums(
            {kind: Totals(*sums) for kind, sums in self._by_kind.items()}, dict(self._paid)
        )
