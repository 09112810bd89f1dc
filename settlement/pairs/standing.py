"""How each pair of partners stands when its window is stated. Pure.

- The due of a pair is what it carried and its net of the window, less what is in dispute. The
  debtor is asked for ⌊|due|⌋ in whole minor units; the rest is carried by the pair.
- Everything between partners, paid or not, in dispute or not, is withheld from what the bank
  settles. It sums to 0 over the partners, as every withholding does.
- What is disputed of this window after the draft was approved comes off the payment when it is
  asked for; nothing else changes it.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PairStood:
    """How one pair stands. Units of the currency's scale; positive is owed to `one`."""

    one: str
    """Partner id; of the two it joined first."""
    other: str
    carried: int
    """Of earlier windows, without what was asked for and is not confirmed yet."""
    net: int
    """Of the window."""
    unpaid: int
    """What earlier windows ask for and is not confirmed."""
    disputed_before: int
    """Lines of earlier windows that are in dispute, among what it carried."""
    disputed: int
    """Lines of this window that are."""
    payment: int
    """What is asked for: positive is paid to `one`."""

    @property
    def all_between(self) -> int:
        """All that is between the two."""
        return self.carried + self.net + self.unpaid

    @property
    def due(self) -> int:
        """What the two owe each other now."""
        return self.carried + self.net - self.disputed_before - self.disputed

    @property
    def carries_on(self) -> int:
        """What the pair carries to the next window, the disputed lines too."""
        return self.carried + self.net - self.payment


def pair_payment(due: int, minor_unit: int) -> int:
    """What is paid of a due: towards 0, in whole minor units."""
    paid = abs(due) // minor_unit * minor_unit
    return paid if due > 0 else -paid


def between(pairs: Iterable[PairStood], partner_id: str) -> int:
    """What is between a partner and all others: positive is owed to it."""
    return sum(
        each.all_between if each.one == partner_id else -each.all_between
        for each in pairs
        if partner_id in (each.one, each.other)
    )
