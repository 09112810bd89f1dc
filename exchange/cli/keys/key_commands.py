"""`pointclear key`: keys are registered, rotated, revoked, recovered and listed."""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.cli.calling import App, ByAnybody
from exchange.cli.connection import connect
from exchange.cli.documents import key_document
from exchange.cli.files import write_output
from exchange.cli.keys.exchange_keys import (
    EXCHANGE_PURPOSES,
    make_exchange_token_key,
    rotate_exchange_key,
)
from exchange.cli.keys.key_event_commands import (
    own_signer,
    register,
    revoke,
    show_event,
    sign_event,
)
from exchange.cli.keys.key_events import (
    NewKey,
    key_with_event,
    registration,
)
from exchange.cli.keys.key_rotation import KeyFolder
from exchange.cli.options import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    EitherProfileOption,
    JsonOption,
    ServerOption,
    either_profile,
)
from exchange.cli.output import answer, json_text, table
from exchange.cli.partners.onboarding import KEY_LIFETIME, register_key
from exchange.cli.profile import Profile
from partners.key_events import EXCHANGE, PARTNER_PURPOSES
from partners.key_files import public_key_pem
from partners.keys import Purpose
from pointclear.partners.v1.key_pb2 import Key


class PurposeName(StrEnum):
    """What a key may sign, as it is typed."""

    ORDERS = "orders"
    AGREEMENTS = "agreements"
    STATEMENTS = "statements"
    RECEIPTS = "receipts"
    LOG = "log"
    OPERATOR = "operator"


PurposeOption = Annotated[PurposeName, typer.Option(help="What the key may sign.")]


def key_app() -> App:
    """The commands about keys."""
    app = App(no_args_is_help=True, help="Register, rotate, revoke, recover and list signing keys.")
    for command in (rotate, revoke, recover, register):
        app.command()(command)
    app.command("sign")(sign_event)
    app.command("list")(list_keys)
    return app


def rotate(
    by: ByAnybody,
    purpose: PurposeOption,
    token: Annotated[
        str | None,
        typer.Option(metavar="URI", help="Of the exchange: make it in this PKCS#11 token."),
    ] = None,
) -> None:
    """Make a new key, register it, and sign with it from now on.

    Of a partner: your agreements key vouches for it. Of an operator: your key in use does. The key
    in use until now stays in the profile under its key id; orders that it signed stay good. After
    an interruption run the same command again.

    Without a profile: the exchange's own key for receipts, statements or log, on its host. Servers
    register it and sign with it when they start; restart them one by one.
    """
    kind = Purpose[purpose.name]
    if by.profile_dir is None and kind in EXCHANGE_PURPOSES:
        if token is None:
            made = rotate_exchange_key(by.data_dir, kind, datetime.now(UTC)).signer.key_id
            then = "restart the servers, one by one"
        else:
            made = make_exchange_token_key(by.data_dir, kind, token, datetime.now(UTC))
            then = f"put its URI first in signer_{purpose} and restart the servers, one by one"
        document = {"key_id": made, "holder": EXCHANGE, "purpose": kind.value}
        answer(by.as_json, {"key": document}, f"Made key {made} for {purpose}; {then}")
        return
    if token is not None:
        raise typer.BadParameter("a token is for a key of the exchange, on its host")
    profile = by.profile()
    folder = _folder_of(profile, kind)
    folder.finish_earlier_rotation(kind)
    key = _next_key(profile, folder, kind, lambda: (own_signer(profile),))
    with connect(profile) as connection:
        registered = register_key(connection, key)
    # A crash before this leaves the old key in use, which is good; a repeat registers no other.
    folder.take_into_use(kind)
    answer(
        by.as_json,
        {"key": key_document(registered)},
        f"Registered key {registered.key_id} for {purpose}; it signs from now on",
    )


def recover(
    purpose: PurposeOption,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: EitherProfileOption = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the event here for two operators.")
    ] = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replace a key when the keys that could vouch for its successor are lost.

    First it makes a new key and an event that the new key alone has signed: have two operators sign
    that (`key sign`) and send it (`key register`). Then run the same command again, and the new key
    is taken into use.
    """
    kind = Purpose[purpose.name]
    profile = either_profile(profile_dir, data_dir, server)
    folder = _folder_of(profile, kind)
    folder.finish_earlier_rotation(kind)
    key = _next_key(profile, folder, kind, tuple)
    with connect(profile) as connection:
        own = connection.keys()
    registered = next((each for each in own if each.key_id == key.signer.key_id), None)
    if registered is not None:
        folder.take_into_use(kind)
        text = f"Key {registered.key_id} is registered for {purpose}; it signs from now on"
        answer(as_json, {"key": key_document(registered)}, text)
        return
    show_event(
        as_json, key.event, profile, out, "Two operators must sign this, and one of them send it."
    )


def list_keys(
    by: ByAnybody,
    holder: Annotated[
        str,
        typer.Option(help="partner/ID, operator/NAME or exchange; your own if empty."),
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also write keys.json and keys/<key_id>.pem here."),
    ] = None,
) -> None:
    """List the keys of a holder; the exchange's own are what its receipts and statements verify
    with.
    """
    with by.connect() as connection:
        keys = connection.keys(holder)
    if out is not None:
        write_public_keys(out, keys)
    documents = [key_document(key) for key in keys]
    columns = ("key_id", "holder", "purpose", "valid_from", "valid_until", "revoked_index")
    answer(
        by.as_json,
        {"keys": documents},
        table(
            ("key id", "holder", "purpose", "valid from", "valid until", "revoked at"),
            [
                tuple("-" if each[name] is None else each[name] for name in columns)
                for each in documents
            ],
        ),
    )


def write_public_keys(directory: Path, keys: Sequence[Key]) -> None:
    """Write `keys.json` and `keys/<key_id>.pem`, which `openssl` and `pointclear verify` read.

    Raises FileError.
    """
    documents = []
    for key in keys:
        public = public_key_pem(key.public_key)
        write_output(directory / "keys" / f"{key.key_id}.pem", public)
        documents.append({**key_document(key), "public_key_pem": public.decode()})
    write_output(directory / "keys.json", json_text(documents))


def _folder_of(profile: Profile, purpose: Purpose) -> KeyFolder:
    """Where a profile's keys are; raises typer.BadParameter for a purpose that it cannot have."""
    own = (Purpose.OPERATOR,) if profile.caller.is_operator else PARTNER_PURPOSES
    if purpose not in own:
        names = ", ".join(each.lower() for each in own)
        raise typer.BadParameter(f"{profile.directory} is {profile.identity}: its keys are {names}")
    return KeyFolder.of_profile(profile.directory)


def _next_key(profile: Profile, folder: KeyFolder, purpose: Purpose, vouching: Any) -> NewKey:
    signer = folder.signer(folder.following(purpose))

    def payload() -> bytes:
        return registration(
            profile.audience,
            profile.caller.holder,
            purpose,
            signer.public_key,
            datetime.now(UTC),
            KEY_LIFETIME,
        )

    return key_with_event(signer, payload, vouching)
