"""Whatever is sent again is answered as it was answered first, and changes nothing."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.commands import CloseWindow, Command, Order
from exchange.fold import fold
from exchange.outcomes import Booked, Recorded, Repeated, Reversed
from partners.errors import Reason, Refused
from partners.wire import time_to_proto
from tests import factories as make
from tests.property.histories import FIRST, TERMS, histories

SECOND_VERSIONS = [make.activate(make.AGREEMENTS[(*each, 2)]) for each in make.CORRIDORS]


@given(histories(), st.sampled_from([0, 3600, 86_400 * 800]))
def test_replay_is_identity_also_after_new_terms_and_after_the_orders_expiry(
    commands: list[Command], later_s: int
) -> None:
    folded = fold(FIRST, commands, make.NOW)
    first = {
        result.order.payload: result
        for result in folded.results
        if isinstance(result, Recorded | Reversed)
    }
    later = make.NOW + timedelta(seconds=later_s)
    # Quotes lapse by themselves.
    changed = fold(fold(folded.state, SECOND_VERSIONS, make.NOW).state, [], later).state
    answers = {
        result.order: Repeated(result.log_index, result.order.partner_id)
        for result in first.values()
    }
    replayed = fold(changed, answers, later)
    assert list(replayed.results) == list(answers.values())
    assert replayed.outcomes == ()
    assert replayed.state == changed


@given(histories())
def test_what_was_booked_is_booked_once(commands: list[Command]) -> None:
    folded = fold(FIRST, commands, make.NOW)
    done = [
        (command, result)
        for command, result in zip(commands, folded.results, strict=True)
        if isinstance(result, Booked)
    ]
    again = fold(folded.state, [command for command, _ in done], make.NOW)
    assert list(again.results) == [Repeated(result.log_index) for _, result in done]
    assert again.state == folded.state


@given(histories())
def test_an_id_that_was_used_takes_no_other_order(commands: list[Command]) -> None:
    folded = fold(FIRST, commands, make.NOW)
    used = [result.order for result in folded.results if isinstance(result, Recorded)]
    others = [
        make.an_order(
            order.transfer_id.int & 0xFF,
            TERMS[order.partner_id, "deli" if order.partner_id != "deli" else "fuel", 1],
            partner_reference="something else",
        )
        for order in used
    ]
    again = fold(folded.state, others, make.NOW)
    for result in again.results:
        assert isinstance(result, Refused)
        assert result.reason is Reason.MODIFIED_REQUEST
    assert again.state == folded.state


def test_a_refusal_is_repeated_although_today_the_order_would_pass() -> None:
    state = make.a_state(*make.founding(opened=False))
    order = make.an_order()
    first = make.fold_one(state, order)
    assert isinstance(first.results[0], Recorded)
    assert first.results[0].reason is Reason.WINDOW_STATE
    opened = make.fold_one(first.state, make.OPENING).state
    again = make.fold_one(opened, order)
    assert again.results == (Repeated(first.results[0].log_index, "grocery"),)
    fresh = make.fold_one(opened, make.an_order(2)).results[0]
    assert isinstance(fresh, Recorded)
    assert fresh.refusal is None


def test_another_partner_with_the_same_bytes_learns_nothing() -> None:
    state = make.fold_one(FIRST, make.an_order()).state
    order = make.an_order()
    stranger = Order(
        **{name: getattr(order, name) for name in order.__slots__} | {"partner_id": "fuel"}
    )
    (result,) = make.fold_one(state, stranger).results
    assert isinstance(result, Refused)
    assert (result.reason, result.field) == (Reason.MODIFIED_REQUEST, "transfer_id")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"source_points": 200}, "source_points"),
        ({"target_member": "another", "partner_reference": "x"}, "target_member"),
        ({"partner_reference": "x"}, "partner_reference"),
        ({"expires_at": time_to_proto(make.NOW + timedelta(hours=2))}, "expires_at"),
    ],
)
def test_a_modified_order_is_told_its_first_difference(changes: Any, field: str) -> None:
    state = make.fold_one(FIRST, make.an_order()).state
    (result,) = make.fold_one(state, make.an_order(**changes)).results
    assert isinstance(result, Refused)
    assert (result.reason, result.field) == (Reason.MODIFIED_REQUEST, field)


@given(st.integers(1, 4))
def test_closing_a_window_again_is_harmless(times: int) -> None:
    close = CloseWindow(make.WINDOW, None)
    closed = make.fold_one(FIRST, close)
    (first,) = closed.results
    assert isinstance(first, Booked)
    again = fold(closed.state, [close] * times, make.NOW)
    assert list(again.results) == [Repeated(first.log_index)] * times
    assert again.state == closed.state
