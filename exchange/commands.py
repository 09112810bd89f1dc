"""What the sequencer is asked to do, and what came of it: immutable values. Pure.

A command carries everything that was verified before the queue. An outcome carries everything that
the writer needs. Between them stands `exchange.fold`, which decides.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import get_args
from uuid import UUID

from exchange.ledger.accounts import Account
from exchange.ledger.postings import Posting
from partners.agreement import Terms
from partners.commands import (
    Activate,
    AddKey,
    AddPartner,
    AddTaxRate,
    RevokeKey,
    SetLimits,
    SetSwitches,
)
from partners.conversion import Conversion
from partners.errors import Reason, Refused
from partners.limits.values import Limits, Switches
from partners.links.commands import LinkCommand
from partners.links.link import Link, LinkMember
from partners.registry import Force, Partner, RegisteredKey, Tax, TaxRate, Unit


@dataclass(frozen=True, slots=True)
class Order:
    """A verified transfer order, and the bytes that its signature covers."""

    transfer_id: UUID
    partner_id: str
    source_program: str
    target_program: str
    source_member: str
    target_member: str
    source_points: int
    target_points: int
    agreement_id: str
    agreement_version: int
    issued_at: datetime
    expires_at: datetime
    partner_reference: str
    key_id: str
    payload: bytes
    payload_sha256: bytes
    signature: bytes
    link_id: UUID | None = None
    """In place of both members."""


@dataclass(frozen=True, slots=True)
class OpenWindow:
    """Opens the first settlement window of a currency."""

    currency: str
    business_date: date


@dataclass(frozen=True, slots=True)
class CloseWindow:
    """Closes a settlement window and opens the next one of its currency."""

    window_id: str
    next_business_date: date | None
    """None means the next calendar day."""


@dataclass(frozen=True, slots=True)
class WindowStep:
    """A settlement window's move from one state to the next."""

    window_id: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Book:
    """Books a settlement entry: postings, a window's step, or just a leaf for what was signed."""

    entry_key: str
    """Unique for ever: a repeat with the same body changes nothing."""
    body_type: str
    body: bytes
    postings: tuple[Posting, ...] = ()
    window_of: str | None = None
    """The currency whose open window counts the postings."""
    step: WindowStep | None = None


Command = (
    Order
    | AddPartner
    | AddKey
    | RevokeKey
    | AddTaxRate
    | Activate
    | OpenWindow
    | CloseWindow
    | Book
    | LinkCommand
    | SetSwitches
    | SetLimits
)


@dataclass(frozen=True, slots=True)
class Window:
    """A settlement window as the fold sees it."""

    number: int
    window_id: str
    currency: str
    business_date: date
    state: str
    first_index: int
    end_index: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What an id was answered with before."""

    partner_id: str
    payload_sha256: bytes
    log_index: int
    order: Order | None = None
    """What was ordered, as far as it is known here."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An order's outcome as it will be recorded: committed or refused."""

    log_index: int
    recorded_at: datetime
    order: Order
    source_partner: str
    target_partner: str
    refusal: Refused | None
    terms: Terms | None
    conversion: Conversion | None
    tax_basis_points: int
    window: Window | None
    postings: tuple[Posting, ...]

    @property
    def reason(self) -> Reason | None:
        """Why it was refused, if it was."""
        return self.refusal.reason if self.refusal else None


@dataclass(frozen=True, slots=True)
class PartnerAdded:
    """A partner with the units and accounts that it opened."""

    partner: Partner
    units: tuple[Unit, ...]
    accounts: tuple[Account, ...]


@dataclass(frozen=True, slots=True)
class TaxRateAdded:
    """A tax with the rate that it got, and the accounts that were opened for a new code."""

    tax: Tax
    rate: TaxRate
    accounts: tuple[Account, ...]


@dataclass(frozen=True, slots=True)
class KeyRevoked:
    """A key whose force ended at this entry's index."""

    key_id: str
    revoked_index: int


@dataclass(frozen=True, slots=True)
class WindowClosed:
    """A window that ended at this entry's index, and the one that began there."""

    closed: Window
    opened: Window
    nets: tuple[tuple[int, int], ...]
    """Party number and net, in units of the currency; they sum to 0."""


@dataclass(frozen=True, slots=True)
class WindowOpened:
    """The first window of a currency."""

    opened: Window


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """A link as it stands now, with the reference that came with the change."""

    link: Link
    member: LinkMember | None = None


@dataclass(frozen=True, slots=True)
class LinkFrozen:
    """A link whose members were frozen or unfrozen."""

    link: Link


@dataclass(frozen=True, slots=True)
class LinksRequired:
    """Whether orders that touch a program must name a link."""

    program: str
    required: bool


@dataclass(frozen=True, slots=True)
class MemberErased:
    """A member's reference was forgotten; the links that held it are as given."""

    program: str
    member: str
    links: tuple[Link, ...]


Effect = (
    PartnerAdded
    | RegisteredKey
    | KeyRevoked
    | TaxRateAdded
    | Force
    | WindowOpened
    | WindowClosed
    | WindowStep
    | LinkChanged
    | LinkFrozen
    | LinksRequired
    | MemberErased
    | Switches
    | Limits
)
REGISTRY_EFFECTS = (
    PartnerAdded,
    RegisteredKey,
    KeyRevoked,
    TaxRateAdded,
    Force,
    LinkFrozen,
    LinksRequired,
    MemberErased,
    *get_args(Switches),
    *get_args(Limits),
)
"""Those that another process must read the registry again for."""


@dataclass(frozen=True, slots=True)
class Booked:
    """Any other entry as it will be recorded."""

    log_index: int
    recorded_at: datetime
    entry_key: str
    body_type: str
    body: bytes
    postings: tuple[Posting, ...] = ()
    window: Window | None = None
    effect: Effect | None = None


@dataclass(frozen=True, slots=True)
class Repeated:
    """The command was carried out before; nothing is written."""

    log_index: int
    partner_id: str = ""
    """Of a repeated order: whose answer it is."""


Outcome = Recorded | Booked
Result = Outcome | Repeated | Refused
"""One per command, in their order. A `Refused` here was not recorded."""
