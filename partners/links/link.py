"""A link: two accounts of one member, in the programs of two brands. Pure.

Rules kept here:

- One brand starts a link for its own member, the other confirms it for its own. Neither ever learns
  the other's reference.
- PENDING → ACTIVE → REVOKED. A pending link lapses by itself; freezing stands beside the state, so
  that a brand may always end a link and a frozen member stays frozen.
- What is kept for ever commits to a reference under a salt of 32 random bytes. Reference and salt
  are stored together and forgotten together, and then the commitment tells nobody anything.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from partners.errors import Reason, Refused

PENDING_TIME = timedelta(hours=24)
"""How long a link may wait for its confirmation, by the log's time."""
SALT_BYTES = 32


class LinkState(StrEnum):
    """How far a link has come, as it is stored."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    REVOKED = "REVOKED"


class LinkMethod(StrEnum):
    """How the member proved to the confirming brand that the account is theirs."""

    SIGN_IN = "SIGN_IN"
    ONE_TIME_CODE = "ONE_TIME_CODE"
    IN_PERSON = "IN_PERSON"


@dataclass(frozen=True, slots=True)
class Link:
    """A link with the references that it joins, as far as they are known and not forgotten."""

    link_id: UUID
    source_program: str
    """Of the brand that started it."""
    target_program: str
    """Of the brand that is to confirm it."""
    state: LinkState
    frozen: bool
    log_index: int
    """Of the entry that brought it to its state."""
    started_at: datetime
    confirmed_at: datetime | None = None
    """By the log's time: since then orders may name it."""
    method: LinkMethod | None = None
    consent_version: str = ""
    source_member: str = ""
    target_member: str = ""

    @property
    def lapses_at(self) -> datetime:
        """When it lapses, if it is still pending then."""
        return self.started_at + PENDING_TIME

    def has_lapsed(self, now: datetime) -> bool:
        """Whether nobody confirmed it in time."""
        return self.state is LinkState.PENDING and self.lapses_at <= now

    def joins(self, one: str, other: str) -> bool:
        """Whether it is of these two programs; orders may go either way."""
        return {one, other} == {self.source_program, self.target_program}

    def member_of(self, program: str) -> str:
        """The reference in one of its programs, empty where there is none."""
        return self.source_member if program == self.source_program else self.target_member

    @property
    def members(self) -> tuple[tuple[str, str], ...]:
        """Program and reference of each member that is known."""
        both = (
            (self.source_program, self.source_member),
            (self.target_program, self.target_member),
        )
        return tuple(each for each in both if each[1])


@dataclass(frozen=True, slots=True)
class LinkMember:
    """One side's reference with the salt of its commitment: what is stored to be forgotten."""

    program: str
    member: str
    salt: bytes

    def sha256(self) -> bytes:
        """What the log holds of it: SHA-256 of salt, program, a zero byte and reference."""
        text = f"{self.program}\0{self.member}".encode()
        return hashlib.sha256(self.salt + text).digest()


def unknown_link(field: str = "link_id") -> Refused:
    """The refusal for a link that is not there, or not the caller's."""
    return Refused(Reason.LINK_UNKNOWN, field, "there is no such link")


def require_pending(link: Link, now: datetime, field: str) -> None:
    """Raise Refused(LINK_STATE) unless the link waits for its confirmation."""
    if link.has_lapsed(now):
        raise Refused(
            Reason.LINK_STATE, field, f"the link was not confirmed by {link.lapses_at.isoformat()}"
        )
    if link.state is not LinkState.PENDING:
        raise Refused(Reason.LINK_STATE, field, f"the link is {link.state}, not PENDING")
