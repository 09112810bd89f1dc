"""Whether what is stored is what was signed and logged. Read only.

Rules that are asked here, each naming the row that breaks it:

- Every record is the one that its leaf commits to, and the head is the root over all leaves.
- Every agreement row holds bytes that its signatories signed, its columns say what these bytes say,
  and its leaves hold the same bytes.
- Every transfer and reversal names the digest of the agreement that is stored.
- Every answer of a program is what its brand signed, and every transfer that waited for one ended
  as it says: see `settlement.checks.answers`.
- Every withdrawal of collateral is what its partner signed.
- Every rate of a tax is the one that its leaf states.
- Every stream is one chain of payloads over the records that are stored, and ends where its head
  says.

A superuser could alter rows, leaves and head alike: what is published of the log, and the partners'
own archives, are the proof against that.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from exchange.log.merkle import Frontier, leaf_data
from exchange.seal import LeafKind
from exchange.wire.records import entry_body
from partners.envelope import RATE_AGREEMENT, Envelope, Signature
from partners.errors import Refused
from partners.keys import Purpose
from partners.merkle import leaf_hash
from partners.negotiation.wire import activation_from_body
from partners.queries import load_queries
from partners.registry import RegisteredKey
from partners.signing import require_purpose, verify_with
from partners.store import load_keys, utc
from partners.wire import terms_from_payload
from settlement.checks.answers import answers_off, proofs_off
from settlement.checks.invariants import Finding
from settlement.checks.wire import (
    chained,
    rate_of_body,
    recorded_agreement,
    recorded_end,
    recorded_index,
)
from settlement.collateral.evidence import withdrawals_off

QUERIES = load_queries(Path(__file__).with_name("evidence.sql"))
CHUNK = 2_000
"""Rows that are read at once."""

ENDS = (
    LeafKind.TRANSFER,
    LeafKind.REFUSAL,
    LeafKind.REVERSAL,
    LeafKind.REVERSAL_REFUSAL,
)
"""Records that may rest on a program's answer."""
Progress = Callable[[int], None]
"""Told how many rows were looked at since the last time."""
Name = tuple[str, int]


def check_evidence(connection: Any, progress: Progress) -> Iterator[Finding]:
    """Every row that is not what was signed or logged; none when all are.

    `connection` is a psycopg2 connection in a transaction that sees one snapshot.
    """
    digests: dict[Name, bytes] = {}
    yield from agreements_off(connection, digests)
    keys = load_keys(connection)
    yield from answers_off(connection, QUERIES.audience(connection), keys)
    yield from withdrawals_off(connection, QUERIES.audience(connection), keys)
    yield from records_off(connection, digests, keys, progress)
    yield from rates_off(connection)
    yield from streams_off(connection, progress)


def rows_to_check(connection: Any) -> int:
    """How many rows `check_evidence` will tell its progress of."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT (SELECT count(*) FROM record) + (SELECT count(*) FROM stream_entry)")
        (count,) = cursor.fetchone()
    return int(count)


def agreements_off(connection: Any, digests: dict[Name, bytes]) -> Iterator[Finding]:
    """Agreement rows that are not what was signed; fills in the digests of activated versions."""
    audience, keys = QUERIES.audience(connection), load_keys(connection)
    for row in QUERIES.proposals(connection):
        subject = f"agreement {row[0]} version {row[1]} round {row[2]}"
        payload = bytes(row[6])
        if row[8] is not None:
            digests[row[0], row[1]] = hashlib.sha256(payload).digest()
        found = row_fault(row, payload, audience, keys) or leaf_fault(connection, row, payload)
        if found:
            yield Finding("agreements_are_as_signed", subject, found)


def row_fault(row: Any, payload: bytes, audience: str, keys: dict[str, RegisteredKey]) -> str:
    """In what an agreement's row is not what its signatories signed; empty where it is."""
    pairs = json.loads(row[11]) if isinstance(row[11], str) else row[11] or []
    signatures = tuple(Signature(key_id, bytes.fromhex(hexed)) for key_id, hexed in pairs)
    envelope = Envelope(RATE_AGREEMENT, payload, signatures)
    try:
        terms = terms_from_payload(envelope, audience)
        verify_with(envelope, keys)
        for each in signatures:
            require_purpose(keys[each.key_id], Purpose.AGREEMENTS)
    except Refused as refusal:
        return str(refusal)
    stated = (*terms.name, terms.source_partner, terms.target_partner, terms.signatories)
    if stated != (row[0], row[1], row[3], row[4], tuple(row[5])):
        return "its columns do not say what its payload says"
    holders = {keys[each.key_id].holder for each in signatures}
    missing = [name for name in terms.signatories if f"partner/{name}" not in holders]
    if row[8] is not None and missing:
        return f"it was activated without the signature of {', '.join(missing)}"
    return ""


