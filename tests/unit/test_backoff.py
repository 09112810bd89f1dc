"""When an instruction that had no answer is tried again."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.outbound.backoff import FIRST_PAUSE, LONGEST_PAUSE, pause_after

ATTEMPTS = st.integers(1, 10**9)
CHANCES = st.floats(0, 1)


@given(ATTEMPTS, CHANCES)
def test_the_pause_is_never_negative_and_never_over_the_longest(
    attempts: int, chance: float
) -> None:
    assert timedelta(0) <= pause_after(attempts, chance) <= LONGEST_PAUSE


@given(ATTEMPTS, CHANCES)
def test_more_attempts_never_mean_a_shorter_pause(attempts: int, chance: float) -> None:
    assert pause_after(attempts, chance) <= pause_after(attempts + 1, chance)


def test_the_longest_pause_doubles_until_it_is_capped() -> None:
    pauses = [pause_after(each, 1) for each in range(1, 12)]
    assert pauses[:4] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE, 8 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE


def test_the_jitter_is_full() -> None:
    assert pause_after(5, 0) == timedelta(0)
    assert pause_after(5, 0.5) == pause_after(5, 1) / 2


@pytest.mark.parametrize(("attempts", "chance"), [(0, 0.5), (-1, 0.5), (1, -0.1), (1, 1.1)])
def test_what_makes_no_sense_is_an_error(attempts: int, chance: float) -> None:
    with pytest.raises(ValueError, match=r"attempt|chance"):
        pause_after(attempts, chance)
