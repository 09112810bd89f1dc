"""What came of commands, and what of the state they are decided against: immutable values. Pure.

An outcome carries everything that the writer needs.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import get_args
from uuid import UUID

from exchange.commands import Fact, Order, Proof, Reverse, Verdict, WindowStep
from exchange.ledger.accounts import Account
from exchange.ledger.postings import Posting
from exchange.quotes.quote import Quote
from exchange.reversal import Portion
from partners.actions.commands import ApproveAction, ProposeAction
from partners.agreement import HUB, Terms
from partners.commands import CounterSign, Propose, Withdraw
from partners.conversion import Conversion
from partners.errors import Reason, Refused
from partners.life import PartnerState
from partners.limits.values import Limits, Switches
from partners.links.link import Link, LinkMember
from partners.operators.roles import Role
from partners.program_port import ExpiryLot, InstructionKind
from partners.registry import Force, Partner, RegisteredKey, Tax, TaxRate, Unit
from partners.routes.route import Route


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
    order: Order | Reverse | None = None
    """What was ordered, as far as it is known here."""


class TransferState(StrEnum):
    """How a transfer stands, as its record states it."""

    COMMITTED = "COMMITTED"
    REFUSED = "REFUSED"
    HELD = "HELD"
    """It waits for an operator's review; its amounts are reserved."""
    ABORTED = "ABORTED"
    """It was held or reserved, and is void."""
    RESERVED = "RESERVED"
    """It waits for the target's answer; its amounts are reserved."""


Counted = tuple[str, int, int]
"""The subject of a day's tally, the day, and what was added to it."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """What the target's system is told to do."""

    kind: InstructionKind
    program: str
    points: int
    expiry_lots: tuple[ExpiryLot, ...]
    member_key: str
    """Stands for the member: what is told of one member is told in order."""
    committed: bool
    """Whether the transfer is, so that the brand has promised to honour it."""
    answer_by: datetime | None = None
    """Of a reserved one: void from here on if it was not sent, else only asked for."""


@dataclass(frozen=True, slots=True)
class Held:
    """A transfer that was held for review, or reserved until its target answers."""

    log_index: int
    """Of the entry with its pending postings."""
    recorded_at: datetime
    order: Order
    """As far as the record tells: members, reference and signature may be missing."""
    postings: tuple[Posting, ...]
    """Its pending postings."""
    counted: tuple[Counted, ...] = ()
    """What goes back if it is voided: members' tallies do not."""
    promotions: tuple[str, ...] = ()
    """Ids of the promotions whose bonuses are reserved."""
    verdict: Verdict | None = None
    decided_index: int = 0
    """Where the verdict is recorded, if there is one."""
    sent: bool = False
    """Of a reserved one: whether the target may have been told."""


def paying_funders(conversion: Conversion) -> set[str]:
    """Whoever pays a part of a bonus."""
    return {
        funder.name
        for bonus in conversion.bonuses
        for funder, amount in zip(bonus.promotion.funders, bonus.shares, strict=True)
        if amount
    }


@dataclass(frozen=True, slots=True)
class Recorded:
    """An order's outcome as it will be recorded: committed, refused, held, or what ends a hold."""

    log_index: int
    recorded_at: datetime
    order: Order
    source_partner: str
    target_partner: str
    refusal: Refused | None
    terms: Terms | None
    conversion: Conversion | None
    window: Window | None
    postings: tuple[Posting, ...]
    state: TransferState = TransferState.COMMITTED
    decides: UUID | None = None
    """The transfer whose hold ends here."""
    verdict: Verdict | None = None
    """How it ends."""
    counted: tuple[Counted, ...] = ()
    """Of a hold: what goes back if it is voided."""
    promotions: tuple[str, ...] = ()
    """Of a hold: whose bonuses are reserved."""
    instruction: Instruction | None = None
    """What the target's system is to be told because of it."""
    hold_index: int = 0
    """Of a reserved one: the entry with its pending postings."""
    proof: Proof | None = None
    """By which a reserved one ended."""

    @property
    def funders(self) -> tuple[str, ...]:
        """The partners that pay for its bonuses and are neither source nor target, by name."""
        paying = paying_funders(self.conversion) if self.conversion else set()
        return tuple(sorted(paying - {HUB, self.source_partner, self.target_partner}))

    @property
    def reason(self) -> Reason | None:
        """Why it was refused, if it was."""
        return self.refusal.reason if self.refusal else None


