"""The calls of PartnersService that set and list switches and limits."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from partners.caller import Caller
from partners.commands import SetLimits, SetSwitches
from partners.limits.values import (
    CorridorLimits,
    CorridorSwitches,
    Limits,
    PartnerLimits,
    PartnerSwitches,
    ProgramLimits,
    ProgramSwitches,
    Switches,
)
from partners.limits.wire import (
    change_id_of,
    limits_body,
    limits_from_proto,
    limits_to_proto,
    switches_body,
    switches_from_proto,
    switches_to_proto,
)
from partners.registry import Registry
from pointclear.partners.v1 import limits_pb2 as pb

CarryOut = Callable[[SetSwitches | SetLimits], Awaitable[object]]
"""Has the sequencer carry a command out; raises the Refused that answers it."""


class NewestRegistry(Protocol):
    """Where the newest snapshot comes from."""

    async def refresh(self) -> Registry:
        """The registry as the database has it now."""


class SettingLimits:
    """The handlers. They raise Refused; the edge maps it to the wire."""

    def __init__(self, carry_out: CarryOut, registry: NewestRegistry) -> None:
        self._carry_out = carry_out
        self._registry = registry

    async def set_switches(
        self, request: pb.SetSwitchesRequest, caller: Caller
    ) -> pb.SetSwitchesResponse:
        """Operators: set all switches of a subject."""
        caller.require_operator()
        change_id = change_id_of(request.change_id)
        switches = switches_from_proto(request.switches)
        await self._carry_out(SetSwitches(change_id, switches, switches_body(switches)))
        now = all_switches(await self._registry.refresh())[switches.subject]
        return pb.SetSwitchesResponse(switches=switches_to_proto(now))

    async def list_switches(
        self, _request: pb.ListSwitchesRequest, caller: Caller
    ) -> pb.ListSwitchesResponse:
        """All for an operator; its own, its programs' and its corridors' for a partner."""
        registry = await self._registry.refresh()
        shown = [
            switches_to_proto(each)
            for _, each in sorted(all_switches(registry).items())
            if caller.is_operator or concerns(registry, each, caller.name)
        ]
        return pb.ListSwitchesResponse(switches=shown)

    async def set_limits(
        self, request: pb.SetLimitsRequest, caller: Caller
    ) -> pb.SetLimitsResponse:
        """Operators: set all limits of a subject."""
        caller.require_operator()
        change_id = change_id_of(request.change_id)
        limits = limits_from_proto(request.limits)
        await self._carry_out(SetLimits(change_id, limits, limits_body(limits)))
        now = all_limits(await self._registry.refresh())[limits.subject]
        return pb.SetLimitsResponse(limits=limits_to_proto(now))

    async def list_limits(
        self, _request: pb.ListLimitsRequest, caller: Caller
    ) -> pb.ListLimitsResponse:
        """All for an operator; what bounds a partner itself for a partner."""
        registry = await self._registry.refresh()
        shown = [
            limits_to_proto(each)
            for _, each in sorted(all_limits(registry).items())
            if caller.is_operator or bounds(registry, each, caller.name)
        ]
        return pb.ListLimitsResponse(limits=shown)


def all_switches(registry: Registry) -> dict[str, Switches]:
    """Those that were ever set, by subject."""
    found = registry.restraints
    every: tuple[Switches, ...] = (
        *found.partner_switches.values(),
        *found.corridor_switches.values(),
        *found.program_switches.values(),
    )
    return {each.subject: each for each in every}


def all_limits(registry: Registry) -> dict[str, Limits]:
    """Every partner's, and what was ever set for corridors and programs, by subject."""
    found = registry.restraints
    every: tuple[Limits, ...] = (
        *(registry.limits_of(partner) for partner in registry.partners.values()),
        *found.corridor_limits.values(),
        *found.program_limits.values(),
    )
    return {each.subject: each for each in every}


def concerns(registry: Registry, switches: Switches, partner_id: str) -> bool:
    """Whether a partner is told of switches: others' would tell of their troubles."""
    match switches:
        case PartnerSwitches(partner_id=name):
            return name == partner_id
        case CorridorSwitches(source_program=source, target_program=target):
            return partner_id in (registry.programs[source], registry.programs[target])
        case ProgramSwitches(program_id=program):
            return registry.programs[program] == partner_id


def bounds(registry: Registry, limits: Limits, partner_id: str) -> bool:
    """Whether limits bound the partner itself; how far others may go is not its to know."""
    match limits:
        case PartnerLimits(partner_id=name):
            return name == partner_id
        case CorridorLimits(source_program=program) | ProgramLimits(program_id=program):
            return registry.programs[program] == partner_id
