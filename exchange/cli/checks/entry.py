"""What a receipt or a notice proves by itself. Pure.

Its rules, beside those of `exchange.cli.checks.verification`:

- The salt and the record make the leaf: kind 1 for a committed transfer, 4 for one that is held, 5
  for one that is reserved, 2 for a refusal and for what was held or reserved and is void. None but
  the first states figures. Kind 6 is a reversal, 7 the refusal of one, 8 a request for one: see
  `reversals`.
- The source's or target's part, where there is one, is opened by its own salt, to the digest in
  the record.
- A receipt is the source's; a credit notice is the target's, a funding notice another's that pays
  for a bonus: both of committed transfers only. A reversal notice is for all of these, and of a
  refused one for its sender.
- Of a committed transfer every figure follows from the rates beside it (see `figures`).

Source: protocol.md (Records, receipts, streams; The log), pointclear/exchange/v1/transfer.proto.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from exchange.cli.checks.figures import FeePart, fee_faults, figure_faults
from exchange.cli.checks.reversals import (
    REVERSAL_LEAVES,
    reversal_faults,
)
from exchange.cli.checks.verification import (
    Broken,
    Fault,
    KeySet,
    check_force,
    compare,
    open_envelope,
    parse,
)
from exchange.log.merkle import SALT_BYTES, leaf_data
from partners.agreement import HUB
from partners.envelope import (
    CREDIT_NOTICE,
    FUNDING_NOTICE,
    REVERSAL_NOTICE,
    TRANSFER_RECEIPT,
    Envelope,
    payload_digest,
)
from partners.merkle import leaf_hash
from pointclear.exchange.v1.transfer_pb2 import (
    TRANSFER_STATE_ABORTED,
    TRANSFER_STATE_COMMITTED,
    TRANSFER_STATE_HELD,
    TRANSFER_STATE_REFUSED,
    TRANSFER_STATE_RESERVED,
    CreditNotice,
    FundingNotice,
    ReversalNotice,
    ReversalPart,
    ReversalRecord,
    SourcePart,
    TargetPart,
    TransferReceipt,
    TransferRecord,
)

SOURCE: Final = "source"
TARGET: Final = "target"
FUNDER: Final = "funder"
REVERSED: Final = {
    SOURCE: "source-reversed",
    TARGET: "target-reversed",
    FUNDER: "funder-reversed",
}
"""The side of a reversal that each side of its transfer is."""
NAMES: Final = {
    SOURCE: "receipt",
    TARGET: "credit notice",
    FUNDER: "funding notice",
    **dict.fromkeys(REVERSED.values(), "reversal notice"),
}
"""What each side holds."""
PAPERS: Final[Mapping[str, tuple[str, type[TransferReceipt | CreditNotice | FundingNotice]]]] = {
    TRANSFER_RECEIPT: (SOURCE, TransferReceipt),
    CREDIT_NOTICE: (TARGET, CreditNotice),
    FUNDING_NOTICE: (FUNDER, FundingNotice),
}

LEAF_KINDS: Final = {
    TRANSFER_STATE_COMMITTED: 1,
    TRANSFER_STATE_REFUSED: 2,
    TRANSFER_STATE_HELD: 4,
    TRANSFER_STATE_ABORTED: 2,
    TRANSFER_STATE_RESERVED: 5,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A receipt or credit notice whose signature and payload hold."""

    place: str
    payload_sha256: bytes
    audience: str
    partner_id: str
    stream_seq: int
    previous_sha256: bytes
    record: TransferRecord | ReversalRecord
    record_bytes: bytes
    salt: bytes
    leaf_hash: bytes
    fee_part: FeePart | ReversalPart | None
    """The part that bears the fee, or gets it back, if that is this partner's."""
    role: str
    """SOURCE, TARGET or FUNDER, or what REVERSED makes of it."""

    @property
    def is_receipt(self) -> bool:
        """Whether the partner is the source."""
        return self.role == SOURCE

    @property
    def is_committed(self) -> bool:
        """Whether the transfer or the reversal took place."""
        return self.record.state == TRANSFER_STATE_COMMITTED

    @property
    def is_reversal(self) -> bool:
        """Whether the record is of a reversal."""
        return isinstance(self.record, ReversalRecord)


def check_entry(place: str, text: str, keys: KeySet) -> Entry:
    """One receipt or notice, by itself. Raises Broken with all its faults."""
    envelope = open_envelope(place, text, keys, *PAPERS, REVERSAL_NOTICE)
    if envelope.payload_type == REVERSAL_NOTICE:
        return check_reversal_notice(place, envelope, keys)
    role, kind = PAPERS[envelope.payload_type]
    payload: TransferReceipt | CreditNotice | FundingNotice
    payload = parse(place, "payload", kind, envelope.payload)
    record = parse(place, "record", TransferRecord, payload.record)
    faults = [
        *compare(place, "signing_key_id", envelope.signatures[0].key_id, payload.signing_key_id),
        *compare(place, "bytes of salt", SALT_BYTES, len(payload.salt)),
        *check_force(place, keys[envelope.signatures[0].key_id], record.log_index),
        *_record_faults(place, record),
    ]
    faults += _addressee_faults(place, role, record, payload.partner_id)
    part, part_faults = _open_part(place, payload, record)
    faults += part_faults
    if role != SOURCE and record.state != TRANSFER_STATE_COMMITTED:
        faults.append(Fault(place, f"a {NAMES[role]} of a transfer that did not take place"))
    if faults:
        raise Broken(*faults)
    leaf = leaf_data(LEAF_KINDS[record.state], payload.salt, payload.record)
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
        role,
    )


