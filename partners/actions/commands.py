"""What is asked of the sequencer about actions: immutable values, verified before they are queued.
Pure.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from partners.operators.roles import Role


@dataclass(frozen=True, slots=True)
class Action:
    """What an operator signed."""

    action_id: UUID
    maker: str
    """The operator's name."""
    method: str
    reason: str
    issued_at: datetime
    expires_at: datetime
    payload: bytes
    """The bytes that the signatures cover."""


@dataclass(frozen=True, slots=True)
class ActionSigner:
    """Who signed, and the role that the signature needs."""

    operator: str
    key_id: str
    role: Role
    signature: bytes


@dataclass(frozen=True, slots=True)
class ProposeAction:
    """Records an action with its maker's signature; where that is enough, it is approved."""

    action: Action
    maker: ActionSigner
    two_person: bool
    body: bytes
    """The envelope with the maker's signature alone, in DSSE's JSON form; the leaf's body."""
    request: bytes | None
    """None where it is not kept."""

    @property
    def entry_key(self) -> str:
        """Under which it is booked."""
        return f"action/{self.action.action_id}"


@dataclass(frozen=True, slots=True)
class ApproveAction:
    """Records the checker's signature under an action that was recorded before."""

    action: Action
    maker: ActionSigner
    checker: ActionSigner
    body: bytes
    """The envelope with both signatures, in DSSE's JSON form; the leaf's body."""

    @property
    def entry_key(self) -> str:
        """Under which it is booked."""
        return f"action/{self.action.action_id}/approval"
