"""What receipts and notices prove as a partner's stream, and against other partners'. Pure.

- A stream counts from 1 (or from a stated start) without gap; each entry names the SHA-256 of the
  payload before it, the first names 32 zero bytes; log index rises and time never falls. The first
  fault ends the reading of a stream: what comes after it rests on nothing.
- All parties to a transfer hold the same record under the same salt, and no two transfers share a
  log index or an id, but for a hold and the outcome that follows it.

Source: protocol.md (Records, receipts, streams; The log), pointclear/exchange/v1/transfer.proto.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from exchange.cli.checks.entry import FUNDER, NAMES, REVERSED, SOURCE, TARGET, Entry, funders_of
from exchange.cli.checks.reversals import (
    Figures,
    linked_faults,
)
from exchange.cli.checks.verification import (
    Fault,
    compare,
)
from pointclear.exchange.v1.transfer_pb2 import (
    TRANSFER_STATE_HELD,
    TRANSFER_STATE_RESERVED,
    ReversalPart,
    ReversalRecord,
    TransferRecord,
)

BEFORE_FIRST: Final = bytes(32)
"""What the first entry of a stream names as the digest before it."""


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


def check_reversals(chain: Sequence[Entry]) -> Iterator[Fault]:
    """Whether each reversal in a stream follows from its transfer and from the reversals before it,
    as far as the transfer is in the stream too.
    """
    originals: dict[int, Entry] = {}
    given_back: dict[int, Figures] = {}
    for entry in chain:
        record = entry.record
        if not entry.is_committed:
            continue
        if isinstance(record, TransferRecord):
            originals[record.log_index] = entry
            continue
        original = originals.get(record.transfer_log_index)
        if original is None or not isinstance(original.record, TransferRecord):
            continue
        if entry.role == REVERSED[FUNDER]:
            # Reversals that give a funder nothing back are not in its stream.
            continue
        part, fee_part = entry.fee_part, original.fee_part
        assert part is None or isinstance(part, ReversalPart)
        assert not isinstance(fee_part, ReversalPart)
        earlier = given_back.setdefault(record.transfer_log_index, Figures())
        yield from linked_faults(entry.place, record, part, original.record, fee_part, earlier)


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
    if not entry.is_committed:
        return
    record = entry.record
    wanted = {record.source_partner: SOURCE, record.target_partner: TARGET}
    wanted |= dict.fromkeys(funders_of(record), FUNDER)
    if entry.is_reversal:
        wanted = {party: REVERSED[role] for party, role in wanted.items()}
    for party, role in sorted(wanted.items()):
        indices = held.get(party)
        if party == entry.partner_id or not indices or record.log_index in indices:
            continue
        if record.log_index < max(indices):
            yield Fault(
                entry.place, f"{party} holds no {NAMES[role]} of log index {record.log_index}"
            )


def _doubled_ids(entries: Iterable[Entry]) -> Iterator[Fault]:
    """An order's id is answered once, for ever, and may be held and reserved once before."""
    seen: dict[tuple[bytes, int], Entry] = {}
    for entry in entries:
        record = entry.record
        waits = (
            record.state if record.state in (TRANSFER_STATE_HELD, TRANSFER_STATE_RESERVED) else 0
        )
        own_id = record.reversal_id if isinstance(record, ReversalRecord) else record.transfer_id
        other = seen.setdefault((own_id, waits), entry)
        if other is not entry:
            kind = "reversal" if entry.is_reversal else "transfer"
            yield Fault(
                entry.place,
                f"{kind} id {own_id.hex()} stands at two log indices",
                str(other.record.log_index),
                str(entry.record.log_index),
            )
