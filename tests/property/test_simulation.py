"""A simulation answers what the order itself would be answered, and changes nothing."""

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from exchange.commands import Command
from exchange.fold import fold
from exchange.outcomes import Recorded, TransferState
from exchange.transfer import simulate_transfer, terms_in_force
from partners.limits.values import CorridorLimits
from tests import factories as make
from tests.property.histories import FIRST, histories


@given(histories(), st.sampled_from(make.CORRIDORS), st.integers(1, 2_000_000), st.data())
def test_a_simulation_and_the_order_agree(
    commands: list[Command], corridor: tuple[str, str], points: int, data: st.DataObject
) -> None:
    state = fold(FIRST, commands, make.NOW).state
    # A simulation names no members, so it takes it that an order would name the right ones.
    restraints = state.registry.restraints
    unlimited = {
        name: CorridorLimits(
            *name,
            source_points_per_day=each.source_points_per_day,
            review_above_points=each.review_above_points,
        )
        for name, each in restraints.corridor_limits.items()
    }
    registry = replace(
        state.registry,
        link_required=frozenset(),
        restraints=replace(restraints, corridor_limits=unlimited),
    )
    state = replace(state, registry=registry)
    now = max(make.NOW, state.recorded_at)
    # A simulation is unsigned: it says what an order under a good key would come to.
    assume(state.registry.keys[make.order_signer(corridor[0]).key_id].revoked_index is None)
    terms = terms_in_force(state.registry, corridor, now)
    assert terms is not None
    points -= points % (terms.increment_source_points if points % 7 else 1)
    assume(points > 0)
    windows = {each.currency: each for each in state.windows.values() if each.state == "OPEN"}
    balances = dict(state.balances)
    granted = dict(state.promotion_points)
    segment = data.draw(st.sampled_from(["", *(each.segment_id for each in terms.segments)]))
    simulated = simulate_transfer(
        state.registry,
        windows,
        balances,
        granted,
        terms,
        points,
        segment,
        now,
        state.day_tallies,
    )
    assert (balances, granted) == (state.balances, state.promotion_points)
    expected = simulated.conversion.target_points if simulated.conversion else 1
    strangers = {"source_member": "stranger-4711", "target_member": "stranger-0815"}
    order = make.an_order(
        999, terms, source_points=points, target_points=expected, segment=segment, **strangers
    )
    (result,) = make.fold_one(state, order, now).results
    assert isinstance(result, Recorded)
    assert (simulated.refusal and simulated.refusal.reason) == result.reason
    if result.state is TransferState.COMMITTED:
        assert simulated.conversion == result.conversion
