"""Switches and limits as values, and all of them together. Pure.

Rules kept here:

- A switch is in its ordinary position unless it was set, and a limit does not bound unless it is
  above 0. The net debit cap of a CAPPED partner is the exception: 0 means that it may owe nothing.
- What is set for a subject replaces all that was set for it before.
- A day is a day of UTC by the log's time, so that every process counts the same one and none can
  be made longer by closing a window late.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")


class Funding(StrEnum):
    """How a partner covers what it owes."""

    CAPPED = "CAPPED"
    """Within its net debit cap."""
    PREPAID = "PREPAID"
    """In advance: its cap is the collateral that is there, whatever else is set."""
    POSTPAID = "POSTPAID"
    """Afterwards: no cap bounds it, unless one is set."""


class Headroom(StrEnum):
    """When what a partner is credited counts as room for debits."""

    AT_COMMIT = "AT_COMMIT"
    WHEN_SETTLED = "WHEN_SETTLED"
    """When the window that counts the credit is settled."""


@dataclass(frozen=True, slots=True)
class PartnerSwitches:
    """What a partner may not do at present."""

    partner_id: str
    sending_stopped: bool = False
    receiving_stopped: bool = False
    quoting_stopped: bool = False
    settlement_on_hold: bool = False

    @property
    def subject(self) -> str:
        """Whose they are."""
        return f"partner/{self.partner_id}"


@dataclass(frozen=True, slots=True)
class CorridorSwitches:
    """Whether a corridor is open."""

    source_program: str
    target_program: str
    closed: bool = False

    @property
    def subject(self) -> str:
        """Whose they are."""
        return f"corridor/{self.source_program}/{self.target_program}"


@dataclass(frozen=True, slots=True)
class ProgramSwitches:
    """Whether a program is in service."""

    program_id: str
    in_maintenance: bool = False

    @property
    def subject(self) -> str:
        """Whose they are."""
        return f"program/{self.program_id}"


Switches = PartnerSwitches | CorridorSwitches | ProgramSwitches


@dataclass(frozen=True, slots=True)
class PartnerLimits:
    """How far a partner may go. Money is in units of its currency's scale."""

    partner_id: str
    funding: Funding = Funding.CAPPED
    net_debit_cap: int = 0
    transfers_per_day: int = 0
    """That it sends."""
    value_per_day: int = 0
    """Of the transfers that it sends, fees and taxes left out."""
    headroom: Headroom | None = None
    """None is what is usual for its funding: WHEN_SETTLED where that is PREPAID."""

    @property
    def subject(self) -> str:
        """Whose they are."""
        return f"partner/{self.partner_id}"

    @property
    def credits_wait(self) -> bool:
        """Whether credits are no headroom until their window is settled."""
        usual = Headroom.WHEN_SETTLED if self.funding is Funding.PREPAID else Headroom.AT_COMMIT
        return (self.headroom or usual) is Headroom.WHEN_SETTLED


@dataclass(frozen=True, slots=True)
class CorridorLimits:
    """How far a corridor may be used, in all and by one member of its source program."""

    source_program: str
    target_program: str
    source_points_per_day: int = 0
    member_transfers_per_day: int = 0
    member_points_per_day: int = 0
    return_ban_days: int = 0
    """For so many days, the day itself counted, what a member had through the opposite corridor
    bars it from this one."""
    link_cooling: timedelta = timedelta(0)
    review_above_points: int = 0
    review_member_transfers_per_day: int = 0
    review_member_points_per_day: int = 0

    @property
    def subject(self) -> str:
        """Whose they are."""
        return f"corridor/{self.source_program}/{self.target_program}"


@dataclass(frozen=True, slots=True)
class ProgramLimits:
    """How far a program may be filled."""

    program_id: str
    target_points_per_day: int = 0

    @property
    def subject(self) -> str:
        """Whose they are."""
        return f"program/{self.program_id}"


Limits = PartnerLimits | CorridorLimits | ProgramLimits


def _nothing() -> Mapping[_K, _V]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Restraints:
    """All switches and limits that were ever set. Mappings are never changed in place."""

    partner_switches: Mapping[str, PartnerSwitches] = field(default_factory=_nothing)
    corridor_switches: Mapping[tuple[str, str], CorridorSwitches] = field(default_factory=_nothing)
    """By source and target program."""
    program_switches: Mapping[str, ProgramSwitches] = field(default_factory=_nothing)
    partner_limits: Mapping[str, PartnerLimits] = field(default_factory=_nothing)
    """Without those that were registered with a cap and never changed."""
    corridor_limits: Mapping[tuple[str, str], CorridorLimits] = field(default_factory=_nothing)
    program_limits: Mapping[str, ProgramLimits] = field(default_factory=_nothing)

    def with_switches(self, switches: Switches) -> "Restraints":
        """The restraints after a subject's switches were set."""
        match switches:
            case PartnerSwitches(partner_id=name):
                return replace(self, partner_switches={**self.partner_switches, name: switches})
            case CorridorSwitches(source_program=source, target_program=target):
                corridors = {**self.corridor_switches, (source, target): switches}
                return replace(self, corridor_switches=corridors)
            case ProgramSwitches(program_id=name):
                return replace(self, program_switches={**self.program_switches, name: switches})

    def with_limits(self, limits: Limits) -> "Restraints":
        """The restraints after a subject's limits were set."""
        match limits:
            case PartnerLimits(partner_id=name):
                return replace(self, partner_limits={**self.partner_limits, name: limits})
            case CorridorLimits(source_program=source, target_program=target):
                corridors = {**self.corridor_limits, (source, target): limits}
                return replace(self, corridor_limits=corridors)
            case ProgramLimits(program_id=name):
                return replace(self, program_limits={**self.program_limits, name: limits})


def day_of(moment: datetime) -> int:
    """The day of UTC to which an aware moment belongs, in days since 1970."""
    return int(moment.timestamp()) // 86_400
