"""A break: a difference between our books and a partner's own file, and what is to be done about
it. Pure.

A break is the same in every run that finds it: its key says what it is about. Its figures are texts
of both sides; a member is a keyed digest in them, and the other brand's reference is never there.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

from partners.points import format_amount
from settlement.reconciliation.differences import Difference


class Category(StrEnum):
    """What differs."""

    MISSING_AT_PARTNER = "MISSING_AT_PARTNER"
    MISSING_AT_EXCHANGE = "MISSING_AT_EXCHANGE"
    POINTS_MISMATCH = "POINTS_MISMATCH"
    MONEY_MISMATCH = "MONEY_MISMATCH"
    RATE_MISMATCH = "RATE_MISMATCH"
    FEE_MISMATCH = "FEE_MISMATCH"
    TAX_MISMATCH = "TAX_MISMATCH"
    STATUS_MISMATCH = "STATUS_MISMATCH"
    DUPLICATE_AT_PARTNER = "DUPLICATE_AT_PARTNER"
    TIMING = "TIMING"
    MEMBER_MISMATCH = "MEMBER_MISMATCH"
    ROUNDING = "ROUNDING"


class BreakState(StrEnum):
    """How far a break has come."""

    OPEN = "OPEN"
    EXPLAINED = "EXPLAINED"
    RESOLVED = "RESOLVED"
    WRITTEN_OFF = "WRITTEN_OFF"

    @property
    def is_closed(self) -> bool:
        """Whether nothing is left to do."""
        return self in (BreakState.RESOLVED, BreakState.WRITTEN_OFF)


_TERMS = "Hold both sides against the agreement version and its rounding, named here."
NEXT_STEPS: Mapping[Category, str] = MappingProxyType(
    {
        Category.MISSING_AT_PARTNER: "Look the transfer up in your system: if the member was not"
        " credited, dispute it as NOT_CREDITED.",
        Category.MISSING_AT_EXCHANGE: "A stray row or a manual posting: reverse it in your system,"
        " or order a corrective transfer.",
        Category.POINTS_MISMATCH: _TERMS,
        Category.MONEY_MISMATCH: _TERMS,
        Category.RATE_MISMATCH: _TERMS,
        Category.FEE_MISMATCH: _TERMS,
        Category.TAX_MISMATCH: _TERMS,
        Category.STATUS_MISMATCH: "Correct the state in your system. Of a transfer in doubt this"
        " row is evidence: two operators can end it by that.",
        Category.DUPLICATE_AT_PARTNER: "Reverse one of the two in your system.",
        Category.TIMING: "Nothing: it is in transit, and the next day's run clears it.",
        Category.MEMBER_MISMATCH: "Find out which member the order named, and correct the booking.",
        Category.ROUNDING: "Nothing: it is within the tolerance, and explained.",
    }
)
ROUNDINGS: Mapping[str, str] = MappingProxyType(
    {
        "points": "Points: blocks x target units, exact; uplift and bonuses rounded down.",
        "money": "Value: points x price, exact to the currency's scale.",
        "fee": "Fee: rounded up to a unit of the currency's scale, once a transfer.",
        "tax": "Tax: rounded half-even to a unit of the currency's scale, once a transfer.",
        "rate": "Rate: a pair of integers, exact.",
    }
)
"""How the exchange rounds each figure."""
_ROUNDED_FIGURE = {
    Category.POINTS_MISMATCH: "points",
    Category.MONEY_MISMATCH: "money",
    Category.FEE_MISMATCH: "fee",
    Category.TAX_MISMATCH: "tax",
    Category.RATE_MISMATCH: "rate",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of both sides."""

    name: str
    ours: str
    theirs: str


@dataclass(frozen=True, slots=True)
class Break:
    """A break as one run found it."""

    key: bytes
    category: Category
    window_id: str
    log_index: int | None = None
    transfer_id: UUID | None = None
    own_reference: str = ""
    row: int = 0
    figures: tuple[Figure, ...] = ()
    difference: int = 0
    """Theirs less ours without signs: units of the currency's scale, or points."""
    agreement_id: str = ""
    rounding: str = ""
    note: str = ""
    facts: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """What `following` must know of it in later runs."""

    @property
    def first_state(self) -> BreakState:
        """Rounding is explained by being it."""
        is_rounding = self.category is Category.ROUNDING
        return BreakState.EXPLAINED if is_rounding else BreakState.OPEN


