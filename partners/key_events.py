"""What a key event asks for, and who may ask for it. Pure.

- A holder vouches for its own next key: a partner with a key for agreements, an operator with its
  own. It revokes its own keys in the same way, and may do so with the very key that it revokes:
  whoever has that key may always declare it lost.
- An operator alone vouches for a partner's first key of each purpose, when it joins. Where the
  partner had such a key before, the word of one operator is not enough: two must have signed, so
  that nobody alone can take a partner's place.
- An operator alone revokes a partner's key, at once: that can hurt nobody but by delay.
- An operator's word counts with the role `operator`.
- For keys of operators and of the exchange two operators are needed. The exchange's are registered
  by its host, never by a call.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from partners.errors import Reason, Refused
from partners.keys import Purpose, key_id_of
from partners.operators.roles import Role, require_role
from partners.registry import RegisteredKey, Registry

EXCHANGE = "exchange"
"""The holder of the exchange's own keys."""

TWO = 2
"""How many operators must agree where one is not enough."""

PARTNER_PURPOSES = (Purpose.ORDERS, Purpose.AGREEMENTS, Purpose.STATEMENTS)


class RevocationReason(StrEnum):
    """Why a key was revoked."""

    COMPROMISED = "COMPROMISED"
    LOST = "LOST"
    SUPERSEDED = "SUPERSEDED"
    CEASED = "CEASED"


@dataclass(frozen=True, slots=True)
class Registration:
    """A key that is to come into force."""

    holder: str
    purpose: Purpose
    public_key: bytes
    valid_from: datetime
    valid_until: datetime

    @property
    def key_id(self) -> str:
        """The id that the key gives itself."""
        return key_id_of(self.public_key)


@dataclass(frozen=True, slots=True)
class Revocation:
    """A key whose force is to end."""

    holder: str
    key_id: str
    reason: RevocationReason


def is_own(key: RegisteredKey, holder: str) -> bool:
    """Whether a key is one with which this holder speaks for its own keys."""
    return key.holder == holder and key.purpose in (Purpose.AGREEMENTS, Purpose.OPERATOR)


def may_vouch(key: RegisteredKey, holder: str) -> bool:
    """Whether a key can count at all under an event about this holder's keys."""
    return key.purpose is Purpose.OPERATOR or is_own(key, holder)


def operators_needed(registry: Registry, event: Registration | Revocation) -> int:
    """How many operators an event needs whose holder has not signed it."""
    if not event.holder.startswith("partner/"):
        return TWO
    if isinstance(event, Revocation):
        return 1
    had = any(
        key.holder == event.holder and key.purpose is event.purpose
        for key in registry.keys.values()
    )
    return TWO if had else 1


def check_authority(
    registry: Registry, event: Registration | Revocation, signers: Sequence[RegisteredKey]
) -> None:
    """Raise Refused(COUNTER_SIGNATURE_MISSING) unless enough of those who may have signed, and
    Refused(ROLE_MISSING) for an operator without the role.

    `signers` are in force, and each may vouch for the holder.
    """
    if any(is_own(key, event.holder) for key in signers):
        return
    needed = operators_needed(registry, event)
    operators = {key.holder for key in signers}
    for holder in sorted(operators):
        name = holder.partition("/")[2]
        require_role(Role.OPERATOR, registry.operators.get(name, frozenset()), name)
    if len(operators) < needed:
        raise Refused(
            Reason.COUNTER_SIGNATURE_MISSING,
            "key_event.signatures",
            f"this needs {needed} different operators, {len(operators)} signed",
        )


def signers_in_force(
    registry: Registry, key_ids: Iterable[str], log_index: int, time: datetime
) -> tuple[RegisteredKey, ...]:
    """The registered keys behind an event; raises Refused(KEY_NOT_IN_FORCE) unless all are in force
    at this index and time.
    """
    found: list[RegisteredKey] = []
    for key_id in key_ids:
        key = registry.keys.get(key_id)
        if key is None or not key.in_force(log_index, time):
            raise Refused(
                Reason.KEY_NOT_IN_FORCE, "key_event.signatures", f"key {key_id} is not in force"
            )
        found.append(key)
    return tuple(found)
