"""What the sequencer is asked to do: immutable values. Pure.

A command carries everything that was verified before the queue. What came of it is
`exchange.outcomes`. Between them stands `exchange.fold`, which decides.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from exchange.ledger.postings import Posting
from partners.actions.commands import ApproveAction, ProposeAction
from partners.commands import PartnersCommand
from partners.links.commands import LinkCommand
from partners.operators.commands import ChangeRoles, MovePartner


@dataclass(frozen=True, slots=True)
class SourceLot:
    """Source points that would have expired together."""

    points: int
    expires_at: datetime


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
    segment: str = ""
    """Empty for none."""
    source_lots: tuple[SourceLot, ...] = ()
    quote_id: UUID | None = None
    """In place of the agreement."""


@dataclass(frozen=True, slots=True)
class Reverse:
    """A verified reversal order, and the bytes that its signature covers."""

    reversal_id: UUID
    """Of the same ids as transfers."""
    partner_id: str
    """Who sends it."""
    transfer_id: UUID
    target_points: int
    """Of the points that were credited: how many are taken back by this."""
    issued_at: datetime
    expires_at: datetime
    partner_reference: str
    key_id: str
    payload: bytes
    payload_sha256: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class AskQuote:
    """Asks for an offer to convert one amount. One of the amounts is 0: it is to be worked out."""

    quote_id: UUID
    partner_id: str
    source_program: str
    target_program: str
    source_points: int
    target_points: int
    segment: str
    valid_for: timedelta
    request_sha256: bytes


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
    not_before: datetime | None = None
    """Its cut-off, where it is closed by schedule: refused while the log's clock shows less."""


@dataclass(frozen=True, slots=True)
class WindowStep:
    """A settlement window's move from one state to the next."""

    window_id: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Fact:
    """What an entry is about: a row by which it is found again."""

    kind: str
    currency: str
    partner_number: int | None = None
    window_number: int | None = None
    subject: str = ""
    """What it names besides: a transfer, a reference, a number of a document."""


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
    facts: tuple[Fact, ...] = ()
    forced: bool = False
    """Whether no cap refuses the postings."""
    pays: str = ""
    """Of a leg, or what voids one: id of the window whose net it pays. What it pays of the window's
    credits need not wait for its settlement any more."""


class Verdict(StrEnum):
    """What becomes of a transfer that was held or reserved."""

    RELEASED = "RELEASED"
    REFUSED = "REFUSED"
    CANCELLED = "CANCELLED"
    """By its sender, held, or reserved and not sent yet."""
    CREDITED = "CREDITED"
    """Reserved, and the target has given the points."""
    DECLINED = "DECLINED"
    """Reserved, and the target has declined for ever."""
    LAPSED = "LAPSED"
    """Reserved, and never to be credited: it was not sent in time, or the target has never seen it
    and has fenced it off."""


@dataclass(frozen=True, slots=True)
class DecideHeld:
    """Releases or refuses a held transfer, or cancels it for its sender."""

    transfer_id: UUID
    verdict: Verdict
    partner_id: str = ""
    """Of who cancels."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What decided a reserved transfer: the target's signed answer, or what two operators saw."""

    sha256: bytes
    """Of the bytes that were signed, or of the operators' evidence."""
    key_id: str
    """Of the target's key; empty for the operators'."""


@dataclass(frozen=True, slots=True)
class Conclude:
    """Ends a reserved transfer: CREDITED, DECLINED or LAPSED."""

    transfer_id: UUID
    verdict: Verdict
    proof: Proof | None = None
    """None only where nothing was sent."""


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Books what a program took back on a source's request."""

    reversal_id: UUID
    points: int
    """0 where it took nothing."""
    proof: Proof


@dataclass(frozen=True, slots=True)
class Undo:
    """Books a committed transfer back whose credit the target's program declined."""

    order: Reverse
    """In the target's name: its answer stands for what it would have sent."""
    proof: Proof


@dataclass(frozen=True, slots=True)
class Asked:
    """A source's request that points be taken back."""

    order: Reverse
    decided_index: int = 0
    """Where the program's answer is recorded, if it is."""


Command = (
    Order
    | Conclude
    | TakeBack
    | Undo
    | Reverse
    | PartnersCommand
    | LinkCommand
    | OpenWindow
    | CloseWindow
    | Book
    | DecideHeld
    | ProposeAction
    | ApproveAction
    | ChangeRoles
    | MovePartner
    | AskQuote
)
