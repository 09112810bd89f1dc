"""The lines of a partner in a window, as values: what its line file says. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


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

    def __add__(self, other: "Totals") -> "Totals":
        """The totals of both."""
        return Totals(
            self.count + other.count,
            self.source_points + other.source_points,
            self.target_points + other.target_points,
            self.bonus_points + other.bonus_points,
            self.value + other.value,
            self.value_tax + other.value_tax,
            self.promotion + other.promotion,
            self.fee + other.fee,
            self.tax + other.tax,
        )


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
