"""A simulation gives the fold's own answer, and changes nothing."""

from hypothesis import given
from hypothesis import strategies as st

from exchange.fold import State
from exchange.outcomes import Recorded
from exchange.reading.wire import simulation_to_proto
from exchange.transfer import Simulation, simulate_transfer, terms_in_force
from partners.errors import Reason
from pointclear.common.v1 import refusal_pb2
from tests import factories as make

CORRIDOR = ("grocery", "fuel")


def simulate(state: State, points: int) -> Simulation:
    """Simulate a transfer from grocery to fuel."""
    terms = terms_in_force(state.registry, CORRIDOR, make.NOW)
    assert terms is not None
    windows = {each.currency: each for each in state.windows.values() if each.state == "OPEN"}
    return simulate_transfer(
        state.registry,
        windows,
        state.balances,
        state.promotion_points,
        terms,
        points,
        "",
        make.NOW,
    )


@given(
    points=st.integers(1, 5_000) | st.integers(1, 2**62),
    cap=st.sampled_from([0, 1_000_000, make.CAP, 2**62 - 1]),
    opened=st.booleans(),
)
def test_an_order_is_answered_as_its_simulation_said(points: int, cap: int, opened: bool) -> None:
    state = make.a_state(*make.founding(cap, opened=opened))
    before = dict(state.balances)
    said = simulate(state, points)
    assert state.balances == before
    target_points = said.conversion.target_points if said.conversion else 1
    order = make.an_order(source_points=points, target_points=max(1, target_points))
    (answer,) = make.fold_one(state, order).results
    assert isinstance(answer, Recorded)
    assert answer.reason == (said.refusal.reason if said.refusal else None)
    if said.refusal is None:
        assert answer.conversion == said.conversion
        assert answer.terms == said.terms
    elif answer.refusal is not None:
        assert answer.refusal.args == said.refusal.args


def test_a_simulation_sees_what_was_committed_before() -> None:
    state = make.a_state(*make.founding(cap=2_100_000))
    assert simulate(state, 200).refusal is None
    after = make.fold_one(state, make.an_order(source_points=200)).state
    refusal = simulate(after, 200).refusal
    assert refusal is not None
    assert refusal.reason is Reason.NET_DEBIT_CAP_EXCEEDED


def test_a_corridor_has_the_terms_in_force_at_the_moment() -> None:
    both = [make.AGREEMENTS[*CORRIDOR, version] for version in (1, 2)]
    registry = make.a_registry(*make.founding(agreements=both))
    newer = terms_in_force(registry, CORRIDOR, make.NOW)
    assert newer is not None
    assert newer.version == 2
    first = registry.agreements["grocery-fuel", 1]
    older = terms_in_force(registry, CORRIDOR, first.effective_from)
    assert older == first.terms
    assert terms_in_force(registry, CORRIDOR, make.EPOCH) is None
    assert terms_in_force(registry, ("fuel", "grocery"), make.NOW) is None


def test_amounts_that_no_posting_holds_are_left_out_of_the_answer() -> None:
    answer = simulation_to_proto(simulate(make.a_state(), 2**62))
    assert answer.refusal.reason == refusal_pb2.REASON_LIMIT_EXCEEDED
    assert (answer.target_points, answer.value, answer.fee, answer.tax) == (0, 0, 0, 0)
