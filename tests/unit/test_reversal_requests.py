"""Points that a source asks to have taken back, and credits that were declined after all."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from exchange.commands import Command, TakeBack
from exchange.fold import State, fold
from exchange.outcomes import Repeated, Reversed, TransferState
from partners.errors import Reason, Refused
from partners.keys import Purpose
from partners.program_port import InstructionKind
from partners.routes.route import Route, RouteKind
from tests import factories as make

STATE = make.a_state(*make.founding(), make.set_route(1, Route("fuel", RouteKind.PULL)))
ORDER = make.an_order(1, source_points=200)
"""It gives 100 points."""
PROOF = make.proof("fuel")


def ask(number: int = 1, points: int = 60) -> Command:
    """Grocery asks for points of the first order to be taken back."""
    return make.reverse(number, 1, points, "grocery")


def took(points: int, number: int = 1) -> TakeBack:
    """What the program answered."""
    return TakeBack(make.reversal_id(number), points, PROOF)


def after(*commands: Command, state: State = STATE) -> State:
    return fold(state, commands, make.NOW).state


def outcomes(commands: Sequence[Command], state: State = STATE) -> list[Reversed]:
    """What of these was recorded of reversals."""
    results = fold(state, commands, make.NOW).results
    return [each for each in results if isinstance(each, Reversed)]


def test_a_source_asks_and_nothing_moves_until_the_program_answers() -> None:
    (asked,) = outcomes([ORDER, ask()])
    assert (asked.state, asked.postings, asked.refusal) == (TransferState.RESERVED, (), None)
    assert asked.parties == ("grocery",)
    told = asked.instruction
    assert told is not None
    assert (told.kind, told.program, told.points) == (InstructionKind.REVERSE, "fuel", 60)
    assert after(ORDER, ask()).balances == after(ORDER).balances


@pytest.mark.parametrize("points", [60, 59, 1])
def test_what_the_program_took_is_booked_like_what_the_target_reverses(points: int) -> None:
    _asked, booked = outcomes([ORDER, ask(), took(points)])
    assert (booked.state, booked.proof, booked.decides) == (
        TransferState.COMMITTED,
        PROOF,
        make.reversal_id(1),
    )
    (direct,) = outcomes([ORDER, make.reverse(2, 1, points, "fuel")])
    assert booked.postings == direct.postings
    assert booked.parties == direct.parties


def test_where_it_took_nothing_the_request_ends_without_a_posting() -> None:
    _asked, ended = outcomes([ORDER, ask(), took(0)])
    assert (ended.state, ended.reason) == (TransferState.ABORTED, Reason.REVERSAL_REFUSED)
    assert after(ORDER, ask(), took(0)).balances == after(ORDER).balances


def test_an_answer_is_booked_once() -> None:
    state = after(ORDER, ask(), took(60))
    folded = make.fold_one(state, took(60))
    assert isinstance(folded.results[0], Repeated)
    assert folded.state == state


def test_two_requests_cannot_both_ask_for_the_last_points() -> None:
    first, second = outcomes([ORDER, ask(1, 60), ask(2, 60)])
    assert first.state is TransferState.RESERVED
    assert second.reason is Reason.ALREADY_REVERSED
    assert second.refusal is not None
    assert second.refusal.metadata == {"leftPoints": "40"}


def test_what_was_asked_for_and_not_taken_may_be_asked_for_again() -> None:
    *_, again = outcomes([ORDER, ask(1, 100), took(30), ask(2, 70)])
    assert again.state is TransferState.RESERVED
    *_, more = outcomes([ORDER, ask(1, 100), took(30), ask(2, 71)])
    assert more.reason is Reason.ALREADY_REVERSED


def test_a_repeated_request_gets_the_newest_answer() -> None:
    results = fold(STATE, [ORDER, ask(), ask(), took(60), ask()], make.NOW).results
    asked, booked = results[1], results[3]
    assert isinstance(asked, Reversed)
    assert isinstance(booked, Reversed)
    assert results[2] == Repeated(asked.log_index, "grocery")
    assert results[4] == Repeated(booked.log_index, "grocery")


def test_where_the_program_cannot_be_told_only_its_brand_can_say() -> None:
    (refused,) = outcomes([ORDER, ask()], make.a_state())
    assert refused.reason is Reason.TARGET_REVERSES


@pytest.mark.parametrize("command", [took(60), make.undo(1, 100)])
def test_t05_an_answer_signed_by_a_revoked_key_books_nothing(command: Command) -> None:
    state = after(ORDER, ask(), make.revoke_key("partner/fuel", Purpose.ORDERS))
    folded = make.fold_one(state, command)
    (result,) = folded.results
    assert isinstance(result, Refused)
    assert result.reason is Reason.KEY_NOT_IN_FORCE
    assert folded.state == state


def test_more_than_is_left_of_the_credit_is_not_booked() -> None:
    state = after(ORDER, ask(1, 60), make.reverse(2, 1, 70, "fuel"))
    folded = make.fold_one(state, took(60))
    (result,) = folded.results
    assert isinstance(result, Refused)
    assert result.reason is Reason.ALREADY_REVERSED
    assert folded.state == state


def test_nothing_is_booked_that_was_not_asked_for() -> None:
    (result,) = make.fold_one(after(ORDER), took(60)).results
    assert isinstance(result, Refused)
    assert result.reason is Reason.TRANSFER_UNKNOWN


# Declined after all


def test_a_committed_credit_that_was_declined_is_booked_back_whole() -> None:
    (undone,) = outcomes([ORDER, make.undo(1, 100)])
    assert (undone.state, undone.undoes) == (TransferState.COMMITTED, True)
    assert undone.order.partner_id == "fuel"
    (direct,) = outcomes([ORDER, make.reverse(2, 1, 100, "fuel")])
    assert undone.postings == direct.postings
    before, now = after(ORDER, state=STATE), after(ORDER, make.undo(1, 100))
    assert now.window_sums != before.window_sums


def test_what_its_brand_has_reversed_before_is_not_booked_back_again() -> None:
    part, rest = (make.reverse(number, 1, 50, "fuel") for number in (2, 3))
    *_, undone = outcomes([ORDER, part, make.undo(1, 100)])
    assert (undone.undoes, undone.reversed_points) == (True, 100)
    (result,) = make.fold_one(after(ORDER, part, rest), make.undo(1, 100)).results
    assert isinstance(result, Refused)
    assert result.reason is Reason.TRANSFER_STATE


def test_it_is_booked_back_once() -> None:
    state = after(ORDER, make.undo(1, 100))
    folded = make.fold_one(state, make.undo(1, 100))
    assert isinstance(folded.results[0], Repeated)
    assert folded.state == state


def test_only_the_target_of_a_transfer_declines_it() -> None:
    (result,) = make.fold_one(after(ORDER), make.undo(1, 100, "deli")).results
    assert isinstance(result, Refused)
    assert result.reason is Reason.TRANSFER_UNKNOWN
    unknown = replace(make.undo(2, 100))
    (nothing,) = make.fold_one(after(ORDER), unknown).results
    assert isinstance(nothing, Refused)
