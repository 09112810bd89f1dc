"""What the client takes and gives. Pure, and immutable.

Points are integers, money is integers in units of the currency's scale, times are aware and in UTC.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self
from uuid import UUID

from partners.envelope import Envelope
from pointclear.client.proofs import FIRST_PREVIOUS
from pointclear.exchange.v1 import exchange_service_pb2, quote_pb2, transfer_pb2

VALID_FOR = timedelta(minutes=5)


class State(StrEnum):
    """How a transfer stands. Only the first is a success, and the last two are not the end."""

    COMMITTED = "COMMITTED"
    """Points and money are posted. Take the points off the member's account now."""
    REFUSED = "REFUSED"
    """Nothing moved, and nothing will under this id."""
    ABORTED = "ABORTED"
    """Was held or reserved, and is void. Give the member the points back."""
    HELD = "HELD"
    """Waits for an operator of the coalition. Keep the member's points aside."""
    RESERVED = "RESERVED"
    """Waits for the target brand's answer. Keep the member's points aside."""

    @property
    def is_final(self) -> bool:
        """Whether it stays so."""
        return self not in (State.HELD, State.RESERVED)


class Role(StrEnum):
    """What the reader of a stream's entry is to the transfer."""

    SOURCE = "SOURCE"
    TARGET = "TARGET"
    FUNDER = "FUNDER"


@dataclass(frozen=True, slots=True)
class SourceLot:
    """Source points that would have expired together."""

    points: int
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be transferred; the client makes id, times and signature.

    It names either both members or a link, and either an agreement's version or a quote.
    """

    source_program: str
    target_program: str
    source_points: int
    target_points: int
    """What the member is to get, as a quote or SimulateTransfer says."""
    source_member: str = ""
    """Your own id for the member; nothing that tells who that is."""
    target_member: str = ""
    """The target brand's id for the member."""
    link_id: UUID | None = None
    agreement_id: str = ""
    agreement_version: int = 0
    quote_id: UUID | None = None
    segment: str = ""
    source_lots: tuple[SourceLot, ...] = ()
    reference: str = ""
    """Yours, at most 64 characters, shown on statements; no personal data."""
    valid_for: timedelta = VALID_FOR
    """How long after it was made the exchange may still carry it out."""

    @classmethod
    def at(
        cls,
        quote: "Quote",
        *,
        source_member: str = "",
        target_member: str = "",
        link_id: UUID | None = None,
        source_lots: tuple[SourceLot, ...] = (),
        reference: str = "",
        valid_for: timedelta = VALID_FOR,
    ) -> Self:
        """The order that a quote is for."""
        return cls(
            source_program=quote.source_program,
            target_program=quote.target_program,
            source_points=quote.source_points,
            target_points=quote.target_points,
            source_member=source_member,
            target_member=target_member,
            link_id=link_id,
            quote_id=quote.quote_id,
            segment=quote.segment,
            source_lots=source_lots,
            reference=reference,
            valid_for=valid_for,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack:
    """What a target brand has taken back of a transfer that came to it."""

    transfer_id: UUID
    target_points: int
    """Taken back by this, bonuses among them."""
    reference: str = ""
    valid_for: timedelta = VALID_FOR


@dataclass(frozen=True, slots=True)
class Quote:
    """An offer of the exchange's, verified: good for one transfer, until it expires."""

    quote_id: UUID
    source_program: str
    target_program: str
    source_points: int
    target_points: int
    """Bonuses among them."""
    segment: str
    expires_at: datetime
    terms: quote_pb2.Quote
    """All that it says: agreement, value, fee, taxes, promotions."""
    envelope: Envelope
    """As the exchange signed it."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """How a transfer stands, verified: by a receipt of the exchange's, or by a notice."""

    transfer_id: UUID
    state: State
    reason: str
    """Why it was refused, held or aborted; empty where it was not."""
    source_program: str
    target_program: str
    source_points: int
    target_points: int
    recorded_at: datetime
    log_index: int
    stream_seq: int
    """The position of the proof in your stream."""
    record: transfer_pb2.TransferRecord
    """All that both brands are told."""
    source_part: transfer_pb2.SourcePart | None
    """Fee and tax, on the source's receipt of a committed transfer that bears them."""
    target_part: transfer_pb2.TargetPart | None
    """The same on the target's notice, and the lots whose expiry it inherits."""
    receipt: Envelope
    """The proof itself: keep it."""

    @property
    def is_committed(self) -> bool:
        """Whether points and money have moved."""
        return self.state is State.COMMITTED


@dataclass(frozen=True, slots=True)
class Reversal:
    """What the target of a transfer took back of it, or why not, verified by a notice."""

    reversal_id: UUID
    transfer_id: UUID
    """Of the transfer that is reversed."""
    state: State
    """COMMITTED, or REFUSED, which its sender alone is told."""
    reason: str
    """Why it was refused; empty where it was not."""
    source_points: int
    """What the source's member gets back: give it, if the source is you."""
    target_points: int
    """What was taken back of the target's member by this."""
    reversed_points: int
    """What was taken back in all."""
    recorded_at: datetime
    log_index: int
    stream_seq: int
    """The position of the proof in your stream."""
    record: transfer_pb2.ReversalRecord
    """All that its parties are told."""
    part: transfer_pb2.ReversalPart | None
    """What you get back of fee and tax, if you bore them and they are refundable."""
    notice: Envelope
    """The proof itself: keep it."""

    @property
    def is_committed(self) -> bool:
        """Whether points and money have moved back."""
        return self.state is State.COMMITTED


Event = Transfer | Reversal
"""What a receipt or a notice proves."""


@dataclass(frozen=True, slots=True)
class Bookmark:
    """A place in your stream: the last entry that was read."""

    stream_seq: int
    sha256: bytes
    """SHA-256 of that entry's payload, which the next one names."""


START = Bookmark(0, FIRST_PREVIOUS)
"""Before the first entry."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of your stream, verified by itself and as what follows the one before it."""

    bookmark: Bookmark
    """Go on from here."""
    role: Role
    member: str
    """Your own member in the transfer, while the exchange stores the order; not signed. Empty with
    a reversal: the transfer's own entry names the member."""
    event: Event
    """What happened: to a transfer, or a reversal of one."""


Position = exchange_service_pb2.Position
"""Where you stand in your settlement currency; amounts in units of its scale, positive is owed to
you."""
