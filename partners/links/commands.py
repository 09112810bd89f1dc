"""What is asked of the sequencer about links and members: immutable values, verified before they
are queued. Pure.

A member's reference is in a command because it is written with the entry, in one transaction; no
body holds one.
"""

from dataclasses import dataclass
from uuid import UUID

from partners.links.link import LinkMember, LinkMethod


@dataclass(frozen=True, slots=True)
class StartLink:
    """Starts a link for the source program's member."""

    link_id: UUID
    source_program: str
    target_program: str
    member: LinkMember


@dataclass(frozen=True, slots=True)
class ConfirmLink:
    """Confirms a link for the target program's member."""

    link_id: UUID
    partner_id: str
    """Whose confirmation it is."""
    member: LinkMember
    method: LinkMethod
    consent_version: str
    key_id: str
    body: bytes
    """The signed confirmation; the leaf's body."""


@dataclass(frozen=True, slots=True)
class RevokeLink:
    """Ends a link for ever."""

    link_id: UUID
    partner_id: str
    """Who asks."""


@dataclass(frozen=True, slots=True)
class FreezeLink:
    """Freezes the members of a link, or unfreezes them."""

    change_id: UUID
    link_id: UUID
    frozen: bool


@dataclass(frozen=True, slots=True)
class RequireLinks:
    """Says whether orders that touch a program must name a link."""

    change_id: UUID
    program: str
    required: bool


@dataclass(frozen=True, slots=True)
class EraseMember:
    """Forgets a member's reference in all links, and ends them."""

    erasure_id: UUID
    program: str
    member: str


LinkCommand = StartLink | ConfirmLink | RevokeLink | FreezeLink | RequireLinks | EraseMember
