"""Signing keys that stay in a PKCS#11 token: a hardware security module, a smart card, SoftHSM2.

Effects: loads the token's library, opens sessions, makes keys. The rules kept here:

- A key is named by a PKCS#11 URI with the token, the object's label, the path of the library and
  the file that holds the PIN. A PIN in the URI itself is refused: settings are shown and logged.
- The PIN file is private (0600) like a passphrase's.
- A key that was found is tried once: a public object that is not of the private one would give
  signatures that nobody can verify.
- One session signs one message at a time. A session that the token ended is opened again, once for
  a message; a token that does not answer then is TRY_LATER, and the stored payload is signed later.

Source: RFC 7512 (the URI), PKCS#11 v3.0 (CKM_EDDSA, CKM_EC_EDWARDS_KEY_PAIR_GEN).
"""

import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from exchange.errors import CannotStart
from partners.errors import Reason, Refused
from partners.key_files import read_passphrase_file
from partners.keys import PUBLIC_KEY_BYTES, key_id_of, verify

SCHEME = "pkcs11:"
_NEEDED = ("token", "object", "module-path", "pin-source")
_FORBIDDEN = ("pin-value",)
_PROBE = b"pointclear: does this token sign with the key that it shows?"


@dataclass(frozen=True, slots=True)
class TokenKey:
    """Where a key is: the parts of its URI that are used."""

    uri: str
    token: str
    """The token's label."""
    label: str
    """Of the private and the public object."""
    module: Path
    """The library that speaks to the token."""
    pin_file: Path


def parse_token_uri(uri: str) -> TokenKey:
    """The key that a PKCS#11 URI names. Raises ValueError, with what to do."""
    if not uri.startswith(SCHEME):
        raise ValueError(f"a key in a token is named by a URI that begins with {SCHEME}")
    parts: dict[str, str] = {}
    for part in re.split(r"[;?&]", uri.removeprefix(SCHEME)):
        name, equals, value = part.partition("=")
        if name in _FORBIDDEN:
            raise ValueError("a PIN has no place in a setting: name its file with pin-source")
        if not equals or name not in _NEEDED or name in parts:
            raise ValueError(f"{name!r} is not one of {', '.join(_NEEDED)}, each given once")
        parts[name] = unquote(value)
    missing = [name for name in _NEEDED if not parts.get(name)]
    if missing:
        raise ValueError(f"the URI lacks {', '.join(missing)}")
    return TokenKey(
        uri,
        parts["token"],
        parts["object"],
        Path(parts["module-path"]),
        Path(parts["pin-source"].removeprefix("file:")),
    )


class TokenSigner:
    """Signs with a key in a token."""

    __slots__ = ("_lock", "_private", "key", "key_id", "public_key")

    def __init__(self, key: TokenKey) -> None:
        """Find the key and try it. Raises CannotStart or KeyFileError."""
        self.key = key
        self._lock = threading.Lock()
        self._private, self.public_key = _find(key)
        self.key_id = key_id_of(self.public_key)
        try:
            verify(self.public_key, _PROBE, self.sign(_PROBE))
        except Refused:
            raise CannotStart(
                f"{key.label} of token {key.token} does not sign as its public object says",
                "make the pair anew, with one label for both objects and for no other",
            ) from None

    def __repr__(self) -> str:
        return f"TokenSigner(key_id={self.key_id!r})"

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature of `message`; raises Refused(TRY_LATER) where the token
        gives none.
        """
        pkcs11 = _pkcs11()
        with self._lock:
            for _attempt in range(2):
                try:
                    signature: bytes = self._private.sign(message, mechanism=pkcs11.Mechanism.EDDSA)
                    return signature
                except pkcs11.PKCS11Error:
                    try:
                        self._private, _ = _find(self.key)
                    except CannotStart:
                        break
        raise Refused(Reason.TRY_LATER, "", f"the token {self.key.token} does not sign")


def make_token_key(key: TokenKey) -> TokenSigner:
    """The key in the token, made there where there is none of this label yet. Raises CannotStart.

    The private object is sensitive and cannot be taken out.
    """
    pkcs11 = _pkcs11()
    from pkcs11.util.ec import encode_named_curve_parameters

    session = _session(key, writing=True)
    try:
        if not list(session.get_objects({pkcs11.Attribute.LABEL: key.label})):
            curve = session.create_domain_parameters(
                pkcs11.KeyType.EC_EDWARDS,
                {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("1.3.101.112")},
                local=True,
            )
            curve.generate_keypair(
                mechanism=pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
                store=True,
                label=key.label,
                private_template={
                    pkcs11.Attribute.SENSITIVE: True,
                    pkcs11.Attribute.EXTRACTABLE: False,
                },
            )
    except pkcs11.PKCS11Error as error:
        raise _unusable(key, error) from None
    return TokenSigner(key)


def _find(key: TokenKey) -> tuple[Any, bytes]:
    pkcs11 = _pkcs11()
    session = _session(key, writing=False)
    try:
        private = session.get_key(pkcs11.ObjectClass.PRIVATE_KEY, label=key.label)
        public = session.get_key(pkcs11.ObjectClass.PUBLIC_KEY, label=key.label)
        # A DER octet string around the 32 bytes; some tokens leave the wrapping out.
        point: bytes = public[pkcs11.Attribute.EC_POINT][-PUBLIC_KEY_BYTES:]
    except pkcs11.PKCS11Error as error:
        raise _unusable(key, error) from None
    return private, point


def _session(key: TokenKey, *, writing: bool) -> Any:
    pkcs11 = _pkcs11()
    pin = read_passphrase_file(key.pin_file).decode()
    try:
        token = pkcs11.lib(str(key.module)).get_token(token_label=key.token)
        return token.open(user_pin=pin, rw=writing)
    except pkcs11.UserAlreadyLoggedIn:
        return token.open(rw=writing)
    except (pkcs11.PKCS11Error, RuntimeError, OSError) as error:
        raise _unusable(key, error) from None


def _unusable(key: TokenKey, error: Exception) -> CannotStart:
    what = str(error) or type(error).__name__
    return CannotStart(
        f"{key.label} of token {key.token} cannot be used ({what})",
        "check the URI, the library, the token's label and the PIN in its file",
    )


def _pkcs11() -> Any:
    try:
        import pkcs11
    except ImportError:
        raise CannotStart(
            "a setting names a PKCS#11 token, and python-pkcs11 is not installed",
            "pip install 'pointclear[pkcs11]'",
        ) from None
    return pkcs11
