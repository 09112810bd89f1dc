"""Key ids, and a verification on which all libraries agree. The points are made by hand."""

import hashlib
import subprocess
import sys
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from partners import keys
from partners.errors import Reason, Refused
from partners.key_checks import check_public_key
from partners.keys import SeedSigner, VerifyKey, key_id_of, verify
from tests.unit import edwards25519 as curve

# RFC 8032, section 7.1: secret key, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]

SECRET = curve.scalar_of(b"a partner's key")
PUBLIC_KEY = curve.encode(curve.multiply(SECRET, curve.BASE))
NONCE = curve.scalar_of(b"a nonce")
MESSAGE = b"credit 200 points"

Accepts = Callable[[bytes, bytes, bytes], bool]


@pytest.fixture(params=["libsodium", "openssl"])
def _either_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    accepts: Accepts = getattr(keys, f"_{request.param}_accepts")
    monkeypatch.setattr(keys, "_library_accepts", accepts)


either_library = pytest.mark.usefixtures("_either_library")


def refusal_of(key: bytes, message: bytes, signature: bytes) -> Reason:
    with pytest.raises(Refused) as refused:
        verify(key, message, signature)
    return refused.value.reason


def test_a_key_id_is_the_first_32_hex_digits_of_the_hash_of_the_key() -> None:
    assert key_id_of(PUBLIC_KEY) == hashlib.sha256(PUBLIC_KEY).hexdigest()[:32]


def test_a_key_under_another_keys_id_cannot_be_made() -> None:
    assert VerifyKey.of(PUBLIC_KEY).public_key == PUBLIC_KEY
    with pytest.raises(ValueError, match="does not name"):
        VerifyKey(key_id_of(bytes(32)), PUBLIC_KEY)


@either_library
@pytest.mark.parametrize(("seed", "key", "message", "signature"), RFC_8032)
def test_the_vectors_of_rfc_8032_sign_and_verify(
    seed: str, key: str, message: str, signature: str
) -> None:
    signer = SeedSigner(bytes.fromhex(seed))
    assert signer.public_key.hex() == key
    assert signer.sign(bytes.fromhex(message)).hex() == signature
    verify(bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature))


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200))
def test_both_libraries_make_the_same_signature(seed: bytes, message: bytes) -> None:
    assert SeedSigner(seed).sign(message) == Ed25519PrivateKey.from_private_bytes(seed).sign(
        message
    )


def test_t22_a_signer_never_shows_its_seed() -> None:
    seed = hashlib.sha256(b"secret").digest()
    signer = SeedSigner(seed)
    for text in (repr(signer), str(signer)):
        assert signer.key_id in text
        assert repr(seed) not in text
        assert seed.hex() not in text


def test_a_seed_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="32"):
        SeedSigner(bytes(31))


@either_library
def test_a_signature_made_by_hand_verifies() -> None:
    verify(
        PUBLIC_KEY,
        MESSAGE,
        curve.signature_with(SECRET, PUBLIC_KEY, NONCE, curve.NEUTRAL, MESSAGE),
    )


@either_library
@pytest.mark.parametrize("times", [1, 2, 15])
def test_t04_a_signature_with_s_not_below_the_group_order_is_refused(times: int) -> None:
    good = curve.signature_with(SECRET, PUBLIC_KEY, NONCE, curve.NEUTRAL, MESSAGE)
    s = int.from_bytes(good[32:], "little") + times * curve.L
    assert s < 2**256
    assert refusal_of(PUBLIC_KEY, MESSAGE, good[:32] + s.to_bytes(32, "little")) == (
        Reason.SIGNATURE_INVALID
    )


@either_library
@pytest.mark.parametrize("torsion", curve.SMALL_ORDER_POINTS)
def test_t04_a_signature_with_a_commitment_of_small_order_is_refused(torsion: curve.Point) -> None:
    signature = curve.signature_with(SECRET, PUBLIC_KEY, 0, torsion, MESSAGE)
    assert refusal_of(PUBLIC_KEY, MESSAGE, signature) == Reason.SIGNATURE_INVALID


@either_library
@pytest.mark.parametrize("torsion", curve.SMALL_ORDER_POINTS[1:])
def test_t04_a_signature_good_only_with_the_cofactor_is_refused(torsion: curve.Point) -> None:
    # A library that multiplies by the cofactor accepts these. OpenSSL does not, so neither do we:
    # a partner could otherwise sign what an auditor later finds unsigned.
    signature = curve.signature_with(SECRET, PUBLIC_KEY, NONCE, torsion, MESSAGE)
    assert refusal_of(PUBLIC_KEY, MESSAGE, signature) == Reason.SIGNATURE_INVALID


@either_library
@pytest.mark.parametrize("key", curve.small_order_encodings(), ids=bytes.hex)
def test_t04_a_key_of_small_order_verifies_nothing(key: bytes) -> None:
    # R is the key's inverse or the neutral point and S is 0: one of these fits about every message.
    for r in curve.small_order_encodings():
        for number in range(8):
            message = b"message %d" % number
            assert refusal_of(key, message, r + bytes(32)) == Reason.SIGNATURE_INVALID


