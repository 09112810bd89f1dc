"""`routes set` and `routes list`: by what way instructions reach programs, and when none are sent.

A command reads the program's route and changes what it was told of. A weekly window is written as
`sun@01:30-03:30` by the wall clock of the zone (an end before its begin is on the next day), an
interval as ISO 8601 has it: `2026-12-24T22:00Z/2026-12-25T06:00Z`.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Annotated, Any

import typer
import uuid_utils

from exchange.cli.calling import App, ByActingOperator, ByAnybody
from exchange.cli.connection import Connection
from exchange.cli.output import answer, table
from partners.routes.maintenance import Interval, MaintenanceCalendar, WeeklyWindow
from partners.routes.route import Route, RouteKind
from partners.routes.wire import route_from_proto, route_to_proto
from pointclear.partners.v1.route_pb2 import (
    ListRoutesRequest,
    ListRoutesResponse,
    SetRouteRequest,
    SetRouteResponse,
)

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
_WINDOW = re.compile(rf"({'|'.join(WEEKDAYS)})@(\d\d:\d\d)-(\d\d:\d\d)", re.IGNORECASE)


def routes_app() -> App:
    """The commands about routes."""
    app = App(no_args_is_help=True, help="How instructions reach programs.")
    app.command("set")(set_route)
    app.command("list")(list_routes)
    return app


def set_route(
    by: ByActingOperator,
    program: Annotated[str, typer.Argument(metavar="ID", help="The program.")],
    way: Annotated[
        str | None,
        typer.Option("--by", metavar="KIND", help=f"One of {', '.join(RouteKind).lower()}."),
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="HOST:PORT, https://…, file://… or sftp://…, by its kind.")
    ] = None,
    timeout_ms: Annotated[
        int | None, typer.Option(min=1, max=60_000, help="How long one call may take.")
    ] = None,
    calls_max: Annotated[
        int | None, typer.Option(min=1, max=256, help="Calls under way at a time from a server.")
    ] = None,
    answer_within_s: Annotated[
        int | None,
        typer.Option(min=1, max=604_800, help="How long a reserved transfer waits to be sent."),
    ] = None,
    lease_s: Annotated[
        int | None, typer.Option(min=1, max=3_600, help="How long a pulled instruction is kept.")
    ] = None,
    zone: Annotated[
        str | None, typer.Option(help="Of the weekly windows: an IANA name like Asia/Tokyo.")
    ] = None,
    closed: Annotated[
        list[str] | None,
        typer.Option(metavar="WINDOW", help="Weekly, like 'sun@01:30-03:30'; may be repeated."),
    ] = None,
    closed_once: Annotated[
        list[str] | None,
        typer.Option(metavar="BEGIN/END", help="Two instants with a /; may be repeated."),
    ] = None,
    always_open: Annotated[
        bool, typer.Option("--always-open", help="Forget all maintenance that was set.")
    ] = False,
) -> None:
    """Set a program's route; what is not named stays as it is.

    Weekly windows that are named replace those that were set, and intervals those. While a program
    is closed nobody is called there; what is due goes when it opens.
    """
    windows = None if closed is None else tuple(map(read_window, closed))
    intervals = None if closed_once is None else tuple(map(read_interval, closed_once))
    kind = None if way is None else read_kind(way)
    with by.connect() as connection:
        before = {each.program: each for each in _all(connection)}.get(program, Route(program))
        calendar = MaintenanceCalendar() if always_open else before.maintenance
        after = replace(
            before,
            kind=before.kind if kind is None else kind,
            # An address belongs to its kind.
            address=address if address is not None else before.address * (kind is None),
            timeout=_given(timeout_ms, before.timeout, timedelta(milliseconds=1)),
            calls_max=calls_max or before.calls_max,
            answer_within=_given(answer_within_s, before.answer_within, timedelta(seconds=1)),
            lease=_given(lease_s, before.lease, timedelta(seconds=1)),
            maintenance=MaintenanceCalendar(
                calendar.zone if zone is None else zone,
                calendar.weekly if windows is None else windows,
                calendar.once if intervals is None else intervals,
            ),
        )
        _show(by.as_json, [_set(connection, after)])


def list_routes(
    by: ByAnybody,
) -> None:
    """List the routes that were ever set; a partner sees its own programs'."""
    with by.connect() as connection:
        _show(by.as_json, _all(connection))


