"""When a program is closed, and until when."""

from datetime import UTC, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partners.errors import Reason, Refused
from partners.routes.maintenance import (
    ALWAYS_OPEN,
    Interval,
    MaintenanceCalendar,
    WeeklyWindow,
    check_calendar,
    in_maintenance,
)

SUNDAY = 7
NAIVE = datetime.fromisoformat("2026-01-01")


def at(text: str) -> datetime:
    """An instant, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def weekly(zone: str, begins: str, minutes: int, weekday: int = SUNDAY) -> MaintenanceCalendar:
    window = WeeklyWindow(weekday, time.fromisoformat(begins), timedelta(minutes=minutes))
    return MaintenanceCalendar(zone, (window,))


def once(*spans: tuple[str, str]) -> MaintenanceCalendar:
    return MaintenanceCalendar(once=tuple(Interval(at(a), at(b)) for a, b in spans))


def test_an_empty_calendar_is_never_closed() -> None:
    assert in_maintenance(ALWAYS_OPEN, at("2026-11-22T03:00")) is None


@pytest.mark.parametrize(
    ("instant", "ends"),
    [
        ("2026-11-22T01:29:59.999999", None),
        ("2026-11-22T01:30", "2026-11-22T03:30"),
        ("2026-11-22T03:29:59.999999", "2026-11-22T03:30"),
        ("2026-11-22T03:30", None),
        ("2026-11-23T02:00", None),
        ("2026-11-29T02:00", "2026-11-29T03:30"),
    ],
)
def test_a_weekly_window_holds_its_begin_and_not_its_end(instant: str, ends: str | None) -> None:
    found = in_maintenance(weekly("UTC", "01:30", 120), at(instant))
    assert found == (at(ends) if ends else None)


# In each zone, the night in which the clock is changed. 01:30 for two hours on Sunday, by the wall.
NIGHTS = [
    # Berlin goes from 02:00 to 03:00 at 01:00 UTC, and back from 03:00 to 02:00 at 01:00 UTC.
    ("Europe/Berlin", "2026-03-29T00:30", "2026-03-29T01:30"),
    ("Europe/Berlin", "2026-10-24T23:30", "2026-10-25T02:30"),
    # New York goes at 07:00 UTC, and back at 06:00 UTC; then 01:30 comes twice.
    ("America/New_York", "2026-03-08T06:30", "2026-03-08T07:30"),
    ("America/New_York", "2026-11-01T05:30", "2026-11-01T08:30"),
    # Sydney goes back from 03:00 to 02:00 at 16:00 UTC, and on from 02:00 to 03:00 at 16:00 UTC.
    ("Australia/Sydney", "2026-04-04T14:30", "2026-04-04T17:30"),
    ("Australia/Sydney", "2026-10-03T15:30", "2026-10-03T16:30"),
    # Lord Howe changes by half an hour: from 02:00 to 01:30 at 15:00 UTC, so 01:30 comes twice; and
    # from 02:00 to 02:30 at 15:30 UTC.
    ("Australia/Lord_Howe", "2026-04-04T14:30", "2026-04-04T17:00"),
    ("Australia/Lord_Howe", "2026-10-03T15:00", "2026-10-03T16:30"),
    # Tokyo never changes.
    ("Asia/Tokyo", "2026-03-28T16:30", "2026-03-28T18:30"),
]


@pytest.mark.parametrize(("zone", "begins", "ends"), NIGHTS)
def test_t23_a_window_goes_by_the_wall_clock_in_a_night_in_which_it_changes(
    zone: str, begins: str, ends: str
) -> None:
    calendar = weekly(zone, "01:30", 120)
    moment = timedelta(microseconds=1)
    assert in_maintenance(calendar, at(begins) - moment) is None
    assert in_maintenance(calendar, at(begins)) == at(ends)
    assert in_maintenance(calendar, at(ends) - moment) == at(ends)
    assert in_maintenance(calendar, at(ends)) is None


def test_t23_a_window_that_begins_at_a_time_that_there_is_not_is_no_shorter() -> None:
    # In Berlin there is no 02:15 that night: 03:15 follows 01:45 half an hour later.
    calendar = weekly("Europe/Berlin", "02:15", 60)
    for minutes in range(0, 75, 5):
        instant = at("2026-03-29T01:00") + timedelta(minutes=minutes)
        local = 3 * 60 + minutes
        closed = in_maintenance(calendar, instant) is not None
        assert closed or local >= 3 * 60 + 15


def test_t23_a_window_that_ends_at_a_time_that_comes_twice_ends_the_second_time() -> None:
    calendar = weekly("Europe/Berlin", "01:30", 60)
    assert in_maintenance(calendar, at("2026-10-25T00:00")) == at("2026-10-25T01:30")


@pytest.mark.parametrize(
    ("instant", "ends"),
    [
        ("2026-11-22T00:59", None),
        ("2026-11-22T01:00", "2026-11-22T04:00"),
        ("2026-11-22T02:30", "2026-11-22T04:00"),
        ("2026-11-22T04:00", None),
    ],
)
def test_windows_that_touch_or_overlap_are_one(instant: str, ends: str | None) -> None:
    calendar = once(
        ("2026-11-22T01:00", "2026-11-22T02:00"),
        ("2026-11-22T02:00", "2026-11-22T03:30"),
        ("2026-11-22T03:00", "2026-11-22T04:00"),
        ("2026-11-22T05:00", "2026-11-22T06:00"),
    )
    assert in_maintenance(calendar, at(instant)) == (at(ends) if ends else None)


def test_a_window_of_almost_a_week_is_found_on_its_last_day() -> None:
    calendar = weekly("America/New_York", "12:00", 7 * 24 * 60 - 1)
    assert in_maintenance(calendar, at("2026-11-22T16:58")) == at("2026-11-22T16:59")
    assert in_maintenance(calendar, at("2026-11-22T16:59")) is None
    assert in_maintenance(calendar, at("2026-11-22T17:00")) == at("2026-11-29T16:59")


def test_a_calendar_that_is_always_closed_tells_an_end_at_which_to_ask_again() -> None:
    windows = tuple(WeeklyWindow(day, time(0), timedelta(days=1)) for day in range(1, 8))
    instant = at("2026-11-22T03:00")
    ends = in_maintenance(MaintenanceCalendar("UTC", windows), instant)
    assert ends is not None
    assert ends > instant + timedelta(days=13)


def test_intervals_are_instants_whatever_their_offset() -> None:
    tokyo = timezone(timedelta(hours=9))
    interval = Interval(
        datetime(2026, 11, 22, 10, tzinfo=tokyo), datetime(2026, 11, 22, 12, tzinfo=tokyo)
    )
    calendar = MaintenanceCalendar("America/New_York", once=(interval,))
    assert in_maintenance(calendar, at("2026-11-22T01:00")) == at("2026-11-22T03:00")


ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo"]
)
WINDOWS = st.builds(
    WeeklyWindow,
    st.integers(1, 7),
    st.times(),
    st.timedeltas(timedelta(seconds=1), timedelta(days=7) - timedelta(seconds=1)),
)
INSTANTS = st.datetimes(NAIVE, NAIVE + timedelta(days=365), timezones=st.just(UTC))


@given(ZONES, st.lists(WINDOWS, min_size=1, max_size=3), INSTANTS)
def test_the_end_is_later_and_nothing_is_closed_then(
    zone: str, windows: list[WeeklyWindow], instant: datetime
) -> None:
    calendar = MaintenanceCalendar(zone, tuple(windows))
    check_calendar(calendar)
    ends = in_maintenance(calendar, instant)
    if ends is not None:
        assert ends > instant
        if ends - instant < timedelta(days=14):
            assert in_maintenance(calendar, ends) is None
            assert in_maintenance(calendar, ends - timedelta(microseconds=1)) == ends


@given(ZONES, WINDOWS, INSTANTS)
def test_what_the_wall_clock_says_is_closed_is_closed(
    zone: str, window: WeeklyWindow, instant: datetime
) -> None:
    calendar = MaintenanceCalendar(zone, (window,))
    wall = instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    back = (wall.isoweekday() - window.weekday) % 7
    closed = False
    for week in (0, 7):
        begins = datetime.combine(wall.date() - timedelta(days=back + week), window.begins)
        closed = closed or begins <= wall < begins + window.lasts
    if closed:
        assert in_maintenance(calendar, instant) is not None


@pytest.mark.parametrize(
    ("calendar", "field"),
    [
        (MaintenanceCalendar("Mars/Olympus"), "maintenance.zone"),
        (MaintenanceCalendar("../../etc/passwd"), "maintenance.zone"),
        (MaintenanceCalendar(""), "maintenance.zone"),
        (weekly("UTC", "01:30", 60, weekday=0), "maintenance.weekly[0].weekday"),
        (weekly("UTC", "01:30", 60, weekday=8), "maintenance.weekly[0].weekday"),
        (weekly("UTC", "01:30", 0), "maintenance.weekly[0].minutes"),
        (weekly("UTC", "01:30", 7 * 24 * 60), "maintenance.weekly[0].minutes"),
        (weekly("UTC", "01:30+02:00", 60), "maintenance.weekly[0].begins"),
        (once(("2026-11-22T01:00", "2026-11-22T01:00")), "maintenance.once[0].ends"),
        (
            MaintenanceCalendar(once=(Interval(NAIVE, NAIVE + timedelta(days=1)),)),
            "maintenance.once[0]",
        ),
        (MaintenanceCalendar(weekly=weekly("UTC", "01:30", 1).weekly * 33), "maintenance"),
    ],
)
def test_a_calendar_that_means_nothing_is_refused_with_its_field(
    calendar: MaintenanceCalendar, field: str
) -> None:
    with pytest.raises(Refused) as caught:
        check_calendar(calendar)
    assert (caught.value.reason, caught.value.field) == (Reason.FIELD_INVALID, field)
