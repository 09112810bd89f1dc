"""One bucket a caller: what it lets through, and what it forgets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.rate_limit import CallerRates, Rate, take
from partners.errors import Reason, Refused

SECOND = 1_000_000_000
RATE = Rate(per_second=10, burst=30)


def test_a_full_bucket_gives_its_burst_and_then_refuses_with_nothing_taken() -> None:
    rates = CallerRates(RATE)
    rates.spend("partner/a", 30, now_ns=5 * SECOND)
    for _again in range(2):
        with pytest.raises(Refused) as refused:
            rates.spend("partner/a", 1, now_ns=5 * SECOND)
        assert refused.value.reason is Reason.RATE_LIMITED
        assert refused.value.metadata == {"ordersPerSecond": "10", "burst": "30"}
    # A tenth of a second later there is one again, whatever was refused in between.
    rates.spend("partner/a", 1, now_ns=5 * SECOND + SECOND // 10)


def test_callers_do_not_share_a_bucket() -> None:
    rates = CallerRates(RATE)
    rates.spend("partner/a", 30, now_ns=0)
    rates.spend("partner/b", 30, now_ns=0)


def test_more_than_the_burst_never_passes() -> None:
    assert take(0, RATE, 31, now_ns=1000 * SECOND) is None


@given(
    st.lists(st.tuples(st.integers(0, 2 * SECOND), st.integers(1, 30)), max_size=60),
    st.integers(1, 5000),
    st.integers(30, 9000),
)
def test_in_any_stretch_of_time_no_more_passes_than_the_burst_and_the_rate(
    steps: list[tuple[int, int]], per_second: int, burst: int
) -> None:
    rate = Rate(per_second, burst)
    now_ns, full_at_ns, passed = 0, 0, []
    for pause_ns, cost in steps:
        now_ns += pause_ns
        after = take(full_at_ns, rate, cost, now_ns)
        if after is not None:
            full_at_ns = after
            passed.append((now_ns, cost))
    for first in range(len(passed)):
        spent = sum(cost for _, cost in passed[first:])
        stretch_ns = passed[-1][0] - passed[first][0]
        # Each take may round a nanosecond's worth in the caller's favour, and no more.
        assert spent <= burst + per_second * (stretch_ns + len(passed) + 1) / SECOND
