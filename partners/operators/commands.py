"""What is asked of the sequencer about operators: immutable values. Pure."""

from dataclasses import dataclass

from partners.life import LifeStep
from partners.operators.roles import Role


@dataclass(frozen=True, slots=True)
class ChangeRoles:
    """Gives roles to an operator, or takes them away."""

    operator: str
    cause: str
    """What it rests on, unique for ever: an action's id, or `host` for what the host vouches for at
    a start."""
    grant: frozenset[Role] = frozenset()
    withdraw: frozenset[Role] = frozenset()
    new: bool = False
    """Whether it adds the operator."""

    @property
    def entry_key(self) -> str:
        """Under which it is booked."""
        return f"operator/{self.operator}/{self.cause}"


@dataclass(frozen=True, slots=True)
class MovePartner:
    """Takes a partner a step further in its life."""

    partner_id: str
    step: LifeStep
    cause: str
    """What it rests on, unique for ever: an action's id."""
    certification: str = ""
    """The report that lets it go live, verified, in DSSE's JSON form."""

    @property
    def entry_key(self) -> str:
        """Under which it is booked."""
        return f"partner-state/{self.partner_id}/{self.cause}"
