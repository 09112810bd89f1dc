"""The life of a partner, from its first try to its last day. Pure.

    SANDBOX → LIVE → SUSPENDED → LIVE … → EXITED

A partner that left does not come back under its old id. What it owes is settled as ever: a state
says who may trade, never what was owed.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from partners.environment import Environment
from partners.errors import Reason, Refused


class PartnerState(StrEnum):
    """How far a partner has come."""

    SANDBOX = "SANDBOX"
    """Registered; trades where nothing is real."""
    LIVE = "LIVE"
    """Trades."""
    SUSPENDED = "SUSPENDED"
    """Does not trade for now."""
    EXITED = "EXITED"
    """Left for good."""


class LifeStep(StrEnum):
    """What an operator does to a partner."""

    ACTIVATE = "ACTIVATE"
    SUSPEND = "SUSPEND"
    RESUME = "RESUME"
    EXIT = "EXIT"


_STEPS: Mapping[LifeStep, tuple[frozenset[PartnerState], PartnerState]] = MappingProxyType(
    {
        LifeStep.ACTIVATE: (frozenset({PartnerState.SANDBOX}), PartnerState.LIVE),
        LifeStep.SUSPEND: (frozenset({PartnerState.LIVE}), PartnerState.SUSPENDED),
        LifeStep.RESUME: (frozenset({PartnerState.SUSPENDED}), PartnerState.LIVE),
        LifeStep.EXIT: (frozenset(PartnerState) - {PartnerState.EXITED}, PartnerState.EXITED),
    }
)


def state_after(state: PartnerState, step: LifeStep) -> PartnerState:
    """Where a step leads; raises Refused(PARTNER_STATE) where it leads nowhere."""
    before, after = _STEPS[step]
    if state not in before:
        needed = " or ".join(each for each in PartnerState if each in before)
        raise Refused(Reason.PARTNER_STATE, "partner_id", f"the partner is {state}, not {needed}")
    return after


def may_trade(state: PartnerState, environment: Environment) -> bool:
    """Whether a partner may send and receive points."""
    if state is PartnerState.SANDBOX:
        return environment is not Environment.PRODUCTION
    return state is PartnerState.LIVE