def break_of(
    found: Difference,
    category: Category,
    window_id: str,
    scale: int,
    *,
    note: str = "",
    about: str = "",
    place: int = 0,
    facts: Mapping[str, Any] = MappingProxyType({}),
) -> Break:
    """The break that a difference amounts to.

    `about` is what it is about where the category may yet change; `place` tells alike ones of one
    run apart.
    """
    ours, theirs = found.ours or {}, found.theirs or {}
    transfer_id = ours.get("transfer_id") or theirs.get("transfer_id")
    log_index = ours.get("log_index")
    name = found.figure or _ROUNDED_FIGURE.get(category, "")
    identity = [about or category.value, found.figure, transfer_id, log_index, place]
    if log_index is None:
        alike = ("reference", "member", "points", "outward", "booked_on")
        identity += [window_id, ours.get("agreement_id"), *(theirs.get(each) for each in alike)]
    return Break(
        hashlib.sha256(repr([None if x is None else str(x) for x in identity]).encode()).digest(),
        category,
        window_id,
        log_index,
        UUID(str(transfer_id)) if transfer_id else None,
        ours.get("reference") or theirs.get("reference") or "",
        int(theirs.get("n") or 0),
        figures_of(found, scale),
        difference_of(found, name),
        str(ours.get("agreement_id") or ""),
        _rounding(name, found, scale),
        note or _note(found, scale),
        facts,
    )


def figures_of(found: Difference, scale: int) -> tuple[Figure, ...]:
    """What both sides say, where either says something."""
    ours, theirs = _texts(found.ours or {}, scale), _texts(found.theirs or {}, scale)
    names = dict.fromkeys((*ours, *theirs))
    return tuple(
        Figure(name, ours.get(name, ""), theirs.get(name, ""))
        for name in names
        if ours.get(name) or theirs.get(name)
    )


def _texts(side: Mapping[str, Any], scale: int) -> dict[str, str]:
    """A line's or a row's figures as text."""

    def shown(name: str) -> str:
        value = side.get(name)
        return "" if value is None else str(value)

    def money(name: str) -> str:
        value = side.get(name)
        return "" if value is None else format_amount(value, scale)

    outward = side.get("outward")
    rate = f"{side['rate_source']}:{side['rate_target']}" if side.get("rate_source") else ""
    if side.get("rate_number") is not None:
        rate = format_amount(side["rate_number"], side["rate_digits"])
    return {
        "program": shown("program"),
        "direction": "" if outward is None else ("out" if outward else "in"),
        "points": shown("points"),
        "money": money("money"),
        "fee": money("fee"),
        "tax": money("tax"),
        "rate": rate,
        "status": shown("state") or shown("status"),
        "member": shown("member"),
        "time": shown("recorded_at") or shown("booked_on"),
    }


def difference_of(found: Difference, name: str) -> int:
    """By how much theirs is more; 0 where that says nothing."""
    if found.count > 1 or found.total:
        return found.total
    ours = (found.ours or {}).get(name)
    theirs = (found.theirs or {}).get(name)
    if isinstance(ours, int) and isinstance(theirs, int):
        return abs(theirs) - abs(ours)
    return 0


def _rounding(name: str, found: Difference, scale: int) -> str:
    if name not in ROUNDINGS:
        return ""
    theirs = _texts(found.theirs or {}, scale).get(name, "")
    return f"{ROUNDINGS[name]} Yours: {theirs} as written." if theirs else ROUNDINGS[name]


def _note(found: Difference, scale: int) -> str:
    if found.count > 1:
        total = format_amount(found.total, scale)
        return f"{found.count:,} roundings of {found.figure}, which come to {total} together"
    if found.tier and found.tier != "transfer id":
        return f"found by {found.tier}"
    return ""
