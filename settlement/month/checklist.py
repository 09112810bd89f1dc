"""What a close looks at, and how each of it stands.

Each item is worked out when it is asked for, from the books and the entries: nobody ticks it off.
Some can be explained and left open; the rest block a lock, since no word makes the books right.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from exchange.fold import InvariantBroken
from partners.errors import Reason, Refused
from partners.points import currency_scale, format_amount
from settlement import store as windows_store
from settlement.checks.invariants import Finding, check_books
from settlement.month import balances, issuing, store
from settlement.month.billing.lacking import forbidding, lacks_text
from settlement.month.period import Period
from settlement.standing import bank_balances
from settlement.windows import WindowState

BANK_RULES = frozenset(
    {
        "mirror_is_the_banks_closing",
        "bank_settlement_is_positions_and_hub",
        "bank_collateral_is_the_partners",
    }
)
"""The rules of the books that are the bank proof."""
ENDED = frozenset({WindowState.SETTLED, WindowState.ABORTED})
EXPLANATION_MAX = 200


class State(StrEnum):
    """How an item stands."""

    DONE = "DONE"
    OPEN = "OPEN"
    """It may be explained."""
    BLOCKING = "BLOCKING"
    """No explanation will do."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a close looks at."""

    item: str
    state: State
    found: str


def checklist(connection: Any, currency: str, period: Period) -> tuple[Item, ...]:
    """The items of a period, in the order in which they are worked through.

    `connection` has no transaction yet: the books are checked in one snapshot.
    """
    findings = check_books(connection)
    items = [
        _over(connection, currency, period),
        _windows(connection, currency, period),
        _suspense(connection, currency),
        _disputes(connection, currency),
        _breaks(connection, currency, period),
        _books("bank", [each for each in findings if each.rule in BANK_RULES]),
    ]
    if period.is_month:
        items.append(_invoices(connection, currency, period))
        items.append(_balances(connection, currency, period))
    rest = [each for each in findings if each.rule not in BANK_RULES]
    return (*items, _books("fsck", rest))


def check_lockable(items: Iterable[Item], explanations: Mapping[str, str]) -> None:
    """Raise Refused(PERIOD_STATE) unless every item is done, or may be explained and is."""
    named = {each.item: each for each in items}
    for item, text in explanations.items():
        if item not in named:
            raise _invalid(f"there is no item {item!r}; see the close checklist")
        if not text or len(text) > EXPLANATION_MAX or not text.isprintable():
            raise _invalid(f"explain {item} in up to {EXPLANATION_MAX} printable characters")
    left = [
        each
        for each in named.values()
        if each.state is State.BLOCKING
        or (each.state is State.OPEN and each.item not in explanations)
    ]
    if left:
        raise Refused(
            Reason.PERIOD_STATE,
            "period",
            "not ready to be locked: " + "; ".join(f"{each.item}: {each.found}" for each in left),
            {"items": ",".join(each.item for each in left)},
        )


def _invalid(text: str) -> Refused:
    return Refused(Reason.FIELD_INVALID, "explanations", text)


def _over(connection: Any, currency: str, period: Period) -> Item:
    if store.is_over(connection, currency, period):
        return Item("over", State.DONE, "a later window was opened")
    return Item("over", State.BLOCKING, "no later window was opened")


def _windows(connection: Any, currency: str, period: Period) -> Item:
    windows = store.windows_of(connection, currency, period)
    left = [f"{window_id} is {state}" for window_id, state in windows if state not in ENDED]
    if left:
        return Item("windows", State.BLOCKING, ", ".join(left))
    return Item("windows", State.DONE, f"{len(windows)} settled or aborted")


def _suspense(connection: Any, currency: str) -> Item:
    unit = windows_store.unit_of(connection, currency)
    amount = bank_balances(connection, unit).suspense
    if not amount:
        return Item("suspense", State.DONE, "empty")
    shown = format_amount(amount, currency_scale(currency).scale)
    return Item("suspense", State.OPEN, f"{currency} {shown} of unknown origin")


def _disputes(connection: Any, currency: str) -> Item:
    count = store.open_disputes(connection, currency)
    if not count:
        return Item("disputes", State.DONE, "none is undecided")
    return Item("disputes", State.OPEN, f"{count} undecided")


def _breaks(connection: Any, currency: str, period: Period) -> Item:
    count = store.open_breaks(connection, currency, period)
    if not count:
        return Item("breaks", State.DONE, "none is open that is not explained")
    return Item("breaks", State.OPEN, f"{count} open")


def _books(item: str, findings: list[Finding]) -> Item:
    if not findings:
        return Item(item, State.DONE, "every rule holds")
    first = findings[0]
    found = f"{len(findings)} off, first {first.rule} ({first.subject}): {first.found}"
    return Item(item, State.BLOCKING, found)


def _invoices(connection: Any, currency: str, period: Period) -> Item:
    try:
        plan = issuing.plan_month(connection, currency, period)
    except Refused as refusal:
        return Item("invoices", State.BLOCKING, refusal.text)
    except InvariantBroken as broken:
        return Item("invoices", State.BLOCKING, str(broken))
    if plan.missing:
        lacks = forbidding(plan.missing)
        why = f"; those with tax lack {lacks_text(lacks)}" if lacks else ""
        return Item("invoices", State.BLOCKING, f"{len(plan.missing)} not issued{why}")
    return Item("invoices", State.DONE, f"{len(plan.documents)} issued")


def _balances(connection: Any, currency: str, period: Period) -> Item:
    confirmed = balances.confirmed_by(connection, currency, period)
    partners = store.partners_of(connection, currency)
    left = [each for each, (number, _) in partners.items() if number not in confirmed]
    if left:
        return Item("balances", State.OPEN, f"not confirmed by {', '.join(left)}")
    return Item("balances", State.DONE, "all confirmed")
