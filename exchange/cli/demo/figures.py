"""All that the demo tells: what its page, its tables and its JSON document show. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from exchange.cli.demo.approval import Disputed
from exchange.cli.demo.linked import Sight
from exchange.cli.demo.mishaps import Refusal
from exchange.cli.demo.operators import Acted
from exchange.cli.demo.outage import Outage
from exchange.cli.demo.own_books import Reconciled
from exchange.cli.demo.papers import Paper
from exchange.cli.demo.promotion_costs import PromotionCost
from exchange.cli.demo.reached import Reached
from exchange.cli.demo.totals import Totals


@dataclass(frozen=True, slots=True)
class Figures:
    """What a replay came to."""

    totals: Totals
    """Of one day at least."""
    mishaps: tuple[Refusal, ...]
    """Orders and actions that went wrong on purpose."""
    verified: Mapping[str, int]
    """How many things of each kind the offline verification held to be good."""
    faults: tuple[str, ...]
    """What it found wrong."""
    bank_balance: str
    costs: tuple[PromotionCost, ...] = ()
    """What promotions cost whom."""
    sights: tuple[Sight, ...] = ()
    """What two brands saw of a member who has linked both accounts."""
    acted: tuple[Acted, ...] = ()
    """What the operators signed for."""
    reached: tuple[Reached, ...] = ()
    """Brands with a program that is told, one of each kind."""
    outage: Outage | None = None
    """How one of them was down for a while."""
    acknowledged: int = 0
    """Statements that brands counter-signed."""
    disputed: Disputed | None = None
    """What was in dispute for a day."""
    papers: tuple[Paper, ...] = ()
    """What the last day produced for people."""
    reconciled: Reconciled | None = None
    """A brand's own file of that day against the exchange's lines."""

    @property
    def is_as_it_must_be(self) -> bool:
        """Whether nothing is wrong but what was meant to be."""
        return (
            not self.faults
            and not self.totals.nets.total()
            and all(each.reason == each.expected for each in self.mishaps)
            and self.brands_are_blind
            and self.is_delivered
            and self.is_reconciled
        )

    @property
    def brands_are_blind(self) -> bool:
        """Whether no brand saw another's reference for a linked member."""
        return all(each.is_blind for each in self.sights)

    @property
    def is_reconciled(self) -> bool:
        """Whether every planted difference was found in a brand's own file, and nothing else."""
        return self.reconciled is None or self.reconciled.as_planted

    @property
    def is_delivered(self) -> bool:
        """Whether every brand's program answered all that it was told."""
        return all(each.answered == each.instructions for each in self.reached)
