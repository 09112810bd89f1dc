"""The life of an agreement version, as the fold decides it."""

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from exchange.commands import Command
from exchange.fold import State, fold
from exchange.fold.agreements import NOTICE_MIN
from exchange.outcomes import Activated, Booked, Recorded, Repeated
from exchange.transfer import terms_in_force
from partners.errors import Reason, Refused
from partners.negotiation.proposal import AgreementState, Life, Proposal, state_of
from tests import factories as make

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
CORRIDOR = ("grocery", "fuel")
STATE = make.a_state(*make.founding(agreements=[]))
"""Three brands that have agreed on nothing."""
FIRST, OTHER = (make.agreement_payload(fee_basis_points=fee) for fee in (100, 75))
"""Two proposals for version 1 of grocery to fuel."""
SECOND_VERSION = make.agreement_payload(version=2)
THIRD_VERSION = make.agreement_payload(version=3)
SIGNED = (*make.agreed(FIRST), *make.agreed(SECOND_VERSION), *make.agreed(THIRD_VERSION))


def after(*commands: Command, state: State = STATE, now: datetime = make.NOW) -> State:
    """The state after commands that are all booked."""
    folded = fold(state, commands, now)
    assert all(isinstance(result, Booked) for result in folded.results), folded.results
    return folded.state


def refusal_of(
    command: Command, state: State = STATE, now: datetime = make.NOW
) -> tuple[Reason, str]:
    """Why a command is refused; nothing is recorded."""
    folded = fold(state, [command], now)
    (result,) = folded.results
    assert isinstance(result, Refused)
    assert folded.state == state
    return result.reason, result.field


# Rounds


def test_a_counter_replaces_the_open_proposal_and_the_first_cannot_be_signed_any_more() -> None:
    state = after(make.propose(FIRST), make.propose(OTHER, "fuel", is_counter=True))
    newest = state.proposals["grocery-fuel", 1]
    assert (newest.round, newest.proposer, newest.is_counter) == (2, "fuel", True)
    late = make.counter_sign(FIRST)
    assert refusal_of(late, state) == (Reason.TERMS_DIFFER, "agreement")
    state = after(make.counter_sign(OTHER, "grocery"), make.activate(OTHER), state=state)
    assert state.registry.agreements["grocery-fuel", 1].terms == make.terms_of(OTHER)


def test_the_same_proposal_again_opens_no_round_also_when_it_was_replaced() -> None:
    state = after(make.propose(FIRST), make.propose(OTHER, "fuel", is_counter=True))
    folded = make.fold_one(state, make.propose(FIRST))
    assert isinstance(folded.results[0], Repeated)
    assert folded.state.proposals == state.proposals


@pytest.mark.parametrize(
    ("before", "command", "refusal"),
    [
        ([make.propose(FIRST)], make.propose(OTHER), (Reason.ALREADY_EXISTS, "agreement_id")),
        (
            [make.propose(FIRST)],
            make.propose(OTHER, is_counter=True),
            (Reason.AGREEMENT_STATE, "agreement"),
        ),
        ([], make.propose(OTHER, is_counter=True), (Reason.AGREEMENT_STATE, "agreement")),
        (
            make.agreed(FIRST),
            make.propose(OTHER, "fuel", is_counter=True),
            (Reason.AGREEMENT_STATE, "agreement"),
        ),
        ([make.propose(FIRST)], make.counter_sign(OTHER), (Reason.TERMS_DIFFER, "agreement")),
        (
            [make.propose(FIRST)],
            make.counter_sign(FIRST, "grocery"),
            (Reason.AGREEMENT_STATE, "agreement"),
        ),
        ([], make.counter_sign(FIRST), (Reason.AGREEMENT_UNKNOWN, "agreement_id")),
        (
            [make.propose(FIRST)],
            make.withdraw(FIRST, "fuel"),
            (Reason.AGREEMENT_STATE, "withdrawal"),
        ),
        ([make.propose(FIRST)], make.withdraw(OTHER), (Reason.TERMS_DIFFER, "agreement")),
        (
            [*make.agreed(FIRST), make.activate(FIRST)],
            make.withdraw(FIRST),
            (Reason.AGREEMENT_STATE, "withdrawal"),
        ),
        (
            [*make.agreed(FIRST), make.activate(FIRST)],
            make.propose(OTHER),
            (Reason.AGREEMENT_STATE, "agreement"),
        ),
        (
            [make.propose(FIRST)],
            make.activate(FIRST),
            (Reason.COUNTER_SIGNATURE_MISSING, "agreement"),
        ),
        (make.agreed(FIRST), make.activate(OTHER), (Reason.TERMS_DIFFER, "agreement")),
        (
            [*make.agreed(FIRST), make.withdraw(FIRST)],
            make.activate(FIRST),
            (Reason.AGREEMENT_STATE, "agreement"),
        ),
        ([], make.activate(FIRST), (Reason.AGREEMENT_UNKNOWN, "agreement_id")),
    ],
)
def test_a_step_out_of_turn_is_refused_by_name(
    before: Sequence[Command], command: Command, refusal: tuple[Reason, str]
) -> None:
    assert refusal_of(command, after(*before)) == refusal


