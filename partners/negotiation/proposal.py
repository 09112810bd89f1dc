"""How far an agreement version has come. Pure.

A version is proposed in rounds: each counter-proposal, and each proposal after one that was
withdrawn, is a new round with bytes of its own, and only the newest can be signed or activated.
What was activated is in force for a half-open range of instants, and its rounds are closed for
ever.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class AgreementState(StrEnum):
    """How far a version has come."""

    PROPOSED = "PROPOSED"
    """Signed by its proposer alone."""
    COUNTERED = "COUNTERED"
    """The same, and it replaced the proposal of another brand."""
    SIGNED = "SIGNED"
    """Signed by all whom it binds."""
    WITHDRAWN = "WITHDRAWN"
    """Taken back by its proposer."""
    SCHEDULED = "SCHEDULED"
    """Activated for an instant to come."""
    IN_FORCE = "IN_FORCE"
    ENDED = "ENDED"
    """Was in force until its successor began, or until the end that it was activated with."""
    TERMINATED = "TERMINATED"
    """Was in force until the end of a notice."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """The newest proposal of an agreement version."""

    round: int
    """Counts from 1."""
    proposer: str
    sha256: bytes
    """Digest of the payload."""
    signatories: tuple[str, ...]
    """Whose signatures it needs, by partner id."""
    signatures: tuple[tuple[str, str], ...]
    """Partner id and key id of those that it has."""
    is_counter: bool = False
    withdrawn: bool = False

    @property
    def missing(self) -> tuple[str, ...]:
        """Who has not signed."""
        signed = {partner_id for partner_id, _ in self.signatures}
        return tuple(each for each in self.signatories if each not in signed)


@dataclass(frozen=True, slots=True)
class Life:
    """The instants of an activated version."""

    effective_from: datetime
    effective_until: datetime | None
    """Exclusive."""
    terminated: bool
    """Whether a notice set that end."""


def state_of(proposal: Proposal, life: Life | None, now: datetime) -> AgreementState:
    """How far a version has come at `now`."""
    if life is None:
        if proposal.withdrawn:
            return AgreementState.WITHDRAWN
        if not proposal.missing:
            return AgreementState.SIGNED
        return AgreementState.COUNTERED if proposal.is_counter else AgreementState.PROPOSED
    if now < life.effective_from:
        return AgreementState.SCHEDULED
    if life.effective_until is None or now < life.effective_until:
        return AgreementState.IN_FORCE
    return AgreementState.TERMINATED if life.terminated else AgreementState.ENDED
