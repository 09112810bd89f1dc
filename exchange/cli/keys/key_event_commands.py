"""`key register`, `key revoke` and `key sign`: key events as they are made, signed and sent."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.cli.calling import ByAnybody
from exchange.cli.connection import connect
from exchange.cli.documents import key_document
from exchange.cli.files import write_output
from exchange.cli.keys.key_events import event_document, event_text, read_event, revocation
from exchange.cli.options import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    EitherProfileOption,
    JsonOption,
    either_profile,
)
from exchange.cli.output import answer, pairs
from exchange.cli.profile import Profile
from partners.envelope import KEY_EVENT, Envelope, counter_sign, sign
from partners.key_events import RevocationReason
from partners.keys import Purpose, Signer
from partners.wire import envelope_to_proto
from pointclear.partners.v1.partners_service_pb2 import (
    RegisterKeyRequest,
    RegisterKeyResponse,
    RevokeKeyRequest,
    RevokeKeyResponse,
)


class ReasonName(StrEnum):
    """Why a key is revoked, as it is typed."""

    COMPROMISED = "compromised"
    LOST = "lost"
    SUPERSEDED = "superseded"
    CEASED = "ceased"


EventArgument = Annotated[
    Path, typer.Argument(metavar="EVENT", exists=True, help="A key event in DSSE's JSON form.")
]
OutOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write the event here for others to sign, and send nothing."),
]


def revoke(
    by: ByAnybody,
    key_id: Annotated[
        str | None, typer.Argument(metavar="KEY_ID", help="The key whose force is to end.")
    ] = None,
    reason: Annotated[ReasonName, typer.Option(help="Why.")] = ReasonName.COMPROMISED,
    holder: Annotated[
        str, typer.Option(help="partner/ID, operator/NAME or exchange; your own if empty.")
    ] = "",
    event_file: Annotated[
        Path | None,
        typer.Option(
            "--event", metavar="FILE", exists=True, help="Send this event, signed by all it needs."
        ),
    ] = None,
    out: OutOption = None,
) -> None:
    """End a key's force at once: what is recorded from then on may not rest on it.

    A partner revokes its own keys with its key for agreements; one operator revokes a partner's.
    For a key of an operator or of the exchange two operators sign: write the event with --out, have
    the other sign it (`key sign`), and send it with --event.
    """
    profile = by.profile()
    if (key_id is None) == (event_file is None):
        raise typer.BadParameter("name either the key or, with --event, a signed event")
    if event_file is not None:
        event = read_event(event_file)
    else:
        payload = revocation(
            profile.audience,
            holder or profile.caller.holder,
            key_id or "",
            RevocationReason[reason.name],
        )
        event = sign(own_signer(profile), KEY_EVENT, payload)
    if out is not None:
        show_event(by.as_json, event, profile, out, "Have it signed and send it with --event.")
        return
    with connect(profile) as connection:
        response: RevokeKeyResponse = connection.call(
            connection.partners.RevokeKey, RevokeKeyRequest(key_event=envelope_to_proto(event))
        )
    key = response.key
    answer(
        by.as_json,
        {"key": key_document(key)},
        f"Revoked key {key.key_id} of {key.holder} at log index {key.revoked_index}",
    )


def register(
    by: ByAnybody,
    event_file: EventArgument,
) -> None:
    """Send a key event that registers a key, signed by all that it needs."""
    event = read_event(event_file)
    with by.connect() as connection:
        response: RegisterKeyResponse = connection.call(
            connection.partners.RegisterKey,
            RegisterKeyRequest(key_event=envelope_to_proto(event)),
        )
    key = response.key
    answer(
        by.as_json,
        {"key": key_document(key)},
        f"Registered key {key.key_id} of {key.holder} at log index {key.registered_index}",
    )


def sign_event(
    event_file: EventArgument,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Write the signed event here.")],
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: EitherProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add your signature to a key event, after showing what it asks for.

    An operator signs with its key, a partner with its key for agreements. Nothing is sent. Ask the
    holder, another way, whether the key id is theirs.
    """
    profile = either_profile(profile_dir, data_dir, None)
    event = counter_sign(own_signer(profile), read_event(event_file))
    show_event(as_json, event, profile, out, "Signed. Send it with `key register` or `key revoke`")


def own_signer(profile: Profile) -> Signer:
    """The key with which a profile speaks for keys."""
    is_operator = profile.caller.is_operator
    return profile.signer(Purpose.OPERATOR if is_operator else Purpose.AGREEMENTS)


def show_event(
    as_json: bool, event: Envelope, profile: Profile, out: Path | None, text: str
) -> None:
    """Say what an event asks for and who has signed it, and write it where it is wanted."""
    if out is not None:
        write_output(out, event_text(event))
    facts = event_document(event, profile.audience)
    answer(
        as_json,
        {"event": facts},
        pairs([(name, _shown(value)) for name, value in facts.items()]),
        text,
    )


def _shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)
