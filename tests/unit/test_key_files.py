"""Key files: private by mode, encrypted at rest, readable by openssl, refused with a remedy."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from partners.key_files import (
    KeyFileError,
    create_key_file,
    load_key_file,
    public_key_pem,
    read_passphrase_file,
    read_public_key,
    write_public_key,
)
from partners.keys import Signer, key_id_of, verify

PASSPHRASE = b"correct horse battery staple"

needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "orders.pem"
    create_key_file(path, PASSPHRASE)
    return path


def write_private(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def refusal_of_load(path: Path, passphrase: bytes = PASSPHRASE) -> str:
    with pytest.raises(KeyFileError) as refused:
        load_key_file(path, passphrase)
    text = str(refused.value)
    assert str(path) in text
    assert "\n" not in text
    return text


def test_a_key_file_is_read_back_as_the_key_that_was_made(tmp_path: Path) -> None:
    path = tmp_path / "orders.pem"
    made: Signer = create_key_file(path, PASSPHRASE)
    loaded = load_key_file(path, PASSPHRASE)
    assert loaded.key_id == made.key_id == key_id_of(loaded.public_key)
    assert loaded.sign(b"message") == made.sign(b"message")
    verify(loaded.public_key, b"message", loaded.sign(b"message"))


def test_t22_a_key_file_is_private_under_any_umask_and_encrypted(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = tmp_path / "orders.pem"
        create_key_file(path, PASSPHRASE)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o777])
def test_t22_a_key_file_that_others_may_touch_is_refused(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    text = refusal_of_load(key_file)
    assert text.endswith(f"run: chmod 600 {key_file}")
    assert f"{mode:04o}" in text


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_key_file_of_its_owner_alone_is_read(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    assert load_key_file(key_file, PASSPHRASE).path == key_file


def test_t22_the_mode_of_the_file_behind_a_link_counts(key_file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.pem"
    link.symlink_to(key_file)
    assert load_key_file(link, PASSPHRASE).key_id == load_key_file(key_file, PASSPHRASE).key_id
    key_file.chmod(0o644)
    assert "chmod 600" in refusal_of_load(link)


def test_t22_a_signer_shows_neither_seed_nor_passphrase(key_file: Path) -> None:
    text = repr(load_key_file(key_file, PASSPHRASE))
    assert text == f"FileSigner(path={key_file!r})"


def test_a_key_file_is_never_overwritten(key_file: Path) -> None:
    before = key_file.read_bytes()
    with pytest.raises(KeyFileError, match="never overwritten"):
        create_key_file(key_file, PASSPHRASE)
    assert key_file.read_bytes() == before


def test_t22_a_short_passphrase_makes_no_file(tmp_path: Path) -> None:
    path = tmp_path / "orders.pem"
    for passphrase in (b"", b"eleven char"):
        with pytest.raises(KeyFileError, match="too short"):
            create_key_file(path, passphrase)
    assert not path.exists()


def test_a_wrong_passphrase_is_said_to_be_wrong_and_not_shown(key_file: Path) -> None:
    text = refusal_of_load(key_file, b"another passphrase")
    assert "passphrase is wrong" in text
    assert "another" not in text
    assert "passphrase is empty" in refusal_of_load(key_file, b"")


def test_a_cut_key_file_is_refused(key_file: Path) -> None:
    content = key_file.read_bytes()
    for length in (0, 10, 60, len(content) // 2, len(content) - 10):
        refusal_of_load(write_private(key_file, content[:length]))


def test_t22_a_key_that_is_not_encrypted_is_refused_with_the_command_to_encrypt_it(
    tmp_path: Path,
) -> None:
    plain = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    text = refusal_of_load(write_private(tmp_path / "plain.pem", plain))
    assert "not encrypted" in text
    assert "openssl pkcs8 -topk8" in text


def test_t06_a_key_of_another_algorithm_is_refused(tmp_path: Path) -> None:
    private_key = generate_private_key(SECP256R1())
    pem = private_key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE)
    )
    assert "not an Ed25519 key" in refusal_of_load(write_private(tmp_path / "p256.pem", pem))
    public = tmp_path / "p256.pub.pem"
    public.write_bytes(
        private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(KeyFileError, match="not an Ed25519 key"):
        read_public_key(public)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "regular file" in refusal_of_load(tmp_path / "pipe")
    assert "No such file" in refusal_of_load(tmp_path / "missing.pem")
    refusal_of_load(tmp_path)
    with pytest.raises(KeyFileError, match="No such file"):
        create_key_file(tmp_path / "missing" / "orders.pem", PASSPHRASE)


def test_a_file_too_large_for_a_key_is_refused_and_not_cut(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="more than"):
        read_passphrase_file(write_private(tmp_path / "passphrase", b"x" * 20_000))


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n"])
def test_a_passphrase_file_holds_one_line(tmp_path: Path, ending: bytes) -> None:
    path = write_private(tmp_path / "passphrase", b" with spaces " + ending)
    assert read_passphrase_file(path) == b" with spaces "


@pytest.mark.parametrize("content", [b"", b"\n", b"one\ntwo\n", b"one\n\n"])
def test_a_passphrase_file_of_no_line_or_several_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(KeyFileError, match=r"empty|several lines"):
        read_passphrase_file(write_private(tmp_path / "passphrase", content))


def test_t22_a_passphrase_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = write_private(tmp_path / "passphrase", PASSPHRASE)
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600") as refused:
        read_passphrase_file(path)
    assert PASSPHRASE.decode() not in str(refused.value)


def test_a_public_key_file_is_read_back_and_open_to_all(key_file: Path, tmp_path: Path) -> None:
    signer = load_key_file(key_file, PASSPHRASE)
    path = tmp_path / "orders.pub.pem"
    write_public_key(path, signer.public_key)
    assert read_public_key(path) == signer.public_key
    assert path.read_bytes() == public_key_pem(signer.public_key)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    with pytest.raises(KeyFileError, match="never overwritten"):
        write_public_key(path, bytes(32))


@pytest.mark.parametrize("content", [b"", b"junk", b"-----BEGIN PUBLIC KEY-----\n"])
def test_a_public_key_file_of_another_form_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "orders.pub.pem"
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match="not a PEM public key"):
        read_public_key(path)
    with pytest.raises(KeyFileError, match="No such file"):
        read_public_key(tmp_path / "missing")


def openssl(*arguments: str | Path) -> str:
    done = subprocess.run(
        ["openssl", *map(str, arguments)], check=True, capture_output=True, text=True
    )
    return done.stdout


@needs_openssl
def test_t11_openssl_verifies_with_the_public_key_file(key_file: Path, tmp_path: Path) -> None:
    signer = load_key_file(key_file, PASSPHRASE)
    public, message, signature = (tmp_path / name for name in ("pub.pem", "message", "signature"))
    write_public_key(public, signer.public_key)
    message.write_bytes(b"DSSEv1 1 a 1 b")
    signature.write_bytes(signer.sign(message.read_bytes()))
    verdict = openssl(
        *("pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin"),
        *("-in", message, "-sigfile", signature),
    )
    assert "Signature Verified Successfully" in verdict


@needs_openssl
def test_openssl_reads_our_key_file_and_we_read_its(key_file: Path, tmp_path: Path) -> None:
    passphrase = f"pass:{PASSPHRASE.decode()}"
    signer = load_key_file(key_file, PASSPHRASE)
    public = openssl("pkey", "-in", key_file, "-passin", passphrase, "-pubout")
    assert public.encode() == public_key_pem(signer.public_key)
    slow = write_private(tmp_path / "scrypt.pem", b"")
    openssl(
        *("pkcs8", "-topk8", "-scrypt", "-in", key_file, "-passin", passphrase),
        *("-out", slow, "-passout", passphrase),
    )
    assert load_key_file(slow, PASSPHRASE).key_id == signer.key_id
