"""What the scheduler does, by the state of a currency's windows and the time."""

from datetime import UTC, date, datetime, timedelta

import pytest

from exchange.commands import CloseWindow, OpenWindow
from exchange.outcomes import Booked, Repeated, WindowClosed
from partners.errors import Reason, Refused
from settlement.calendar.schedule import Due, Standing, due_step
from settlement.schemes.scheme import Scheme
from tests import factories as make

EURO = Scheme("EUR", "17:30", "Europe/Berlin")
SECOND = timedelta(seconds=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def standing(day: str | None = None, scheme: Scheme = EURO) -> Standing:
    if day is None:
        return Standing(scheme, None, None)
    return Standing(scheme, f"eur-{day}", date.fromisoformat(day))


def closing(day: str, following: str, cut_off: str) -> CloseWindow:
    return CloseWindow(f"eur-{day}", date.fromisoformat(following), utc(cut_off))


def test_the_first_window_is_that_of_the_running_business_day() -> None:
    opening = Due(OpenWindow("EUR", date(2026, 1, 5)), timedelta())
    assert due_step(standing(), utc("2026-01-05 16:29")) == opening

    after = Due(OpenWindow("EUR", date(2026, 1, 6)), timedelta())
    assert due_step(standing(), utc("2026-01-05 16:30")) == after


def test_a_window_closes_at_the_cut_off_of_its_date_and_not_before() -> None:
    cut_off = utc("2026-01-05 16:30")

    assert due_step(standing("2026-01-05"), cut_off - SECOND) is None
    assert due_step(standing("2026-01-05"), cut_off) == Due(
        closing("2026-01-05", "2026-01-06", "2026-01-05 16:30"), timedelta()
    )


def test_a_window_that_people_opened_early_by_closing_the_last_one_waits_for_its_own_date() -> None:
    # Closed by hand at noon, so that tomorrow's window is open since.
    assert due_step(standing("2026-01-06"), utc("2026-01-05 16:30")) is None
    assert due_step(standing("2026-01-06"), utc("2026-01-06 16:29")) is None
    assert due_step(standing("2026-01-06"), utc("2026-01-06 16:30")) is not None


def test_a_late_close_keeps_its_date_and_the_next_window_has_that_of_the_running_day() -> None:
    assert due_step(standing("2026-01-05"), utc("2026-01-09 07:00")) == Due(
        closing("2026-01-05", "2026-01-09", "2026-01-05 16:30"), timedelta(days=3, hours=14.5)
    )


def test_windows_close_on_every_calendar_day() -> None:
    new_year = standing("2026-01-01")
    saturday = standing("2026-01-03")

    assert due_step(new_year, utc("2026-01-01 16:30")) is not None
    assert due_step(saturday, utc("2026-01-03 16:30")) is not None


@pytest.mark.parametrize("day", [None, "2020-01-01"])
def test_nothing_is_scheduled_where_people_close(day: str | None) -> None:
    by_hand = Scheme("EUR", "", "Europe/Berlin")

    assert due_step(standing(day, by_hand), utc("2026-01-05 16:30")) is None


def test_a_clock_that_steps_back_makes_nothing_due_again() -> None:
    # Closed at its cut-off; then the clock shows an hour less, and a day less.
    for now in ("2026-01-05 15:30", "2026-01-04 16:30"):
        assert due_step(standing("2026-01-06"), utc(now)) is None


@pytest.mark.parametrize(
    ("day", "cut_off"), [("2026-03-29", "2026-03-29 01:00"), ("2026-10-25", "2026-10-25 00:30")]
)
def test_days_on_which_the_clock_is_turned_are_cut_off_once(day: str, cut_off: str) -> None:
    night = Scheme("EUR", "02:30", "Europe/Berlin")
    following = str(date.fromisoformat(day) + timedelta(days=1))

    assert due_step(standing(day, night), utc(cut_off) - SECOND) is None
    assert due_step(standing(day, night), utc(cut_off)) == Due(
        closing(day, following, cut_off), timedelta()
    )
    # The second half past two of an autumn night is in the next day.
    assert due_step(standing(following, night), utc(cut_off) + timedelta(hours=1)) is None


def test_the_fold_closes_no_window_before_its_cut_off_by_the_logs_clock() -> None:
    state = make.a_state()
    cut_off = max(make.NOW, state.recorded_at) + timedelta(minutes=1)
    command = CloseWindow(make.WINDOW, None, cut_off)

    (early,) = make.fold_one(state, command, cut_off - SECOND).results
    assert isinstance(early, Refused)
    assert (early.reason, early.field) == (Reason.WINDOW_STATE, "window_id")
    folded = make.fold_one(state, command, cut_off)
    (closed,) = folded.results
    assert isinstance(closed, Booked)
    assert isinstance(closed.effect, WindowClosed)
    assert closed.recorded_at >= cut_off
    # A second process that closes the same, whatever its clock shows.
    (repeated,) = make.fold_one(folded.state, command, make.NOW).results
    assert repeated == Repeated(closed.log_index)
