"""What promotions cost in a month, from the statements of the brands that gave the points. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from settlement.statement import PromotionLine, Statement


@dataclass(frozen=True, slots=True)
class PromotionCost:
    """What one funder bore for one promotion."""

    agreement_id: str
    promotion_id: str
    funder: str
    """A partner's id, or `hub`."""
    target_partner: str
    cost: int
    """Units of the currency's scale; what reversals gave back is deducted."""

    @property
    def is_own(self) -> bool:
        """Whether the target bears it itself, so that nothing moved."""
        return self.funder == self.target_partner


@dataclass(frozen=True, slots=True)
class PromotionBudget:
    """A promotion's points against its budget, up to now."""

    agreement_id: str
    version: int
    promotion_id: str
    budget_points: int
    granted_points: int
    parties: tuple[str, ...]
    """The agreement's signatories."""


def promotion_costs(statements: Iterable[Statement]) -> tuple[PromotionCost, ...]:
    """By agreement, promotion, funder and target; none that is 0."""
    sums: dict[tuple[str, str, str, str], int] = {}
    for statement in statements:
        target = statement.partner_id
        lines = (*statement.promotion_lines, *statement.reversals.promotion_lines)
        for line in lines:
            # A funder's own statement shows the same shares from its side.
            if line.funder != target or line.own_share:
                key = (line.agreement_id, line.promotion_id, line.funder, target)
                sums[key] = sums.get(key, 0) + _borne(line)
    return tuple(PromotionCost(*key, cost) for key, cost in sorted(sums.items()) if cost)


def _borne(line: PromotionLine) -> int:
    return line.amount + line.own_share
