"""From an address to a program that takes files.

A program has a folder of its own on the exchange's host: `journal.sqlite`, and for a brand on an
SFTP server `ssh_key` (a private key, mode 0600) and `known_hosts` (its host keys, in OpenSSH's
form). The brand's files lie at the address:

    file:///srv/brands/fuel
    sftp://pointclear@files.fuel.example:2222/points
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from adapters.file_program.instructions import ProgramName
from adapters.file_program.intake import Intake
from adapters.file_program.journal import Journal
from adapters.file_program.places import LocalPlace, Place
from adapters.file_program.program import FileProgram, Rhythm
from partners.confirmations.verification import KeyOf
from partners.errors import Reason, Refused

JOURNAL, SSH_KEY, KNOWN_HOSTS = "journal.sqlite", "ssh_key", "known_hosts"
SFTP_PORT = 22


def open_program(
    folder: Path,
    name: ProgramName,
    address: str,
    key_of: KeyOf,
    clock: Callable[[], datetime],
    rhythm: Rhythm | None = None,
) -> FileProgram:
    """The program whose own folder this is; made where it is missing.

    Raises Refused(FIELD_INVALID) for an address that is none, JournalWrong for another's folder.
    """
    place = place_at(address, folder)
    chosen = rhythm or Rhythm()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    journal = Journal.at(folder / JOURNAL, name)
    return FileProgram(journal, place, Intake(journal, key_of, chosen.settled_after), clock, chosen)


def place_at(address: str, folder: Path) -> Place:
    """Where a brand's files lie; raises Refused(FIELD_INVALID)."""
    try:
        parts = urlsplit(address)
        port = parts.port or SFTP_PORT
    except ValueError:
        raise _invalid("it is no address") from None
    if parts.query or parts.fragment or not parts.path.startswith("/"):
        raise _invalid("it ends with the absolute path of a folder")
    path = unquote(parts.path)
    if parts.scheme == "file":
        if parts.netloc:
            raise _invalid("a folder of this host is written file:///…")
        return LocalPlace(Path(path))
    if parts.scheme != "sftp" or not parts.hostname:
        raise _invalid("it is written file:///… or sftp://<user>@<host>/…")
    if parts.password is not None or not parts.username:
        raise _invalid("it names a user and no password: a key opens the server")
    # Only here, so that whoever has no such brand needs no SSH library.
    from adapters.file_program.sftp import SftpPlace

    return SftpPlace(
        parts.hostname,
        port,
        unquote(parts.username),
        PurePosixPath(path),
        folder / SSH_KEY,
        folder / KNOWN_HOSTS,
    )


def _invalid(text: str) -> Refused:
    return Refused(Reason.FIELD_INVALID, "address", text)
