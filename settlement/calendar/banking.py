"""Banking days and due dates. Pure.

A banking calendar is a market (`XECB` for TARGET, `XNYS`) or a country (`CN`, `US`) of the
`holidays` package, which knows their weekends, their holidays, and the weekends on which they work
to make up for a holiday. Where it tells a country's bank holidays from its public ones, both count.
An exchange's half days are banking days.

What is to come is known as far as it was announced: some holidays follow the moon or a ministry.
A due date is worked out once, when a statement is made, and stands in it; a later version of the
package changes no statement that was made.

Source: https://holidays.readthedocs.io (version 0.109).
"""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import holidays
from holidays import HolidayBase

from partners.errors import Reason, Refused
from settlement.schemes.scheme import Scheme

DUE_DAYS_MAX = 30
_DAY = timedelta(days=1)
_WEEKEND = (5, 6)
"""Where no calendar is named: Saturday and Sunday."""


def parse_calendar(code: str, field: str = "banking_calendar") -> HolidayBase | None:
    """The banking calendar of this code, None for the empty one; raises Refused(FIELD_INVALID)."""
    if not code:
        return None
    if code in holidays.list_supported_financial():
        return holidays.financial_holidays(code)
    if code in holidays.list_supported_countries():
        calendar = holidays.country_holidays(code)
        if holidays.BANK in calendar.supported_categories:
            both = (holidays.PUBLIC, holidays.BANK)
            return holidays.country_holidays(code, categories=both)
        return calendar
    raise Refused(
        Reason.FIELD_INVALID,
        field,
        f"{code!r} is neither a market nor a country that the calendars know, such as XECB, XNYS,"
        " CN or US",
    )


def is_banking_day(day: date, calendar: HolidayBase | None) -> bool:
    """Whether banks work on a day."""
    if calendar is None:
        return day.weekday() not in _WEEKEND
    return bool(calendar.is_working_day(day))


def banking_day_after(day: date, number: int, calendar: HolidayBase | None) -> date:
    """The banking day of this number after a day: 1 is the first one after it, 0 the day itself or,
    where that is none, the first one after it.
    """
    if number == 0 and is_banking_day(day, calendar):
        return day
    passed = 0
    while passed < max(number, 1):
        day += _DAY
        passed += is_banking_day(day, calendar)
    return day


def due_date(scheme: Scheme, closed_at: datetime) -> date:
    """When what a window asks for is due: so many banking days after the day on which it closed, by
    the calendar and the zone of the scheme.
    """
    closed_on = closed_at.astimezone(ZoneInfo(scheme.zone)).date()
    return banking_day_after(closed_on, scheme.due_days, parse_calendar(scheme.banking_calendar))
