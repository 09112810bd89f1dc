"""One order: the checks in the sequencer in their order, and the postings of the worked example."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import combinations

import pytest

from exchange.commands import Order
from exchange.fold import State, fold
from exchange.ledger.accounts import HUB
from exchange.ledger.names import account_names
from exchange.ledger.postings import MoneyCell
from exchange.outcomes import Recorded
from exchange.transfer import CLOCK_SKEW
from partners.errors import Reason, Refused
from tests import factories as make

FIRST_AND_SECOND = [*make.AGREEMENTS.values()]
"""Version 1 of every corridor and then version 2, which is the one in force."""
IN_FORCE = make.terms_of(make.AGREEMENTS["grocery", "fuel", 2])
STATE = make.a_state(*make.founding(agreements=FIRST_AND_SECOND))
NO_WINDOW = make.a_state(*make.founding(agreements=FIRST_AND_SECOND, opened=False))
NO_CAP = make.a_state(*make.founding(0, FIRST_AND_SECOND))
NEITHER = make.a_state(*make.founding(0, FIRST_AND_SECOND, opened=False))

HOUR = timedelta(hours=1)

FAULTS: list[tuple[Reason, dict[str, object]]] = [
    (Reason.KEY_NOT_IN_FORCE, {"key_id": "0" * 32}),
    (Reason.ORDER_FROM_FUTURE, {"issued_at": make.NOW + HOUR}),
    (Reason.ORDER_EXPIRED, {"expires_at": make.NOW}),
    (Reason.PROGRAM_UNKNOWN, {"source_program": "nowhere"}),
    (Reason.PROGRAM_UNKNOWN, {"target_program": "nowhere"}),
    (Reason.NOT_A_PARTY, {"source_program": "deli"}),
    (Reason.AGREEMENT_UNKNOWN, {"agreement_id": "nobody"}),
    (Reason.AGREEMENT_NOT_IN_FORCE, {"agreement_id": "grocery-deli"}),
    (Reason.AGREEMENT_NOT_IN_FORCE, {"agreement_version": 1}),
    (Reason.INCREMENT, {"source_points": 101}),
    (Reason.AMOUNT_MISMATCH, {"target_points": 51}),
    (Reason.LIMIT_EXCEEDED, {"source_points": 1_000_002, "target_points": 500_001}),
    (Reason.WINDOW_STATE, {"state": "window"}),
    (Reason.NET_DEBIT_CAP_EXCEEDED, {"cap": 0}),
]
"""In the order in which the protocol answers them."""


def state_of(faults: dict[str, object]) -> State:
    """The state that has the faults which are not the order's."""
    without_window, without_cap = "state" in faults, "cap" in faults
    if without_window:
        return NEITHER if without_cap else NO_WINDOW
    return NO_CAP if without_cap else STATE


def decide(faults: dict[str, object]) -> Reason | None:
    """The reason with which an order with these faults is refused."""
    changes = {name: value for name, value in faults.items() if name not in ("state", "cap")}
    order = replace(make.an_order(1, IN_FORCE), **changes)  # type: ignore[arg-type]
    (result,) = make.fold_one(state_of(faults), order).results
    assert isinstance(result, Recorded | Refused)
    return result.reason


def test_the_order_without_a_fault_is_committed() -> None:
    assert decide({}) is None


@pytest.mark.parametrize(("reason", "fault"), FAULTS)
def test_each_fault_has_its_reason(reason: Reason, fault: dict[str, object]) -> None:
    assert decide(fault) is reason


@pytest.mark.parametrize(
    ("earlier", "later"),
    [pair for pair in combinations(FAULTS, 2) if not pair[0][1].keys() & pair[1][1].keys()],
)
def test_of_two_faults_the_earlier_check_answers(
    earlier: tuple[Reason, dict[str, object]], later: tuple[Reason, dict[str, object]]
) -> None:
    assert decide(earlier[1] | later[1]) is earlier[0]


def test_of_an_increment_a_mismatch_and_a_limit_the_first_answers() -> None:
    assert decide({"source_points": 1_000_001, "target_points": 7}) is Reason.INCREMENT
    assert decide({"source_points": 1_000_002, "target_points": 7}) is Reason.AMOUNT_MISMATCH


def test_an_order_whose_key_is_not_in_force_is_answered_and_not_recorded() -> None:
    folded = make.fold_one(STATE, make.an_order(1, IN_FORCE, key_id="0" * 32))
    assert folded.outcomes == ()
    assert folded.state == STATE


def clocked(issued: timedelta, expires: timedelta) -> Reason | None:
    """The verdict on an order with times so far from now."""
    return decide({"issued_at": make.NOW + issued, "expires_at": make.NOW + expires})


