"""From outcomes to what is stored and signed: records, leaves, the tree's new head, and the
partners' streams.

Pure but for the salts, which are an argument. Rules kept here:

- A leaf commits to `SHA-256(salt ‖ record)` under a type byte; without the salt nobody learns what
  it holds.
- What concerns the source or the target alone is in a part of its own, to which the record commits
  under a salt of its own.
- Whoever pays for a bonus and is neither source nor target gets the record as well: it signed the
  terms that the record applies. All parties of a reversal get the same kind of notice of it.
- A stream's entries are numbered without gap and each names the digest of the one before it.
- Payloads name their signing key, so the signature can be made at any time after the commit, by
  anyone who has the key: Ed25519 gives the same bytes each time. No payload names a key that was
  revoked at or before its log index.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from types import MappingProxyType
from uuid import UUID

from exchange.fold import InvariantBroken
from exchange.ledger.names import account_names
from exchange.log.merkle import Frontier, leaf_data
from exchange.outcomes import Booked, Outcome, Recorded, Reversed, TransferState
from exchange.parts import NO_PART, Part
from exchange.quotes.quote import Quote
from exchange.quotes.wire import quote_payload
from exchange.wire import papers, reversals
from exchange.wire.records import entry_record, transfer_record
from partners.agreement import Bearer
from partners.merkle import leaf_hash
from partners.registry import Registry


class LeafKind(IntEnum):
    """A leaf's type byte."""

    TRANSFER = 1
    REFUSAL = 2
    ENTRY = 3
    HOLD = 4
    """A transfer that waits for review."""
    RESERVATION = 5
    """A transfer that waits for its target's answer."""
    REVERSAL = 6
    REVERSAL_REFUSAL = 7
    REVERSAL_REQUEST = 8


LEAF_KINDS = {
    TransferState.COMMITTED: LeafKind.TRANSFER,
    TransferState.REFUSED: LeafKind.REFUSAL,
    TransferState.ABORTED: LeafKind.REFUSAL,
    TransferState.HELD: LeafKind.HOLD,
    TransferState.RESERVED: LeafKind.RESERVATION,
}


REVERSAL_KINDS = {
    TransferState.COMMITTED: LeafKind.REVERSAL,
    TransferState.REFUSED: LeafKind.REVERSAL_REFUSAL,
    TransferState.ABORTED: LeafKind.REVERSAL_REFUSAL,
    TransferState.RESERVED: LeafKind.REVERSAL_REQUEST,
}


class PayloadKind(IntEnum):
    """What a stream entry's payload is."""

    RECEIPT = 1
    NOTICE = 2
    FUNDING = 3
    REVERSAL = 4


PAPERS = {
    PayloadKind.RECEIPT: papers.transfer_receipt,
    PayloadKind.NOTICE: papers.credit_notice,
    PayloadKind.FUNDING: papers.funding_notice,
    PayloadKind.REVERSAL: reversals.reversal_notice,
}
"""How each is written."""


@dataclass(frozen=True, slots=True)
class StreamHead:
    """The end of a partner's stream."""

    last_seq: int = 0
    last_sha256: bytes = bytes(32)


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """A record as it is stored."""

    log_index: int
    kind: LeafKind
    transfer_id: UUID | None
    """Of the order: of a reversal its own id, not the transfer's."""
    entry_key: str | None
    recorded_at: datetime
    salt: bytes
    record: bytes
    leaf_hash: bytes


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """One entry of a partner's stream as it is stored; the payload is what is signed."""

    partner_number: int
    stream_seq: int
    log_index: int
    kind: PayloadKind
    payload: bytes


@dataclass(frozen=True, slots=True)
class Sealed:
    """A batch, ready to be written."""

    records: tuple[SealedRecord, ...]
    stream_entries: tuple[StreamEntry, ...]
    frontier: Frontier
    roots: Mapping[int, bytes]
    """For each entry that opens or closes a window: the root of the log before its leaf, by log
    index.
    """
    stream_heads: Mapping[int, StreamHead]
    """The new ends, by partner number, of the streams that grew."""
    quotes: Mapping[UUID, bytes] = field(default_factory=dict)
    """The payloads of the offers that were made, by quote id."""


@dataclass(frozen=True, slots=True)
class Letterhead:
    """What all payloads of this exchange carry."""

    audience: str
    receipts_key_ids: tuple[str, ...]
    """The keys that this process can sign receipts with; new ones name the first."""

    def key_id_at(self, log_index: int, registry: Registry) -> str:
        """The first of the keys that is registered and not revoked at a log index; else one that is
        not registered.

        Raises InvariantBroken where all are revoked: nothing may be recorded that cannot be signed.
        """
        unregistered = [each for each in self.receipts_key_ids if each not in registry.keys]
        for key_id in self.receipts_key_ids:
            key = registry.keys.get(key_id)
            if key and (key.revoked_index is None or log_index < key.revoked_index):
                return key_id
        if unregistered:
            return unregistered[0]
        raise InvariantBroken("every key for receipts that this server holds was revoked")

    def is_spent(self, registry: Registry) -> bool:
        """Whether none of the keys is registered and not revoked."""
        return all(
            key_id not in registry.keys or registry.keys[key_id].revoked_index is not None
            for key_id in self.receipts_key_ids
        )