@dataclass(frozen=True, slots=True)
class Original:
    """A transfer as a reversal of it finds it."""

    log_index: int
    """Of its newest record."""
    state: TransferState
    source_partner: str
    target_partner: str
    terms: Terms | None = None
    """With the figures, of a committed one whose terms are stored as it names them."""
    whole: Portion | None = None
    reversed_points: int = 0
    """Target points that reversals have taken back so far."""
    asked_points: int = 0
    """Those that the target's program is to take back, and has not answered."""


@dataclass(frozen=True, slots=True)
class Reversed:
    """A reversal order's outcome as it will be recorded: booked, refused, or asked of the target's
    program; and what that answered.
    """

    log_index: int
    recorded_at: datetime
    order: Reverse
    original: Original | None
    """As it stood before; None where the sender may not know it."""
    refusal: Refused | None
    portion: Portion | None
    """What is booked."""
    window: Window | None
    postings: tuple[Posting, ...]
    instruction: Instruction | None = None
    """What the target's program is asked."""
    decides: UUID | None = None
    """The request that ends here."""
    undoes: bool = False
    """Whether it is a committed credit that was declined: nobody ordered this."""
    proof: Proof | None = None
    """Of the program's answer, where that is why."""

    @property
    def state(self) -> TransferState:
        """How the reversal stands, as its record states it."""
        if self.instruction is not None:
            return TransferState.RESERVED
        if self.refusal is None:
            return TransferState.COMMITTED
        return TransferState.ABORTED if self.decides else TransferState.REFUSED

    @property
    def asked_points(self) -> int:
        """Target points that the program is to take back after this, of all requests."""
        before = self.original.asked_points if self.original else 0
        if self.instruction is not None:
            return before + self.instruction.points
        return before - self.order.target_points if self.decides else before

    @property
    def reason(self) -> Reason | None:
        """Why it was refused, if it was."""
        return self.refusal.reason if self.refusal else None

    @property
    def reversed_points(self) -> int:
        """Target points that were taken back in all, this reversal's among them."""
        before = self.original.reversed_points if self.original else 0
        return before + (self.portion.target_points if self.portion else 0)

    @property
    def parties(self) -> tuple[str, ...]:
        """Who is told: of what was booked both brands and the funders that get something back, each
        once; of a refusal its sender.
        """
        original, portion = self.original, self.portion
        if original is None or portion is None:
            return (self.order.partner_id,)
        funders = paying_funders(portion.conversion) - {HUB}
        brands = dict.fromkeys((original.source_partner, original.target_partner))
        return (*brands, *sorted(funders - brands.keys()))


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
class Proposed:
    """A round of an agreement version that was opened."""

    command: Propose
    round: int


@dataclass(frozen=True, slots=True)
class CounterSigned:
    """A signature that a round got."""

    command: CounterSign
    round: int


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A round that was taken back."""

    command: Withdraw
    round: int


@dataclass(frozen=True, slots=True)
class Activated:
    """A version's force, and the round that came into it."""

    force: Force
    round: int


@dataclass(frozen=True, slots=True)
class Terminated:
    """An end that a notice gave to a version."""

    force: Force


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


@dataclass(frozen=True, slots=True)
class RolesChanged:
    """An operator's roles from now on."""

    operator: str
    roles: frozenset[Role]


@dataclass(frozen=True, slots=True)
class PartnerMoved:
    """A partner's state from now on."""

    partner_id: str
    state: PartnerState


Effect = (
    PartnerAdded
    | RegisteredKey
    | KeyRevoked
    | TaxRateAdded
    | Proposed
    | CounterSigned
    | Withdrawn
    | Activated
    | Terminated
    | WindowOpened
    | WindowClosed
    | WindowStep
    | LinkChanged
    | LinkFrozen
    | LinksRequired
    | MemberErased
    | Switches
    | Limits
    | Route
    | ProposeAction
    | ApproveAction
    | RolesChanged
    | PartnerMoved
)
REGISTRY_EFFECTS = (
    PartnerAdded,
    RegisteredKey,
    KeyRevoked,
    TaxRateAdded,
    Activated,
    Terminated,
    LinkFrozen,
    LinksRequired,
    MemberErased,
    RolesChanged,
    PartnerMoved,
    *get_args(Switches),
    *get_args(Limits),
    Route,
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
    facts: tuple[Fact, ...] = ()
    is_forced: bool = False
    """Whether no cap could refuse the postings."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """The command was carried out before; nothing is written."""

    log_index: int
    partner_id: str = ""
    """Of a repeated order or reversal order: whose answer it is."""


@dataclass(frozen=True, slots=True)
class Quoted:
    """An offer, made now or before."""

    quote: Quote


Outcome = Recorded | Reversed | Booked
Result = Outcome | Repeated | Quoted | Refused
"""One per command, in their order. A `Refused` here was not recorded."""
