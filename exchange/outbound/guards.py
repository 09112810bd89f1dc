"""Every program that one process calls, each behind its own policy."""

import logging
from collections.abc import Callable

from exchange.logs import named
from exchange.outbound.guarded import OPEN_FOR_S, GuardedProgram, policy_of
from exchange.outbound.watch import CallWatcher
from partners.errors import PointclearError
from partners.program_port import ProgramPort
from partners.routes.route import Route

log = logging.getLogger(__name__)


class Guards:
    """Made when they are first needed, and kept as long as the route stays."""

    def __init__(
        self,
        port_of: Callable[[Route], ProgramPort | None],
        watcher: CallWatcher,
        open_for_s: float = OPEN_FOR_S,
    ) -> None:
        """`open_for_s` is how long one that failed is left alone."""
        self._port_of = port_of
        self._watcher = watcher
        self._open_for_s = open_for_s
        self._made: dict[str, tuple[Route, GuardedProgram | None]] = {}

    def of(self, route: Route) -> GuardedProgram | None:
        """What calls the program; None where nothing does."""
        known = self._made.get(route.program)
        if known is None or known[0] != route:
            known = self._made[route.program] = (route, self._make(route))
        return known[1]

    def _make(self, route: Route) -> GuardedProgram | None:
        try:
            port = self._port_of(route)
        except (OSError, ValueError, ImportError, PointclearError) as error:
            # Said once: nothing changes until the route does, or until the next start.
            log.error("programs: %s cannot be called by its route: %s", route.program, named(error))
            return None
        if port is None:
            return None
        policy = policy_of(route, self._open_for_s)
        return GuardedProgram(port, route.program, policy, self._watcher)