def seal(
    outcomes: Iterable[Outcome],
    registry: Registry,
    frontier: Frontier,
    stream_heads: Mapping[int, StreamHead],
    letterhead: Letterhead,
    new_salt: Callable[[], bytes],
    quotes: Mapping[UUID, Quote] = MappingProxyType({}),
) -> Sealed:
    """Write each outcome's record, leaf and stream entries, in log order, and the new ones of the
    quotes.

    `stream_heads` holds the ends of the streams of all partners in `outcomes`; a missing one starts
    a stream. `new_salt` gives 32 random bytes at each call.
    """
    desk = _Desk(registry, dict(stream_heads), letterhead, new_salt)
    roots: dict[int, bytes] = {}
    for outcome in outcomes:
        if isinstance(outcome, Recorded):
            desk.seal_transfer(outcome)
        elif isinstance(outcome, Reversed):
            desk.seal_reversal(outcome)
        else:
            if outcome.entry_key.startswith(("open/", "close/")):
                leaves = [record.leaf_hash for record in desk.records]
                roots[outcome.log_index] = frontier.extend(leaves).root()
            desk.seal_entry(outcome)
    grown = frontier.extend([record.leaf_hash for record in desk.records])
    return Sealed(
        tuple(desk.records),
        tuple(desk.entries),
        grown,
        roots,
        {entry.partner_number: desk.heads[entry.partner_number] for entry in desk.entries},
        {
            quote_id: quote_payload(
                quote, letterhead.audience, letterhead.key_id_at(grown.size, registry)
            )
            for quote_id, quote in quotes.items()
            if not quote.payload
        },
    )


class _Desk:
    """One batch in progress."""

    def __init__(
        self,
        registry: Registry,
        heads: dict[int, StreamHead],
        letterhead: Letterhead,
        new_salt: Callable[[], bytes],
    ) -> None:
        self.registry = registry
        self.heads = heads
        self.letterhead = letterhead
        self.new_salt = new_salt
        self.records: list[SealedRecord] = []
        self.entries: list[StreamEntry] = []

    def seal_transfer(self, outcome: Recorded) -> None:
        committed = outcome.state is TransferState.COMMITTED
        source_part = self.part_of(papers.source_part(outcome))
        target_part = self.part_of(papers.target_part(outcome))
        record = transfer_record(outcome, source_part.sha256, target_part.sha256)
        kind = LEAF_KINDS[outcome.state]
        salt = self.keep(outcome, kind, record, outcome.order.transfer_id, None)
        self.file(outcome, outcome.source_partner, PayloadKind.RECEIPT, record, salt, source_part)
        if committed:
            self.file(
                outcome, outcome.target_partner, PayloadKind.NOTICE, record, salt, target_part
            )
        for funder in outcome.funders:
            self.file(outcome, funder, PayloadKind.FUNDING, record, salt, NO_PART)

    def seal_reversal(self, outcome: Reversed) -> None:
        source_part = self.part_of(reversals.reversal_part(outcome, Bearer.SOURCE))
        target_part = self.part_of(reversals.reversal_part(outcome, Bearer.TARGET))
        record = reversals.reversal_record(outcome, source_part, target_part)
        kind = REVERSAL_KINDS[outcome.state]
        salt = self.keep(outcome, kind, record, outcome.order.reversal_id, None)
        original = outcome.original
        parts = {}
        if original is not None:
            parts = {original.source_partner: source_part, original.target_partner: target_part}
        for party in outcome.parties:
            part = parts.get(party, NO_PART)
            self.file(outcome, party, PayloadKind.REVERSAL, record, salt, part)

    def part_of(self, part: bytes) -> Part:
        """A part under a salt of its own; none where it is empty."""
        return Part(part, self.new_salt()) if part else NO_PART

    def seal_entry(self, outcome: Booked) -> None:
        record = entry_record(outcome, account_names(self.registry, outcome.postings))
        self.keep(outcome, LeafKind.ENTRY, record, None, outcome.entry_key)

    def keep(
        self,
        outcome: Outcome,
        kind: LeafKind,
        record: bytes,
        transfer_id: UUID | None,
        entry_key: str | None,
    ) -> bytes:
        """Add the record and its leaf; returns the salt that opens it."""
        salt = self.new_salt()
        leaf = leaf_hash(leaf_data(kind, salt, record))
        self.records.append(
            SealedRecord(
                outcome.log_index,
                kind,
                transfer_id,
                entry_key,
                outcome.recorded_at,
                salt,
                record,
                leaf,
            )
        )
        return salt

    def next_in_stream(self, number: int) -> tuple[int, bytes]:
        head = self.heads.get(number, StreamHead())
        return head.last_seq + 1, head.last_sha256

    def file(
        self,
        outcome: Recorded | Reversed,
        partner_id: str,
        kind: PayloadKind,
        record: bytes,
        salt: bytes,
        part: Part,
    ) -> None:
        """Append to a partner's stream."""
        number = self.registry.partners[partner_id].number
        seq, previous = self.next_in_stream(number)
        payload = PAPERS[kind](
            self.letterhead.audience,
            partner_id,
            seq,
            previous,
            self.letterhead.key_id_at(outcome.log_index, self.registry),
            record,
            salt,
            part,
        )
        self.heads[number] = StreamHead(seq, hashlib.sha256(payload).digest())
        self.entries.append(StreamEntry(number, seq, outcome.log_index, kind, payload))
