"""What follows when a pay-in is missing: which step when, and what an unwind comes to."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.fold import InvariantBroken
from exchange.ledger.accounts import HUB
from settlement.netting import pay
from settlement.overdue.unwinding import unwound
from settlement.overdue.waterfall import Known, Overdue, Step, end_of, overdue, times
from settlement.references import leg_reference
from settlement.schemes.scheme import Scheme
from settlement.windows import Leg

FRIDAY = date(2017, 1, 6)
SCHEME = Scheme(
    "USD",
    zone="America/New_York",
    banking_calendar="XNYS",
    remind_after_hours=2,
    draw_after_days=0,
    hold_after_days=1,
    unwind_after_days=3,
)
OVER = datetime(2017, 1, 7, 5, tzinfo=UTC)
"""The Friday is over in New York."""
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def pay_in(**changes: Any) -> Leg:
    """A pay-in of 100 that waits for the bank."""
    return replace(Leg("w", 3, "aurora", leg_reference(7, 3), -100, log_index=10), **changes)


def late(now: datetime, known: Known | None = None, scheme: Scheme = SCHEME) -> Overdue | None:
    """What follows for it."""
    return overdue(scheme, pay_in(), FRIDAY, known or Known(), now)


def steps(now: datetime, known: Known | None = None, scheme: Scheme = SCHEME) -> list[str]:
    """The steps that are due."""
    found = late(now, known, scheme)
    return [] if found is None else [each.name for each in found.steps]


def test_who_pays_on_the_due_date_is_in_time() -> None:
    assert late(OVER - timedelta(microseconds=1)) is None
    found = late(OVER)
    assert found is not None
    assert (found.overdue_since, found.steps, found.short) == (OVER, (), 100)


def test_the_steps_fall_due_one_after_the_other_by_banking_days() -> None:
    rich = Known(collateral=100)
    assert steps(OVER, rich) == ["DRAW"]
    assert steps(OVER + 2 * HOUR, rich) == ["REMIND", "DRAW"]
    # The weekend is no banking day: Monday is the first, and must be over.
    assert steps(OVER + 2 * DAY, rich) == ["REMIND", "DRAW"]
    assert steps(OVER + 3 * DAY, rich) == ["REMIND", "DRAW", "HOLD"]
    assert steps(OVER + 5 * DAY, rich) == ["REMIND", "DRAW", "HOLD", "UNWIND"]


def test_what_is_done_is_not_proposed_again() -> None:
    always = OVER + 30 * DAY
    assert steps(always, Known(reminded_at=OVER)) == ["HOLD", "UNWIND"]
    assert steps(always, Known(reminded_at=OVER, on_hold=True)) == ["UNWIND"]
    assert steps(always, Known(collateral=99)) == ["REMIND", "HOLD", "UNWIND"]


def test_of_the_operators_own_leg_no_step_is_proposed() -> None:
    own = pay_in(partner_number=HUB, partner_id="hub", reference=leg_reference(7, HUB))
    found = overdue(SCHEME, own, FRIDAY, Known(), OVER + 30 * DAY)
    assert found is not None
    assert (found.steps, found.short) == ((), 100)


def test_while_a_draw_waits_for_the_bank_nothing_else_is_proposed() -> None:
    always = OVER + 30 * DAY
    assert steps(always, Known(collateral=100, drawn=True, reminded_at=OVER)) == []
    assert steps(always, Known(collateral=100, drawn=True)) == ["REMIND"]


@pytest.mark.parametrize(
    "leg",
    [
        pay_in(payment=100),
        pay_in(log_index=None),
        pay_in(confirmed_index=11),
        pay_in(cancelled_index=11),
    ],
)
def test_only_what_is_asked_for_and_not_paid_is_overdue(leg: Leg) -> None:
    assert overdue(SCHEME, leg, FRIDAY, Known(), OVER + 30 * DAY) is None


def test_days_end_by_the_schemes_clock_through_changes_of_it() -> None:
    # 23 and 25 hours long in New York.
    for day, hours in ((date(2017, 3, 12), 23), (date(2017, 11, 5), 25)):
        length = end_of(day, SCHEME).astimezone(UTC) - end_of(day - DAY, SCHEME).astimezone(UTC)
        assert length == hours * HOUR


@given(
    st.dates(date(2017, 1, 1), date(2027, 1, 1)),
    st.integers(0, 10),
    st.integers(0, 10),
    st.integers(0, 10),
)
def test_later_days_are_never_earlier_moments(due: date, draw: int, hold: int, unwind: int) -> None:
    scheme = replace(SCHEME, draw_after_days=draw, hold_after_days=hold, unwind_after_days=unwind)
    found = times(scheme, due)
    days = {Step.DRAW: draw, Step.HOLD: hold, Step.UNWIND: unwind}
    in_order = sorted(days, key=lambda step: days[step])
    moments = [found[step] for step in in_order]
    assert moments == sorted(moments)
    assert all(moment >= end_of(due, scheme) for moment in moments)


NAMES = ("aurora", "borealis", "cirrus", "deli", "eve")
AMOUNTS = st.integers(-(10**9), 10**9)
MINOR = 10_000


@st.composite
def bilateral(draw: st.DrawFn) -> dict[tuple[str, str], int]:
    """Nets by pair that mirror each other."""
    nets = {}
    for place, one in enumerate(NAMES):
        for other in NAMES[place + 1 :]:
            nets[one, other] = draw(AMOUNTS)
            nets[other, one] = -nets[one, other]
    return nets


@given(bilateral(), st.lists(st.integers(0, 10**6), min_size=5, max_size=5))
def test_t32_whoever_does_not_pay_nobody_is_paid_from_anothers_money_and_the_unwind_sums_to_0(
    nets: dict[tuple[str, str], int], fees: list[int]
) -> None:
    owed_to_hub = dict(zip(NAMES, fees, strict=True))
    net = {
        name: sum(amount for (one, _), amount in nets.items() if one == name) - owed_to_hub[name]
        for name in NAMES
    }
    for missing in NAMES:
        withheld = unwound(nets, missing)
        assert sum(withheld.values()) == 0
        others = [name for name in NAMES if name != missing]
        after = {name: pay(net[name], withheld.get(name, 0), MINOR).payment for name in others}
        paid_in = -sum(min(0, each) for each in after.values())
        paid_out = sum(max(0, each) for each in after.values())
        assert paid_out <= paid_in, "only what the others bring goes to the others"
        assert net[missing] - withheld.get(missing, 0) == -owed_to_hub[missing]
        for name in others:
            assert net[name] - withheld.get(name, 0) == net[name] - nets[name, missing]


def test_an_unwind_of_nets_that_do_not_mirror_each_other_stops() -> None:
    with pytest.raises(InvariantBroken):
        unwound({("aurora", "borealis"): 5, ("borealis", "aurora"): -4}, "aurora")
