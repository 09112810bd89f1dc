"""Transfers that are held for review, and what becomes of them."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.commands import CloseWindow, Command, DecideHeld, Order, Verdict
from exchange.fold import State, fold
from exchange.ledger.accounts import position_account
from exchange.ledger.postings import Code, MoneyCell, Phase
from exchange.outcomes import Recorded, Repeated, TransferState
from partners.errors import Reason, Refused
from partners.limits.values import CorridorLimits, PartnerLimits
from pointclear.partners.v1 import agreement_pb2
from tests import factories as make
from tests.unit.test_promotions import coalition, promotion
from tests.unit.test_promotions import order as promoted

REVIEWED = CorridorLimits("grocery", "fuel", source_points_per_day=1000, review_above_points=100)
STATE = make.a_state(*make.founding(), make.set_limits(1, REVIEWED))
HELD = make.an_order(1, source_points=200)
COST = 100 * 19_600 + 19_600 + 1_176


def decide(number: int, verdict: Verdict, partner_id: str = "") -> DecideHeld:
    """A verdict on the order of this number."""
    return DecideHeld(make.transfer_id(number), verdict, partner_id)


RELEASE, REFUSE = decide(1, Verdict.RELEASED), decide(1, Verdict.REFUSED)
CANCEL = decide(1, Verdict.CANCELLED, "grocery")


def recorded(state: State, commands: Sequence[Command]) -> list[Recorded]:
    """What of these commands was recorded as a transfer."""
    results = fold(state, commands, make.NOW).results
    return [each for each in results if isinstance(each, Recorded)]


def available(state: State) -> int:
    """What grocery may still spend, were its cap 0."""
    money = state.registry.units[make.CURRENCY].number
    return state.balances[position_account(money, 1)].available


def after(*commands: Command) -> State:
    return fold(STATE, commands, make.NOW).state


def test_a_transfer_above_the_limit_is_held_and_counts_against_its_payer_at_once() -> None:
    (held,) = recorded(STATE, [HELD])
    assert (held.state, held.reason) == (TransferState.HELD, Reason.HELD_FOR_REVIEW)
    assert {each.phase for each in held.postings} == {Phase.PENDING}
    assert available(after(HELD)) == -COST
    assert not after(HELD).window_sums, "a window counts what is posted"
    (small,) = recorded(STATE, [make.an_order(2, source_points=100)])
    assert small.state is TransferState.COMMITTED


def test_a_release_books_what_was_reserved_and_the_sender_gets_the_transfer() -> None:
    held, released = recorded(STATE, [HELD, RELEASE])
    assert (released.state, released.refusal) == (TransferState.COMMITTED, None)
    assert released.order == held.order
    assert released.conversion is not None
    assert (released.conversion.target_points, released.conversion.value) == (100, 1_960_000)
    plain = recorded(make.a_state(), [HELD])[0]
    assert [(p.code, p.amount) for p in released.postings] == [
        (p.code, p.amount) for p in plain.postings
    ]
    state, direct = after(HELD, RELEASE), fold(make.a_state(), [HELD], make.NOW).state
    assert state.window_sums == direct.window_sums
    assert {n: b.posted for n, b in state.balances.items()} == {
        n: b.posted for n, b in direct.balances.items()
    }
    assert all(b.debits_pending == b.credits_pending == 0 for b in state.balances.values())


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [(REFUSE, Reason.REVIEW_REFUSED), (CANCEL, Reason.TRANSFER_CANCELLED)],
)
def test_a_void_frees_what_was_reserved(verdict: DecideHeld, reason: Reason) -> None:
    _held, voided = recorded(STATE, [HELD, verdict])
    assert (voided.state, voided.reason) == (TransferState.ABORTED, reason)
    state = after(HELD, verdict)
    assert available(state) == 0
    assert not state.window_sums
    assert all(b.posted == b.debits_pending == 0 for b in state.balances.values())


def test_a_repeated_order_gets_the_newest_answer() -> None:
    held, again, released, newest = fold(STATE, [HELD, HELD, RELEASE, HELD], make.NOW).results
    assert isinstance(held, Recorded)
    assert isinstance(released, Recorded)
    assert again == Repeated(held.log_index, "grocery")
    assert newest == Repeated(released.log_index, "grocery")


@pytest.mark.parametrize("first", [RELEASE, REFUSE, CANCEL])
def test_a_hold_ends_once(first: DecideHeld) -> None:
    state = after(HELD, first)
    for each in (RELEASE, REFUSE, CANCEL):
        folded = make.fold_one(state, each)
        (result,) = folded.results
        if each.verdict is first.verdict:
            assert isinstance(result, Repeated)
        else:
            assert isinstance(result, Refused)
            assert result.reason is Reason.TRANSFER_STATE
        assert folded.state == state


def test_only_what_was_held_is_decided_and_cancelled_by_its_sender_alone() -> None:
    committed = after(make.an_order(2, source_points=100))
    for state, command in (
        (STATE, RELEASE),
        (committed, decide(2, Verdict.REFUSED)),
        (after(HELD), decide(1, Verdict.CANCELLED, "fuel")),
    ):
        (result,) = make.fold_one(state, command).results
        assert isinstance(result, Refused)
        assert (result.reason, result.field) == (Reason.TRANSFER_UNKNOWN, "transfer_id")


def test_the_window_of_the_release_counts_the_transfer() -> None:
    close = CloseWindow(make.WINDOW, None)
    _held, released = recorded(STATE, [HELD, close, RELEASE])
    assert released.window is not None
    assert released.window.window_id == make.NEXT_WINDOW
    state = after(HELD, close, RELEASE)
    assert state.window_sums[2, MoneyCell(1, 2, Code.VALUE)] == -1_960_000
    assert not [cell for cell in state.window_sums if cell[0] == 1]


def test_a_hold_counts_in_the_day_and_a_void_gives_it_back() -> None:
    full = make.an_order(2, source_points=1000)
    assert recorded(STATE, [HELD, full])[-1].reason is Reason.VELOCITY_EXCEEDED
    held_again = recorded(STATE, [HELD, REFUSE, full])[-1]
    assert held_again.reason is Reason.HELD_FOR_REVIEW


def test_a_hold_that_the_position_has_no_room_for_is_refused() -> None:
    poor = make.set_limits(2, PartnerLimits("grocery", net_debit_cap=COST))
    reasons = [each.reason for each in recorded(STATE, [poor, HELD, make.an_order(2)])]
    assert reasons == [Reason.HELD_FOR_REVIEW, Reason.NET_DEBIT_CAP_EXCEEDED]


def test_a_member_that_does_much_in_a_day_is_held_from_there_on() -> None:
    by_count = CorridorLimits("grocery", "fuel", review_member_transfers_per_day=2)
    by_points = CorridorLimits("grocery", "fuel", review_member_points_per_day=250)
    for limits in (by_count, by_points):
        state = make.a_state(*make.founding(), make.set_limits(1, limits))
        orders = [make.an_order(number) for number in (1, 2, 3)]
        other = make.an_order(4, source_member="another")
        states = [each.state for each in recorded(state, [*orders, other])]
        assert states == [TransferState.COMMITTED] * 2 + [
            TransferState.HELD,
            TransferState.COMMITTED,
        ]


@pytest.mark.parametrize("verdict", [RELEASE, REFUSE])
def test_bonuses_are_reserved_and_what_the_target_bears_comes_with_its_value(
    verdict: DecideHeld,
) -> None:
    spring = promotion(grocery=4_000, fuel=3_000, hub=2_000, deli=1_000)
    borne = agreement_pb2.BEARER_TARGET
    free = coalition(spring, fee_bearer=borne)
    state = fold(free, [make.set_limits(1, REVIEWED)], make.NOW).state
    order = promoted(state, points=200)
    held, ended = recorded(state, [order, verdict])
    money = state.registry.units[make.CURRENCY].number
    fuel = position_account(money, state.registry.partners["fuel"].number)
    assert held.state is TransferState.HELD
    assert fuel not in {each.debit for each in held.postings}
    waiting = fold(state, [order], make.NOW).state
    assert waiting.promotion_points == {("grocery-fuel", 1, "spring"): 20}
    after_all = fold(state, [order, verdict], make.NOW).state
    if verdict is REFUSE:
        assert after_all.promotion_points == {("grocery-fuel", 1, "spring"): 0}
        assert all(each.posted == 0 for each in after_all.balances.values())
        return
    direct = fold(free, [order], make.NOW)
    (plain,) = (each for each in direct.results if isinstance(each, Recorded))
    assert ended.conversion == plain.conversion
    assert ended.funders == ("deli",)
    assert after_all.promotion_points == direct.state.promotion_points
    assert {n: b.posted for n, b in after_all.balances.items()} == {
        n: b.posted for n, b in direct.state.balances.items()
    }


def a_verdict(number: int) -> st.SearchStrategy[Command]:
    return st.sampled_from(
        [
            decide(number, Verdict.RELEASED),
            decide(number, Verdict.REFUSED),
            decide(number, Verdict.CANCELLED, "grocery"),
        ]
    )


def an_order(number: int) -> st.SearchStrategy[Order]:
    return st.sampled_from([2, 100, 150, 200, 400]).map(
        lambda points: make.an_order(number, source_points=points - points % 2)
    )


@given(st.lists(st.integers(1, 6).flatmap(lambda n: st.one_of(an_order(n), a_verdict(n)))))
def test_what_is_pending_is_exactly_what_waits(commands: list[Command]) -> None:
    folded = fold(STATE, commands, make.NOW)
    waiting = [held for held in folded.state.held.values() if held.verdict is None]
    pending = sum(each.amount for held in waiting for each in held.postings)
    balances = folded.state.balances.values()
    assert sum(b.debits_pending for b in balances) == pending
    assert sum(b.credits_pending for b in balances) == pending
    ends = {TransferState.COMMITTED, TransferState.ABORTED, TransferState.REFUSED}
    seen = [
        (each.order.transfer_id, each.state in ends)
        for each in folded.outcomes
        if isinstance(each, Recorded)
    ]
    assert len(seen) == len(set(seen)), "one hold and one outcome for each id"
