"""How commands are grouped into batches changes nothing."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from exchange.commands import Command
from exchange.fold import Cell, State, fold
from exchange.outcomes import Outcome, Recorded, Result, Reversed
from partners.errors import Reason, Refused
from tests import factories as make
from tests.property.histories import FIRST, histories

Run = tuple[State, list[object], list[Outcome], dict[Cell, int]]


def shown(result: Result) -> object:
    """A result that compares by value, refusals too."""
    if isinstance(result, Refused):
        return str(result), dict(result.metadata)
    if isinstance(result, Recorded | Reversed):
        return outcome_shown(result)
    return result


def outcome_shown(outcome: Outcome) -> object:
    if isinstance(outcome, Recorded | Reversed) and outcome.refusal is not None:
        refusal = outcome.refusal
        return outcome.log_index, outcome.recorded_at, outcome.order, shown(refusal)
    return outcome


def run(batches: list[list[Command]]) -> tuple[State, list[object], list[object], dict[Cell, int]]:
    state = FIRST
    results: list[object] = []
    outcomes: list[object] = []
    steps: dict[Cell, int] = {}
    for batch in batches:
        folded = fold(state, batch, make.NOW)
        state = folded.state
        results += map(shown, folded.results)
        outcomes += map(outcome_shown, folded.outcomes)
        for cell, amount in folded.window_steps.items():
            steps[cell] = steps.get(cell, 0) + amount
    return state, results, outcomes, steps


@given(histories())
def test_one_batch_of_n_is_n_batches_of_one(commands: list[Command]) -> None:
    assert run([commands]) == run([[command] for command in commands])


@given(histories(), st.data())
def test_any_split_into_batches_gives_the_same(
    commands: list[Command], data: st.DataObject
) -> None:
    cuts = data.draw(st.sets(st.integers(0, len(commands))))
    edges = [0, *sorted(cuts), len(commands)]
    batches = [commands[a:b] for a, b in itertools.pairwise(edges)]
    assert run(batches) == run([commands])


def test_with_a_cap_of_150_exactly_one_of_six_orders_of_100_is_accepted() -> None:
    plain = make.agreement_payload(
        rate=(1, 1), price_per_target_point=1, fee_basis_points=0, tax_code="none"
    )
    state = make.a_state(*make.founding(cap=150, agreements=[plain]))
    orders = [make.an_order(number, make.terms_of(plain)) for number in range(1, 7)]
    results = fold(state, orders, make.NOW).results
    reasons = [result.reason for result in results if isinstance(result, Recorded)]
    assert reasons == [None] + [Reason.NET_DEBIT_CAP_EXCEEDED] * 5


def test_after_the_cap_refused_one_order_a_smaller_one_behind_it_still_passes() -> None:
    plain = make.agreement_payload(
        rate=(1, 1), price_per_target_point=1, fee_basis_points=0, tax_code="none"
    )
    state = make.a_state(*make.founding(cap=150, agreements=[plain]))
    sizes = (100, 100, 51, 50, 1)
    orders = [
        make.an_order(number, make.terms_of(plain), source_points=points)
        for number, points in enumerate(sizes, 1)
    ]
    results = fold(state, orders, make.NOW).results
    accepted = [result.refusal is None for result in results if isinstance(result, Recorded)]
    assert accepted == [True, False, False, True, False]
