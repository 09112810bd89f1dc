"""What a day lets pass: by corridor, program, partner and member."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.commands import Command, Order
from exchange.day_limits import DayTally, stricter
from exchange.fold import State, fold
from exchange.outcomes import Recorded
from partners.errors import Reason
from partners.limits.values import CorridorLimits, Limits, PartnerLimits, ProgramLimits
from partners.wire import time_to_proto
from pointclear.partners.v1 import agreement_pb2
from tests import factories as make

STATE = make.a_state()
THERE, BACK = make.terms("grocery", "fuel"), make.terms("fuel", "grocery")
VELOCITY = Reason.VELOCITY_EXCEEDED


def there(number: int, points: int = 100, member: str = "g-1", into: str = "f-1") -> Order:
    """An order from grocery to fuel: 2 points give 1 worth CNY 0.0196."""
    members = {"source_member": member, "target_member": into}
    return make.an_order(number, THERE, source_points=points, **members)


def back(number: int, member: str = "f-1", into: str = "g-1") -> Order:
    """An order from fuel to grocery."""
    members = {"source_member": member, "target_member": into}
    return make.an_order(number, BACK, source_points=10, **members)


def limited(*limits: Limits, state: State = STATE) -> State:
    """The state after these limits were set."""
    commands = [make.set_limits(number, each) for number, each in enumerate(limits, 1)]
    return fold(state, commands, make.NOW).state


def reasons(state: State, commands: Sequence[Command], later_s: int = 0) -> list[Reason | None]:
    """How the orders among these commands end."""
    results = fold(state, commands, make.NOW + timedelta(seconds=later_s)).results
    return [each.reason for each in results if isinstance(each, Recorded)]


def field_of(state: State, commands: Sequence[Command]) -> str:
    """The field at which the last of these is refused."""
    last = fold(state, commands, make.NOW).results[-1]
    assert isinstance(last, Recorded)
    assert last.refusal is not None
    return last.refusal.field


# Each limit


def test_a_corridor_takes_its_points_of_the_day_and_no_more() -> None:
    state = limited(CorridorLimits("grocery", "fuel", source_points_per_day=250))
    orders = [there(1), there(2), there(3, 52), there(4, 50), there(5, 2)]
    assert reasons(state, orders) == [None, None, VELOCITY, None, VELOCITY]
    assert reasons(state, [*orders, back(6)])[-1] is None, "the opposite corridor is apart"


def test_a_program_takes_its_points_of_the_day_from_whomever() -> None:
    deli = make.an_order(9, make.terms("deli", "fuel"), source_points=50)
    state = limited(ProgramLimits("fuel", 50 + deli.target_points + 10))
    orders = [there(1), deli, there(2, 20), there(3, 22)]
    assert reasons(state, orders) == [None, None, None, Reason.COUNTERPARTY_LIMIT]


def test_what_the_other_side_takes_is_not_told() -> None:
    state = limited(ProgramLimits("fuel", 10))
    (result,) = fold(state, [there(1)], make.NOW).results
    assert isinstance(result, Recorded)
    assert result.refusal is not None
    assert "10" not in result.refusal.text
    assert not result.refusal.metadata


def test_a_partner_sends_its_transfers_and_its_value_of_the_day() -> None:
    transfers = limited(PartnerLimits("grocery", net_debit_cap=make.CAP, transfers_per_day=2))
    deli = make.an_order(9, make.terms("grocery", "deli"))
    assert reasons(transfers, [there(1), deli, there(2), back(3)]) == [None, None, VELOCITY, None]
    value = limited(PartnerLimits("grocery", net_debit_cap=make.CAP, value_per_day=51 * 19_600))
    assert reasons(value, [there(1), there(2, 4), there(3, 2)]) == [None, VELOCITY, None]


def test_a_member_has_a_count_and_points_of_its_own() -> None:
    count = limited(CorridorLimits("grocery", "fuel", member_transfers_per_day=2))
    orders = [there(1), there(2), there(3), there(4, member="g-2")]
    assert reasons(count, orders) == [None, None, VELOCITY, None]
    assert field_of(count, orders[:3]) == "source_member"
    points = limited(CorridorLimits("grocery", "fuel", member_points_per_day=150))
    orders = [there(1), there(2, 52), there(3, 50), there(4, 100, "g-2")]
    assert reasons(points, orders) == [None, VELOCITY, None, None]


def test_the_lesser_of_the_operators_and_the_terms_limits_binds() -> None:
    assert (stricter(0, 0), stricter(3, 0), stricter(0, 2), stricter(3, 2)) == (0, 3, 2, 2)
    signed = make.agreement_payload(
        member_limits=agreement_pb2.MemberLimits(transfers_per_day=2), version=1
    )
    state = make.a_state(*make.founding(agreements=[signed]))
    under = make.terms_of(signed)
    orders = [make.an_order(number, under) for number in (1, 2, 3)]
    assert reasons(state, orders) == [None, None, VELOCITY]
    state = limited(CorridorLimits("grocery", "fuel", member_transfers_per_day=1), state=state)
    assert reasons(state, orders) == [None, VELOCITY, VELOCITY]


def test_points_that_came_through_the_opposite_corridor_do_not_go_straight_back() -> None:
    state = limited(CorridorLimits("fuel", "grocery", return_ban_days=2))
    came = fold(state, [there(1)], make.NOW).state
    assert reasons(came, [back(2)]) == [VELOCITY]
    assert reasons(came, [back(2, into="g-9")]) == [VELOCITY], "whoever is to have them"
    assert reasons(came, [back(2, member="f-2")]) == [None]
    day = 86_400
    late: dict[str, Any] = {"expires_at": time_to_proto(make.NOW + timedelta(days=9))}
    again = make.an_order(
        2, BACK, source_points=10, source_member="f-1", target_member="g-1", **late
    )
    assert reasons(came, [again], day) == [VELOCITY]
    assert reasons(came, [again], 2 * day) == [None]


def test_a_new_link_cools() -> None:
    limits = make.set_limits(1, CorridorLimits("grocery", "fuel", link_cooling=timedelta(hours=1)))
    linked = fold(STATE, [make.start_link(), make.confirm_link(), limits], make.NOW).state
    assert reasons(linked, [make.a_linked_order()]) == [Reason.LINK_COOLING]
    late: dict[str, Any] = {"expires_at": time_to_proto(make.NOW + timedelta(days=1))}
    order = make.a_linked_order(**late)
    assert reasons(linked, [order], 3599) == [Reason.LINK_COOLING]
    assert reasons(linked, [order], 3600) == [None]
    assert reasons(linked, [there(2)]) == [None]


def test_a_member_is_the_same_by_name_and_by_link() -> None:
    limits = make.set_limits(1, CorridorLimits("grocery", "fuel", member_transfers_per_day=2))
    linked = fold(STATE, [make.start_link(), make.confirm_link(), limits], make.NOW).state
    by_name = there(1, member="grocery-member", into="fuel-member")
    orders = [by_name, make.a_linked_order(2), make.a_linked_order(3)]
    assert reasons(linked, orders) == [None, None, VELOCITY]
    assert field_of(linked, orders) == "link_id"


# Days


def test_a_new_day_begins_at_midnight_of_utc() -> None:
    state = limited(CorridorLimits("grocery", "fuel", member_transfers_per_day=1))
    state = fold(state, [there(1)], make.NOW).state
    late: dict[str, Any] = {"expires_at": time_to_proto(make.NOW + timedelta(days=2))}
    order = make.an_order(2, THERE, source_member="g-1", target_member="f-1", **late)
    noon_to_midnight = 12 * 3600
    assert reasons(state, [order], noon_to_midnight - 1) == [VELOCITY]
    assert reasons(state, [order], noon_to_midnight) == [None]


def test_a_limit_counts_from_when_it_is_set() -> None:
    limits = make.set_limits(1, CorridorLimits("grocery", "fuel", member_transfers_per_day=1))
    assert reasons(STATE, [there(1), limits, there(2), there(3)]) == [None, None, VELOCITY]


def test_what_is_refused_is_not_counted() -> None:
    state = limited(CorridorLimits("grocery", "fuel", source_points_per_day=100))
    assert reasons(state, [there(1, 101), there(2)]) == [Reason.INCREMENT, None]
    poor = limited(
        PartnerLimits("grocery", net_debit_cap=500_000),
        CorridorLimits("grocery", "fuel", source_points_per_day=100),
    )
    found = reasons(poor, [there(1), there(2, 40), there(3, 60)])
    assert found == [Reason.NET_DEBIT_CAP_EXCEEDED, None, Reason.NET_DEBIT_CAP_EXCEEDED]


def test_no_reference_stands_in_a_tally() -> None:
    state = limited(
        CorridorLimits("grocery", "fuel", member_transfers_per_day=9),
        CorridorLimits("fuel", "grocery", return_ban_days=9),
    )
    after = fold(state, [there(1, member="canary-1", into="canary-2")], make.NOW).state
    assert sorted(each.partition("/")[0] for each in after.day_tallies) == ["arrival", "member"]
    assert not any("canary" in each for each in after.day_tallies)


# Laws


@given(st.lists(st.integers(1, 60), max_size=30), st.integers(1, 200), st.integers(1, 12))
def test_no_limit_is_ever_passed_and_none_refuses_what_it_has_room_for(
    blocks: list[int], points: int, transfers: int
) -> None:
    limits = CorridorLimits(
        "grocery",
        "fuel",
        source_points_per_day=points,
        member_transfers_per_day=transfers,
    )
    orders = [there(number, 2 * each) for number, each in enumerate(blocks, 1)]
    used = passed = 0
    for order, reason in zip(orders, reasons(limited(limits), orders), strict=True):
        fits = used + order.source_points <= points and passed < transfers
        assert (reason is None) == fits
        used, passed = used + fits * order.source_points, passed + fits
    assert DayTally(1, passed, used).on(2) == DayTally(2)


@pytest.mark.parametrize("size", [1, 7, 200])
def test_t14_of_two_hundred_orders_a_limit_of_ten_lets_exactly_ten_pass(size: int) -> None:
    state = limited(CorridorLimits("grocery", "fuel", member_transfers_per_day=10))
    orders = [there(number, 2) for number in range(1, 201)]
    passed = 0
    for first in range(0, 200, size):
        folded = fold(state, orders[first : first + size], make.NOW)
        state = folded.state
        passed += sum(isinstance(each, Recorded) and not each.refusal for each in folded.results)
    assert passed == 10
