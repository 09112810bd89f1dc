"""What each promotion cost whom, read from the signed statements of the brands whose points it
gives: they tell every funder's part, also the one that the brand bears itself.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from exchange.cli.demo.offers import OFFERS, Offer
from partners.envelope import from_json
from pointclear.settlement.v1.statement_pb2 import SettlementStatement


@dataclass(frozen=True, slots=True)
class PromotionCost:
    """What one funder paid for one promotion."""

    offer: Offer
    funder: str
    """A partner's id, or `hub`: the operator."""
    share_basis_points: int
    amount: int
    """In units of the currency's scale; all windows together."""


def read_costs(out: Path) -> tuple[PromotionCost, ...]:
    """The costs by promotion and funder, from an archive that was written to `out`."""
    found: list[PromotionCost] = []
    for offer in OFFERS:
        amounts: Counter[str] = Counter()
        for path in sorted((out / offer.target).glob("*.statement.json")):
            payload = from_json(path.read_text()).payload
            for line in SettlementStatement.FromString(payload).promotion_lines:
                if line.promotion_id == offer.promotion_id:
                    amounts[line.funder] += line.amount + line.own_share
        found += [
            PromotionCost(offer, each.name, each.share_basis_points, amounts[each.name])
            for each in offer.funders
        ]
    return tuple(found)
