"""HTTP Message Signatures, as both ends of this protocol use them.

- The exchange signs method, target URI and body (by its digest) of every request, with its key for
  receipts: brands have that key already, and a signature base can never be taken for an envelope,
  whose signed bytes begin with `DSSEv1`.
- A brand signs status and body of its answer, and the request's signature, so that no answer fits
  another request. It covers nothing else: what it covers is kept for ever.
- Ed25519 only, verified as everything else is (`partners.keys.verify`).
- Both signatures carry the tag `pointclear`, and when they were made: a clock of the other side may
  be off by as much as an order's.

Source: RFC 9421; RFC 9530.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx2
from http_message_signatures import (
    HTTPMessageSignaturesException,
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureAlgorithm,
    HTTPSignatureKeyResolver,
)
from http_message_signatures.httpx2 import adapt_message

from partners.confirmations.confirmation import NoAnswer
from partners.confirmations.http_evidence import (
    ANSWER_COMPONENTS,
    REQUEST_LABEL,
    SIGNATURE_TAG,
    content_digest,
    http_evidence,
)
from partners.keys import Signer, VerifyKey, verify
from partners.program_port import Evidence, Fault
from partners.registry import RegisteredKey

REQUEST_COMPONENTS = ("@method", "@target-uri", "content-digest")
CLOCK_SKEW = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Verified:
    """Whoever holds a key signed these bytes."""

    key: RegisteredKey
    base: bytes
    signature: bytes


class Ed25519(HTTPSignatureAlgorithm):
    """RFC 9421's `ed25519`, with the one verification for all parties."""

    algorithm_id = "ed25519"

    def __init__(
        self, public_key: "AnswerKeys | None" = None, private_key: Signer | None = None
    ) -> None:
        self._keys = public_key
        self._signer = private_key

    def sign(self, message: bytes) -> bytes:
        """Sign a signature base."""
        assert self._signer is not None
        return self._signer.sign(message)

    def verify(self, signature: bytes, message: bytes) -> None:
        """Raise Refused(SIGNATURE_INVALID), or keep what was verified."""
        assert self._keys is not None
        self._keys.check(signature, message)


class AnswerKeys(HTTPSignatureKeyResolver):
    """Finds the key of one answer, and keeps what it signed. For one verification."""

    def __init__(self, key_for: Callable[[str], RegisteredKey]) -> None:
        """`key_for` gives the key of an id, or raises NoAnswer."""
        self._key_for = key_for
        self._key: RegisteredKey | None = None
        self.fault: NoAnswer | None = None
        self.verified: list[Verified] = []

    def resolve_public_key(self, key_id: str) -> "AnswerKeys":
        """Look the key up. What is wrong with it is kept: the library would make text of it."""
        try:
            self._key = self._key_for(key_id)
        except NoAnswer as error:
            self.fault = error
            raise
        return self

    def check(self, signature: bytes, base: bytes) -> None:
        """Verify a signature base with the key found last."""
        assert self._key is not None
        # Raises ValueError for a registered row that was altered.
        key = VerifyKey(self._key.key_id, self._key.public_key)
        verify(key.public_key, base, signature)
        self.verified.append(Verified(self._key, base, signature))


class SkewTolerant(HTTPMessageVerifier):
    """Takes a clock that is off by as much as an order's may be."""

    max_clock_skew = CLOCK_SKEW


def sign_request(
    request: httpx2.Request, body: bytes, signer: Signer, now: datetime, nonce: str
) -> None:
    """Add digest and signature. `nonce` is random, and known to nobody else afterwards."""
    message = adapt_message(request)
    signing = HTTPMessageSigner(signature_algorithm=Ed25519)
    prepared = signing.prepare(
        message,
        key_id=signer.key_id,
        created=now,
        nonce=nonce,
        label=REQUEST_LABEL,
        tag=SIGNATURE_TAG,
        covered_component_ids=REQUEST_COMPONENTS,
        body=body,
    )
    signing.apply(message, prepared, signer.sign(prepared.signature_base))


def verify_answer(
    response: httpx2.Response, body: bytes, key_for: Callable[[str], RegisteredKey]
) -> Evidence:
    """What a brand signed; raises NoAnswer unless exactly one signature covers exactly what it
    must.
    """
    keys = AnswerKeys(key_for)
    message = adapt_message(response)
    try:
        verified = SkewTolerant(signature_algorithm=Ed25519, key_resolver=keys).verify(
            message,
            max_age=CLOCK_SKEW,
            expect_tag=SIGNATURE_TAG,
            require_components=ANSWER_COMPONENTS,
            body=body,
        )
    except (HTTPMessageSignaturesException, ValueError) as error:
        # The library's text may repeat what the other side wrote: it stays behind, as the cause.
        raise keys.fault or _invalid("there is no signature that fits") from error
    if len(verified) != 1 or len(keys.verified) != 1:
        raise _invalid("an answer has one signature of ours")
    _check_coverage(verified[0].covered_components, body)
    found = keys.verified[0]
    return http_evidence(found.base, body, found.key.key_id, found.signature)


def _check_coverage(covered: Mapping[str, Any], body: bytes) -> None:
    if len(covered) != len(ANSWER_COMPONENTS) + 1:  # The signature's own parameters are the last.
        raise _invalid("the signature covers more than an answer's signature does")
    if covered['"content-digest"'] != content_digest(body):
        raise _invalid("Content-Digest is one SHA-256 and nothing else")


def _invalid(text: str) -> NoAnswer:
    return NoAnswer(Fault.SIGNATURE_INVALID, "signature", text)
