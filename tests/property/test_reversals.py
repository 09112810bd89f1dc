"""Whatever was transferred and then taken back, in parts and in any order: nothing is left of it
but the fees that are kept.
"""

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from exchange.commands import Order
from exchange.fold import State, fold
from exchange.ledger.accounts import HUB, party_of, unit_of
from exchange.outcomes import Recorded, Reversed, TransferState
from partners.agreement import Bearer
from tests import factories as make
from tests.property.histories import FIRST, orders

MONEY = FIRST.registry.units[make.CURRENCY].number


def committed(orders: list[Order]) -> tuple[State, list[Recorded]]:
    folded = fold(FIRST, orders, make.NOW)
    return folded.state, [
        each
        for each in folded.outcomes
        if isinstance(each, Recorded) and each.state is TransferState.COMMITTED
    ]


@given(st.lists(orders(), min_size=1, max_size=10), st.data())
def test_when_all_is_taken_back_nothing_is_left_but_the_fees_that_are_kept(
    commands: list[Order], data: st.DataObject
) -> None:
    state, transfers = committed(commands)
    parts: list[tuple[Recorded, int]] = []
    kept = Counter[int]()
    for each in transfers:
        assert each.conversion is not None
        assert each.terms is not None
        n = each.conversion.target_points
        cuts = sorted(data.draw(st.sets(st.integers(1, n), max_size=3)) | {0, n})
        parts += [(each, b - a) for a, b in pairwise(cuts)]
        if not each.terms.fee.refundable:
            by_source = each.terms.fee.bearer is Bearer.SOURCE
            bearer = each.source_partner if by_source else each.target_partner
            fee = each.conversion.fee + each.conversion.tax
            kept[state.registry.partners[bearer].number] += fee
    reversals = [
        make.reverse(number, each.order.transfer_id.int & 0xFF, points, each.target_partner)
        for number, (each, points) in enumerate(data.draw(st.permutations(parts)), 1)
    ]
    folded = fold(state, reversals, make.NOW)
    assert all(isinstance(each, Reversed) and not each.refusal for each in folded.results)
    kept[HUB] = -kept.total()
    money = Counter[int]()
    for number, balance in folded.state.balances.items():
        if unit_of(number) == MONEY:
            money[party_of(number)] += balance.posted
        else:
            assert balance.posted == 0
    assert {party: -each for party, each in kept.items() if each} == {
        party: each for party, each in money.items() if each
    }


@given(st.lists(orders(), min_size=1, max_size=6), st.integers(1, 2_000))
def test_no_reversal_takes_back_more_than_was_credited(commands: list[Order], points: int) -> None:
    state, transfers = committed(commands)
    for each in transfers:
        assert each.conversion is not None
        number, target = each.order.transfer_id.int & 0xFF, each.target_partner
        again = [make.reverse(at, number, points, target) for at in range(1, 5)]
        results = [
            result
            for result in fold(state, again, make.NOW).results
            if isinstance(result, Reversed)
        ]
        taken = sum(result.portion.target_points for result in results if result.portion)
        n = each.conversion.target_points
        assert taken <= n
        assert taken == min(4, n // points) * points
