"""The calls of PartnersService that set and list routes."""

from collections.abc import Awaitable, Callable

from partners.caller import Caller
from partners.commands import SetRoute
from partners.errors import Reason, Refused
from partners.limits.service import NewestRegistry
from partners.limits.wire import change_id_of
from partners.routes.route import RouteKind
from partners.routes.wire import route_body, route_from_proto, route_to_proto
from pointclear.partners.v1 import route_pb2 as pb

CarryOut = Callable[[SetRoute], Awaitable[object]]
"""Has the sequencer carry a command out; raises the Refused that answers it."""


class SettingRoutes:
    """The handlers. They raise Refused; the edge maps it to the wire."""

    def __init__(self, carry_out: CarryOut, registry: NewestRegistry, *, simulates: bool) -> None:
        """`simulates` is false in production: there nobody would get points by such a route."""
        self._carry_out = carry_out
        self._registry = registry
        self._simulates = simulates

    async def set_route(self, request: pb.SetRouteRequest, caller: Caller) -> pb.SetRouteResponse:
        """Operators: set all of a program's route."""
        caller.require_operator()
        route = route_from_proto(request.route)
        if route.kind is RouteKind.SIMULATED and not self._simulates:
            raise Refused(
                Reason.FIELD_INVALID, "route.kind", "in production no program is simulated"
            )
        await self._carry_out(SetRoute(change_id_of(request.change_id), route, route_body(route)))
        now = (await self._registry.refresh()).route_of(route.program)
        return pb.SetRouteResponse(route=route_to_proto(now))

    async def list_routes(
        self, _request: pb.ListRoutesRequest, caller: Caller
    ) -> pb.ListRoutesResponse:
        """All for an operator, its own programs' for a partner."""
        registry = await self._registry.refresh()
        return pb.ListRoutesResponse(
            routes=[
                route_to_proto(each)
                for _, each in sorted(registry.routes.items())
                if caller.is_operator or registry.programs[each.program] == caller.name
            ]
        )
