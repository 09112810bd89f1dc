"""What is kept of an answer that came over HTTP, and how it is verified again. Pure.

HTTP Message Signatures sign a *signature base*: lines that name parts of the message with their
values, among them the digest of the body. Kept are the base, an empty line, and the body:

    "@status": 200
    "content-digest": sha-256=:...:
    "signature";req;key="pointclear": :...:
    "@signature-params": (...);created=...;keyid="...";alg="ed25519";tag="pointclear"

    {"audience":"...", ...}

No line of a base is empty, so the first empty line ends it. The evidence's signature is that of the
base; whoever has the brand's key verifies it with `openssl` and `sha256sum` alone.

The base covers the signature of the request, which binds the answer to it, and not the request's
own digest: the request names a member, and a digest of so few unknown digits can be guessed. Its
signature cannot be, as long as nobody keeps the request's nonce.

Sources: RFC 9421 (HTTP Message Signatures), sections 2.5 and 3.1; RFC 9530 (Digest Fields).
"""

import base64
import hashlib

from partners.confirmations.confirmation import Confirmation, NoAnswer
from partners.confirmations.json_form import confirmation_from_json
from partners.errors import Refused
from partners.keys import VerifyKey, verify
from partners.program_port import Evidence, Fault

HTTP_SIGNATURE = "application/http-message-signature"
"""The media type of such evidence."""
REQUEST_LABEL = "pointclear"
"""The label of the exchange's signature in a request."""
SIGNATURE_TAG = "pointclear"
"""The tag of either party's signature: what the signature is for."""

ANSWER_COMPONENTS = ("@status", "content-digest", f'"signature";req;key="{REQUEST_LABEL}"')
"""What a brand's signature covers, in any order, and nothing else: whatever it covers is kept."""


def content_digest(body: bytes) -> str:
    """The value of Content-Digest for a body."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def http_evidence(base: bytes, body: bytes, key_id: str, signature: bytes) -> Evidence:
    """The evidence that a verified response leaves."""
    return Evidence(HTTP_SIGNATURE, base + b"\n\n" + body, key_id, signature)


def said_over_http(evidence: Evidence, key: VerifyKey) -> Confirmation:
    """What the holder of `key` signed; raises NoAnswer unless it did."""
    base, _, body = evidence.content.partition(b"\n\n")
    lines = base.split(b"\n")
    wanted = (b'"@status": 200', f'"content-digest": {content_digest(body)}'.encode())
    if evidence.media_type != HTTP_SIGNATURE or any(lines.count(each) != 1 for each in wanted):
        raise NoAnswer(Fault.SIGNATURE_INVALID, "content", "the body is not what was signed")
    try:
        verify(key.public_key, base, evidence.signature)
    except Refused:
        raise NoAnswer(Fault.SIGNATURE_INVALID, "signature", "the signature does not fit") from None
    return confirmation_from_json(body)
