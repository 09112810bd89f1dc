"""Signed envelopes: the bytes that came, what they claim to be, and who signed them.

Pure. Source: Dead Simple Signing Envelope (DSSE) v1.0.2, protocol.md and envelope.md. Its rules:

- A signature covers the payload type and the payload, by the pre-authentication encoding of both.
- The payload is opaque. It is verified as the bytes that came, and never serialised again to check.
- `key_id` names a key and is looked up. Keys are never searched for one that fits, and there is no
  algorithm field: every key is Ed25519.
- Every signature on an envelope must verify. One that nobody checked would be bytes that anyone may
  change, in a document that both sides keep for ever.
- At most 4096 signed bytes, which is what cloud key services sign in one call.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from partners.errors import Reason, Refused
from partners.keys import KEY_ID_CHARS, SIGNATURE_BYTES, Signer, VerifyKey
from partners.keys import verify as verify_signature

SIGNED_BYTES_MAX: Final = 4096
SIGNATURES_MAX: Final = 4
PAYLOAD_TYPE_CHARS_MAX: Final = 128
JSON_CHARS_MAX: Final = 16_384
"""Room for the largest envelope in base64 and for fields of others' tools."""


def _payload_type(name: str) -> str:
    return f"application/vnd.pointclear.{name}.v1+protobuf"


TRANSFER_ORDER: Final = _payload_type("transfer-order")
QUOTE: Final = _payload_type("quote")
TRANSFER_RECEIPT: Final = _payload_type("transfer-receipt")
CREDIT_NOTICE: Final = _payload_type("credit-notice")
CREDIT_CONFIRMATION: Final = _payload_type("credit-confirmation")
REVERSAL_ORDER: Final = _payload_type("reversal-order")
RATE_AGREEMENT: Final = _payload_type("rate-agreement")
KEY_EVENT: Final = _payload_type("key-event")
LINK_CONFIRMATION: Final = _payload_type("link-confirmation")
FUNDING_NOTICE: Final = _payload_type("funding-notice")
REVERSAL_NOTICE: Final = _payload_type("reversal-notice")
SETTLEMENT_STATEMENT: Final = _payload_type("settlement-statement")
STATEMENT_ACKNOWLEDGEMENT: Final = _payload_type("statement-acknowledgement")
BALANCE_CONFIRMATION: Final = _payload_type("balance-confirmation")
SETTLEMENT_ACCOUNT: Final = _payload_type("settlement-account")
COLLATERAL_WITHDRAWAL: Final = _payload_type("collateral-withdrawal")
PAYMENT_CONFIRMATION: Final = _payload_type("payment-confirmation")
DISPUTE: Final = _payload_type("dispute")
OPERATOR_ACTION: Final = _payload_type("operator-action")
CERTIFICATION_REPORT: Final = _payload_type("certification-report")
AGREEMENT_WITHDRAWAL: Final = _payload_type("agreement-withdrawal")
AGREEMENT_TERMINATION: Final = _payload_type("agreement-termination")

ENVELOPE_BODY: Final = "application/vnd.dsse.envelope.v1+json"
"""What an envelope is as the body of an entry of the log."""

_Member = TypeVar("_Member")

