"""Alerts as a position comes near its net debit cap."""

from hypothesis import given

from exchange.cap_alerts import CapAlert, level_of
from exchange.commands import Command
from exchange.fold import fold
from partners.limits.values import CorridorLimits, PartnerLimits
from tests import factories as make
from tests.property.histories import FIRST, histories

COST = 50 * 19_600 + 9_800 + 588
"""Of 100 points from grocery to fuel."""
CAP = 10 * COST


def levels(*commands: Command, cap: int = CAP) -> list[int]:
    """The levels that are told, all in one batch."""
    state = make.a_state(*make.founding(cap))
    return [each.level for each in fold(state, commands, make.NOW).alerts]


def orders(count: int, first: int = 1) -> list[Command]:
    return [make.an_order(number) for number in range(first, first + count)]


def test_each_level_is_told_once_as_it_is_reached() -> None:
    assert levels(*orders(4)) == []
    assert levels(*orders(5)) == [50]
    assert levels(*orders(7)) == [50]
    assert levels(*orders(10)) == [50, 80, 95]


def test_a_level_is_told_again_when_it_was_left_and_is_reached_again() -> None:
    back = make.an_order(90, make.terms("fuel", "grocery"), source_points=100)
    assert levels(*orders(5), back, *orders(3, 91)) == [50, 50]


def test_an_alert_names_partner_and_entry() -> None:
    state = make.a_state(*make.founding(CAP))
    folded = fold(state, orders(5), make.NOW)
    assert folded.alerts == (CapAlert(folded.outcomes[-1].log_index, 1, 50),)


def test_what_is_held_counts_and_its_release_tells_nothing_new() -> None:
    review = make.set_limits(1, CorridorLimits("grocery", "fuel", review_above_points=100))
    held = make.an_order(1, source_points=1_000)
    assert levels(review, held) == [95]


def test_a_lowered_cap_tells_the_level_that_it_makes() -> None:
    lowered = make.set_limits(1, PartnerLimits("grocery", net_debit_cap=CAP // 2))
    assert levels(*orders(4), lowered) == [80]


def test_levels_are_reached_exactly() -> None:
    assert [level_of(-used, -100) for used in (0, 49, 50, 79, 80, 94, 95, 100, 300)] == [
        *(0, 0, 50, 50, 80, 80, 95, 95, 95)
    ]
    assert level_of(5, -100) == level_of(-5, 0) == level_of(-5, None) == 0


@given(histories())
def test_alerts_are_the_same_however_commands_are_batched(commands: list[Command]) -> None:
    together = fold(FIRST, commands, make.NOW).alerts
    state, apart = FIRST, list[CapAlert]()
    for command in commands:
        folded = make.fold_one(state, command)
        state = folded.state
        apart += folded.alerts
    assert list(together) == apart
