"""What several statements prove together. Pure.

- A statement begins where the one before it ended: same tree, and the balance of one of that one's
  versions. Versions follow each other by digest and differ in what is withheld and paid alone.
- Over all partners of a window outgoing and incoming value and the tax on them sum to 0, promotions
  to what the operator paid for them, and all name the same trees.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from exchange.cli.checks.statement import Figures, Statement
from exchange.cli.checks.verification import (
    Fault,
    compare,
)
from partners.agreement import HUB
from pointclear.settlement.v1.statement_pb2 import SettlementStatement, TreeHead


def check_sequence(statements: Sequence[Statement]) -> tuple[Fault, ...]:
    """Whether each of a partner's statements, in order, begins where the one before it ended."""
    faults: list[Fault] = []
    for before, after in pairwise(statements):
        earlier, later, place = before.message, after.message, after.place
        faults += compare(place, "partner", earlier.partner_id, later.partner_id)
        faults += compare(place, "currency", earlier.currency, later.currency)
        if later.brought_forward not in before.carried_before:
            carried = earlier.carried_forward
            faults += compare(place, "brought_forward", carried, later.brought_forward)
        faults += _tree_faults(place, "opening tree", earlier.closing_tree, later.opening_tree)
        if later.business_date <= earlier.business_date:
            past = f"after {earlier.business_date}"
            faults.append(Fault(place, "business_date", past, later.business_date))
    return tuple(faults)


PAID_OTHERWISE = (
    *("version", "supersedes_sha256", "reason", "withheld", "aborted"),
    *("due", "payment", "payment_reference", "carried_forward", "signing_key_id"),
)
"""The fields in which versions of a statement may differ."""


def newest_version(versions: Sequence[Statement]) -> tuple[Statement, tuple[Fault, ...]]:
    """The newest of a statement's versions, and whether they follow each other."""
    ordered = sorted(versions, key=lambda each: each.version)
    faults: list[Fault] = []
    for before, after in pairwise(ordered):
        if after.version == before.version + 1:
            digest, named = before.sha256, after.message.supersedes_sha256
            faults += compare(after.place, "supersedes_sha256", digest, named)
        for name in (each.name for each in SettlementStatement.DESCRIPTOR.fields):
            one, two = getattr(before.message, name), getattr(after.message, name)
            if name not in PAID_OTHERWISE and one != two:
                faults.append(Fault(after.place, f"{name} by {before.place}", str(one), str(two)))
    carried = tuple(each.message.carried_forward for each in ordered[:-1])
    return replace(ordered[-1], carried_before=carried), tuple(faults)


def check_values(statements: Mapping[str, Sequence[Statement]]) -> tuple[Fault, ...]:
    """Whether the values in the statements of each window, those of all its partners, sum to 0.

    The mapping is from window id to the statements of it.
    """
    faults: list[Fault] = []
    for window_id, of_window in statements.items():
        first = of_window[0]
        messages = [statement.message for statement in of_window]
        faults += _together(first.place, window_id, messages)
        reversals = [each.reversals for each in messages]
        faults += _together(first.place, f"{window_id}, reversals", reversals)
    return tuple(faults)


def _together(place: str, window_id: str, of_all: Sequence[Figures]) -> Iterator[Fault]:
    value = sum(each.outgoing_value + each.incoming_value for each in of_all)
    what = f"values of all partners in window {window_id} together"
    yield from compare(place, what, 0, value)
    taxes = [tax for each in of_all for tax in each.value_taxes]
    what = f"taxes on value of all partners in window {window_id} together"
    yield from compare(place, what, 0, sum(tax.outgoing + tax.incoming for tax in taxes))
    lines = [line for each in of_all for line in each.promotion_lines]
    by_hub = sum(line.amount for line in lines if line.funder == HUB)
    what = f"promotions of all partners in window {window_id} together, but the operator's"
    yield from compare(place, what, 0, sum(each.promotions for each in of_all) - by_hub)


def check_same_window(statements: Mapping[str, Sequence[Statement]]) -> tuple[Fault, ...]:
    """Whether the statements of each window, of whichever partners, name one range of one log."""
    faults: list[Fault] = []
    for first, *others in statements.values():
        for other in others:
            one, two, place = first.message, other.message, other.place
            faults += _tree_faults(place, "opening tree", one.opening_tree, two.opening_tree)
            faults += _tree_faults(place, "closing tree", one.closing_tree, two.closing_tree)
            faults += compare(place, "business_date", one.business_date, two.business_date)
            faults += compare(place, "currency", one.currency, two.currency)
            faults += compare(place, "audience", one.audience, two.audience)
    return tuple(faults)


def check_heads(statements: Iterable[Statement]) -> tuple[Fault, ...]:
    """Whether all these statements rest on one history: one root for each size of the log."""
    roots: dict[int, tuple[str, bytes]] = {}
    faults: list[Fault] = []
    for statement in statements:
        for head in (statement.message.opening_tree, statement.message.closing_tree):
            where, root = roots.setdefault(head.size, (statement.place, head.root))
            what = f"root of the log at size {head.size} by {where}"
            faults += compare(statement.place, what, root, head.root)
    return tuple(faults)


def _tree_faults(place: str, name: str, expected: TreeHead, found: TreeHead) -> Iterator[Fault]:
    yield from compare(place, f"size of the {name}", expected.size, found.size)
    yield from compare(place, f"root of the {name}", expected.root, found.root)