def test_what_was_withdrawn_may_be_proposed_anew_with_other_bytes() -> None:
    state = after(make.propose(FIRST), make.withdraw(FIRST), make.propose(OTHER, "fuel"))
    newest = state.proposals["grocery-fuel", 1]
    assert (newest.round, newest.is_counter, newest.withdrawn) == (2, False, False)


def test_a_withdrawal_and_an_activation_in_one_batch_are_decided_by_their_order() -> None:
    state = after(*make.agreed(FIRST))
    moves: tuple[Command, ...] = (make.withdraw(FIRST), make.activate(FIRST))
    for first, second in itertools.permutations(moves):
        good, bad = fold(state, [first, second], make.NOW).results
        assert isinstance(good, Booked)
        assert isinstance(bad, Refused)
        assert bad.reason is Reason.AGREEMENT_STATE


def test_a_third_brand_counters_nothing_of_others() -> None:
    foreign = make.agreement_payload("deli", "fuel", agreement_id="grocery-fuel")
    state = after(make.propose(FIRST))
    command = make.propose(foreign, "deli", is_counter=True)
    assert refusal_of(command, state) == (Reason.NOT_A_PARTY, "agreement")


# Instants


def test_a_scheduled_version_begins_at_its_instant_and_the_one_before_ends_there() -> None:
    at = make.NOW + DAY
    state = after(*SIGNED, make.activate(FIRST), make.activate(SECOND_VERSION, at))
    for moment, version in ((make.NOW, 1), (at - SECOND, 1), (at, 2), (at + 400 * DAY, 2)):
        terms = terms_in_force(state.registry, CORRIDOR, moment)
        assert terms is not None
        assert terms.version == version


def test_an_order_is_judged_by_the_version_in_force_at_its_own_time() -> None:
    at = make.NOW + SECOND
    state = after(*SIGNED, make.activate(FIRST), make.activate(SECOND_VERSION, at))
    orders = [make.an_order(n, make.terms(version=n)) for n in (1, 2)]
    for moment, reasons in (
        (make.NOW, [None, Reason.AGREEMENT_NOT_IN_FORCE]),
        (at, [Reason.AGREEMENT_NOT_IN_FORCE, None]),
    ):
        results = fold(state, orders, moment).results
        assert [r.reason for r in results if isinstance(r, Recorded)] == reasons


def test_terms_with_an_end_of_their_own_leave_the_corridor_without_any() -> None:
    state = after(*SIGNED, make.activate(FIRST, make.NOW, make.NOW + DAY))
    assert terms_in_force(state.registry, CORRIDOR, make.NOW + DAY - SECOND) is not None
    assert terms_in_force(state.registry, CORRIDOR, make.NOW + DAY) is None


@pytest.mark.parametrize(
    ("begins", "ends", "refusal"),
    [
        (make.NOW - SECOND, None, (Reason.EFFECTIVE_IN_PAST, "effective_from")),
        (make.NOW + DAY, make.NOW + DAY, (Reason.FIELD_INVALID, "effective_until")),
        (None, make.NOW - SECOND, (Reason.FIELD_INVALID, "effective_until")),
        (make.NOW + 2 * DAY, None, (Reason.AGREEMENT_OVERLAPS, "effective_from")),
        (make.NOW + DAY, None, (Reason.AGREEMENT_OVERLAPS, "effective_from")),
        (None, None, (Reason.AGREEMENT_OVERLAPS, "effective_from")),
        (None, make.NOW + 3 * DAY, (Reason.AGREEMENT_OVERLAPS, "effective_from")),
    ],
)
def test_two_versions_are_never_in_force_at_once_and_none_begins_in_the_past(
    begins: datetime | None, ends: datetime | None, refusal: tuple[Reason, str]
) -> None:
    state = after(*SIGNED, make.activate(SECOND_VERSION, make.NOW + 2 * DAY))
    assert refusal_of(make.activate(THIRD_VERSION, begins, ends), state) == refusal


def test_what_ends_before_the_next_begins_may_come_first() -> None:
    at = make.NOW + 2 * DAY
    state = after(*SIGNED, make.activate(SECOND_VERSION, at), make.activate(THIRD_VERSION, ends=at))
    for moment, version in ((make.NOW, 3), (at - SECOND, 3), (at, 2)):
        terms = terms_in_force(state.registry, CORRIDOR, moment)
        assert terms is not None
        assert terms.version == version


def test_t13_what_a_scheduled_version_mends_is_a_loop_until_it_begins() -> None:
    # From tomorrow on fuel gives less of deli, so that deli may give more of fuel; but not today.
    lower, higher = (
        make.agreement_payload(*pair, version=3, rate=rate)
        for pair, rate in ((("fuel", "deli"), (10, 18)), (("deli", "fuel"), (18, 10)))
    )
    state = make.a_state(*make.founding(), *make.agreed(lower), *make.agreed(higher))
    state = after(make.activate(lower, make.NOW + DAY), state=state)
    assert refusal_of(make.activate(higher), state) == (Reason.FREE_LUNCH, "agreement")
    after(make.activate(higher, make.NOW + DAY), state=state)


