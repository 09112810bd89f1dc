"""What this package asks the sequencer to do: immutable values, verified before they are queued.
Pure.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from partners.agreement import Terms
from partners.limits.values import Limits, Switches
from partners.routes.route import Route


@dataclass(frozen=True, slots=True)
class AddPartner:
    """Adds a brand, its programs and its settlement account."""

    partner_id: str
    legal_name: str
    programs: tuple[str, ...]
    currency: str
    net_debit_cap: int
    body: bytes
    """The partner as the operator sent it; the leaf's body."""


@dataclass(frozen=True, slots=True)
class AddKey:
    """Registers a key whose possession and registering signature were verified."""

    holder: str
    purpose: str
    key_id: str
    public_key: bytes
    valid_from: datetime
    valid_until: datetime
    registrar_key_ids: tuple[str, ...]
    """The keys that vouch for it; none for the exchange's and the operators' own, which the host
    configures.
    """
    body: bytes
    """The signed key event; the leaf's body."""


@dataclass(frozen=True, slots=True)
class AddTaxRate:
    """Adds a rate to a tax code from a future instant on; a code that is new begins with it."""

    tax_code: str
    effective_from: datetime
    basis_points: int
    body: bytes
    """The rate as the operator sent it; the leaf's body."""


@dataclass(frozen=True, slots=True)
class RevokeKey:
    """Ends a key's force; the signatures under the event were verified."""

    holder: str
    key_id: str
    reason: str
    signer_key_ids: tuple[str, ...]
    """The keys that ask for it."""
    body: bytes
    """The signed key event; the leaf's body."""


@dataclass(frozen=True, slots=True)
class Propose:
    """Opens a round of an agreement version: a brand signed these terms, and no other has yet."""

    terms: Terms
    partner_id: str
    key_id: str
    signature: bytes
    payload: bytes
    is_counter: bool
    """Whether it replaces an open proposal of another brand."""
    body: bytes
    """The signed agreement; the leaf's body."""


@dataclass(frozen=True, slots=True)
class CounterSign:
    """Adds the signature of another brand to the newest proposal of a version."""

    terms: Terms
    partner_id: str
    key_id: str
    signature: bytes
    body: bytes
    """The agreement with this signature; the leaf's body."""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Takes a proposal back."""

    agreement_id: str
    version: int
    sha256: bytes
    """Digest of the proposal's payload."""
    partner_id: str
    key_id: str
    body: bytes
    """The signed withdrawal; the leaf's body."""


@dataclass(frozen=True, slots=True)
class Activate:
    """Puts a version that all have signed in force."""

    terms: Terms
    body: bytes
    """The agreement with its signatures, and the instants asked for; the leaf's body."""
    effective_from: datetime | None = None
    """None means from its own entry's time on."""
    effective_until: datetime | None = None
    """Exclusive; None means until another version begins, or a notice ends it."""


@dataclass(frozen=True, slots=True)
class Terminate:
    """Ends an activated version at a future instant: a brand's notice, or the operator's."""

    agreement_id: str
    version: int
    sha256: bytes
    """Digest of the version's payload; empty where the operator names none."""
    effective_until: datetime
    key_id: str
    """That signed the notice; empty for the operator's."""
    body_type: str
    body: bytes
    """The notice; the leaf's body."""


@dataclass(frozen=True, slots=True)
class SetSwitches:
    """Sets all switches of a partner, a corridor or a program."""

    change_id: UUID
    """The idempotency key."""
    switches: Switches
    body: bytes
    """The switches in their one encoding; the leaf's body."""


@dataclass(frozen=True, slots=True)
class SetLimits:
    """Sets all limits of a partner, a corridor or a program."""

    change_id: UUID
    """The idempotency key."""
    limits: Limits
    body: bytes
    """The limits in their one encoding; the leaf's body."""


@dataclass(frozen=True, slots=True)
class SetRoute:
    """Sets by what way instructions reach a program."""

    change_id: UUID
    """The idempotency key."""
    route: Route
    body: bytes
    """The route in its one encoding; the leaf's body."""


Negotiating = Propose | CounterSign | Withdraw | Activate | Terminate
PartnersCommand = (
    AddPartner | AddKey | RevokeKey | AddTaxRate | Negotiating | SetSwitches | SetLimits | SetRoute
)
