"""When a brand's system is closed for maintenance, and until when. Pure.

A calendar has weekly windows by the wall clock of a zone, and intervals of one occasion. Rules kept
here:

- A weekly window begins at a wall-clock time of a weekday and lasts for so long by the wall clock:
  from 01:30 for two hours ends at 03:30, also in a night in which the clock is changed.
- In such a night a time may come twice, or not at all. Then the window begins at the earlier and
  ends at the later of the two instants that the time could be: it may be an hour longer than by
  anybody's clock, never shorter. Not to call is always safe, since what is due is done later.
- Windows that touch or overlap are one: the end of the last is the end.

Source: PEP 495 (local time disambiguation); the zones are those of the IANA database.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from partners.errors import Reason, Refused

WINDOWS_MAX = 32
"""Weekly windows of one calendar, and as many intervals."""
WEEK = timedelta(days=7)
_LOOK_AHEAD = 2 * WEEK
"""A calendar that is closed for longer is closed for good: two weeks are told, then asked again."""


@dataclass(frozen=True, slots=True)
class WeeklyWindow:
    """Every week from a wall-clock time on, for so long."""

    weekday: int
    """1 is Monday, 7 is Sunday (ISO 8601)."""
    begins: time
    """Without a zone."""
    lasts: timedelta
    """Over 0, less than a week."""


@dataclass(frozen=True, slots=True)
class Interval:
    """From one instant until before another."""

    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class MaintenanceCalendar:
    """When one program is closed; empty: never."""

    zone: str = "UTC"
    """An IANA name."""
    weekly: tuple[WeeklyWindow, ...] = ()
    once: tuple[Interval, ...] = ()


ALWAYS_OPEN = MaintenanceCalendar()


def check_calendar(calendar: MaintenanceCalendar, field: str = "maintenance") -> None:
    """Raise Refused(FIELD_INVALID), naming the field and what it must be."""
    try:
        ZoneInfo(calendar.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _invalid(
            f"{field}.zone", "name a zone of the IANA database, like Asia/Tokyo"
        ) from None
    if len(calendar.weekly) > WINDOWS_MAX or len(calendar.once) > WINDOWS_MAX:
        raise _invalid(field, f"give at most {WINDOWS_MAX} weekly windows and as many intervals")
    for number, window in enumerate(calendar.weekly):
        name = f"{field}.weekly[{number}]"
        if window.weekday not in range(1, 8):
            raise _invalid(f"{name}.weekday", "a weekday is 1 (Monday) to 7 (Sunday)")
        if window.begins.tzinfo is not None:
            raise _invalid(f"{name}.begins", "a weekly window begins by the calendar's own zone")
        if not timedelta(0) < window.lasts < WEEK:
            raise _invalid(f"{name}.minutes", "a weekly window lasts 1 to 10,079 minutes")
    for number, interval in enumerate(calendar.once):
        name = f"{field}.once[{number}]"
        if interval.begins.tzinfo is None or interval.ends.tzinfo is None:
            raise _invalid(name, "an interval's ends are instants, with a zone or an offset")
        if interval.begins >= interval.ends:
            raise _invalid(f"{name}.ends", "an interval ends after it begins")


def in_maintenance(calendar: MaintenanceCalendar, instant: datetime) -> datetime | None:
    """The end of the maintenance that there is at `instant`, in UTC; None where there is none.

    The calendar has passed `check_calendar`.
    """
    ends = instant.astimezone(UTC)
    while ends - instant < _LOOK_AHEAD:
        later = max(
            (each.ends for each in _around(calendar, ends) if each.begins <= ends < each.ends),
            default=None,
        )
        if later is None:
            return ends if ends > instant else None
        ends = later
    return ends


def _around(calendar: MaintenanceCalendar, instant: datetime) -> Iterator[Interval]:
    """All intervals that could hold an instant, in UTC."""
    for each in calendar.once:
        yield Interval(each.begins.astimezone(UTC), each.ends.astimezone(UTC))
    zone = ZoneInfo(calendar.zone)
    today = instant.astimezone(zone).date()
    for window in calendar.weekly:
        # From the last such weekday before a window that began so long ago may still be open, to
        # tomorrow: a begin may come twice, and the earlier one may be on the day before.
        for days in range(-8, 2):
            day = today + timedelta(days=days)
            if day.isoweekday() == window.weekday:
                begins = datetime.combine(day, window.begins)
                yield Interval(
                    min(_readings(begins, zone)), max(_readings(begins + window.lasts, zone))
                )


def _readings(local: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The instants that a wall-clock time could be: the same one twice, but for a changed clock."""
    first = local.replace(tzinfo=zone, fold=0)
    second = local.replace(tzinfo=zone, fold=1)
    return first.astimezone(UTC), second.astimezone(UTC)


def _invalid(field: str, text: str) -> Refused:
    return Refused(Reason.FIELD_INVALID, field, text)