def check_reversal_notice(place: str, envelope: Envelope, keys: KeySet) -> Entry:
    """One reversal notice, by itself. Raises Broken with all its faults."""
    payload = parse(place, "payload", ReversalNotice, envelope.payload)
    record = parse(place, "record", ReversalRecord, payload.record)
    booked = record.state == TRANSFER_STATE_COMMITTED
    brands = {record.source_partner: SOURCE, record.target_partner: TARGET}
    role = brands.get(payload.partner_id, FUNDER)
    part, part_faults = _open_reversal_part(place, payload, record, role)
    addressees = {*brands, *funders_of(record)} if booked else {record.sender}
    faults = [
        *compare(place, "signing_key_id", envelope.signatures[0].key_id, payload.signing_key_id),
        *compare(place, "bytes of salt", SALT_BYTES, len(payload.salt)),
        *check_force(place, keys[envelope.signatures[0].key_id], record.log_index),
        *reversal_faults(place, record),
        *part_faults,
    ]
    if payload.partner_id not in addressees:
        faults.append(
            Fault(place, f"{payload.partner_id or 'nobody'} is no party to this reversal")
        )
    if faults:
        raise Broken(*faults)
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
        leaf_hash(leaf_data(REVERSAL_LEAVES.get(record.state, 0), payload.salt, payload.record)),
        part,
        REVERSED[role],
    )


def _open_reversal_part(
    place: str, payload: ReversalNotice, record: ReversalRecord, role: str
) -> tuple[ReversalPart | None, tuple[Fault, ...]]:
    """What this side gets back of the fee, if it bore it and the record commits to that."""
    committed = {SOURCE: record.source_part_sha256, TARGET: record.target_part_sha256}.get(role)
    if not committed:
        riding = payload.part + payload.part_salt
        what = "part that the record does not commit to"
        return None, tuple(compare(place, what, b"", riding))
    opened = hashlib.sha256(payload.part_salt + payload.part).digest()
    faults = (
        *compare(place, "bytes of part_salt", SALT_BYTES, len(payload.part_salt)),
        *compare(place, "sha256 of the part", committed, opened),
    )
    return parse(place, "part", ReversalPart, payload.part), faults


def _addressee_faults(
    place: str, role: str, record: TransferRecord, partner_id: str
) -> Iterator[Fault]:
    """Whether an entry is for one that may have it."""
    if role == FUNDER:
        if partner_id not in funders_of(record):
            yield Fault(place, f"{partner_id or 'nobody'} funds nothing of this transfer")
        return
    party = record.source_partner if role == SOURCE else record.target_partner
    yield from compare(place, "the partner that this may be for", party, partner_id)


def funders_of(record: TransferRecord | ReversalRecord) -> set[str]:
    """The partners that pay for a bonus and are neither source nor target."""
    paying = {s.funder for each in record.promotions for s in each.shares if s.amount}
    return paying - {HUB, record.source_partner, record.target_partner}


def _record_faults(place: str, record: TransferRecord) -> Iterator[Fault]:
    yield from compare(place, "bytes of transfer_id", 16, len(record.transfer_id))
    yield from compare(place, "bytes of order_sha256", 32, len(record.order_sha256))
    if record.state not in LEAF_KINDS:
        yield Fault(place, "the record states no outcome")
    refused = record.state not in (TRANSFER_STATE_COMMITTED, TRANSFER_STATE_RESERVED)
    yield from compare(place, "whether the record states a reason", refused, bool(record.reason))
    if record.state == TRANSFER_STATE_COMMITTED:
        yield from figure_faults(place, record)


def _open_part(
    place: str, payload: TransferReceipt | CreditNotice | FundingNotice, record: TransferRecord
) -> tuple[FeePart | None, tuple[Fault, ...]]:
    """The part that the record commits to and does not show; the fee, if this side bears it."""
    kind: type[FeePart]
    if isinstance(payload, TransferReceipt):
        name, kind = "source_part", SourcePart
        committed, content, salt = (
            record.source_part_sha256,
            payload.source_part,
            payload.source_part_salt,
        )
    elif isinstance(payload, CreditNotice):
        name, kind = "target_part", TargetPart
        committed, content, salt = (
            record.target_part_sha256,
            payload.target_part,
            payload.target_part_salt,
        )
    else:
        return None, ()
    if not committed:
        # Nothing may ride along that the record does not commit to.
        riding = compare(place, f"{name} that the record does not commit to", b"", content + salt)
        return None, tuple(riding)
    opened = hashlib.sha256(salt + content).digest()
    faults = [
        *compare(place, f"bytes of {name}_salt", SALT_BYTES, len(salt)),
        *compare(place, f"{name}_sha256", committed, opened),
    ]
    part: FeePart = parse(place, name.replace("_", " "), kind, content)
    if isinstance(part, SourcePart) or part.tax_code:
        faults += fee_faults(place, record, part)
        return part, tuple(faults)
    return None, tuple(faults)
