"""How maintenance is written on the command line."""

from datetime import UTC, datetime, time, timedelta

import pytest
import typer

from exchange.cli.transfers.route_commands import (
    interval_text,
    read_interval,
    read_kind,
    read_window,
    window_text,
)
from partners.routes.maintenance import Interval, WeeklyWindow
from partners.routes.route import RouteKind


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("sun@01:30-03:30", WeeklyWindow(7, time(1, 30), timedelta(hours=2))),
        ("mon@23:00-01:00", WeeklyWindow(1, time(23), timedelta(hours=2))),
        ("wed@00:00-00:00", WeeklyWindow(3, time(0), timedelta(days=1))),
        ("sat@22:15-22:14", WeeklyWindow(6, time(22, 15), timedelta(hours=23, minutes=59))),
    ],
)
def test_a_window_is_read_and_written_alike(text: str, window: WeeklyWindow) -> None:
    assert read_window(text) == window
    assert read_window(text.upper()) == window
    assert window_text(window) == text


def test_a_longer_window_than_can_be_written_is_shown_in_minutes() -> None:
    window = WeeklyWindow(5, time(18), timedelta(days=2))
    assert window_text(window) == "fri@18:00 for 2880 minutes"


@pytest.mark.parametrize(
    "text", ["", "sun", "sun@01:30", "sonntag@01:30-03:30", "sun@1:30-3:30", "sun@25:00-26:00"]
)
def test_what_is_no_window_is_said_with_an_example(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="sun@01:30-03:30"):
        read_window(text)


def test_an_interval_is_two_instants() -> None:
    text = "2026-12-24T22:00:00Z/2026-12-25T06:00:00Z"
    begins = datetime(2026, 12, 24, 22, tzinfo=UTC)
    interval = Interval(begins, begins + timedelta(hours=8))
    assert read_interval(text) == interval
    assert read_interval("2026-12-24T22:00Z/2026-12-25T07:00+01:00") == interval
    assert interval_text(interval) == text


@pytest.mark.parametrize(
    "text",
    ["", "2026-12-24T22:00Z", "2026-12-24T22:00/2026-12-25T06:00", "a/b", "2026-12-24T22:00Z/"],
)
def test_what_is_no_interval_is_said_with_an_example(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="2026-12-24T22:00Z/2026-12-25T06:00Z"):
        read_interval(text)


def test_a_kind_is_named_in_any_case() -> None:
    assert read_kind("http") is RouteKind.HTTP
    with pytest.raises(typer.BadParameter, match="stream"):
        read_kind("carrier-pigeon")