def leaf_fault(connection: Any, row: Any, payload: bytes) -> str:
    """In what an agreement's row is not what its leaves hold; empty where it is."""
    if row[7] is not None:
        entry = QUERIES.entry(connection, log_index=row[7])
        digest = hashlib.sha256(payload).hexdigest()
        if entry is None or entry[0] != f"proposal/{row[0]}/{row[1]}/{digest}":
            return f"entry {row[7]} of the log does not propose these bytes"
    if row[8] is None:
        return ""
    entry = QUERIES.entry(connection, log_index=row[8])
    if entry is None or entry[0] != f"agreement/{row[0]}/{row[1]}":
        return f"entry {row[8]} of the log does not activate it"
    activation = activation_from_body(entry_body(bytes(entry[2])))
    if activation.payload != payload:
        return f"entry {row[8]} of the log activates other bytes"
    if utc(row[9]) != (activation.effective_from or utc(entry[1])):
        return f"it is not in force from the instant that entry {row[8]} of the log states"
    return ""


def records_off(
    connection: Any,
    digests: dict[Name, bytes],
    keys: dict[str, RegisteredKey],
    progress: Progress,
) -> Iterator[Finding]:
    """Records that are not what their leaves commit to, that name other terms than are stored or
    another answer, and a head that is not the root over them.
    """
    frontier, after = Frontier(), -1
    while rows := list(QUERIES.records(connection, after=after, rows_max=CHUNK)):
        leaves, ends = [], []
        for index, kind, transfer_id, entry_key, salt, record, leaf in rows:
            subject = f"record {index} ({transfer_id or entry_key})"
            leaves.append(bytes(leaf))
            if leaf_hash(leaf_data(kind, bytes(salt), bytes(record))) != bytes(leaf):
                yield Finding("records_are_their_leaves", subject, "its leaf is another record's")
            elif recorded_index(bytes(record), kind) != index:
                yield Finding("records_are_their_leaves", subject, "it states another log index")
            carried_out = kind in (LeafKind.TRANSFER, LeafKind.REVERSAL)
            named = recorded_agreement(bytes(record), kind) if carried_out else None
            if named is not None and digests.get(named[0]) != named[1]:
                name = f"version {named[0][1]} of {named[0][0]}"
                yield Finding("transfers_name_their_terms", subject, f"{name} has another digest")
            if kind in ENDS:
                ends.append(recorded_end(bytes(record), kind))
        yield from proofs_off(connection, [each for each in ends if each is not None], keys)
        frontier, after = frontier.extend(leaves), rows[-1][0]
        progress(len(rows))
    next_index, stored = QUERIES.head(connection)
    head = Frontier.from_bytes(bytes(stored))
    if (frontier.size, frontier.root()) != (head.size, head.root()) or next_index != head.size:
        found = (
            f"{frontier.size} leaves with root {frontier.root().hex()}, the head says"
            f" {next_index} with {head.root().hex()}"
        )
        yield Finding("head_is_the_root_over_the_leaves", "head", found)


def rates_off(connection: Any) -> Iterator[Finding]:
    """Rates of taxes that are not what their leaves state."""
    for code, begins, basis_points, index in QUERIES.logged_rates(connection):
        entry = QUERIES.entry(connection, log_index=index)
        stored = (code, utc(begins), basis_points)
        if entry is None or rate_of_body(entry_body(bytes(entry[2]))) != stored:
            subject = f"tax_rate {code} from {utc(begins).isoformat()}"
            yield Finding(
                "taxes_are_as_logged", subject, f"entry {index} of the log states another rate"
            )


def streams_off(connection: Any, progress: Progress) -> Iterator[Finding]:
    """Entries of streams that are not chained, or carry another record than is stored."""
    for partner_id, number, last_seq, last_sha256 in QUERIES.stream_heads(connection):
        seq, previous = 0, bytes(32)
        while rows := list(
            QUERIES.stream(connection, partner_number=number, after=seq, rows_max=CHUNK)
        ):
            for stream_seq, kind, payload, record in rows:
                subject = f"stream {partner_id} entry {stream_seq}"
                link = chained(kind, bytes(payload))
                if (link.partner_id, link.stream_seq) != (partner_id, stream_seq):
                    yield Finding("streams_are_chained", subject, "its payload is another entry's")
                elif link.previous_sha256 != previous:
                    yield Finding(
                        "streams_are_chained", subject, "it does not follow the one before"
                    )
                elif record is None or link.record != bytes(record):
                    yield Finding(
                        "streams_are_chained", subject, "its record is not the stored one"
                    )
                seq, previous = stream_seq, hashlib.sha256(bytes(payload)).digest()
            progress(len(rows))
        if (seq, previous) != (last_seq, bytes(last_sha256)):
            yield Finding("streams_are_chained", f"stream {partner_id}", "its head is elsewhere")
