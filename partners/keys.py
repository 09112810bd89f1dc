"""Ed25519 keys: how they are named, what they are for, and the one verification for all parties.

Pure. The rules kept here:

- A key id is the first 32 hex digits of the SHA-256 of the raw public key. It certifies itself: a
  registry row whose key was exchanged no longer matches its id.
- A signature is good only if libsodium and OpenSSL agree on it. libsodium refuses a commitment R of
  small order, OpenSSL does not; OpenSSL reads a key that is not canonical, libsodium does not. Both
  are refused here before either library is asked, so that an auditor with `openssl` and no code of
  ours finds good whatever we accepted.
- libsodium verifies about twice as fast, so it is used where it is installed (the server extra).

A key must have passed `partners.key_checks.check_public_key` when it was registered; `verify` does
not repeat the subgroup check, which costs as much as the verification itself.

Source: RFC 8032, section 5.1 (Ed25519, S < L, verification without the cofactor).
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from partners.errors import Reason, Refused

try:
    from nacl import bindings as _libsodium
    from nacl.exceptions import BadSignatureError
except ImportError:  # A partner's install has no libsodium; `cryptography` gives the same verdicts.
    _libsodium = None  # type: ignore[assignment]

PUBLIC_KEY_BYTES = 32
SEED_BYTES = 32
SIGNATURE_BYTES = 64
KEY_ID_CHARS = 32

_FIELD_PRIME = 2**255 - 19
_Y_MASK = 2**255 - 1
_Y_OF_ORDER_8 = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
)
# Seven values of y, each with either sign bit, are the 14 encodings of the 8 points of small order.
_SMALL_ORDER_Y = frozenset(
    {0, 1, _Y_OF_ORDER_8, _FIELD_PRIME - _Y_OF_ORDER_8}
    | {_FIELD_PRIME - 1, _FIELD_PRIME, _FIELD_PRIME + 1}
)


class Purpose(StrEnum):
    """What a key may sign. A key has exactly one purpose."""

    ORDERS = "ORDERS"
    AGREEMENTS = "AGREEMENTS"
    STATEMENTS = "STATEMENTS"
    RECEIPTS = "RECEIPTS"
    LOG = "LOG"
    OPERATOR = "OPERATOR"


class Signer(Protocol):
    """Whoever holds a private key: an encrypted file, a PKCS#11 token, a cloud service."""

    @property
    def key_id(self) -> str:
        """Names the public key."""

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature of `message`."""


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A public key under its id. Raises ValueError if the id is not the key's own."""

    key_id: str
    public_key: bytes
    """32 bytes, RFC 8032 encoding."""

    def __post_init__(self) -> None:
        if self.key_id != key_id_of(self.public_key):
            raise ValueError(f"key id {self.key_id!r} does not name the public key beside it")

    @classmethod
    def of(cls, public_key: bytes) -> Self:
        """The key under its own id."""
        return cls(key_id_of(public_key), public_key)


class SeedSigner:
    """Signs with a 32-byte seed held in memory. Its repr never shows the seed."""

    __slots__ = ("_secret", "key_id", "public_key")

    def __init__(self, seed: bytes) -> None:
        """Derive the public key. Raises ValueError unless `seed` is 32 bytes."""
        private_key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = private_key.public_key().public_bytes_raw()
        self.key_id = key_id_of(self.public_key)
        self._secret = seed + self.public_key if _libsodium else private_key

    def __repr__(self) -> str:
        return f"SeedSigner(key_id={self.key_id!r})"

    def opening_key(self) -> bytes:
        """What opens a fulfilment that was sealed for this key; as secret as the seed."""
        held = self._secret
        seed = held[:SEED_BYTES] if isinstance(held, bytes) else held.private_bytes_raw()
        return opening_key(seed)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature; the same for the same message, whichever library makes it."""
        if isinstance(self._secret, bytes):
            return _libsodium.crypto_sign(message, self._secret)[:SIGNATURE_BYTES]
        return self._secret.sign(message)


def opening_key(seed: bytes) -> bytes:
    """The X25519 private key that belongs to an Ed25519 seed: the scalar of RFC 8032, section
    5.1.5, which X25519 itself clamps. It opens what `partners.fulfilment` sealed.
    """
    return hashlib.sha512(seed).digest()[:32]


def key_id_of(public_key: bytes) -> str:
    """The id that a raw public key gives itself: 32 hex digits."""
    return hashlib.sha256(public_key).hexdigest()[:KEY_ID_CHARS]


def is_canonical(encoding: bytes) -> bool:
    """Whether the y coordinate of a 32-byte point encoding is below the field's prime."""
    return int.from_bytes(encoding, "little") & _Y_MASK < _FIELD_PRIME


def is_small_order(encoding: bytes) -> bool:
    """Whether 32 bytes encode, canonically or not, one of the 8 points of small order."""
    return int.from_bytes(encoding, "little") & _Y_MASK in _SMALL_ORDER_Y


def verify(key: bytes, message: bytes, signature: bytes) -> None:
    """Accept `signature` of `message` by the raw public `key`, or raise.

    Raises Refused(SIGNATURE_INVALID) for anything else, wrong sizes included.
    """
    if (
        len(key) != PUBLIC_KEY_BYTES
        or len(signature) != SIGNATURE_BYTES
        or not is_canonical(key)
        or is_small_order(key)
        or is_small_order(signature[:32])
        or not _library_accepts(key, message, signature)
    ):
        raise Refused(
            Reason.SIGNATURE_INVALID, "signatures", "the signature does not fit the key and message"
        )


def _openssl_accepts(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):  # ValueError: the key is no point of the curve.
        return False
    return True


def _libsodium_accepts(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        _libsodium.crypto_sign_open(signature + message, key)
    except BadSignatureError:
        return False
    return True


_library_accepts = _libsodium_accepts if _libsodium else _openssl_accepts
