"""A client's profile: the directory from which a partner or an operator speaks to the exchange.

What stands in it, and reading it, is the client library's (`pointclear.client.profile`); here it is
made. Effects: writes files. `profile.json` is written last, so a profile that was half made is not
taken for one.
"""

import json
import secrets
from pathlib import Path

from exchange.cli.files import PRIVATE_MODE, PUBLIC_MODE, make_directory, write_new
from partners.key_files import FileSigner, create_key_file, load_key_file, read_passphrase_file
from pointclear.client.profile import (
    DEFAULT_SERVER,
    PROFILE_FILE,
    Profile,
    key_path,
    load_profile,
    passphrase_of,
)

__all__ = [
    "DEFAULT_SERVER",
    "PROFILE_FILE",
    "Profile",
    "ensure_key",
    "ensure_passphrase",
    "key_path",
    "load_profile",
    "passphrase_of",
    "write_profile_document",
]


def write_profile_document(directory: Path, identity: str, server: str, audience: str) -> None:
    """Complete a profile: what stands in the directory counts from here on.

    Raises FileError if it is complete.
    """
    document = {"identity": identity, "server": server, "audience": audience}
    write_new(directory / PROFILE_FILE, (json.dumps(document) + "\n").encode(), PUBLIC_MODE)


def ensure_passphrase(directory: Path) -> bytes:
    """The directory's passphrase, made at random where there is none yet.

    Raises KeyFileError or FileError.
    """
    path = directory / "passphrase"
    if not path.exists():
        write_new(path, (secrets.token_urlsafe(32) + "\n").encode(), PRIVATE_MODE)
    return read_passphrase_file(path)


def ensure_key(path: Path, passphrase: bytes) -> FileSigner:
    """The signing key in this file, made where there is none yet.

    Raises KeyFileError or FileError.
    """
    make_directory(path.parent)
    return load_key_file(path, passphrase) if path.exists() else create_key_file(path, passphrase)
