"""Between the wire's message and the value of a route: checked field by field when it is set, and
stored and logged in its one encoding.
"""

from datetime import timedelta
from urllib.parse import urlsplit

from partners.errors import Reason, Refused
from partners.points import check_id
from partners.routes.route import Route, RouteKind
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
    except ValueError:
        url = urlsplit("")
    if url.scheme not in SCHEMES[kind] or url.password is not None or url.query or url.fragment:
        wanted = " or ".join(f"{each}://" for each in SCHEMES[kind])
        raise Refused(
            Reason.FIELD_INVALID, "route.address", f"give a {wanted} address without secrets"
        )
    return address


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
    )


def route_body(route: Route) -> bytes:
    """A route in its one encoding, as it is stored and logged."""
    return route_to_proto(route).SerializeToString(deterministic=True)


def route_from_body(body: bytes) -> Route:
    """What `route_body` wrote."""
    return route_from_proto(pb.Route.FromString(body))
