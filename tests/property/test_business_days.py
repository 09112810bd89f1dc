"""Business days over years of real zones: nothing between two of them, nothing in both."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from settlement.calendar.cut_off import CutOff

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)
FIRST, DAYS = date(2020, 1, 1), 3653
"""Ten years, with three leap days."""
ZONES = (
    "Europe/Berlin",
    "America/New_York",
    # Turns its clock by half an hour.
    "Australia/Lord_Howe",
    # Turns it at midnight.
    "Africa/Cairo",
    "Asia/Shanghai",
)
TIMES = (time(0, 0), time(0, 30), time(1, 30), time(2, 30), time(17, 30), time(23, 59))

zones = st.sampled_from((*ZONES, "America/Havana", "Asia/Beirut", "Pacific/Apia", "Asia/Kathmandu"))
moments = st.integers(0, 30 * 366 * 86_400_000).map(
    lambda ms: datetime(2010, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)


@pytest.mark.parametrize("at", TIMES, ids=str)
@pytest.mark.parametrize("zone", ZONES)
def test_business_days_of_ten_years_follow_each_other_without_gap_or_overlap(
    zone: str, at: time
) -> None:
    cut_off = CutOff(at, ZoneInfo(zone))
    days = [FIRST + number * DAY for number in range(DAYS)]
    ends = {day: cut_off.on(day) for day in (FIRST - DAY, *days)}
    lengths = {ends[day] - ends[day - DAY] for day in days}

    for day in days:
        start, end = cut_off.business_day(day)
        assert (start, end) == (ends[day - DAY], ends[day])
        assert start < end
        # The first moment of a day is its own, and so is the last.
        assert cut_off.business_date(start) == day
        assert cut_off.business_date(end - MICROSECOND) == day
        assert cut_off.after(start) == cut_off.after(end - MICROSECOND) == end
    # Days are short and long by no more than the clock is turned.
    by = HOUR / 2 if zone == "Australia/Lord_Howe" else HOUR
    assert DAY - by <= min(lengths) <= max(lengths) <= DAY + by
    if at == time(17, 30):
        assert lengths == ({DAY} if zone == "Asia/Shanghai" else {DAY - by, DAY, DAY + by})


@given(
    zones,
    st.times().map(lambda at: at.replace(second=0, microsecond=0)),
    moments,
)
@example("Pacific/Apia", time(17, 30), datetime(2011, 12, 30, 9, 59, tzinfo=UTC))
@example("Pacific/Apia", time(0, 0), datetime(2011, 12, 30, 10, 0, tzinfo=UTC))
def test_every_moment_lies_in_exactly_one_business_day(
    zone: str, at: time, moment: datetime
) -> None:
    cut_off = CutOff(at, ZoneInfo(zone))
    own = cut_off.business_date(moment)

    around = [own + number * DAY for number in range(-3, 4)]
    holding = [
        day for day in around for start, end in [cut_off.business_day(day)] if start <= moment < end
    ]

    assert holding == [own]
    assert cut_off.on(own - DAY) <= moment < cut_off.after(moment) == cut_off.on(own)


@given(
    zones,
    st.times().map(lambda at: at.replace(second=0, microsecond=0)),
    st.dates(date(2010, 1, 1), date(2040, 1, 1)),
)
def test_before_a_cut_off_the_wall_clock_shows_less_and_from_it_on_the_cut_off_or_more(
    zone: str, at: time, day: date
) -> None:
    where = ZoneInfo(zone)
    end = CutOff(at, where).on(day)
    wanted = datetime.combine(day + DAY if at == time(0, 0) else day, at)

    def shown(moment: datetime) -> datetime:
        return moment.astimezone(where).replace(tzinfo=None)

    assert shown(end) >= wanted
    assert shown(end - MICROSECOND) < wanted
    # No earlier moment showed it either: an hour that comes twice ends a day the first time.
    assert all(shown(end - hours * HOUR / 2) < wanted for hours in range(1, 50))
