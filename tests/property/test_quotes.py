"""A quote is what it says: its figures are booked, once, and what it holds comes back."""

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from exchange.commands import AskQuote, Command
from exchange.fold import fold
from exchange.outcomes import Quoted, Recorded, TransferState
from exchange.quotes.quote import Quote
from exchange.quotes.wire import quote_from_payload, quote_payload
from partners.agreement import Terms
from partners.conversion import target_points
from partners.errors import Reason, Refused
from tests import factories as make
from tests.property.histories import FIRST, RICH, TERMS, held_by, histories, orders

CORRIDORS = [*RICH, ("grocery", "fuel", 1)]
"""Of the agreements that are in force in the end."""
LATER = make.NOW + timedelta(minutes=2)


@st.composite
def legal_amounts(draw: st.DrawFn) -> tuple[Terms, int, str]:
    """Terms in force, an amount that they allow, and a segment or none."""
    under = TERMS[draw(st.sampled_from(CORRIDORS))]
    step = under.increment_source_points
    least, most = -(-under.minimum_source_points // step), under.maximum_source_points // step
    segment = draw(st.sampled_from(["", *(each.segment_id for each in under.segments)]))
    return under, draw(st.integers(least, most)) * step, segment


def quoted(command: AskQuote) -> Quote:
    (result,) = fold(FIRST, [command], make.NOW).results
    assert isinstance(result, Quoted), result
    return result.quote


@given(legal_amounts())
def test_a_transfer_at_a_quote_books_exactly_its_figures(amount: tuple[Terms, int, str]) -> None:
    under, points, segment = amount
    offer = fold(FIRST, [make.ask_quote(1, under, source_points=points, segment=segment)], make.NOW)
    (result,) = offer.results
    assert isinstance(result, Quoted), result
    (outcome,) = fold(offer.state, [make.order_at(result.quote)], make.NOW).outcomes
    assert isinstance(outcome, Recorded)
    # The only refusals left are those of the books.
    assert outcome.reason in (None, Reason.NET_DEBIT_CAP_EXCEEDED, Reason.COUNTERPARTY_LIMIT)
    if outcome.state is TransferState.COMMITTED:
        assert outcome.conversion == result.quote.conversion


@given(legal_amounts())
def test_a_fixed_target_is_what_the_points_found_for_it_give(
    amount: tuple[Terms, int, str],
) -> None:
    under, points, segment = amount
    wanted = target_points(under, points, segment)
    ask = make.ask_quote(1, under, source_points=0, target_points=wanted, segment=segment)
    (result,) = fold(FIRST, [ask], make.NOW).results
    if isinstance(result, Refused):
        # A promotion that runs gives more for any amount.
        assert result.reason is Reason.AMOUNT_MISMATCH
        assert under.promotions
    else:
        assert isinstance(result, Quoted)
        assert result.quote.conversion.target_points == wanted


@given(legal_amounts())
def test_a_stored_quote_reads_back_as_the_same_figures(amount: tuple[Terms, int, str]) -> None:
    under, points, segment = amount
    offer = quoted(make.ask_quote(1, under, source_points=points, segment=segment))
    payload = quote_payload(offer, make.AUDIENCE, "0" * 32)
    again = quote_from_payload(
        payload, FIRST.registry, offer.request_sha256, None, reserves=offer.reserves
    )
    assert again.conversion == offer.conversion
    assert quote_payload(again, make.AUDIENCE, "0" * 32) == payload


@given(st.one_of(histories(), st.lists(orders(), max_size=20)), legal_amounts())
def test_what_lapsed_quotes_held_of_a_budget_comes_back(
    commands: list[Command], amount: tuple[Terms, int, str]
) -> None:
    under, points, segment = amount
    assume(under.promotions)
    before = fold(FIRST, commands, make.NOW).state
    asked = make.ask_quote(9, under, source_points=points, segment=segment)
    held = fold(before, [asked], make.NOW).state
    used_before = Counter(before.promotion_points) - held_by(before.quotes)
    after = fold(held, [], LATER).state
    assert not any(each.reserves for each in after.quotes.values())
    assert Counter(after.promotion_points) == +used_before


@pytest.mark.parametrize("orders_at_once", [2, 5])
def test_of_several_transfers_at_one_quote_one_is_committed(orders_at_once: int) -> None:
    offer = fold(FIRST, [make.ask_quote()], make.NOW)
    (result,) = offer.results
    assert isinstance(result, Quoted)
    several = [make.order_at(result.quote, number) for number in range(1, orders_at_once + 1)]
    reasons = [
        each.reason
        for each in fold(offer.state, several, make.NOW).outcomes
        if isinstance(each, Recorded)
    ]
    assert reasons == [None, *[Reason.QUOTE_USED] * (orders_at_once - 1)]
