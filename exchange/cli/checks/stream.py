"""What receipts and credit notices prove, each by itself and as a partner's stream. Pure.

Its rules, beside those of `exchange.cli.checks.verification`:

- The salt and the record make the leaf: kind 1 for a committed transfer, 2 for a refusal.
- The source part, where there is one, is opened by its own salt, to the digest in the record.
- A receipt is the source's; a credit notice is the target's, and of committed transfers only.
- Of a committed transfer the points, the value and the tax follow from the rates beside them.
- A stream counts from 1 (or from a stated start) without gap; each entry names the SHA-256 of the
  payload before it, the first names 32 zero bytes; log index rises and time never falls. The first
  fault ends the reading of a stream: what comes after it rests on nothing.
- Both parties to a transfer hold the same record under the same salt, and no two transfers share a
  log index or an id.

Source: protocol.md (Records, receipts, streams; The log), pointclear/exchange/v1/transfer.proto.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from exchange.cli.checks.verification import (
    Broken,
    Fault,
    KeySet,
    check_force,
    compare,
    open_envelope,
    parse,
)
from exchange.log.merkle import SALT_BYTES, leaf_data, leaf_hash
from partners.agreement import BASIS_POINTS
from partners.conversion import half_even
from partners.envelope import CREDIT_NOTICE, TRANSFER_RECEIPT, payload_digest
from pointclear.exchange.v1.transfer_pb2 import (
    TRANSFER_STATE_COMMITTED,
    TRANSFER_STATE_REFUSED,
    CreditNotice,
    SourcePart,
    TransferReceipt,
    TransferRecord,
)

TRANSFER_LEAF: Final = 1
REFUSAL_LEAF: Final = 2
BEFORE_FIRST: Final = bytes(32)
"""What the first entry of a stream names as the digest before it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A receipt or credit notice whose signature and payload hold."""

    place: str
    payload_sha256: bytes
    audience: str
    partner_id: str
    stream_seq: int
    previous_sha256: bytes
    record: TransferRecord
    record_bytes: bytes
    salt: bytes
    leaf_hash: bytes
    source_part: SourcePart | None
    """None on a credit notice, and for a refusal."""
    is_receipt: bool

    @property
    def is_committed(self) -> bool:
        """Whether the transfer took place."""
        return self.record.state == TRANSFER_STATE_COMMITTED


# One entry


def check_entry(place: str, text: str, keys: KeySet) -> Entry:
    """One receipt or credit notice, by itself. Raises Broken with all its faults."""
    envelope = open_envelope(place, text, keys, TRANSFER_RECEIPT, CREDIT_NOTICE)
    is_receipt = envelope.payload_type == TRANSFER_RECEIPT
    payload: TransferReceipt | CreditNotice
    if is_receipt:
        payload = parse(place, "payload", TransferReceipt, envelope.payload)
    else:
        payload = parse(place, "payload", CreditNotice, envelope.payload)
    record = parse(place, "record", TransferRecord, payload.record)
    faults = [
        *compare(place, "signing_key_id", envelope.signatures[0].key_id, payload.signing_key_id),
        *compare(place, "bytes of salt", SALT_BYTES, len(payload.salt)),
        *check_force(place, keys[envelope.signatures[0].key_id], record.log_index),
        *_record_faults(place, record),
    ]
    party = record.source_partner if is_receipt else record.target_partner
    faults += compare(place, "the partner that this may be for", party, payload.partner_id)
    part = None
    if isinstance(payload, TransferReceipt):
        part, part_faults = _open_source_part(place, payload, record)
        faults += part_faults
    elif record.state != TRANSFER_STATE_COMMITTED:
        faults.append(Fault(place, "a credit notice of a transfer that did not take place"))
    if faults:
        raise Broken(*faults)
    committed = record.state == TRANSFER_STATE_COMMITTED
    leaf = leaf_data(TRANSFER_LEAF if committed else REFUSAL_LEAF, payload.salt, payload.record)
    return Entry(
        place,
        payload_digest(envelope),
        payload.audience,
        payload.partner_id,
        payload.stream_seq,
        payload.previous_sha256,
        record,
        payload.record,
        payload.salt,
        leaf_hash(leaf),
        part,
        is_receipt,
    )


def _record_faults(place: str, record: TransferRecord) -> Iterator[Fault]:
    yield from compare(place, "bytes of transfer_id", 16, len(record.transfer_id))
    yield from compare(place, "bytes of order_sha256", 32, len(record.order_sha256))
    if record.state not in (TRANSFER_STATE_COMMITTED, TRANSFER_STATE_REFUSED):
        yield Fault(place, "the record states no outcome")
    refused = record.state == TRANSFER_STATE_REFUSED
    yield from compare(place, "whether the record states a reason", refused, bool(record.reason))
    if refused:
        return
    rate = record.block_rate
    if min(rate.source_units, rate.target_units) < 1:
        yield Fault(place, "the record's block rate is not of at least 1 point each")
        return
    blocks, rest = divmod(record.source_points, rate.source_units)
    yield from compare(place, "source points beyond whole blocks", 0, rest)
    target_points = blocks * rate.target_units
    yield from compare(
        place, "target_points by the block rate", target_points, record.target_points
    )
    value = record.target_points * record.price_per_target_point
    yield from compare(place, "value by the price", value, record.value)


def _open_source_part(
    place: str, receipt: TransferReceipt, record: TransferRecord
) -> tuple[SourcePart | None, tuple[Fault, ...]]:
    """The part of a receipt that the record commits to and does not show."""
    committed = record.state == TRANSFER_STATE_COMMITTED
    if not record.source_part_sha256 and not committed:
        # Nothing may ride along that the record does not commit to.
        return None, tuple(
            compare(
                place,
                "source part of a refusal",
                b"",
                receipt.source_part + receipt.source_part_salt,
            )
        )
    opened = hashlib.sha256(receipt.source_part_salt + receipt.source_part).digest()
    faults = [
        *compare(place, "bytes of source_part_salt", SALT_BYTES, len(receipt.source_part_salt)),
        *compare(place, "source_part_sha256", record.source_part_sha256, opened),
    ]
    part = parse(place, "source part", SourcePart, receipt.source_part)
    tax = half_even(part.fee * part.tax_basis_points, BASIS_POINTS)
    faults += compare(place, "tax on the fee", tax, part.tax)
    if part.fee < 0:
        faults.append(Fault(place, "the fee is negative"))
    return part, tuple(faults)


# Streams


def check_chain(
    entries: Sequence[Entry | None], partner_id: str, start_seq: int = 1
) -> tuple[tuple[Entry, ...], tuple[Fault, ...]]:
    """The entries up to the first fault of a stream, and that fault.

    None stands for an entry that is already known to be at fault. A stream that starts elsewhere
    than at 1 shows nothing about what came before it.
    """
    good: list[Entry] = []
    for at, entry in enumerate(entries):
        if entry is None:
            break
        faults = (
            *compare(entry.place, "whose stream this is", partner_id, entry.partner_id),
            *_place_in_stream(entries, at, entry, good, start_seq),
            *_after(entry, good[-1] if good else None),
        )
        if faults:
            return tuple(good), faults[:1]
        good.append(entry)
    return tuple(good), ()


def _place_in_stream(
    entries: Sequence[Entry | None], at: int, entry: Entry, good: list[Entry], start_seq: int
) -> Iterator[Fault]:
    """Name what happened here: one of the four ways to tamper with a stream, or a broken link."""
    place, wanted = entry.place, start_seq + len(good)
    if entry.stream_seq < wanted:
        earlier = {each.payload_sha256 for each in good}
        what = "a doubled entry" if entry.payload_sha256 in earlier else "an inserted entry"
        yield Fault(place, what, f"stream_seq {wanted}", str(entry.stream_seq))
    elif entry.stream_seq > wanted:
        later = {each.stream_seq for each in entries[at:] if each is not None}
        what = "a swapped entry" if wanted in later else "an omitted entry before this one"
        yield Fault(place, what, f"stream_seq {wanted}", str(entry.stream_seq))
    elif good or start_seq == 1:
        previous = good[-1].payload_sha256 if good else BEFORE_FIRST
        yield from compare(place, "a broken link, previous_sha256", previous, entry.previous_sha256)


def _after(entry: Entry, previous: Entry | None) -> Iterator[Fault]:
    if previous is None:
        return
    yield from compare(entry.place, "audience", previous.audience, entry.audience)
    if entry.record.log_index <= previous.record.log_index:
        more = f"more than {previous.record.log_index}"
        yield Fault(entry.place, "log_index", more, str(entry.record.log_index))
    if entry.record.recorded_at.ToNanoseconds() < previous.record.recorded_at.ToNanoseconds():
        yield Fault(entry.place, "the log's time goes back")


def check_counterparts(chains: Mapping[str, Sequence[Entry]]) -> tuple[Fault, ...]:
    """What both sides of each transfer hold, for the partners whose streams are here.

    A counterpart may be missing only past the end of the other side's stream.
    """
    first_of_index: dict[int, Entry] = {}
    faults: list[Fault] = []
    held = {partner: {e.record.log_index for e in chain} for partner, chain in chains.items()}
    for entry in (entry for chain in chains.values() for entry in chain):
        other = first_of_index.setdefault(entry.record.log_index, entry)
        if (entry.record_bytes, entry.salt) != (other.record_bytes, other.salt):
            faults.append(
                Fault(
                    entry.place,
                    f"log index {entry.record.log_index} holds another leaf at {other.place}",
                    other.leaf_hash.hex(),
                    entry.leaf_hash.hex(),
                )
            )
        faults += _missing_counterpart(entry, held)
    return (*faults, *_doubled_ids(first_of_index.values()))


def _missing_counterpart(entry: Entry, held: Mapping[str, set[int]]) -> Iterator[Fault]:
    record = entry.record
    party = record.target_partner if entry.is_receipt else record.source_partner
    indices = held.get(party)
    if not entry.is_committed or not indices or record.log_index in indices:
        return
    if record.log_index < max(indices):
        name = "credit notice" if entry.is_receipt else "receipt"
        yield Fault(entry.place, f"{party} holds no {name} of log index {record.log_index}")


def _doubled_ids(entries: Iterable[Entry]) -> Iterator[Fault]:
    """A transfer id is answered once, for ever."""
    seen: dict[bytes, Entry] = {}
    for entry in entries:
        other = seen.setdefault(entry.record.transfer_id, entry)
        if other is not entry:
            yield Fault(
                entry.place,
                f"transfer id {entry.record.transfer_id.hex()} stands at two log indices",
                str(other.record.log_index),
                str(entry.record.log_index),
            )