def test_t23_a_senders_clock_may_run_ahead_by_the_skew_and_an_expiry_is_exclusive() -> None:
    instant = timedelta(microseconds=1)
    assert clocked(CLOCK_SKEW, HOUR) is None
    assert clocked(CLOCK_SKEW + instant, HOUR) is Reason.ORDER_FROM_FUTURE
    assert clocked(-HOUR, instant) is None
    assert clocked(-HOUR, timedelta()) is Reason.ORDER_EXPIRED
    assert clocked(-HOUR * 9_999, HOUR) is None


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        (2, None),
        (1_000_000, None),
        (1_000_002, Reason.LIMIT_EXCEEDED),
        (2**62, Reason.LIMIT_EXCEEDED),
    ],
)
def test_an_agreements_least_and_most_points_are_allowed(
    points: int, reason: Reason | None
) -> None:
    agreement = make.agreement_payload(price_per_target_point=1)
    state = make.a_state(*make.founding(agreements=[agreement]))
    (result,) = make.fold_one(
        state, make.an_order(1, make.terms_of(agreement), source_points=points)
    ).results
    assert isinstance(result, Recorded)
    assert result.reason is reason


def test_below_the_minimum_is_refused_with_both_bounds() -> None:
    agreement = make.agreement_payload(minimum_source_points=10)
    state = make.a_state(*make.founding(agreements=[agreement]))
    (result,) = make.fold_one(state, make.an_order(1, source_points=8)).results
    assert isinstance(result, Recorded)
    assert result.refusal is not None
    assert dict(result.refusal.metadata) == {"minimumPoints": "10", "maximumPoints": "1000000"}


# The worked example of the books page


def example() -> tuple[State, list[Recorded]]:
    """1,000 points to fuel, then 200 back."""
    there, back = make.TERMS, make.terms("fuel", "grocery")
    folded = fold(
        make.a_state(),
        [
            make.an_order(1, there, source_points=1_000),
            make.an_order(2, back, source_points=200),
        ],
        make.NOW,
    )
    return folded.state, [each for each in folded.results if isinstance(each, Recorded)]


def shown(recorded: Recorded, state: State) -> list[tuple[str, str, str, int]]:
    """An outcome's postings by the names of their accounts."""
    names = account_names(state.registry, recorded.postings)
    return [
        (each.code.name, names[each.debit], names[each.credit], each.amount)
        for each in recorded.postings
    ]


def test_the_worked_example_makes_exactly_these_postings() -> None:
    state, (there, back) = example()
    assert shown(there, state) == [
        ("OUT", "grocery.members", "grocery.redeemed", 1_000),
        ("IN", "fuel.granted", "fuel.members", 500),
        ("VALUE", "grocery.position", "fuel.position", 9_800_000),
        ("FEE", "grocery.position", "hub.fees", 98_000),
        ("TAX", "grocery.position", "hub.tax.vat6", 5_880),
    ]
    assert shown(back, state) == [
        ("OUT", "fuel.members", "fuel.redeemed", 200),
        ("IN", "grocery.granted", "grocery.members", 380),
        ("VALUE", "fuel.position", "grocery.position", 3_610_000),
        ("FEE", "fuel.position", "hub.fees", 36_100),
        ("TAX", "fuel.position", "hub.tax.vat6", 2_166),
    ]


def test_the_worked_example_leaves_exactly_these_balances() -> None:
    state, (there, _back) = example()
    names = account_names(state.registry, there.postings) | account_names(
        state.registry, example()[1][1].postings
    )
    posted = {
        names[number]: balance.posted
        for number, balance in state.balances.items()
        if number in names and balance.posted
    }
    assert posted == {
        "grocery.position": -6_293_880,
        "fuel.position": 6_151_734,
        "hub.fees": 134_100,
        "hub.tax.vat6": 8_046,
        "grocery.members": -620,
        "grocery.redeemed": 1_000,
        "grocery.granted": -380,
        "fuel.members": 300,
        "fuel.redeemed": 200,
        "fuel.granted": -500,
    }


def test_the_worked_examples_window_sums_net_to_the_positions() -> None:
    state, _ = example()
    nets: dict[int, int] = {}
    for (_window, cell), amount in state.window_sums.items():
        if isinstance(cell, MoneyCell):
            nets[cell.party] = nets.get(cell.party, 0) + amount
    numbers = {brand: state.registry.partners[brand].number for brand in make.BRANDS}
    assert nets == {
        numbers["grocery"]: -6_293_880,
        numbers["fuel"]: 6_151_734,
        HUB: 134_100 + 8_046,
    }


def test_what_comes_to_nothing_makes_no_posting() -> None:
    free = make.agreement_payload(fee_basis_points=0)
    state = make.a_state(*make.founding(agreements=[free]))
    (result,) = make.fold_one(state, make.an_order()).results
    assert isinstance(result, Recorded)
    assert [each.code.name for each in result.postings] == ["OUT", "IN", "VALUE"]


def test_an_order_is_decided_at_the_time_of_the_newest_leaf_when_the_clock_steps_back() -> None:
    state = make.fold_one(STATE, make.an_order(9, IN_FORCE)).state
    an_hour_ago: datetime = make.NOW - HOUR
    (result,) = make.fold_one(state, make.an_order(1, IN_FORCE), an_hour_ago).results
    assert isinstance(result, Recorded)
    assert result.recorded_at == make.NOW
    assert result.refusal is None


def test_the_factorys_order_is_what_the_fold_was_given() -> None:
    order = make.an_order()
    (result,) = make.fold_one(make.a_state(), order).results
    assert isinstance(result, Recorded)
    assert isinstance(result.order, Order)
    assert result.order == order
    assert (result.source_partner, result.target_partner) == ("grocery", "fuel")
