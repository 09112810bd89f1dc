"""Banking days of markets and countries, and the due dates that are counted in them."""

from datetime import UTC, date, datetime

import pytest

from partners.errors import Reason, Refused
from settlement.calendar.banking import banking_day_after, due_date, is_banking_day, parse_calendar
from settlement.schemes.scheme import Scheme


@pytest.mark.parametrize(
    ("code", "day", "works"),
    [
        # A Saturday, a Sunday, a Monday.
        ("", "2026-01-03", False),
        ("", "2026-01-04", False),
        ("", "2026-01-05", True),
        ("", "2026-01-01", True),
        # TARGET closes on Good Friday, Easter Monday and Labour Day, and works on Whit Monday.
        ("XECB", "2026-04-03", False),
        ("XECB", "2026-04-06", False),
        ("XECB", "2026-05-01", False),
        ("XECB", "2026-05-25", True),
        ("ECB", "2026-05-01", False),
        # Independence Day on a Saturday is kept on the Friday by the exchange and by the state.
        ("XNYS", "2026-07-03", False),
        ("US", "2026-07-03", False),
        ("XNYS", "2026-07-02", True),
        # The day after Thanksgiving is a half day in New York.
        ("XNYS", "2026-11-27", True),
        # China makes up for its National Day on a Saturday; its exchanges do not.
        ("CN", "2026-10-05", False),
        ("CN", "2026-10-10", True),
        ("XSHG", "2026-10-10", False),
        # Japan's banks close on 31 December, and Kuwait's weekend is Friday and Saturday.
        ("JP", "2026-12-31", False),
        ("KW", "2026-01-08", True),
        ("KW", "2026-01-09", False),
        ("KW", "2026-01-11", True),
    ],
)
def test_banks_work_on_the_days_of_their_calendar(code: str, day: str, works: bool) -> None:
    assert is_banking_day(date.fromisoformat(day), parse_calendar(code)) is works


@pytest.mark.parametrize(
    ("day", "number", "due"),
    [
        ("2026-04-01", 0, "2026-04-01"),
        ("2026-04-01", 1, "2026-04-02"),
        # Easter stands between.
        ("2026-04-01", 2, "2026-04-07"),
        ("2026-04-02", 1, "2026-04-07"),
        ("2026-04-04", 0, "2026-04-07"),
        ("2026-04-04", 1, "2026-04-07"),
        ("2026-04-04", 2, "2026-04-08"),
        # A leap day is a day like others.
        ("2028-02-28", 1, "2028-02-29"),
        ("2028-02-28", 2, "2028-03-01"),
        ("2027-02-26", 1, "2027-03-01"),
        # Two holidays and a weekend, over the turn of the year.
        ("2026-12-24", 1, "2026-12-28"),
        ("2026-12-31", 1, "2027-01-04"),
    ],
)
def test_banking_days_are_counted_from_the_day_after(day: str, number: int, due: str) -> None:
    target = parse_calendar("XECB")

    assert banking_day_after(date.fromisoformat(day), number, target).isoformat() == due


def test_a_due_date_counts_from_the_local_date_of_the_close() -> None:
    closed_at = datetime(2026, 1, 5, 16, 30, tzinfo=UTC)
    berlin = Scheme("EUR", "17:30", "Europe/Berlin", "XECB")
    auckland = Scheme("NZD", "05:30", "Pacific/Auckland", "NZ")

    assert due_date(berlin, closed_at) == date(2026, 1, 6)
    assert due_date(auckland, closed_at) == date(2026, 1, 7)
    assert due_date(Scheme("USD", due_days=5), closed_at) == date(2026, 1, 12)


@pytest.mark.parametrize("code", ["XX", "xecb", "TARGET2", "US-CA", " "])
def test_a_calendar_that_nobody_keeps_is_refused(code: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_calendar(code)

    assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, "banking_calendar")
    assert "XECB" in refused.value.text
