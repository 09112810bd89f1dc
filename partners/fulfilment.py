"""A code or certificate in place of points: sealed by the target brand so that the source brand
alone reads it. Pure but for the randomness of each seal.

Source: RFC 9180 (HPKE), base mode, single shot: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
AES-128-GCM. The rules kept here:

- The recipient is whoever signed the order: the X25519 form of that Ed25519 key (the birational map
  of RFC 7748, section 4.1; for the secret see `partners.keys.opening_key`). Nothing has to be
  registered, and the brand that may open it is the brand that was debited.
- HPKE's `info` names what it is, the audience and the transfer, so that a seal that was moved to
  another transfer, or out of the sandbox, does not open.
- It tells nobody who sealed it. The signed credit-confirmation does, which commits to the sealed
  bytes.
- What was opened is worth money to whoever has it: it belongs into no log, record or report.
"""

from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from partners.errors import Reason, Refused
from partners.keys import PUBLIC_KEY_BYTES, is_canonical, is_small_order
from partners.program_port import FULFILMENT_BYTES_MAX

SEAL_BYTES: Final = 48
"""How much longer than its content a seal is: an ephemeral key of 32 and a tag of 16."""
CONTENT_BYTES_MAX: Final = FULFILMENT_BYTES_MAX - SEAL_BYTES

_LABEL: Final = b"pointclear.fulfilment.v1"
_FIELD_PRIME: Final = 2**255 - 19
_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_128_GCM)


def seal(content: bytes, source_key: bytes, audience: str, transfer_id: UUID) -> bytes:
    """Content of 1 to `CONTENT_BYTES_MAX` bytes, for the holder of the Ed25519 key alone.

    Raises Refused(FIELD_INVALID) for a content or a key that cannot be.
    """
    if not 1 <= len(content) <= CONTENT_BYTES_MAX:
        raise Refused(
            Reason.FIELD_INVALID, "fulfilment", f"a fulfilment has 1 to {CONTENT_BYTES_MAX} bytes"
        )
    recipient = X25519PublicKey.from_public_bytes(sealing_key(source_key))
    return _SUITE.encrypt(content, recipient, info=seal_info(audience, transfer_id))


def open_sealed(sealed: bytes, secret: bytes, audience: str, transfer_id: UUID) -> bytes:
    """What was sealed for this transfer, and for the key of which `secret` is the `opening_key`.

    Raises Refused(FIELD_INVALID) where it was sealed for another key, transfer or audience, or was
    altered: which, cannot be known.
    """
    recipient = X25519PrivateKey.from_private_bytes(secret)
    try:
        return _SUITE.decrypt(sealed, recipient, info=seal_info(audience, transfer_id))
    except (InvalidTag, ValueError):  # ValueError: an ephemeral key that is no key.
        raise Refused(
            Reason.FIELD_INVALID,
            "fulfilment",
            "it was sealed for another key, transfer or audience, or is damaged; the key is the one"
            " that signed the order",
        ) from None


def sealing_key(public_key: bytes) -> bytes:
    """The X25519 public key of an Ed25519 public key: u = (1 + y) / (1 - y).

    Raises Refused(FIELD_INVALID) for bytes that are no key, and for the weak ones.
    """
    if (
        len(public_key) != PUBLIC_KEY_BYTES
        or not is_canonical(public_key)
        or is_small_order(public_key)
    ):
        raise Refused(Reason.FIELD_INVALID, "source_key", "this is no key to seal for")
    y = int.from_bytes(public_key, "little") & (2**255 - 1)
    u = (1 + y) * pow(1 - y, -1, _FIELD_PRIME) % _FIELD_PRIME
    return u.to_bytes(PUBLIC_KEY_BYTES, "little")


def seal_info(audience: str, transfer_id: UUID) -> bytes:
    """What a seal is bound to: HPKE's `info`."""
    return b"\0".join((_LABEL, audience.encode(), transfer_id.bytes))
