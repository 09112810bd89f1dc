"""Signed orders: kept in a file before they are sent, and answered by a proof that is kept, too."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from exchange.cli.connection import Connection
from exchange.cli.failure import UNAVAILABLE, Failed
from exchange.cli.files import PRIVATE_MODE, FileError, read_file, write_new, write_output
from exchange.cli.proofs import Proof, check_answers, read_proof
from partners.envelope import Envelope, from_json, require_type, to_json
from partners.errors import Refused
from partners.keys import Purpose


@dataclass(frozen=True, slots=True)
class Sent:
    """An order on its way."""

    order: Envelope
    transfer_id: bytes
    own_id: bytes
    """By which its answer knows it: of the transfer, or of the reversal."""
    file: Path | None
    """Where it is kept."""


def kept_or_signed(path: Path | None, payload_type: str, sign: Callable[[], Envelope]) -> Envelope:
    """The order in the file, or a new one, kept there before it is sent. Raises FileError."""
    if path is not None and path.exists():
        return read_order_file(path, payload_type)
    signed = sign()
    if path is not None:
        write_new(path, (to_json(signed) + "\n").encode(), PRIVATE_MODE)
    return signed


def answered(
    connection: Connection, ask: Callable[[], Envelope], sent: Sent, out: Path | None
) -> Proof:
    """What answers an order, verified, and kept where it is wanted; the proof of a recorded refusal
    is kept, too. Raises Failed.
    """
    try:
        envelope = ask()
    except Failed as failed:
        if failed.failure.reason == UNAVAILABLE:
            raise with_way_back(failed, sent.transfer_id, sent.file) from None
        if failed.failure.receipt is not None:
            refusal = verified(connection, failed.failure.receipt)
            check_answers(refusal, sent.order.payload, sent.own_id)
            write_envelope(out, refusal.envelope)
        raise
    proof = verified(connection, envelope)
    check_answers(proof, sent.order.payload, sent.own_id)
    write_envelope(out, proof.envelope)
    return proof


def verified(connection: Connection, envelope: Envelope) -> Proof:
    """A receipt or notice, checked with the exchange's keys. Raises Failed(PROOF_INVALID)."""
    profile = connection.profile
    keys = connection.exchange_keys(Purpose.RECEIPTS)
    return read_proof(envelope, keys, profile.audience, profile.caller.name)


def read_order_file(path: Path, payload_type: str) -> Envelope:
    """A signed order that was kept, to transfer or to reverse. Raises FileError."""
    try:
        order = from_json(read_file(path).decode())
        require_type(order, payload_type)
    except (Refused, UnicodeDecodeError):
        raise FileError(f"{path}: this is not a signed order; name another file") from None
    return order


def write_envelope(path: Path | None, envelope: Envelope) -> None:
    """Write an envelope where one is wanted."""
    if path is not None:
        write_output(path, (to_json(envelope) + "\n").encode())


def with_way_back(failed: Failed, transfer_id: bytes, order_file: Path | None) -> Failed:
    """A failure that leaves the outcome open, with what to do about it."""
    # Unknown is a state: the order may have been carried out, so only the same bytes may be sent
    # again.
    again = (
        f"send the same order again with --order {order_file}"
        if order_file
        else f"look before you order anew: pointclear lookup {UUID(bytes=transfer_id)}"
    )
    remedy = f"{failed.failure.remedy} Then {again}".strip()
    return Failed(replace(failed.failure, remedy=remedy))
