"""The cut-off of a date, on ordinary days and on those on which a clock is turned."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from partners.errors import Reason, Refused
from settlement.calendar.cut_off import CutOff, parse_cut_off, parse_zone

HOUR = timedelta(hours=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def cut_off(at: str, zone: str) -> CutOff:
    return CutOff(time.fromisoformat(at), ZoneInfo(zone))


@pytest.mark.parametrize(
    ("at", "zone", "day", "end"),
    [
        ("17:30", "UTC", "2026-01-31", "2026-01-31 17:30"),
        ("17:30", "Europe/Berlin", "2026-01-31", "2026-01-31 16:30"),
        ("17:30", "Europe/Berlin", "2026-07-31", "2026-07-31 15:30"),
        ("17:30", "Asia/Shanghai", "2026-07-31", "2026-07-31 09:30"),
        ("17:30", "Asia/Kathmandu", "2028-02-29", "2028-02-29 11:45"),
        # Midnight ends the day that it follows.
        ("00:00", "Europe/Berlin", "2026-01-31", "2026-01-31 23:00"),
        ("00:01", "Europe/Berlin", "2026-01-31", "2026-01-30 23:01"),
        # The clock jumps from 2:00 to 3:00: what it leaves out is cut off at the jump.
        ("01:59", "Europe/Berlin", "2026-03-29", "2026-03-29 00:59"),
        ("02:00", "Europe/Berlin", "2026-03-29", "2026-03-29 01:00"),
        ("02:30", "Europe/Berlin", "2026-03-29", "2026-03-29 01:00"),
        ("03:00", "Europe/Berlin", "2026-03-29", "2026-03-29 01:00"),
        ("03:01", "Europe/Berlin", "2026-03-29", "2026-03-29 01:01"),
        ("02:30", "America/New_York", "2026-03-08", "2026-03-08 07:00"),
        # By half an hour, at 2:00.
        ("02:15", "Australia/Lord_Howe", "2026-10-04", "2026-10-03 15:30"),
        # At midnight, so that a day begins at 1:00.
        ("00:00", "Asia/Beirut", "2026-03-28", "2026-03-28 22:00"),
        ("00:30", "Asia/Beirut", "2026-03-29", "2026-03-28 22:00"),
        # What comes twice is cut off the first time.
        ("02:00", "Europe/Berlin", "2026-10-25", "2026-10-25 00:00"),
        ("02:30", "Europe/Berlin", "2026-10-25", "2026-10-25 00:30"),
        ("03:00", "Europe/Berlin", "2026-10-25", "2026-10-25 02:00"),
        ("01:30", "America/New_York", "2026-11-01", "2026-11-01 05:30"),
        # 23:30 comes twice, and midnight only after both.
        ("23:30", "Asia/Beirut", "2026-10-24", "2026-10-24 20:30"),
        ("00:00", "Asia/Beirut", "2026-10-24", "2026-10-24 22:00"),
        # A date that never was.
        ("17:30", "Pacific/Apia", "2011-12-29", "2011-12-30 03:30"),
        ("17:30", "Pacific/Apia", "2011-12-30", "2011-12-30 10:00"),
        ("17:30", "Pacific/Apia", "2011-12-31", "2011-12-31 03:30"),
    ],
)
def test_a_date_is_cut_off_when_the_wall_clock_first_shows_the_time(
    at: str, zone: str, day: str, end: str
) -> None:
    assert cut_off(at, zone).on(date.fromisoformat(day)) == utc(end)


def test_days_on_which_the_clock_is_turned_have_23_and_25_hours() -> None:
    berlin = cut_off("17:30", "Europe/Berlin")

    def hours(day: date) -> float:
        start, end = berlin.business_day(day)
        return (end - start) / HOUR

    assert hours(date(2026, 3, 28)) == 24
    assert hours(date(2026, 3, 29)) == 23
    assert hours(date(2026, 10, 25)) == 25


def test_a_moment_at_the_cut_off_belongs_to_the_next_day() -> None:
    berlin = cut_off("17:30", "Europe/Berlin")
    end = utc("2026-01-31 16:30")

    assert berlin.business_date(end - timedelta(microseconds=1)) == date(2026, 1, 31)
    assert berlin.business_date(end) == date(2026, 2, 1)
    assert berlin.after(end) == utc("2026-02-01 16:30")


def test_where_the_calendar_ends_its_last_day_does() -> None:
    end = cut_off("00:00", "America/New_York").on(date.max)

    assert end == datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "24:00", "17:60", "7:30", "17.30", "17:30:00", "1730", "٠٠:٠٠"]
)
def test_what_is_no_time_of_day_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_cut_off(text)

    assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, "cut_off")
    assert "17:30" in refused.value.text


def test_a_time_of_day_is_read() -> None:
    assert parse_cut_off("17:30") == time(17, 30)
    assert parse_cut_off("00:00") == time(0, 0)


@pytest.mark.parametrize(
    "name", ["", "Berlin", "Europe", "../Europe/Berlin", "localtime", "europe/berlin", "UTC\0"]
)
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_zone(name)

    assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, "zone")


def test_a_zone_is_found() -> None:
    assert parse_zone("Europe/Berlin").key == "Europe/Berlin"