def test_openssl_alone_would_accept_a_key_of_small_order() -> None:
    # The reason for the rule above. If this ever fails, OpenSSL has grown stricter: good news.
    neutral = curve.encode(curve.NEUTRAL)
    Ed25519PublicKey.from_public_bytes(neutral).verify(neutral + bytes(32), b"any message at all")


@either_library
@pytest.mark.parametrize("offset", range(19))
@pytest.mark.parametrize("sign", [0, 1])
def test_t04_a_key_that_is_not_canonical_verifies_nothing(offset: int, sign: int) -> None:
    key = (curve.P + offset | sign << 255).to_bytes(32, "little")
    signature = curve.signature_with(SECRET, key, NONCE, curve.NEUTRAL, MESSAGE)
    assert refusal_of(key, MESSAGE, signature) == Reason.SIGNATURE_INVALID


@either_library
@pytest.mark.parametrize(
    ("key", "signature"),
    [
        (b"", bytes(64)),
        (PUBLIC_KEY[:31], bytes(64)),
        (PUBLIC_KEY + b"\0", bytes(64)),
        (PUBLIC_KEY, b""),
        (PUBLIC_KEY, bytes(63)),
        (PUBLIC_KEY, bytes(65)),
        (curve.encode((0, 2)), bytes([7] * 32) + bytes(32)),
    ],
    ids=["no key", "short key", "long key", "no signature", "short", "long", "not on the curve"],
)
def test_keys_and_signatures_of_a_wrong_form_are_refused(key: bytes, signature: bytes) -> None:
    assert refusal_of(key, MESSAGE, signature) == Reason.SIGNATURE_INVALID


def test_t01_every_flipped_bit_of_a_signature_is_found_by_both_libraries() -> None:
    signer = SeedSigner(bytes(32))
    good = signer.sign(MESSAGE)
    for bit in range(512):
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not keys._libsodium_accepts(signer.public_key, MESSAGE, bytes(flipped))
        assert not keys._openssl_accepts(signer.public_key, MESSAGE, bytes(flipped))


@given(
    st.binary(min_size=32, max_size=32),
    st.sampled_from(curve.SMALL_ORDER_POINTS),
    st.integers(0, curve.L - 1),
    st.sampled_from(curve.SMALL_ORDER_POINTS),
    st.binary(max_size=40),
)
def test_both_libraries_agree_whatever_a_registered_key_signs(
    seed: bytes, in_key: curve.Point, nonce: int, in_r: curve.Point, message: bytes
) -> None:
    secret = curve.scalar_of(seed)
    key = curve.encode(curve.add(curve.multiply(secret, curve.BASE), in_key))
    signature = curve.signature_with(secret, key, nonce, in_r, message)
    if keys.is_small_order(signature[:32]) or keys.is_small_order(key):
        return
    assert keys._libsodium_accepts(key, message, signature) == keys._openssl_accepts(
        key, message, signature
    )


def weak(raw: bytes) -> Refused:
    with pytest.raises(Refused) as refused:
        check_public_key(raw)
    assert refused.value.reason == Reason.KEY_WEAK
    assert refused.value.field == "public_key"
    return refused.value


def test_t04_there_are_14_small_order_encodings() -> None:
    encodings = curve.small_order_encodings()
    assert len(set(encodings)) == 14
    assert all(keys.is_small_order(encoding) for encoding in encodings)
    assert not keys.is_small_order(PUBLIC_KEY)


@pytest.mark.parametrize("raw", curve.small_order_encodings(), ids=bytes.hex)
def test_t04_all_small_order_encodings_are_refused(raw: bytes) -> None:
    weak(raw)


@pytest.mark.parametrize("torsion", curve.SMALL_ORDER_POINTS[1:])
def test_t04_mixed_order_points_are_refused(torsion: curve.Point) -> None:
    check_public_key(PUBLIC_KEY)
    weak(curve.encode(curve.add(curve.multiply(SECRET, curve.BASE), torsion)))


@pytest.mark.parametrize("offset", range(19))
@pytest.mark.parametrize("sign", [0, 1])
def test_t04_encodings_that_are_not_canonical_are_refused(offset: int, sign: int) -> None:
    raw = (curve.P + offset | sign << 255).to_bytes(32, "little")
    assert not keys.is_canonical(raw)
    weak(raw)


@pytest.mark.parametrize("size_bytes", [0, 31, 33, 64])
def test_t04_keys_of_a_wrong_size_are_refused(size_bytes: int) -> None:
    assert weak(bytes(size_bytes)).metadata == {"sizeBytes": str(size_bytes)}


def test_t04_a_y_that_is_not_on_the_curve_is_refused() -> None:
    assert curve.point_at(2) is None
    weak(curve.encode((0, 2)))


@given(st.binary(min_size=32, max_size=32))
def test_keys_made_by_a_library_pass(seed: bytes) -> None:
    check_public_key(SeedSigner(seed).public_key)


def test_without_libsodium_a_partner_still_signs_and_verifies() -> None:
    # An install without the server extra, played in a process of its own.
    program = (
        "import sys; sys.modules['nacl'] = None\n"
        "from partners import keys\n"
        "assert keys._libsodium is None\n"
        "signer = keys.SeedSigner(bytes(32))\n"
        "keys.verify(signer.public_key, b'm', signer.sign(b'm'))\n"
        "print(signer.sign(b'm').hex())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.strip() == SeedSigner(bytes(32)).sign(b"m").hex()
