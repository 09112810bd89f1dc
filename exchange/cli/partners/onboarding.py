"""A partner's profile and its keys: made in a directory, then registered with the exchange.

Effects: writes files, each whole or not at all, none replaced. The rules kept here:

- A key's event is kept beside it (`keys/<name>.event.json`) before it is sent, so that a repeat
  sends the same bytes.
- Every step keeps what is there already: after a crash the same command goes on where it stopped.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from exchange.cli.connection import Connection
from exchange.cli.deployment.development_ca import CertificateAuthority
from exchange.cli.deployment.initialise import ensure_client_tls, ensure_serving_tls
from exchange.cli.keys.key_events import NewKey, key_with_event, registration
from exchange.cli.profile import (
    PROFILE_FILE,
    ensure_key,
    ensure_passphrase,
    key_path,
    load_profile,
    passphrase_of,
    write_profile_document,
)
from partners.caller import partner_uri
from partners.errors import Reason, Refused
from partners.key_events import PARTNER_PURPOSES
from partners.keys import Purpose, Signer
from partners.wire import envelope_to_proto
from pointclear.partners.v1.key_pb2 import Key
from pointclear.partners.v1.partners_service_pb2 import RegisterKeyRequest, RegisterKeyResponse

KEY_LIFETIME = timedelta(days=730)


def identity_of(partner_id: str) -> str:
    """The URI that a partner's certificate carries."""
    return partner_uri(partner_id)


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
    ensure_serving_tls(directory, authority, identity, now)
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

    def payload() -> bytes:
        holder = f"partner/{partner_id}"
        return registration(audience, holder, purpose, signer.public_key, now, KEY_LIFETIME)

    return key_with_event(signer, payload, lambda: (registrar(),))


def register_key(connection: Connection, key: NewKey) -> Key:
    """Register a key with the exchange; repeating it is harmless. Raises Failed."""
    response: RegisterKeyResponse = connection.call(
        connection.partners.RegisterKey,
        RegisterKeyRequest(key_event=envelope_to_proto(key.event)),
    )
    return response.key
