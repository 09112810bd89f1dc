"""Routes between the wire and their values."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from partners.caller import Caller
from partners.commands import SetRoute
from partners.errors import Reason, Refused
from partners.routes.maintenance import Interval, MaintenanceCalendar, WeeklyWindow
from partners.routes.route import Route, RouteKind
from partners.routes.service import SettingRoutes
from partners.routes.wire import route_body, route_from_body, route_from_proto
from pointclear.partners.v1 import route_pb2 as pb
from tests import factories as make

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
CLOSED = MaintenanceCalendar(
    "Asia/Tokyo",
    (WeeklyWindow(7, time(1, 30), timedelta(minutes=120)),),
    (Interval(NOW, NOW + timedelta(hours=1)),),
)


@pytest.mark.parametrize(
    "route",
    [
        Route("fuel"),
        Route("fuel", RouteKind.HTTP, "https://fuel.example/pointclear", maintenance=CLOSED),
        Route("fuel", RouteKind.GRPC, "localhost:7443", timedelta(seconds=1), 3),
        Route("fuel", RouteKind.FILE, "sftp://exchange@files.fuel.example/in"),
        Route("fuel", RouteKind.PULL, lease=timedelta(seconds=5)),
    ],
    ids=lambda each: each.kind,
)
def test_a_route_is_read_back_as_it_was_written(route: Route) -> None:
    assert route_from_body(route_body(route)) == route


def test_a_route_without_maintenance_has_the_encoding_that_it_always_had() -> None:
    assert not pb.Route.FromString(route_body(Route("fuel"))).HasField("maintenance")


@pytest.mark.parametrize(
    ("maintenance", "field"),
    [
        ({"zone": "Nowhere"}, "zone"),
        ({"weekly": [pb.WeeklyWindow(weekday=7, begins_minute=1440, minutes=1)]}, "begins_minute"),
        ({"weekly": [pb.WeeklyWindow(weekday=7, begins_minute=-1, minutes=1)]}, "begins_minute"),
        ({"weekly": [pb.WeeklyWindow(weekday=0, minutes=1)]}, "weekday"),
        ({"weekly": [pb.WeeklyWindow(weekday=7)]}, "minutes"),
        ({"weekly": [pb.WeeklyWindow(weekday=7, minutes=10_080)]}, "minutes"),
        ({"weekly": [pb.WeeklyWindow(weekday=7, minutes=1)] * 33}, "maintenance"),
        ({"once": [pb.MaintenanceInterval(begins=Timestamp(seconds=5))]}, "ends"),
        (
            {
                "once": [
                    pb.MaintenanceInterval(begins=Timestamp(seconds=5), ends=Timestamp(seconds=5))
                ]
            },
            "ends",
        ),
    ],
)
def test_a_calendar_that_means_nothing_is_refused_with_its_field(
    maintenance: dict[str, Any], field: str
) -> None:
    route = pb.Route(
        program_id="fuel",
        kind=pb.ROUTE_KIND_PULL,
        maintenance=pb.MaintenanceCalendar(**maintenance),
    )
    with pytest.raises(Refused) as caught:
        route_from_proto(route)
    assert caught.value.reason is Reason.FIELD_INVALID
    assert caught.value.field.startswith("route.maintenance")
    assert caught.value.field.endswith(field)


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        (pb.ROUTE_KIND_HTTP, "http://fuel.example"),
        (pb.ROUTE_KIND_HTTP, "https://user@fuel.example"),
        (pb.ROUTE_KIND_HTTP, "https://user:secret@fuel.example"),
        (pb.ROUTE_KIND_HTTP, "https://fuel.example/?key=secret"),
        (pb.ROUTE_KIND_FILE, "sftp://user:secret@fuel.example"),
        (pb.ROUTE_KIND_HTTP, "https:///credits"),
        (pb.ROUTE_KIND_HTTP, "https://fuel.example:99999"),
        (pb.ROUTE_KIND_HTTP, "https://[fuel.example"),
        (pb.ROUTE_KIND_GRPC, "fuel.example"),
        (pb.ROUTE_KIND_PULL, "fuel.example:1"),
        (pb.ROUTE_KIND_HTTP, "https://" + "x" * 256),
    ],
)
def test_an_address_is_one_of_its_kind_and_holds_no_secret(
    kind: pb.RouteKind.ValueType, address: str
) -> None:
    with pytest.raises(Refused) as caught:
        route_from_proto(pb.Route(program_id="fuel", kind=kind, address=address))
    assert caught.value.field == "route.address"


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("file://elsewhere/points", "file:///"),
        ("file:points", "file:///"),
        ("sftp://files.fuel.example/points", "sftp://USER@HOST"),
        ("sftp://exchange@files.fuel.example", "sftp://USER@HOST"),
    ],
)
def test_a_folder_that_nobody_could_find_is_refused(address: str, says: str) -> None:
    route = pb.Route(program_id="fuel", kind=pb.ROUTE_KIND_FILE, address=address)
    with pytest.raises(Refused, match=says) as refused:
        route_from_proto(route)
    assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, "route.address")


@dataclass
class Routes:
    """A registry with nothing but routes, and what carries commands out."""

    set: list[SetRoute] = field(default_factory=list)

    async def carry_out(self, command: SetRoute) -> None:
        self.set.append(command)

    async def refresh(self) -> Any:
        return self

    def route_of(self, program: str) -> Route:
        return next(each.route for each in self.set if each.route.program == program)


@pytest.mark.parametrize("simulates", [True, False])
def test_nothing_is_simulated_in_production(simulates: bool) -> None:
    routes = Routes()
    setting = SettingRoutes(routes.carry_out, routes, simulates=simulates)
    request = pb.SetRouteRequest(
        change_id=make.transfer_id(1).bytes,
        route=pb.Route(program_id="fuel", kind=pb.ROUTE_KIND_SIMULATED),
    )
    call = setting.set_route(request, Caller("operator", "ada"))
    if simulates:
        assert asyncio.run(call).route.kind == pb.ROUTE_KIND_SIMULATED
        return
    with pytest.raises(Refused, match="production") as refused:
        asyncio.run(call)
    assert (refused.value.field, routes.set) == ("route.kind", [])