def read_kind(text: str) -> RouteKind:
    """A kind by its name, in any case. Raises typer.BadParameter."""
    if text.upper() not in RouteKind.__members__:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(RouteKind).lower()}")
    return RouteKind[text.upper()]


def read_window(text: str) -> WeeklyWindow:
    """`sun@01:30-03:30`. Raises typer.BadParameter."""
    found = _WINDOW.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError
        begins, ends = (time.fromisoformat(each) for each in found.group(2, 3))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no window such as 'sun@01:30-03:30'") from None
    lasts = timedelta(hours=ends.hour - begins.hour, minutes=ends.minute - begins.minute) % DAY
    return WeeklyWindow(WEEKDAYS.index(found.group(1).lower()) + 1, begins, lasts or DAY)


def read_interval(text: str) -> Interval:
    """`2026-12-24T22:00Z/2026-12-25T06:00Z`. Raises typer.BadParameter."""
    begins, slash, ends = text.partition("/")
    try:
        interval = Interval(datetime.fromisoformat(begins), datetime.fromisoformat(ends))
        if not slash or interval.begins.tzinfo is None or interval.ends.tzinfo is None:
            raise ValueError
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no interval such as 2026-12-24T22:00Z/2026-12-25T06:00Z"
        ) from None
    return interval


def window_text(window: WeeklyWindow) -> str:
    """As `read_window` reads it; in minutes where it is longer than that can say."""
    day, begins = WEEKDAYS[window.weekday - 1], f"{window.begins:%H:%M}"
    if window.lasts > DAY:
        return f"{day}@{begins} for {window.lasts // MINUTE} minutes"
    minutes = (window.begins.hour * 60 + window.begins.minute) + window.lasts // MINUTE
    hour, minute = divmod(minutes, 60)
    return f"{day}@{begins}-{hour % 24:02}:{minute:02}"


def interval_text(interval: Interval) -> str:
    """As `read_interval` reads it."""
    ends = (interval.begins, interval.ends)
    return "/".join(each.isoformat().replace("+00:00", "Z") for each in ends)


def _given(value: int | None, before: timedelta, unit: timedelta) -> timedelta:
    return before if value is None else value * unit


def _all(connection: Connection) -> Sequence[Route]:
    response: ListRoutesResponse = connection.call(
        connection.partners.ListRoutes, ListRoutesRequest()
    )
    return [route_from_proto(each) for each in response.routes]


def _set(connection: Connection, route: Route) -> Route:
    request = SetRouteRequest(change_id=uuid_utils.uuid7().bytes, route=route_to_proto(route))
    response: SetRouteResponse = connection.call(connection.partners.SetRoute, request)
    return route_from_proto(response.route)


def _show(as_json: bool, routes: Iterable[Route]) -> None:
    documents = [route_document(each) for each in routes]
    rows = [
        (
            each["program"],
            each["kind"].lower(),
            each["address"],
            "; ".join([*each["closed"], *each["closed_once"]]) or "–",
        )
        for each in documents
    ]
    columns = ("program", "by", "address", "closed")
    answer(as_json, {"routes": documents}, table(columns, rows))


def route_document(route: Route) -> dict[str, Any]:
    """A route for people and machines."""
    return {
        "program": route.program,
        "kind": route.kind,
        "address": route.address,
        "timeout_ms": route.timeout // timedelta(milliseconds=1),
        "calls_max": route.calls_max,
        "answer_within_s": route.answer_within // timedelta(seconds=1),
        "lease_s": route.lease // timedelta(seconds=1),
        "zone": route.maintenance.zone,
        "closed": [window_text(each) for each in route.maintenance.weekly],
        "closed_once": [interval_text(each) for each in route.maintenance.once],
    }
