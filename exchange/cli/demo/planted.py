"""What an operator's own rules stop: rates by which points would grow in a circle, a member who
converts too much in a day, and an operator who wants to be two. Sent after the mishaps; no rate and
no limit of it stays in force.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import uuid_utils

from exchange.cli.connection import Connection
from exchange.cli.demo.coalition import Corridor
from exchange.cli.demo.households import BLOCK_POINTS
from exchange.cli.demo.mishaps import Mishap, Refusal, good_order, refusal_of
from exchange.cli.demo.negotiation import Party
from exchange.cli.demo.operators import Operators, approve, second_key
from exchange.cli.failure import ExitCode, Failed
from partners.errors import Reason
from partners.limits.values import CorridorLimits
from partners.limits.wire import limits_to_proto
from pointclear.partners.v1.limits_pb2 import SetLimitsRequest
from pointclear.partners.v1.partners_service_pb2 import ActivateAgreementRequest

GROWTH = 2
"""The planted rate gives so many times the points."""


def plant(
    operators: Operators, source: Connection, target: Connection, corridor: Corridor
) -> tuple[Refusal, ...]:
    """Try all three, and tell what came back."""
    operator = operators.together
    with member_limit(operator, corridor, BLOCK_POINTS - 1):
        order = good_order(source, corridor, datetime.now(UTC))
        too_much = Mishap("too much for one member in a day", Reason.VELOCITY_EXCEEDED, order)
        stopped = refusal_of(source, too_much)
    loop = loop_of_rates(operator, source, target, corridor)
    return stopped, loop, alone(operators.maker, corridor)


def loop_of_rates(
    operator: Connection, source: Connection, target: Connection, corridor: Corridor
) -> Refusal:
    """Have both brands sign a rate so good that the way there and back gains, and activate it."""
    better = replace(corridor, version=2, target_units=GROWTH * corridor.target_units)
    Party(target).sign(Party(source).propose(better))
    what = "rates that gain on the way there and back"
    request = ActivateAgreementRequest(agreement_id=better.agreement_id, version=better.version)
    try:
        operator.call(operator.partners.ActivateAgreement, request)
    except Failed as failed:
        return Refusal(what, Reason.FREE_LUNCH, failed.failure.reason, recorded=False)
    return Refusal(what, Reason.FREE_LUNCH, "ACTIVATED", recorded=False)


def alone(maker: Connection, corridor: Corridor) -> Refusal:
    """Have one operator ask for a limit, and approve that itself, by another key of its own."""
    what = "one operator as maker and checker"
    unlimited = CorridorLimits(corridor.source.partner_id, corridor.target.partner_id)
    try:
        set_limits(maker, unlimited)
    except Failed as waits:
        if waits.failure.exit_code is not ExitCode.WAITS:
            raise
        action_id = UUID(waits.failure.metadata["actionId"])
        try:
            approve(maker, second_key(maker), action_id.bytes)
        except Failed as failed:
            reason = failed.failure.reason
            return Refusal(what, Reason.CHECKER_IS_MAKER, reason, recorded=False)
    return Refusal(what, Reason.CHECKER_IS_MAKER, "CARRIED_OUT", recorded=False)


@contextmanager
def member_limit(operator: Connection, corridor: Corridor, points: int) -> Iterator[None]:
    """For the block, one member may convert at most so many points a day on this corridor."""
    unlimited = CorridorLimits(corridor.source.partner_id, corridor.target.partner_id)
    set_limits(operator, replace(unlimited, member_points_per_day=points))
    yield
    set_limits(operator, unlimited)


def set_limits(operator: Connection, limits: CorridorLimits) -> None:
    """Put a corridor's limits in force."""
    request = SetLimitsRequest(change_id=uuid_utils.uuid7().bytes, limits=limits_to_proto(limits))
    operator.call(operator.partners.SetLimits, request)
