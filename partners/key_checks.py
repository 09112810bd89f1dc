"""The check that an Ed25519 public key passes before it can ever verify anything.

Pure. Needs libsodium (PyNaCl, in the server extra), because only whoever registers keys runs it.

With a key of small order one constant signature verifies every message, and OpenSSL and Node accept
such keys. With a key of mixed order (a good point plus one of small order) verifiers with and
without the cofactor disagree. Either way a partner could later deny what it signed.
"""

from nacl.bindings import crypto_core_ed25519_is_valid_point

from partners.errors import Reason, Refused
from partners.keys import PUBLIC_KEY_BYTES


def check_public_key(raw: bytes, field: str = "public_key") -> None:
    """Accept 32 bytes that canonically encode a point of the prime-order subgroup, or raise.

    Raises Refused(KEY_WEAK) at `field` for anything else.
    """
    if len(raw) != PUBLIC_KEY_BYTES:
        raise Refused(
            Reason.KEY_WEAK,
            field,
            f"an Ed25519 public key has {PUBLIC_KEY_BYTES} bytes, this one has {len(raw)}",
            {"sizeBytes": str(len(raw))},
        )
    if not crypto_core_ed25519_is_valid_point(raw):
        raise Refused(
            Reason.KEY_WEAK, field, "the key is not a point of Ed25519's prime-order subgroup"
        )
