"""When an instruction that had no answer is tried again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.outbound.backoff import FIRST_PAUSE, LONGEST_PAUSE, next_attempt

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
ATTEMPTS = st.integers(1, 10**9)
CHANCES = st.floats(0, 1)


@given(ATTEMPTS, CHANCES)
def test_the_pause_is_never_negative_and_never_over_the_longest(
    attempts: int, chance: float
) -> None:
    assert NOW <= next_attempt(attempts, NOW, chance) <= NOW + LONGEST_PAUSE


@given(ATTEMPTS, CHANCES)
def test_more_attempts_never_mean_a_shorter_pause(attempts: int, chance: float) -> None:
    assert next_attempt(attempts, NOW, chance) <= next_attempt(attempts + 1, NOW, chance)


def test_the_longest_pause_doubles_until_it_is_capped() -> None:
    pauses = [next_attempt(each, NOW, 1) - NOW for each in range(1, 12)]
    assert pauses[:4] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE, 8 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE


def test_the_jitter_is_full() -> None:
    assert next_attempt(5, NOW, 0) == NOW
    assert next_attempt(5, NOW, 0.5) - NOW == (next_attempt(5, NOW, 1) - NOW) / 2


@given(ATTEMPTS, CHANCES, st.timedeltas(timedelta(hours=-2), timedelta(hours=2)))
def test_nothing_is_tried_before_the_maintenance_is_over(
    attempts: int, chance: float, closed_for: timedelta
) -> None:
    found = next_attempt(attempts, NOW, chance, NOW + closed_for)
    assert found >= max(NOW, NOW + closed_for)
    assert found - max(NOW, NOW + closed_for) == next_attempt(attempts, NOW, chance) - NOW


@pytest.mark.parametrize(("attempts", "chance"), [(0, 0.5), (-1, 0.5), (1, -0.1), (1, 1.1)])
def test_what_makes_no_sense_is_an_error(attempts: int, chance: float) -> None:
    with pytest.raises(ValueError, match=r"attempt|chance"):
        next_attempt(attempts, NOW, chance)
