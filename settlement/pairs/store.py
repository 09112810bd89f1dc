"""Reads what is between pairs of partners. All functions take a psycopg2 connection."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from exchange.commands import Book
from partners.queries import load_queries
from settlement import facts, store
from settlement.approval.draft import Draft, draft_from, draft_key
from settlement.approval.restating import KIND as RESTATING
from settlement.approval.restating import restating_from
from settlement.approval.store import amounts_between, open_withholdings
from settlement.approval.withholding import Withholding, withheld
from settlement.pairs.leg import (
    CONFIRMED,
    LEG,
    Asked,
    PairPayment,
    legs_entry,
    legs_from,
    legs_key,
)
from settlement.pairs.standing import PairStood, between, pair_payment
from settlement.references import pair_reference
from settlement.windows import SettlementWindow, WindowState

QUERIES = load_queries(Path(__file__).with_name("pairs.sql"))

Pairs = Mapping[tuple[int, int], int]
"""By the numbers of two partners, the smaller first: what the first is owed by the second."""


def approved_draft(connection: Any, window_id: str) -> Draft | None:
    """What was approved of a window, if anything was."""
    body = store.entry_body(connection, draft_key(window_id))
    return draft_from(body) if body is not None else None


def unsettled_window(connection: Any, currency: str) -> str | None:
    """The oldest window of a currency that partners settle between them and that has not ended."""
    name: str | None = QUERIES.unsettled_window(connection, currency=currency)
    return name


def pairs_of(
    connection: Any, window: SettlementWindow, open_ones: Iterable[Withholding]
) -> tuple[int, tuple[PairStood, ...]]:
    """From which log index on partners have settled between them without a break, and how the
    pairs of a closed window stand now.
    """
    since = QUERIES.pairs_since(
        connection, currency=window.currency.code, window_number=window.number
    )
    since = window.opening_tree.size if since is None else int(since)
    names = {each.number: each.partner_id for each in store.partners_of(connection, window)}
    unpaid = _unpaid(connection, window, names)
    before = _disputed(connection, open_ones, names, since, window.opening_tree.size)
    disputed = _disputed_of(connection, window, open_ones, names)
    found = []
    for one, other, carried, net, paid in QUERIES.pair_sums(
        connection,
        currency=window.currency.code,
        since_index=since,
        window_number=window.number,
    ):
        pair = (one, other)
        figures = (carried + paid - unpaid.get(pair, 0), net, unpaid.get(pair, 0))
        off = (before.get(pair, 0), disputed.get(pair, 0))
        due = figures[0] + net - sum(off)
        payment = pair_payment(due, window.currency.minor_unit)
        if any((*figures, *off)):
            found.append(PairStood(names[one], names[other], *figures, *off, payment))
    return since, tuple(found)


def withheld_of(connection: Any, window: SettlementWindow) -> dict[str, int]:
    """What the bank does not settle of a stated window at this moment, by partner: what is in
    dispute, or all that is between partners where they pay each other.
    """
    assert window.closing_tree is not None, "only a closed window was stated"
    open_ones = open_withholdings(connection, window.currency.code)
    draft = approved_draft(connection, window.window_id)
    if draft is None or draft.pairs is None:
        return withheld(open_ones, window.closing_tree.size)
    in_dispute = withheld(open_ones, draft.pairs_since)
    return {
        name: in_dispute.get(name, 0) + between(draft.pairs, name)
        for name in {*draft.partners, *in_dispute}
    }


def asking(connection: Any, window: SettlementWindow) -> Book | None:
    """What asks the partners of a stated window to pay each other; None where they do not, or were
    asked before.
    """
    draft = approved_draft(connection, window.window_id)
    asked = store.entry_body(connection, legs_key(window.window_id))
    if draft is None or draft.pairs is None or asked is not None:
        return None
    numbers = {each.partner_id: each.number for each in store.partners_of(connection, window)}
    names = {number: name for name, number in numbers.items()}
    open_ones = open_withholdings(connection, window.currency.code)
    disputed = _disputed_of(connection, window, open_ones, names)
    legs = []
    for each in draft.pairs:
        pair = (numbers[each.one], numbers[each.other])
        due = each.due + each.disputed - disputed.get(pair, 0)
        payment = pair_payment(due, window.currency.minor_unit)
        if payment:
            payer, payee = reversed(pair) if payment > 0 else pair
            legs.append(
                Asked(
                    pair_reference(window.number, payer, payee),
                    names[payer],
                    payer,
                    names[payee],
                    payee,
                    abs(payment),
                )
            )
    return legs_entry(window, legs)


def legs_of(connection: Any, window: SettlementWindow) -> tuple[PairPayment, ...]:
    """What the partners of a window were asked to pay each other, with what became of it."""
    body = store.entry_body(connection, legs_key(window.window_id))
    if body is None:
        return ()
    confirmed = {
        (each.fact.subject, each.fact.partner_number): each.log_index
        for each in facts.entries_of(connection, CONFIRMED, window_number=window.number)
    }
    is_aborted = _is_aborted(connection, window)
    return tuple(
        PairPayment(
            window,
            each,
            confirmed.get((each.reference, each.payer_number)),
            confirmed.get((each.reference, each.payee_number)),
            is_aborted,
        )
        for each in legs_from(body)
    )


def leg_named(connection: Any, reference: str, window_id: str) -> PairPayment | None:
    """A leg between partners of a window, if there is one of this reference."""
    window = store.window_named(connection, window_id)
    if not facts.entries_of(connection, LEG, window_number=window.number, subject=reference):
        return None
    for each in legs_of(connection, window):
        if each.asked.reference == reference:
            return each
    return None


def _is_aborted(connection: Any, window: SettlementWindow) -> bool:
    """Whether a window was aborted, or that was decided and a crash left the rest to do."""
    if window.state is WindowState.ABORTED:
        return True
    restated = facts.entries_of(connection, RESTATING, window_number=window.number)
    return bool(restated) and restating_from(restated[-1].body).aborted


def _unpaid(connection: Any, window: SettlementWindow, names: Mapping[int, str]) -> Pairs:
    """What windows before this one ask for and is not confirmed, or will ask for as they were
    approved.
    """
    numbers = {name: number for number, name in names.items()}
    total: dict[tuple[int, int], int] = {}

    def add(pair: tuple[int, int], amount: int) -> None:
        total[pair] = total.get(pair, 0) + amount

    for earlier in store.pending_windows(connection, window.currency.code):
        draft = approved_draft(connection, earlier.window_id)
        if earlier.number >= window.number or draft is None or draft.pairs is None:
            continue
        if store.entry_body(connection, legs_key(earlier.window_id)) is None:
            for stood in draft.pairs:
                add((numbers[stood.one], numbers[stood.other]), stood.payment)
            continue
        for leg in legs_of(connection, earlier):
            payer, payee = leg.asked.payer_number, leg.asked.payee_number
            if not leg.is_confirmed:
                amount = leg.asked.payment
                add((min(payer, payee), max(payer, payee)), amount if payee < payer else -amount)
    return total


def _disputed_of(
    connection: Any,
    window: SettlementWindow,
    open_ones: Iterable[Withholding],
    names: Mapping[int, str],
) -> Pairs:
    """What of a closed window's lines is in dispute."""
    assert window.closing_tree is not None, "an open window is not stated"
    first, end = window.opening_tree.size, window.closing_tree.size
    return _disputed(connection, open_ones, names, first, end)


def _disputed(
    connection: Any,
    open_ones: Iterable[Withholding],
    names: Mapping[int, str],
    first_index: int,
    end_index: int,
) -> Pairs:
    """What lines of a range of the log are in dispute between each pair."""
    numbers = {name: number for number, name in names.items()}
    total: dict[tuple[int, int], int] = {}
    for held in open_ones:
        for line in held.lines:
            if not first_index <= line.log_index < end_index:
                continue
            for payer_id, payee_id, amount in amounts_between(connection, line.line_id):
                payer, payee = numbers[payer_id], numbers[payee_id]
                pair = (min(payer, payee), max(payer, payee))
                total[pair] = total.get(pair, 0) + (amount if payee < payer else -amount)
    return total
