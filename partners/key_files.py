"""Key files: private keys encrypted at rest, and public keys as other people's tools read them.

Effects: reads and writes files. The rules kept here:

- A private key is an encrypted PKCS#8 PEM file of mode 0600; so is, unencrypted, the file with its
  passphrase. A file that group or others may touch is refused, whatever is in it.
- Files are made anew (O_EXCL) and never overwritten: a lost private key cannot be made again.
- Every refusal is one line that names the file and says what to do.

The format's key derivation is PBKDF2 with 2,048 rounds, which slows guessing little: passphrases
have at least 12 bytes, and one made by a program should be random. `openssl pkcs8 -topk8 -scrypt`
makes a file with a slower derivation, which is read as well.

Source: RFC 5958 and RFC 8018 (PKCS#8, PBES2), RFC 8410 (Ed25519 in both). `openssl pkeyutl -verify
-pubin -rawin` verifies with the public files.
"""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from partners.errors import PointclearError
from partners.keys import SeedSigner

PASSPHRASE_BYTES_MIN: Final = 12
FILE_BYTES_MAX: Final = 16_384
_PRIVATE_MODE: Final = 0o600
_PUBLIC_MODE: Final = 0o644


class KeyFileError(PointclearError):
    """A key or passphrase file that cannot be used. Its text is one line for the operator."""


@dataclass(frozen=True, slots=True)
class FileSigner:
    """Signs with a key that came from a file."""

    path: Path
    _signer: SeedSigner = field(repr=False)

    @property
    def key_id(self) -> str:
        """Names the public key."""
        return self._signer.key_id

    @property
    def public_key(self) -> bytes:
        """The raw 32 bytes."""
        return self._signer.public_key

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature of `message`."""
        return self._signer.sign(message)

    def opening_key(self) -> bytes:
        """What opens a fulfilment that was sealed for this key; as secret as the file."""
        return self._signer.opening_key()


def create_key_file(path: Path, passphrase: bytes) -> FileSigner:
    """Make a new key and write it, encrypted, to a new file of mode 0600.

    Raises KeyFileError if the file exists, cannot be written, or the passphrase is too short.
    """
    if len(passphrase) < PASSPHRASE_BYTES_MIN:
        raise KeyFileError(
            f"{path}: the passphrase is too short; use at least {PASSPHRASE_BYTES_MIN} characters"
        )
    private_key = Ed25519PrivateKey.generate()
    pem = private_key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase)
    )
    _write_new(path, pem, _PRIVATE_MODE)
    return FileSigner(path, SeedSigner(private_key.private_bytes_raw()))


def load_key_file(path: Path, passphrase: bytes) -> FileSigner:
    """Read an encrypted key file. Raises KeyFileError, also for a mode other than private."""
    pem = _read_private(path)
    try:
        private_key = load_pem_private_key(pem, passphrase or None)
    except TypeError:
        # Raised for a passphrase without encryption, and for encryption without a passphrase.
        if not passphrase:
            raise KeyFileError(f"{path}: the passphrase is empty; give the key's own") from None
        raise KeyFileError(
            f"{path}: the key is not encrypted; run: openssl pkcs8 -topk8 -in {path} -out NEW_FILE"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        if b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in pem:
            remedy = "the passphrase is wrong or the file is damaged; try the key's own passphrase"
        else:
            remedy = "this is not an encrypted PKCS#8 PEM file; restore it from its backup"
        raise KeyFileError(f"{path}: {remedy}") from None
    if not isinstance(private_key, Ed25519PrivateKey):
        raise KeyFileError(f"{path}: this is not an Ed25519 key; make one for Pointclear alone")
    return FileSigner(path, SeedSigner(private_key.private_bytes_raw()))


def read_passphrase_file(path: Path) -> bytes:
    """The passphrase in a private file, without the newline at its end.

    Raises KeyFileError if it is empty, holds several lines, or others may read it.
    """
    passphrase = _read_private(path).removesuffix(b"\n").removesuffix(b"\r")
    if not passphrase:
        raise KeyFileError(f"{path}: the file is empty; write the passphrase on its first line")
    if b"\n" in passphrase:
        raise KeyFileError(f"{path}: the file has several lines; keep the passphrase alone in it")
    return passphrase


def public_key_pem(public_key: bytes) -> bytes:
    """A raw public key as PEM (SubjectPublicKeyInfo). Raises ValueError unless it has 32 bytes."""
    return Ed25519PublicKey.from_public_bytes(public_key).public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )


def write_public_key(path: Path, public_key: bytes) -> None:
    """Write a raw public key to a new PEM file that all may read. Raises KeyFileError."""
    _write_new(path, public_key_pem(public_key), _PUBLIC_MODE)


def read_public_key(path: Path) -> bytes:
    """The raw 32 bytes of a PEM public key file, not yet checked. Raises KeyFileError."""
    try:
        with path.open("rb") as file:
            public_key = load_pem_public_key(file.read(FILE_BYTES_MAX))
    except OSError as error:
        raise _unusable(path, error) from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(
            f"{path}: this is not a PEM public key; run: openssl pkey -in KEY -pubout -out {path}"
        ) from None
    if not isinstance(public_key, Ed25519PublicKey):
        raise KeyFileError(f"{path}: this is not an Ed25519 key; make one with Pointclear")
    return public_key.public_bytes_raw()


def _read_private(path: Path) -> bytes:
    try:
        # Not blocking, so that a pipe under this name is refused below and not waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            # The open file is asked, not its name: nobody can put another in its place in between.
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise KeyFileError(f"{path}: this is not a regular file; name the file itself")
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise KeyFileError(
                    f"{path}: others may use this file (mode {stat.S_IMODE(mode):04o});"
                    f" run: chmod 600 {path}"
                )
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise _unusable(path, error) from None
    if len(content) > FILE_BYTES_MAX:
        raise KeyFileError(f"{path}: more than {FILE_BYTES_MAX} bytes; name the right file")
    return content


def _write_new(path: Path, content: bytes, mode: int) -> None:
    try:
        # A crash from here to fsync leaves an empty or cut file, which no reader accepts and no
        # writer overwrites. Its key has signed nothing yet, so it may be deleted by hand.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, mode)  # The umask may have taken bits away.
            os.fsync(descriptor)
        # Without this a power cut may forget the name of a key that has been registered by then.
        folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError:
        raise KeyFileError(
            f"{path}: the file exists and is never overwritten; choose another name"
        ) from None
    except OSError as error:
        raise _unusable(path, error) from None


def _unusable(path: Path, error: OSError) -> KeyFileError:
    cause = error.strerror or type(error).__name__
    return KeyFileError(f"{path}: {cause}; check the path and who owns it")
