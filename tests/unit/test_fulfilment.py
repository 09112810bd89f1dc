"""The brand that signed the order reads a fulfilment, for that transfer, and nobody else does."""

from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings as libsodium

from partners.errors import Reason, Refused
from partners.fulfilment import (
    CONTENT_BYTES_MAX,
    SEAL_BYTES,
    open_sealed,
    seal,
    sealing_key,
)
from partners.keys import SeedSigner, opening_key
from partners.program_port import FULFILMENT_BYTES_MAX

SEED = bytes(range(32))
SOURCE = SeedSigner(SEED)
AUDIENCE = "pointclear.local/development"
TRANSFER = UUID("019b8d99-69fa-7000-8000-00000000002a")
ANOTHER = UUID("019b8d99-69fa-7000-8000-00000000002b")
CODE = b"AURORA-7F3K-9912"


def sealed(content: bytes = CODE) -> bytes:
    return seal(content, SOURCE.public_key, AUDIENCE, TRANSFER)


@pytest.mark.parametrize("content", [CODE, b"x", bytes(CONTENT_BYTES_MAX)])
def test_what_was_sealed_is_opened_by_the_key_that_signed_the_order(content: bytes) -> None:
    closed = sealed(content)
    assert len(closed) == len(content) + SEAL_BYTES <= FULFILMENT_BYTES_MAX
    assert open_sealed(closed, SOURCE.opening_key(), AUDIENCE, TRANSFER) == content


def test_the_same_content_is_never_sealed_alike() -> None:
    assert sealed() != sealed()


@pytest.mark.parametrize(
    ("seed", "audience", "transfer"),
    [
        (bytes(32), AUDIENCE, TRANSFER),
        (SEED, "pointclear.local/sandbox", TRANSFER),
        (SEED, AUDIENCE, ANOTHER),
    ],
    ids=["another's key", "another exchange", "another transfer"],
)
def test_it_opens_for_nobody_and_nothing_else(seed: bytes, audience: str, transfer: UUID) -> None:
    with pytest.raises(Refused) as raised:
        open_sealed(sealed(), opening_key(seed), audience, transfer)
    assert (raised.value.reason, raised.value.field) == (Reason.FIELD_INVALID, "fulfilment")


def test_no_byte_of_it_can_be_changed_or_taken_away() -> None:
    good = sealed()
    altered = [good[:n] + bytes([good[n] ^ 1]) + good[n + 1 :] for n in range(len(good))]
    # The highest bit of an X25519 key says nothing, and HPKE binds the bytes as they are.
    altered += [good[:n] for n in range(len(good))] + [bytes(32) + good[32:], good + b"x"]
    for each in altered:
        with pytest.raises(Refused):
            open_sealed(each, SOURCE.opening_key(), AUDIENCE, TRANSFER)


@pytest.mark.parametrize("content", [b"", bytes(CONTENT_BYTES_MAX + 1)])
def test_nothing_and_too_much_are_not_sealed(content: bytes) -> None:
    with pytest.raises(Refused) as raised:
        sealed(content)
    assert raised.value.field == "fulfilment"


@pytest.mark.parametrize(
    "key",
    [b"", bytes(31), bytes(32), b"\x01" + bytes(31), b"\xff" * 32],
    ids=["none", "short", "of order 4", "of order 1", "not canonical"],
)
def test_nothing_is_sealed_for_what_is_no_key(key: bytes) -> None:
    with pytest.raises(Refused) as raised:
        seal(CODE, key, AUDIENCE, TRANSFER)
    assert raised.value.field == "source_key"


@given(st.binary(min_size=32, max_size=32))
def test_the_keys_are_those_that_libsodium_derives(seed: bytes) -> None:
    signer = SeedSigner(seed)
    public = libsodium.crypto_sign_ed25519_pk_to_curve25519(signer.public_key)
    secret = libsodium.crypto_sign_ed25519_sk_to_curve25519(seed + signer.public_key)
    assert sealing_key(signer.public_key) == public
    own = X25519PrivateKey.from_private_bytes(opening_key(seed))
    assert own.public_key().public_bytes_raw() == public
    assert X25519PrivateKey.from_private_bytes(secret).public_key() == own.public_key()
