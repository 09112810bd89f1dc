"""Key events as they are made, kept and passed from hand to hand: the payloads and the files.

Effects: reads and writes files, none ever replaced. A key's event is kept beside the key before it
is sent, so that a repeat sends the same bytes; on its way to a second signature it is a file in
DSSE's JSON form.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from exchange.cli.files import PRIVATE_MODE, FileError, read_file, write_new
from exchange.cli.keys.key_rotation import event_path_of
from partners.envelope import KEY_EVENT, Envelope, counter_sign, from_json, sign, to_json
from partners.errors import Refused
from partners.key_events import Registration, Revocation, RevocationReason
from partners.key_files import FileSigner
from partners.keys import Purpose, Signer
from partners.wire import key_event_from_payload, purpose_to_proto, time_to_proto
from pointclear.partners.v1.key_pb2 import (
    KEY_ACTION_REGISTER,
    KEY_ACTION_REVOKE,
    KeyEvent,
)
from pointclear.partners.v1.key_pb2 import (
    RevocationReason as WireReason,
)

BACKDATED = timedelta(minutes=1)
"""Keys are good from a little before now, for an exchange whose clock is behind."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that is to be registered."""

    signer: FileSigner
    event: Envelope
    """Signed by the key itself, and by those who vouch for it so far."""


def registration(
    audience: str,
    holder: str,
    purpose: Purpose,
    public_key: bytes,
    now: datetime,
    lifetime: timedelta,
) -> bytes:
    """The payload that registers a key of `holder` from now on."""
    return _event_of(holder)(
        audience=audience,
        action=KEY_ACTION_REGISTER,
        purpose=purpose_to_proto(purpose),
        public_key=public_key,
        valid_from=time_to_proto(now - BACKDATED),
        valid_until=time_to_proto(now + lifetime),
    ).SerializeToString(deterministic=True)


def revocation(audience: str, holder: str, key_id: str, reason: RevocationReason) -> bytes:
    """The payload that revokes a key of `holder`."""
    return _event_of(holder)(
        audience=audience,
        action=KEY_ACTION_REVOKE,
        key_id=key_id,
        reason=WireReason.Value(f"REVOCATION_REASON_{reason}"),
    ).SerializeToString(deterministic=True)


def key_with_event(
    signer: FileSigner,
    payload: Callable[[], bytes],
    vouching: Callable[[], tuple[Signer, ...]],
) -> NewKey:
    """A key from a file with the event beside it, made where it is not there yet.

    `payload` and those who vouch are asked for only where an event has to be made. Raises
    KeyFileError or FileError.
    """
    path = event_path_of(signer.path)
    if path.exists():
        event = read_event(path)
        if event.signatures[0].key_id != signer.key_id:
            raise FileError(f"{path}: this is another key's event; delete it to have it made anew")
        return NewKey(signer, event)
    others = vouching()
    event = sign(signer, KEY_EVENT, payload())
    for each in others:
        event = counter_sign(each, event)
    write_new(path, event_text(event), PRIVATE_MODE)
    return NewKey(signer, event)


def read_event(path: Path) -> Envelope:
    """The key event in a file, nothing of it verified. Raises FileError."""
    try:
        event = from_json(read_file(path).decode())
    except (Refused, UnicodeDecodeError):
        raise FileError(f"{path}: this is no key event; delete it to have one made") from None
    if event.payload_type != KEY_EVENT:
        raise FileError(f"{path}: this is no key event but {event.payload_type}")
    return event


def event_text(event: Envelope) -> bytes:
    """An event as it stands in a file."""
    return (to_json(event) + "\n").encode()


def event_document(event: Envelope, audience: str) -> dict[str, Any]:
    """What an event asks for and who has signed it so far; raises Refused for a malformed one."""
    asked = key_event_from_payload(event.payload, audience)
    facts: dict[str, Any] = {"holder": asked.holder, "key_id": asked.key_id}
    if isinstance(asked, Registration):
        facts |= {
            "action": "REGISTER",
            "purpose": asked.purpose.value,
            "public_key": asked.public_key.hex(),
            "valid_from": asked.valid_from.isoformat(),
            "valid_until": asked.valid_until.isoformat(),
        }
    if isinstance(asked, Revocation):
        facts |= {"action": "REVOKE", "reason": asked.reason.value}
    return facts | {"signed_by_keys": [each.key_id for each in event.signatures]}


def _event_of(holder: str) -> Callable[..., KeyEvent]:
    kind, _, name = holder.partition("/")
    if kind == "partner":
        return partial(KeyEvent, partner_id=name)
    return partial(KeyEvent, holder=holder)
