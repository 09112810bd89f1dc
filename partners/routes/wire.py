"""Between the wire's message and the value of a route: checked field by field when it is set, and
stored and logged in its one encoding.
"""

from datetime import time, timedelta
from urllib.parse import SplitResult, urlsplit

from partners.errors import Reason, Refused
from partners.points import check_id
from partners.routes.maintenance import (
    ALWAYS_OPEN,
    Interval,
    MaintenanceCalendar,
    WeeklyWindow,
    check_calendar,
)
from partners.routes.route import Route, RouteKind
from partners.wire import time_from_proto, time_to_proto
from pointclear.partners.v1 import route_pb2 as pb

ADDRESS_CHARS_MAX = 256
SCHEMES = {
    RouteKind.HTTP: ("https",),
    RouteKind.FILE: ("file", "sftp"),
}
"""Of the addresses that are URLs."""


def route_from_proto(message: pb.Route) -> Route:
    """A program's route; raises Refused(FIELD_INVALID) naming the field."""
    known = message.kind in pb.RouteKind.values()
    name = pb.RouteKind.Name(message.kind).removeprefix("ROUTE_KIND_") if known else ""
    if name not in RouteKind.__members__:
        raise Refused(Reason.FIELD_INVALID, "route.kind", "the route's kind is not stated")
    kind = RouteKind[name]
    return Route(
        check_id(message.program_id, "route.program_id"),
        kind,
        checked_address(kind, message.address),
        timedelta(milliseconds=_within(message.timeout_ms, 60_000, 5_000, "timeout_ms")),
        _within(message.calls_max, 256, 8, "calls_max"),
        timedelta(
            seconds=_within(message.answer_within_seconds, 604_800, 900, "answer_within_seconds")
        ),
        timedelta(seconds=_within(message.lease_seconds, 3_600, 60, "lease_seconds")),
        calendar_from_proto(message.maintenance, "route.maintenance"),
    )


def calendar_from_proto(message: pb.MaintenanceCalendar, field: str) -> MaintenanceCalendar:
    """A program's maintenance; raises Refused(FIELD_INVALID) naming the field."""
    weekly = []
    for number, window in enumerate(message.weekly):
        if not 0 <= window.begins_minute < 24 * 60:
            raise Refused(
                Reason.FIELD_INVALID,
                f"{field}.weekly[{number}].begins_minute",
                "give 0 to 1,439 minutes after midnight",
            )
        begins = time(*divmod(window.begins_minute, 60))
        weekly.append(WeeklyWindow(window.weekday, begins, timedelta(minutes=window.minutes)))
    once = [
        Interval(
            time_from_proto(each.begins, f"{field}.once[{number}].begins"),
            time_from_proto(each.ends, f"{field}.once[{number}].ends"),
        )
        for number, each in enumerate(message.once)
    ]
    calendar = MaintenanceCalendar(message.zone or "UTC", tuple(weekly), tuple(once))
    check_calendar(calendar, field)
    return calendar


def calendar_to_proto(calendar: MaintenanceCalendar) -> pb.MaintenanceCalendar:
    """A program's maintenance as the wire shows it."""
    return pb.MaintenanceCalendar(
        zone="" if calendar.zone == "UTC" else calendar.zone,
        weekly=[
            pb.WeeklyWindow(
                weekday=each.weekday,
                begins_minute=each.begins.hour * 60 + each.begins.minute,
                minutes=each.lasts // timedelta(minutes=1),
            )
            for each in calendar.weekly
        ],
        once=[
            pb.MaintenanceInterval(begins=time_to_proto(each.begins), ends=time_to_proto(each.ends))
            for each in calendar.once
        ],
    )


def checked_address(kind: RouteKind, address: str) -> str:
    """The address of a route, if it is one of its kind; raises Refused(FIELD_INVALID)."""
    if kind in (RouteKind.STREAM, RouteKind.PULL, RouteKind.SIMULATED):
        if address:
            raise Refused(Reason.FIELD_INVALID, "route.address", f"{kind} takes no address")
        return ""
    if not (address.isascii() and address.isprintable() and len(address) <= ADDRESS_CHARS_MAX):
        raise Refused(
            Reason.FIELD_INVALID, "route.address", f"at most {ADDRESS_CHARS_MAX} printable ASCII"
        )
    if kind is RouteKind.GRPC:
        host, colon, port = address.rpartition(":")
        if not (host and colon and port.isdecimal() and 0 < int(port) < 65_536):
            raise Refused(Reason.FIELD_INVALID, "route.address", "give HOST:PORT")
        return address
    try:
        url = urlsplit(address)
        has_host = bool(url.hostname) and url.port != 0
    except ValueError:
        url, has_host = urlsplit(""), False
    named = url.username is not None and kind is RouteKind.HTTP
    secret = named or url.password is not None
    nowhere = url.scheme != "file" and not has_host
    if url.scheme not in SCHEMES[kind] or nowhere or secret or url.query or url.fragment:
        wanted = " or ".join(f"{each}://" for each in SCHEMES[kind])
        raise Refused(
            Reason.FIELD_INVALID, "route.address", f"give a {wanted} address without secrets"
        )
    if kind is RouteKind.FILE:
        check_place(url)
    return address


def check_place(url: SplitResult) -> None:
    """Raise Refused(FIELD_INVALID) unless this names a folder that can be found."""
    if url.scheme == "file" and (url.netloc or not url.path.startswith("/")):
        text = "a folder of the exchange's host is written file:///srv/brands/fuel"
    elif url.scheme == "sftp" and not (url.username and url.path.startswith("/")):
        text = "a folder on a server is written sftp://USER@HOST/FOLDER"
    else:
        return
    raise Refused(Reason.FIELD_INVALID, "route.address", text)


def _within(value: int, most: int, default: int, field: str) -> int:
    if not 0 <= value <= most:
        raise Refused(Reason.FIELD_INVALID, f"route.{field}", f"give 1 to {most:,}, or 0")
    return value or default


def route_to_proto(route: Route) -> pb.Route:
    """A program's route as the wire shows it."""
    return pb.Route(
        program_id=route.program,
        kind=pb.RouteKind.Value(f"ROUTE_KIND_{route.kind}"),
        address=route.address,
        timeout_ms=route.timeout // timedelta(milliseconds=1),
        calls_max=route.calls_max,
        answer_within_seconds=route.answer_within // timedelta(seconds=1),
        lease_seconds=route.lease // timedelta(seconds=1),
        # Routes that were set before there were calendars have the same encoding as ever.
        maintenance=(
            calendar_to_proto(route.maintenance) if route.maintenance != ALWAYS_OPEN else None
        ),
    )


def route_body(route: Route) -> bytes:
    """A route in its one encoding, as it is stored and logged."""
    return route_to_proto(route).SerializeToString(deterministic=True)


def route_from_body(body: bytes) -> Route:
    """What `route_body` wrote."""
    return route_from_proto(pb.Route.FromString(body))
