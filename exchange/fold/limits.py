"""Decides what sets switches, limits and routes. Pure but for the run that it is given."""

from exchange.fold.funding import fund
from exchange.fold.run import Run
from exchange.outcomes import Result
from partners.commands import SetLimits, SetRoute, SetSwitches
from partners.environment import Environment
from partners.errors import Reason, Refused
from partners.limits.values import (
    CorridorLimits,
    CorridorSwitches,
    Limits,
    PartnerLimits,
    PartnerSwitches,
    Switches,
)
from partners.registry import Registry
from partners.routes.route import RouteKind

SWITCHES_BODY = "application/vnd.pointclear.switches.v1+protobuf"
LIMITS_BODY = "application/vnd.pointclear.limits.v1+protobuf"
ROUTE_BODY = "application/vnd.pointclear.route.v1+protobuf"
"""What the bodies of these entries are."""


def set_switches(run: Run, command: SetSwitches) -> Result:
    """Switches hold for every order that is decided after them, in the same batch too."""
    entry_key = f"switches/{command.change_id}"
    if entry_key in run.entries:
        return run.same_body(entry_key, command.body, "change_id", Reason.MODIFIED_REQUEST)
    check_subject(run.registry, command.switches, "switches")
    run.registry = run.registry.with_switches(command.switches)
    return run.enter(entry_key, SWITCHES_BODY, command.body, effect=command.switches)


def set_limits(run: Run, command: SetLimits) -> Result:
    """A cap below what is owed stops new debits and nothing else: what was decided stands."""
    entry_key = f"limits/{command.change_id}"
    if entry_key in run.entries:
        return run.same_body(entry_key, command.body, "change_id", Reason.MODIFIED_REQUEST)
    check_subject(run.registry, command.limits, "limits")
    run.registry = run.registry.with_limits(command.limits)
    if isinstance(command.limits, PartnerLimits):
        fund(run, command.limits)
    return run.enter(entry_key, LIMITS_BODY, command.body, effect=command.limits)


def set_route(run: Run, command: SetRoute) -> Result:
    """Orders decided after it give instructions for the new way; what waits goes by it, too."""
    entry_key = f"routes/{command.change_id}"
    if entry_key in run.entries:
        return run.same_body(entry_key, command.body, "change_id", Reason.MODIFIED_REQUEST)
    check_program(run.registry, command.route.program, "route.program_id")
    if (
        command.route.kind is RouteKind.SIMULATED
        and run.registry.environment is Environment.PRODUCTION
    ):
        raise Refused(Reason.FIELD_INVALID, "route.kind", "production simulates no program")
    run.registry = run.registry.with_route(command.route)
    return run.enter(entry_key, ROUTE_BODY, command.body, effect=command.route)


def check_subject(registry: Registry, of: Switches | Limits, field: str) -> None:
    """Raise Refused (PARTNER_UNKNOWN or PROGRAM_UNKNOWN) unless there is what they are set for."""
    match of:
        case PartnerSwitches(partner_id=name) | PartnerLimits(partner_id=name):
            if name not in registry.partners:
                at = f"{field}.partner.partner_id"
                raise Refused(Reason.PARTNER_UNKNOWN, at, f"there is no partner {name}")
        case CorridorSwitches() | CorridorLimits():
            for end in ("source_program", "target_program"):
                check_program(registry, getattr(of, end), f"{field}.corridor.{end}")
        case _:
            check_program(registry, of.program_id, f"{field}.program.program_id")


def check_program(registry: Registry, program: str, field: str) -> None:
    if program not in registry.programs:
        raise Refused(Reason.PROGRAM_UNKNOWN, field, f"there is no program {program}")