# Notices


def test_a_notice_ends_a_version_after_the_notice_period_and_not_before() -> None:
    state = after(*SIGNED, make.activate(FIRST))
    soon = make.terminate(FIRST, make.NOW + NOTICE_MIN - SECOND)
    assert refusal_of(soon, state) == (Reason.NOTICE_TOO_SHORT, "effective_until")
    past = make.terminate(FIRST, make.NOW)
    assert refusal_of(past, state) == (Reason.EFFECTIVE_IN_PAST, "effective_until")
    state = after(make.terminate(FIRST, make.NOW + NOTICE_MIN, "fuel"), state=state)
    assert terms_in_force(state.registry, CORRIDOR, make.NOW + NOTICE_MIN) is None
    assert terms_in_force(state.registry, CORRIDOR, make.NOW + NOTICE_MIN - SECOND) is not None


def test_terms_state_a_notice_of_their_own() -> None:
    payload = make.agreement_payload(notice_days=90)
    state = after(*make.agreed(payload), make.activate(payload))
    soon = make.terminate(payload, make.NOW + 90 * DAY - SECOND)
    assert refusal_of(soon, state) == (Reason.NOTICE_TOO_SHORT, "effective_until")
    after(make.terminate(payload, make.NOW + 90 * DAY), state=state)


def test_a_second_notice_only_brings_the_end_nearer() -> None:
    state = after(*SIGNED, make.activate(FIRST), make.terminate(FIRST, make.NOW + 9 * DAY))
    later = make.terminate(FIRST, make.NOW + 10 * DAY, "fuel")
    assert refusal_of(later, state) == (Reason.AGREEMENT_STATE, "effective_until")
    state = after(make.terminate(FIRST, make.NOW + 5 * DAY, "fuel"), state=state)
    force = state.registry.agreements["grocery-fuel", 1]
    assert force.effective_until == make.NOW + 5 * DAY


def test_notice_is_given_of_the_very_terms_that_were_activated() -> None:
    state = after(*SIGNED, make.activate(FIRST))
    command = make.terminate(OTHER, make.NOW + 9 * DAY)
    assert refusal_of(command, state) == (Reason.TERMS_DIFFER, "agreement_sha256")
    unknown = make.terminate(SECOND_VERSION, make.NOW + 9 * DAY)
    assert refusal_of(unknown, state) == (Reason.AGREEMENT_UNKNOWN, "agreement_id")


def test_a_version_does_not_end_before_it_begins() -> None:
    state = after(*SIGNED, make.activate(FIRST, make.NOW + 9 * DAY))
    command = make.terminate(FIRST, make.NOW + 9 * DAY)
    assert refusal_of(command, state) == (Reason.FIELD_INVALID, "effective_until")


def test_every_step_again_is_a_repeat() -> None:
    steps = (
        make.propose(OTHER, "fuel"),
        make.withdraw(OTHER, "fuel"),
        *make.agreed(FIRST),
        make.activate(FIRST, make.NOW + DAY),
        make.terminate(FIRST, make.NOW + 9 * DAY),
    )
    state = after(*steps)
    folded = fold(state, steps, make.NOW + 3 * DAY)
    assert all(isinstance(result, Repeated) for result in folded.results)
    assert folded.outcomes == ()


def test_the_round_that_is_activated_is_the_one_that_was_signed() -> None:
    state = after(make.propose(FIRST), make.propose(OTHER, "fuel", is_counter=True))
    state = after(make.counter_sign(OTHER, "grocery"), state=state)
    (result,) = make.fold_one(state, make.activate(OTHER)).results
    assert isinstance(result, Booked)
    assert isinstance(result.effect, Activated)
    assert result.effect.round == 2


# How far a version has come


def test_a_versions_state_follows_from_its_signatures_and_the_time() -> None:
    both = ("grocery", "fuel")
    one = Proposal(1, "grocery", b"", both, (("grocery", "k"),))
    counter = Proposal(2, "grocery", b"", both, (("grocery", "k"),), is_counter=True)
    signed = Proposal(1, "grocery", b"", both, (("grocery", "k"), ("fuel", "l")))
    withdrawn = Proposal(1, "grocery", b"", both, (), withdrawn=True)
    life = Life(make.NOW, make.NOW + DAY, terminated=False)
    notice = Life(make.NOW, make.NOW + DAY, terminated=True)
    cases = (
        (one, None, make.NOW, AgreementState.PROPOSED),
        (counter, None, make.NOW, AgreementState.COUNTERED),
        (signed, None, make.NOW, AgreementState.SIGNED),
        (withdrawn, None, make.NOW, AgreementState.WITHDRAWN),
        (signed, life, make.NOW - SECOND, AgreementState.SCHEDULED),
        (signed, life, make.NOW, AgreementState.IN_FORCE),
        (signed, notice, make.NOW, AgreementState.IN_FORCE),
        (signed, life, make.NOW + DAY, AgreementState.ENDED),
        (signed, notice, make.NOW + DAY, AgreementState.TERMINATED),
    )
    for proposal, lived, moment, state in cases:
        assert state_of(proposal, lived, moment) is state
