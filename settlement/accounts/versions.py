"""Which of a partner's bank accounts counts when. Pure.

A version is submitted (the partner's signed event), then approved by two operators, and takes
effect when the cooling time that was set at its approval is over. Until then nothing is paid there,
so that a change that nobody wanted can be noticed and stopped:

- any operator for finance may refuse it;
- the partner may revoke the key that signed it: a version whose key was revoked before the version
  took effect never takes effect, whatever the reason of the revocation.

A partner's first account waits as long as any other. Every version is kept for ever.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from partners.errors import Reason, Refused
from settlement.accounts.account import AccountEvent


class AccountState(StrEnum):
    """How far a version has come."""

    SUBMITTED = "SUBMITTED"
    """The partner has signed it; no operator has approved it."""
    COOLING = "COOLING"
    """Approved, and not in effect yet."""
    EFFECTIVE = "EFFECTIVE"
    """Where the partner is paid."""
    SUPERSEDED = "SUPERSEDED"
    """A later version is in effect."""
    REFUSED = "REFUSED"
    """An operator refused it, or a later version was submitted before it was approved."""
    KEY_REVOKED = "KEY_REVOKED"
    """The key that signed it was revoked before it took effect."""


@dataclass(frozen=True, slots=True)
class Approval:
    """When two operators let a version in."""

    approved_at: datetime
    cooling: timedelta

    @property
    def effective_from(self) -> datetime:
        """From when on the partner is paid there."""
        return self.approved_at + self.cooling


@dataclass(frozen=True, slots=True)
class AccountVersion:
    """A submitted event and what became of it."""

    event: AccountEvent
    sha256: bytes
    """Of the signed payload: what a pay-out file names."""
    submitted_at: datetime
    submitted_index: int
    approval: Approval | None = None
    refused_at: datetime | None = None
    key_revoked_at: datetime | None = None
    """Of the key that signed it."""

    def in_effect(self, now: datetime) -> bool:
        """Whether it has taken effect by now; a later one may have since."""
        if self.approval is None or self.refused_at is not None:
            return False
        starts = self.approval.effective_from
        return starts <= now and (self.key_revoked_at is None or starts < self.key_revoked_at)


def effective(versions: Iterable[AccountVersion], now: datetime) -> AccountVersion | None:
    """The version by which a partner is paid at this time, if there is one."""
    taken = [each for each in versions if each.in_effect(now)]
    return max(taken, key=lambda each: each.event.version, default=None)


def state_of(
    version: AccountVersion, versions: Iterable[AccountVersion], now: datetime
) -> AccountState:
    """How far a version has come, among all of its partner's."""
    others = tuple(versions)
    if version.refused_at is not None:
        return AccountState.REFUSED
    current = effective(others, now)
    if version.in_effect(now):
        assert current is not None, "at least this one is in effect"
        is_current = current.event.version == version.event.version
        return AccountState.EFFECTIVE if is_current else AccountState.SUPERSEDED
    if version.key_revoked_at is not None:
        return AccountState.KEY_REVOKED
    if version.approval is not None:
        return AccountState.COOLING
    newest = max(each.event.version for each in others)
    return AccountState.SUBMITTED if version.event.version == newest else AccountState.REFUSED


def check_next(event: AccountEvent, versions: Iterable[AccountVersion]) -> None:
    """Raise Refused(FIELD_INVALID) unless an event's version follows the newest.

    An event that was signed once cannot come back after another: its version is taken.
    """
    wanted = 1 + max((each.event.version for each in versions), default=0)
    if event.version != wanted:
        raise Refused(
            Reason.FIELD_INVALID,
            "version",
            f"the next version of {event.partner_id}'s account is {wanted}",
            {"nextVersion": str(wanted)},
        )


def check_approvable(
    version: AccountVersion, versions: Iterable[AccountVersion], now: datetime
) -> None:
    """Raise Refused(ACCOUNT_STATE) unless a version may be approved now."""
    state = state_of(version, versions, now)
    if state is not AccountState.SUBMITTED:
        raise Refused(
            Reason.ACCOUNT_STATE,
            "version",
            f"version {version.event.version} of {version.event.partner_id}'s account is {state}",
        )


def check_refusable(
    version: AccountVersion, versions: Iterable[AccountVersion], now: datetime
) -> None:
    """Raise Refused(ACCOUNT_STATE) unless a version may still be refused: not in effect yet."""
    state = state_of(version, versions, now)
    if state not in (AccountState.SUBMITTED, AccountState.COOLING):
        raise Refused(
            Reason.ACCOUNT_STATE,
            "version",
            f"version {version.event.version} of {version.event.partner_id}'s account is {state};"
            " the partner submits another",
        )
