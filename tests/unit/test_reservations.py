"""Transfers that are reserved until their target answers, and what becomes of them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from exchange.commands import Command, Conclude, DecideHeld, Verdict
from exchange.fold import State, fold
from exchange.ledger.accounts import position_account
from exchange.ledger.postings import Phase
from exchange.outcomes import Recorded, Repeated, TransferState
from partners.errors import Reason, Refused
from partners.keys import Purpose
from partners.limits.values import CorridorLimits
from partners.program_port import ExpiryLot, InstructionKind
from partners.routes.route import Route, RouteKind
from partners.wire import time_to_proto
from pointclear.exchange.v1 import transfer_pb2
from pointclear.partners.v1 import agreement_pb2
from tests import factories as make

CONFIRMED = make.agreement_payload(
    version=3,
    credit_mode=agreement_pb2.CREDIT_MODE_CONFIRMED,
    fee_bearer=agreement_pb2.BEARER_TARGET,
)
UNDER = make.terms_of(CONFIRMED)
STATE = make.a_state(*make.founding(), *make.in_force(CONFIRMED))
ORDER = make.an_order(1, UNDER, source_points=200)
PROOF = make.proof("fuel")
VALUE = 100 * 19_600


def conclude(verdict: Verdict, proof: object = PROOF) -> Conclude:
    """An end of the first order's reservation."""
    return Conclude(make.transfer_id(1), verdict, proof)  # type: ignore[arg-type]


CREDITED, DECLINED = conclude(Verdict.CREDITED), conclude(Verdict.DECLINED)
LAPSED, UNSENT = conclude(Verdict.LAPSED), conclude(Verdict.LAPSED, None)
CANCEL = DecideHeld(make.transfer_id(1), Verdict.CANCELLED, "grocery")


def recorded(state: State, commands: Sequence[Command]) -> list[Recorded]:
    """What of these commands was recorded as a transfer."""
    results = fold(state, commands, make.NOW).results
    return [each for each in results if isinstance(each, Recorded)]


def after(*commands: Command, state: State = STATE) -> State:
    return fold(state, commands, make.NOW).state


def sent(state: State) -> State:
    """The state once the target may have been told."""
    return replace(
        state, reserved={name: replace(each, sent=True) for name, each in state.reserved.items()}
    )


def refused(state: State, command: Command) -> Reason:
    """Why a command is refused without a record; fails where it is not, or where it changes."""
    folded = make.fold_one(state, command)
    (result,) = folded.results
    assert isinstance(result, Refused)
    assert folded.state == state
    return result.reason


def test_an_order_whose_credit_must_be_confirmed_is_reserved_and_its_program_is_told() -> None:
    (outcome,) = recorded(STATE, [ORDER])
    assert (outcome.state, outcome.refusal) == (TransferState.RESERVED, None)
    assert {each.phase for each in outcome.postings} == {Phase.PENDING}
    told = outcome.instruction
    assert told is not None
    assert (told.kind, told.program, told.points) == (InstructionKind.CREDIT, "fuel", 100)
    assert told.committed is False
    assert told.answer_by == make.NOW + timedelta(minutes=15)
    money = STATE.registry.units[make.CURRENCY].number
    assert after(ORDER).balances[position_account(money, 1)].available == -VALUE
    assert not after(ORDER).window_sums, "a window counts what is posted"


def test_the_targets_answer_books_what_was_reserved_and_is_named_in_the_record() -> None:
    _reserved, outcome = recorded(STATE, [ORDER, CREDITED])
    assert (outcome.state, outcome.proof, outcome.refusal) == (
        TransferState.COMMITTED,
        PROOF,
        None,
    )
    assert outcome.instruction is None, "the program has been told"
    guaranteed = make.agreement_payload(version=3, fee_bearer=agreement_pb2.BEARER_TARGET)
    plain = make.a_state(*make.founding(), *make.in_force(guaranteed))
    direct = make.an_order(1, make.terms_of(guaranteed), source_points=200)
    assert after(ORDER, CREDITED).window_sums == after(direct, state=plain).window_sums
    assert all(not b.debits_pending for b in after(ORDER, CREDITED).balances.values())


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (DECLINED, Reason.CREDIT_REFUSED),
        (LAPSED, Reason.TRANSFER_LAPSED),
        (UNSENT, Reason.TRANSFER_LAPSED),
        (CANCEL, Reason.TRANSFER_CANCELLED),
    ],
)
def test_a_void_frees_what_was_reserved(end: Command, reason: Reason) -> None:
    _reserved, outcome = recorded(STATE, [ORDER, end])
    assert (outcome.state, outcome.reason) == (TransferState.ABORTED, reason)
    for balance in after(ORDER, end).balances.values():
        assert balance.posted == balance.debits_pending == balance.credits_pending == 0


@pytest.mark.parametrize("end", [UNSENT, CANCEL, conclude(Verdict.CREDITED, None)])
def test_no_time_and_no_sender_ends_what_was_sent(end: Command) -> None:
    assert refused(sent(after(ORDER)), end) is Reason.TRANSFER_STATE


@pytest.mark.parametrize("end", [CREDITED, DECLINED, LAPSED])
def test_proof_ends_what_was_sent(end: Command) -> None:
    (outcome,) = recorded(sent(after(ORDER)), [end])
    assert outcome.proof == PROOF


@pytest.mark.parametrize("first", [CREDITED, DECLINED, LAPSED])
def test_a_reservation_ends_once(first: Conclude) -> None:
    state = after(ORDER, first)
    for each in (CREDITED, DECLINED, LAPSED):
        voids_again = first is not CREDITED and each is not CREDITED
        if each.verdict is first.verdict or voids_again:
            folded = make.fold_one(state, each)
            assert isinstance(folded.results[0], Repeated)
            assert folded.state == state
        else:
            assert refused(state, each) is Reason.TRANSFER_STATE


