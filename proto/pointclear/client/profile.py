"""A profile: the directory from which a partner or an operator speaks to the exchange.

    profile.json   {"identity": "pointclear://partner/grocery", "server": "localhost:7443",
                   "audience": "..."}
    ca.pem         the authority that the server's certificate must come from
    tls.pem        this client's certificate, tls-key.pem its key (0600)
    keys/          orders.pem, agreements.pem, statements.pem or operator.pem: encrypted keys
    passphrase     of those keys (0600)

Effects: reads files.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

from partners.caller import Caller
from partners.errors import Refused
from partners.files import FileError, read_file, read_private
from partners.key_files import FileSigner, load_key_file, read_passphrase_file
from partners.keys import Purpose

DEFAULT_SERVER = "localhost:7443"
PROFILE_FILE = "profile.json"


@dataclass(frozen=True, slots=True)
class Profile:
    """Who speaks, to whom, and with what."""

    directory: Path
    identity: str
    """The URI in the client certificate."""
    caller: Caller
    server: str
    """`host:port`."""
    audience: str
    """The exchange and environment that statements are addressed to."""
    authority: bytes
    """PEM of the authority that the server's certificate must come from."""
    certificate: bytes
    """PEM of this client's certificate."""
    tls_key: bytes = field(repr=False)
    """PEM of its private key."""

    def signer(self, purpose: Purpose) -> FileSigner:
        """The profile's key of this purpose. Raises KeyFileError."""
        return load_key_file(key_path(self.directory, purpose), passphrase_of(self.directory))


def load_profile(directory: Path, server: str | None = None, option: str = "--as") -> Profile:
    """Read a profile; `server` overrides the one that it names. `option` is what names another.

    Raises FileError where it is missing, damaged, or where others may read its TLS key.
    """
    path = directory / PROFILE_FILE
    if not path.exists():
        raise FileError(
            f"{directory}: there is no profile here; name another with {option} DIR, or make one:"
            " `pointclear init` makes the operator's, `pointclear partner add` a partner's"
        )
    try:
        document = json.loads(read_file(path))
        identity, named, audience = (
            _text(document, name) for name in ("identity", "server", "audience")
        )
        caller = Caller.from_uris([identity])
    except (ValueError, TypeError, KeyError, Refused):
        raise FileError(
            f"{path}: this is not a profile; restore it, or make the profile anew"
        ) from None
    return Profile(
        directory,
        identity,
        caller,
        server or named,
        audience,
        read_file(directory / "ca.pem"),
        read_file(directory / "tls.pem"),
        read_private(directory / "tls-key.pem"),
    )


def key_path(directory: Path, purpose: Purpose) -> Path:
    """Where a profile keeps its key of a purpose."""
    return directory / "keys" / f"{purpose.lower()}.pem"


def passphrase_of(directory: Path) -> bytes:
    """The passphrase of a profile's keys. Raises KeyFileError."""
    return read_passphrase_file(directory / "passphrase")


def _text(document: dict[str, object], name: str) -> str:
    value = document[name]
    if not isinstance(value, str) or not value:
        raise ValueError(name)
    return value
