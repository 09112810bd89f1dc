"""How late payments are, and how old positions. Pure.

Ages are in calendar days: of a payment after its due date, of a position since the business dates
of the windows that it comes from. What was paid, paid the oldest first, so a position is what the
newest windows left of its sign; what they do not explain is older than all of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

EDGES = (0, 7, 30, 60)
"""The last day of each age but the oldest."""
NAMES = ("not late", "1 to 7", "8 to 30", "31 to 60", "over 60")

Ages = tuple[int, int, int, int, int]
"""Amounts by age, youngest first, in the order of `NAMES`."""


@dataclass(frozen=True, slots=True)
class AgedLeg:
    """A payment that is not confirmed."""

    partner_id: str
    window_id: str
    reference: str
    payment: int
    """Units of the currency's scale; positive is owed to the partner."""
    due_date: date
    days_late: int
    """0 where it is not late."""


@dataclass(frozen=True, slots=True)
class AgedPosition:
    """A partner's position by age."""

    partner_id: str
    position: int
    """Units of the currency's scale; positive is owed to the partner."""
    by_age: Ages


def age(days: int) -> int:
    """Which of the ages so many days are."""
    return sum(days > edge for edge in EDGES)


def days_late(due_date: date, as_of: date) -> int:
    """Days after the due date; 0 until then."""
    return max(0, (as_of - due_date).days)


def aged(position: int, nets: Iterable[tuple[date, int]], as_of: date) -> Ages:
    """A position by age; `nets` are those of the partner's windows, newest first.

    The ages sum to the position.
    """
    ages = [0] * len(NAMES)
    left, sign = abs(position), 1 if position > 0 else -1
    oldest = 0
    for day, net in nets:
        oldest = age((as_of - day).days)
        part = min(left, max(0, sign * net))
        ages[oldest] += sign * part
        left -= part
        if not left:
            break
    ages[oldest] += sign * left
    return (ages[0], ages[1], ages[2], ages[3], ages[4])