_KEY_ID = re.compile(rf"[0-9a-f]{{{KEY_ID_CHARS}}}")
_VISIBLE_ASCII = re.compile(rf"[!-~]{{1,{PAYLOAD_TYPE_CHARS_MAX}}}")
_URL_SAFE_TO_STANDARD = str.maketrans("-_", "+/")


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature over an envelope's pre-authentication encoding."""

    key_id: str
    signature: bytes
    """64 bytes."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A statement as it travels. Nothing about it is known to be true before `verify`."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding: the bytes that are signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def is_key_id(text: str) -> bool:
    """Whether a text has the form of a key id."""
    return _KEY_ID.fullmatch(text) is not None


def payload_digest(envelope: Envelope) -> bytes:
    """SHA-256 of the payload: what makes two orders with one id the same order."""
    return hashlib.sha256(envelope.payload).digest()


def check_shape(envelope: Envelope) -> None:
    """Check sizes and forms, before any look-up. Raises Refused(ENVELOPE_MALFORMED)."""
    if not _VISIBLE_ASCII.fullmatch(envelope.payload_type):
        raise _malformed("payload_type", "is not a media type")
    if not envelope.payload:
        raise _malformed("payload", "is empty")
    if len(pae(envelope.payload_type, envelope.payload)) > SIGNED_BYTES_MAX:
        raise _malformed("payload", f"makes more than {SIGNED_BYTES_MAX} signed bytes")
    if not 1 <= len(envelope.signatures) <= SIGNATURES_MAX:
        raise _malformed("signatures", f"must be 1 to {SIGNATURES_MAX}")
    for index, signature in enumerate(envelope.signatures):
        if not is_key_id(signature.key_id):
            raise _malformed(f"signatures[{index}].key_id", f"is not {KEY_ID_CHARS} hex digits")
        if len(signature.signature) != SIGNATURE_BYTES:
            raise _malformed(f"signatures[{index}].signature", f"is not {SIGNATURE_BYTES} bytes")
    if len({signature.key_id for signature in envelope.signatures}) < len(envelope.signatures):
        raise _malformed("signatures", "names one key twice")


def require_type(envelope: Envelope, payload_type: str) -> None:
    """Raises Refused(PAYLOAD_TYPE_WRONG) unless the envelope says it is of `payload_type`."""
    if envelope.payload_type != payload_type:
        raise Refused(
            Reason.PAYLOAD_TYPE_WRONG,
            "payload_type",
            f"this call takes {payload_type}",
            {"expectedPayloadType": payload_type},
        )


def require_signers(envelope: Envelope, key_ids: Iterable[str]) -> None:
    """Raises Refused(COUNTER_SIGNATURE_MISSING) unless each of `key_ids` stands on the envelope.

    Says nothing about the signatures themselves: `verify` does.
    """
    present = {signature.key_id for signature in envelope.signatures}
    for key_id in key_ids:
        if key_id not in present:
            raise Refused(
                Reason.COUNTER_SIGNATURE_MISSING,
                "signatures",
                f"key {key_id} has not signed",
                {"keyId": key_id},
            )


def verify(envelope: Envelope, keys: Mapping[str, VerifyKey]) -> None:
    """Verify every signature on the envelope with the key that it names.

    Raises Refused: ENVELOPE_MALFORMED for a wrong shape, KEY_UNKNOWN for a key id that is not in
    `keys`, SIGNATURE_INVALID for a signature that does not fit. In that order, over all signatures.
    """
    check_shape(envelope)
    signers: list[VerifyKey] = []
    for index, signature in enumerate(envelope.signatures):
        key = keys.get(signature.key_id)
        if key is None:
            raise Refused(
                Reason.KEY_UNKNOWN,
                f"signatures[{index}].key_id",
                f"no key {signature.key_id} is registered for this",
                {"keyId": signature.key_id},
            )
        signers.append(key)
    message = pae(envelope.payload_type, envelope.payload)
    for key, signature in zip(signers, envelope.signatures, strict=True):
        verify_signature(key.public_key, message, signature.signature)


def sign(signer: Signer, payload_type: str, payload: bytes) -> Envelope:
    """An envelope with one signature. Raises Refused(ENVELOPE_MALFORMED), for one too large say."""
    signature = Signature(signer.key_id, signer.sign(pae(payload_type, payload)))
    envelope = Envelope(payload_type, payload, (signature,))
    check_shape(envelope)
    return envelope


def counter_sign(signer: Signer, envelope: Envelope) -> Envelope:
    """The same envelope with one more signature, last. The payload's bytes stay as they are."""
    signature = Signature(signer.key_id, signer.sign(pae(envelope.payload_type, envelope.payload)))
    signed = replace(envelope, signatures=(*envelope.signatures, signature))
    check_shape(signed)
    return signed


def to_json(envelope: Envelope) -> str:
    """DSSE's own JSON form on one line, without a newline at its end."""
    return json.dumps(
        {
            "payload": base64.b64encode(envelope.payload).decode(),
            "payloadType": envelope.payload_type,
            "signatures": [
                {"keyid": each.key_id, "sig": base64.b64encode(each.signature).decode()}
                for each in envelope.signatures
            ],
        },
        separators=(",", ":"),
    )


def from_json(text: str) -> Envelope:
    """Read DSSE's JSON form and check its shape. Raises Refused(ENVELOPE_MALFORMED).

    As DSSE demands, either base64 alphabet is read and fields that it does not define are passed
    over: they are not signed and mean nothing here. Everything else is strict: types, padding,
    trailing bits, and no name twice in one object.
    """
    if len(text) > JSON_CHARS_MAX:
        raise _malformed("", f"the envelope has more than {JSON_CHARS_MAX} characters")
    try:
        document = json.loads(text, object_pairs_hook=_object_without_duplicates)
    except (ValueError, RecursionError):
        raise _malformed("", "the envelope is not JSON with each name once") from None
    signatures = _member(document, "signatures", list)
    envelope = Envelope(
        payload_type=_member(document, "payloadType", str),
        payload=_bytes(document, "payload"),
        signatures=tuple(
            Signature(_member(each, "keyid", str), _bytes(each, "sig")) for each in signatures
        ),
    )
    check_shape(envelope)
    return envelope


def _object_without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        # Readers differ on which of two members counts, so an envelope with two has two meanings.
        raise ValueError("a name occurs twice in one object")
    return members


def _member(document: object, name: str, kind: type[_Member]) -> _Member:
    value = document.get(name) if isinstance(document, dict) else None
    if not isinstance(value, kind):
        raise _malformed(name, f"is missing or not of JSON type {kind.__name__}")
    return value


def _bytes(document: object, name: str) -> bytes:
    text = _member(document, name, str).translate(_URL_SAFE_TO_STANDARD)
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _malformed(name, "is not base64") from None
    if base64.b64encode(value).decode() != text:
        raise _malformed(name, "is not the one base64 form of its bytes")
    return value


def _malformed(field: str, text: str) -> Refused:
    return Refused(Reason.ENVELOPE_MALFORMED, field, f"{field} {text}".strip())
