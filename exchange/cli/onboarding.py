"""A partner's profile and its keys: made in a directory, then registered with the exchange.

Effects: writes files, each whole or not at all, none replaced but by `take_into_use`. The rules
kept here:

- A key's event is kept beside it (`keys/<name>.event.json`) before it is sent, so that a repeat
  sends the same bytes.
- Every step keeps what is there already: after a crash the same command goes on where it stopped.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from exchange.cli.connection import Connection
from exchange.cli.development_ca import CertificateAuthority
from exchange.cli.files import PRIVATE_MODE, FileError, read_file, unusable, write_new
from exchange.cli.initialise import ensure_client_tls
from exchange.cli.profile import (
    PROFILE_FILE,
    ensure_key,
    ensure_passphrase,
    key_path,
    load_profile,
    passphrase_of,
    write_profile_document,
)
from partners.envelope import KEY_EVENT, Envelope, counter_sign, from_json, sign, to_json
from partners.errors import Reason, Refused
from partners.key_files import FileSigner
from partners.keys import Purpose, Signer
from partners.wire import envelope_to_proto, purpose_to_proto, time_to_proto
from pointclear.partners.v1.key_pb2 import KEY_ACTION_REGISTER, Key, KeyEvent
from pointclear.partners.v1.partners_service_pb2 import RegisterKeyRequest, RegisterKeyResponse

PARTNER_PURPOSES = (Purpose.ORDERS, Purpose.AGREEMENTS, Purpose.STATEMENTS)
KEY_LIFETIME = timedelta(days=730)
BACKDATED = timedelta(minutes=1)
"""Keys are good from a little before now, for an exchange whose clock is behind."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that is to be registered."""

    signer: FileSigner
    event: Envelope
    """Signed by the key itself and by one that may register it."""


def identity_of(partner_id: str) -> str:
    """The URI that a partner's certificate carries."""
    return f"pointclear://partner/{partner_id}"


def make_partner_profile(
    directory: Path,
    authority: CertificateAuthority,
    partner_id: str,
    server: str,
    audience: str,
    now: datetime,
) -> None:
    """Make a partner's profile, or complete one that was half made.

    Raises Refused(ALREADY_EXISTS) for another's.
    """
    identity = identity_of(partner_id)
    complete = (directory / PROFILE_FILE).exists()
    if complete and load_profile(directory).identity != identity:
        raise Refused(Reason.ALREADY_EXISTS, "out", f"{directory} is the profile of someone else")
    ensure_client_tls(directory, authority, identity, now)
    passphrase = ensure_passphrase(directory)
    for purpose in PARTNER_PURPOSES:
        ensure_key(key_path(directory, purpose), passphrase)
    if not complete:
        write_profile_document(directory, identity, server, audience)


def new_key(
    path: Path,
    purpose: Purpose,
    partner_id: str,
    audience: str,
    registrar: Callable[[], Signer],
    now: datetime,
) -> NewKey:
    """The key in `path` (`<profile>/keys/<name>.pem`) with its event, both made where they are not
    there yet.

    The registrar is asked for only where an event has to be made. Raises KeyFileError or FileError.
    """
    signer = ensure_key(path, passphrase_of(path.parent.parent))
    event_path = event_path_of(path)
    if event_path.exists():
        return NewKey(signer, _read_event(event_path, signer.key_id))
    payload = KeyEvent(
        audience=audience,
        partner_id=partner_id,
        action=KEY_ACTION_REGISTER,
        purpose=purpose_to_proto(purpose),
        public_key=signer.public_key,
        valid_from=time_to_proto(now - BACKDATED),
        valid_until=time_to_proto(now + KEY_LIFETIME),
    ).SerializeToString(deterministic=True)
    event = counter_sign(registrar(), sign(signer, KEY_EVENT, payload))
    write_new(event_path, (to_json(event) + "\n").encode(), PRIVATE_MODE)
    return NewKey(signer, event)


def register_key(connection: Connection, key: NewKey) -> Key:
    """Register a key with the exchange; repeating it is harmless. Raises Failed."""
    response: RegisterKeyResponse = connection.call(
        connection.partners.RegisterKey,
        RegisterKeyRequest(key_event=envelope_to_proto(key.event)),
    )
    return response.key


def next_key_path(directory: Path, purpose: Purpose) -> Path:
    """Where a profile keeps a key that is not yet in use."""
    return directory / "keys" / f"{purpose.lower()}.next.pem"


def take_into_use(directory: Path, purpose: Purpose) -> None:
    """Put the registered next key in the place of the one in use, which is kept under its key id.
    Raises FileError.

    A crash in between leaves the next key, or at the very end its event alone: the next run goes on
    from either.
    """
    current, following = key_path(directory, purpose), next_key_path(directory, purpose)
    try:
        if current.exists() and following.exists():
            key_id = ensure_key(current, passphrase_of(directory)).key_id
            retired = current.with_name(f"{purpose.lower()}.{key_id}.pem")
            if event_path_of(current).exists():
                event_path_of(current).rename(event_path_of(retired))
            current.rename(retired)
        if following.exists():
            following.rename(current)
        if event_path_of(following).exists():
            event_path_of(following).rename(event_path_of(current))
    except OSError as error:
        raise unusable(current.parent, error) from None


def finish_earlier_rotation(directory: Path, purpose: Purpose) -> None:
    """Complete what a crash in `take_into_use` left: an event whose key is in use already.

    Raises FileError.
    """
    if not next_key_path(directory, purpose).exists():
        take_into_use(directory, purpose)


def event_path_of(path: Path) -> Path:
    """Where the event of a key file is kept."""
    return path.with_name(f"{path.stem}.event.json")


def _read_event(path: Path, key_id: str) -> Envelope:
    try:
        event = from_json(read_file(path).decode())
    except (Refused, UnicodeDecodeError):
        raise FileError(f"{path}: this is no key event; delete it to have one made") from None
    if event.signatures[0].key_id != key_id:
        raise FileError(f"{path}: this is another key's event; delete it to have it made anew")
    return event
