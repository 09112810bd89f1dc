"""From an envelope to an answer that a brand can be held to, and the other way round. Pure.

The order of the checks: shape → payload type → the key is known, the brand's and for ORDERS, and in
force → signature → what it says answers what was asked → the fulfilment is what it commits to.

A key in force: registered, not revoked as far as is known, and valid by our own clock. The log's
index judges again when the answer is recorded: whoever records it asks `RegisteredKey.in_force`
with the index that it gets, as for an order.
"""

from collections.abc import Callable
from datetime import datetime

from partners import envelope as dsse
from partners.confirmations.confirmation import (
    Asked,
    Confirmation,
    NoAnswer,
    answer_of,
    check_answers,
    check_fulfilment,
)
from partners.confirmations.wire import confirmation_from_payload, confirmation_payload
from partners.envelope import CREDIT_CONFIRMATION, Envelope, Signature
from partners.errors import Refused
from partners.keys import Purpose, Signer, VerifyKey
from partners.program_port import Evidence, Fault, ProgramAnswer
from partners.registry import RegisteredKey

KeyOf = Callable[[str], RegisteredKey | None]
"""The registered key of an id, as it stands now."""


def signed_confirmation(signer: Signer, said: Confirmation) -> Envelope:
    """What a brand answers with; `signer` is its key for orders."""
    return dsse.sign(signer, CREDIT_CONFIRMATION, confirmation_payload(said))


def verified_answer(
    envelope: Envelope, asked: Asked, key_of: KeyOf, now: datetime, fulfilment: bytes = b""
) -> ProgramAnswer:
    """The brand's answer with its evidence; raises NoAnswer for anything else."""
    _check_shape(envelope)
    key = key_in_force(envelope.signatures[0].key_id, asked.partner_id, key_of, now)
    try:
        dsse.verify(envelope, {key.key_id: VerifyKey(key.key_id, key.public_key)})
    except (Refused, ValueError):  # ValueError: the registered row was altered.
        raise NoAnswer(
            Fault.SIGNATURE_INVALID, "signatures", "the signature does not fit"
        ) from None
    said = confirmation_from_payload(envelope.payload)
    check_answers(said, asked)
    check_fulfilment(said, fulfilment)
    return answer_of(said, evidence_of(envelope), fulfilment)


def evidence_of(envelope: Envelope) -> Evidence:
    """What is kept of an envelope with one signature."""
    (signature,) = envelope.signatures
    return Evidence(envelope.payload_type, envelope.payload, signature.key_id, signature.signature)


def envelope_of(evidence: Evidence) -> Envelope:
    """The envelope that such evidence was, for whoever verifies it again."""
    signature = Signature(evidence.key_id, evidence.signature)
    return Envelope(evidence.media_type, evidence.content, (signature,))


def _check_shape(envelope: Envelope) -> None:
    try:
        dsse.check_shape(envelope)
    except Refused as refusal:
        raise NoAnswer(Fault.MALFORMED, refusal.field, refusal.text) from None
    if len(envelope.signatures) != 1:
        raise NoAnswer(Fault.MALFORMED, "signatures", "a confirmation has one signature")
    if envelope.payload_type != CREDIT_CONFIRMATION:
        raise NoAnswer(Fault.TYPE_WRONG, "payload_type", "this is no credit-confirmation")


def key_in_force(key_id: str, partner_id: str, key_of: KeyOf, now: datetime) -> RegisteredKey:
    """The brand's key for orders of this id; raises NoAnswer."""
    key = key_of(key_id)
    if key is None:
        raise NoAnswer(Fault.KEY_UNKNOWN, "signatures[0].key_id", "no such key is registered")
    if key.holder != f"partner/{partner_id}" or key.purpose is not Purpose.ORDERS:
        raise NoAnswer(
            Fault.KEY_WRONG, "signatures[0].key_id", "this is not the brand's key for orders"
        )
    if key.revoked_index is not None or not key.valid_from <= now < key.valid_until:
        raise NoAnswer(Fault.KEY_NOT_IN_FORCE, "signatures[0].key_id", "the key is not in force")
    return key
