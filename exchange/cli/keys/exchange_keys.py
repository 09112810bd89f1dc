"""The exchange's own signing keys on its host: made at `init`, followed by others at a rotation.

Effects: writes and renames files of `<data-dir>/keys`, none ever replaced or deleted. A key that
was in use stays, since it still signs what names it. After a crash the same command goes on where
it stopped. Servers take the new key into use when they start.
"""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from exchange.cli.files import PRIVATE_MODE, FileError, read_file, write_new
from exchange.cli.keys.key_events import NewKey, event_text, key_with_event, registration
from exchange.cli.keys.key_rotation import KeyFolder
from exchange.token_keys import make_token_key, parse_token_uri
from partners.envelope import KEY_EVENT, counter_sign, sign
from partners.key_events import EXCHANGE
from partners.key_files import FileSigner
from partners.keys import Purpose, Signer

EXCHANGE_PURPOSES: Final = (Purpose.RECEIPTS, Purpose.STATEMENTS, Purpose.LOG)
KEY_LIFETIME: Final = timedelta(days=3650)
DEPLOYMENT_FILE: Final = "deployment.json"


def load_audience(data_dir: Path) -> str:
    """The exchange and environment of a data directory. Raises FileError."""
    path = data_dir / DEPLOYMENT_FILE
    if not path.exists():
        raise FileError(
            f"{path}: there is no exchange here; name its directory with --data-dir, or make one"
            " with `pointclear init`"
        )
    try:
        return str(json.loads(read_file(path))["audience"])
    except (ValueError, TypeError, KeyError):
        raise FileError(f"{path}: this is not readable; restore it from a backup") from None


def ensure_exchange_key(data_dir: Path, purpose: Purpose, audience: str, now: datetime) -> NewKey:
    """The exchange's first key of a purpose, made where there is none yet. Its event is signed by
    itself alone: whoever holds the host vouches for it.
    """
    folder = KeyFolder.of_host(data_dir)
    return _with_event(folder.signer(folder.in_use(purpose)), purpose, audience, now, None)


def rotate_exchange_key(data_dir: Path, purpose: Purpose, now: datetime) -> NewKey:
    """Make the exchange's next key of a purpose, have the one in use sign its event, and put it in
    that one's place.

    Raises FileError or KeyFileError.
    """
    audience, folder = load_audience(data_dir), KeyFolder.of_host(data_dir)
    folder.finish_earlier_rotation(purpose)
    in_use = folder.signer(folder.in_use(purpose))
    key = _with_event(folder.signer(folder.following(purpose)), purpose, audience, now, in_use)
    # A crash before this leaves the old key in use, which is good; a repeat makes no other.
    folder.take_into_use(purpose)
    return key


def make_exchange_token_key(data_dir: Path, purpose: Purpose, uri: str, now: datetime) -> str:
    """Make the exchange's next key of a purpose in a PKCS#11 token, and its event, which the key in
    the file vouches for; returns its id. It is in use once the setting names it first.

    Raises FileError, KeyFileError or CannotStart.
    """
    audience, folder = load_audience(data_dir), KeyFolder.of_host(data_dir)
    try:
        signer = make_token_key(parse_token_uri(uri))
    except ValueError as error:
        raise FileError(f"{uri}: {error}") from None
    # A crash before the event leaves a key in the token: the same command goes on with it.
    path = folder.path / f"{purpose.lower()}.{signer.key_id}.event.json"
    if not path.exists():
        payload = registration(audience, EXCHANGE, purpose, signer.public_key, now, KEY_LIFETIME)
        event = sign(signer, KEY_EVENT, payload)
        if folder.in_use(purpose).exists():
            event = counter_sign(folder.signer(folder.in_use(purpose)), event)
        write_new(path, event_text(event), PRIVATE_MODE)
    return signer.key_id


def _with_event(
    signer: FileSigner, purpose: Purpose, audience: str, now: datetime, before: Signer | None
) -> NewKey:
    def payload() -> bytes:
        return registration(audience, EXCHANGE, purpose, signer.public_key, now, KEY_LIFETIME)

    return key_with_event(signer, payload, lambda: (before,) if before else ())