def test_a_repeated_order_gets_the_newest_answer() -> None:
    reserved, again, outcome, newest = fold(
        STATE, [ORDER, ORDER, CREDITED, ORDER], make.NOW
    ).results
    assert isinstance(reserved, Recorded)
    assert isinstance(outcome, Recorded)
    assert again == Repeated(reserved.log_index, "grocery")
    assert newest == Repeated(outcome.log_index, "grocery")


@pytest.mark.parametrize("key_of", ["grocery", "deli"])
def test_only_the_targets_key_proves_its_answer(key_of: str) -> None:
    command = conclude(Verdict.CREDITED, make.proof(key_of))
    assert refused(after(ORDER), command) is Reason.KEY_NOT_IN_FORCE


def test_t05_an_answer_signed_by_a_revoked_key_ends_nothing() -> None:
    state = after(ORDER, make.revoke_key("partner/fuel", Purpose.ORDERS))
    assert refused(state, CREDITED) is Reason.KEY_NOT_IN_FORCE


def test_only_what_was_reserved_is_concluded() -> None:
    committed = make.an_order(1, source_points=200)
    for state in (STATE, after(committed, state=make.a_state())):
        assert refused(state, CREDITED) is Reason.TRANSFER_UNKNOWN


def test_another_brand_cancels_nothing() -> None:
    stranger = DecideHeld(make.transfer_id(1), Verdict.CANCELLED, "fuel")
    assert refused(after(ORDER), stranger) is Reason.TRANSFER_UNKNOWN


def test_a_release_reserves_where_the_target_decides() -> None:
    reviewed = CorridorLimits(
        "grocery", "fuel", source_points_per_day=1000, review_above_points=100
    )
    state = after(make.set_limits(1, reviewed))
    release = DecideHeld(make.transfer_id(1), Verdict.RELEASED)
    held, reserved, outcome = recorded(state, [ORDER, release, CREDITED])
    assert [held.state, reserved.state, outcome.state] == [
        TransferState.HELD,
        TransferState.RESERVED,
        TransferState.COMMITTED,
    ]
    assert held.instruction is None
    assert reserved.instruction is not None
    assert (reserved.postings, reserved.hold_index) == ((), held.log_index)
    assert {each.resolves.log_index for each in outcome.postings if each.resolves} == {
        held.log_index
    }
    void = after(ORDER, release, DECLINED, state=state)
    assert all(not b.posted and not b.debits_pending for b in void.balances.values())


def test_a_guaranteed_credit_is_told_where_there_is_a_route_and_nowhere_else() -> None:
    order = make.an_order(1, source_points=200)
    (quiet,) = recorded(make.a_state(), [order])
    assert quiet.instruction is None
    routed = make.set_route(1, Route("fuel", RouteKind.PULL))
    (told,) = recorded(make.a_state(), [routed, order])
    assert told.state is TransferState.COMMITTED
    assert told.instruction is not None
    assert (told.instruction.committed, told.instruction.answer_by) == (True, None)


def test_instructions_for_one_member_share_a_key_that_does_not_tell_who_it_is() -> None:
    routed = make.set_route(1, Route("fuel", RouteKind.PULL))
    orders = [
        make.an_order(1, source_points=200),
        make.an_order(2, source_points=200),
        make.an_order(3, source_points=200, target_member="another"),
    ]
    keys = [
        each.instruction.member_key
        for each in recorded(make.a_state(), [routed, *orders])
        if each.instruction
    ]
    assert keys[0] == keys[1] != keys[2]
    assert "another" not in keys[2]


def test_points_that_inherit_their_expiry_are_split_like_the_source_points() -> None:
    payload = make.agreement_payload(version=3, expiry_rule=agreement_pb2.EXPIRY_RULE_INHERIT)
    state = make.a_state(*make.founding(), *make.in_force(payload))
    days = [make.NOW + timedelta(days=each) for each in (10, 20, 30)]
    lots = [
        transfer_pb2.SourceLot(points=points, expires_at=time_to_proto(day))
        for points, day in zip((33, 33, 134), days, strict=True)
    ]
    order = make.an_order(1, make.terms_of(payload), source_points=200, source_lots=lots)
    routed = make.set_route(1, Route("fuel", RouteKind.PULL))
    (told,) = recorded(state, [routed, order])
    assert told.instruction is not None
    assert told.instruction.expiry_lots == (
        ExpiryLot(16, days[0]),
        ExpiryLot(17, days[1]),
        ExpiryLot(67, days[2]),
    )


def test_points_of_a_fixed_life_expire_that_many_days_after_the_transfer() -> None:
    payload = make.agreement_payload(
        version=3, expiry_rule=agreement_pb2.EXPIRY_RULE_FIXED_DAYS, expiry_days=40
    )
    state = make.a_state(*make.founding(), *make.in_force(payload))
    routed = make.set_route(1, Route("fuel", RouteKind.PULL))
    order = make.an_order(1, make.terms_of(payload), source_points=200)
    (told,) = recorded(state, [routed, order])
    assert told.instruction is not None
    assert told.instruction.expiry_lots == (ExpiryLot(100, make.NOW + timedelta(days=40)),)


def test_production_simulates_no_program() -> None:
    from partners.environment import Environment

    production = replace(
        make.a_state(),
        registry=replace(make.a_state().registry, environment=Environment.PRODUCTION),
    )
    simulated = make.set_route(1, Route("fuel", RouteKind.SIMULATED))
    assert refused(production, simulated) is Reason.FIELD_INVALID
    assert refused(production, make.set_route(2, Route("nowhere"))) is Reason.PROGRAM_UNKNOWN
