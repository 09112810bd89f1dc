"""`key add` and `key list`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.connection import connect
from exchange.cli.documents import key_document
from exchange.cli.files import write_output
from exchange.cli.onboarding import (
    finish_earlier_rotation,
    new_key,
    next_key_path,
    register_key,
    take_into_use,
)
from exchange.cli.options import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    EitherProfileOption,
    JsonOption,
    PartnerProfileOption,
    ServerOption,
    either_profile,
    partner_profile,
)
from exchange.cli.output import Command, answer, json_text, table
from partners.key_files import public_key_pem
from partners.keys import Purpose
from pointclear.partners.v1.key_pb2 import Key


class PartnerPurpose(StrEnum):
    """What a partner's key may sign."""

    ORDERS = "orders"
    AGREEMENTS = "agreements"
    STATEMENTS = "statements"


def key_app() -> typer.Typer:
    """The commands about keys."""
    app = typer.Typer(no_args_is_help=True, help="Add and list signing keys.")
    app.command("add", cls=Command)(add)
    app.command("list", cls=Command)(list_keys)
    return app


def add(
    purpose: Annotated[PartnerPurpose, typer.Option(help="What the key may sign.")],
    profile_dir: PartnerProfileOption,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new key, register it, and sign with it from now on.

    Your agreements key vouches for it. The key in use until now stays in the profile under its key
    id. After an interruption run the same command again.
    """
    profile = partner_profile(profile_dir, server)
    kind = Purpose[purpose.name]
    finish_earlier_rotation(profile.directory, kind)
    key = new_key(
        next_key_path(profile.directory, kind),
        kind,
        profile.caller.name,
        profile.audience,
        lambda: profile.signer(Purpose.AGREEMENTS),
        datetime.now(UTC),
    )
    with connect(profile) as connection:
        registered = register_key(connection, key)
    # A crash before this leaves the old key in use, which is good; a repeat registers no other.
    take_into_use(profile.directory, kind)
    answer(
        as_json,
        {"key": key_document(registered)},
        f"Registered key {registered.key_id} for {purpose}; it signs from now on",
    )


def list_keys(
    holder: Annotated[
        str,
        typer.Option(help="partner/ID, operator/NAME or exchange; your own if empty."),
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also write keys.json and keys/<key_id>.pem here."),
    ] = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: EitherProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the keys of a holder; the exchange's own are what its receipts and statements verify
    with.
    """
    with connect(either_profile(profile_dir, data_dir, server)) as connection:
        keys = connection.keys(holder)
    if out is not None:
        write_public_keys(out, keys)
    documents = [key_document(key) for key in keys]
    answer(
        as_json,
        {"keys": documents},
        table(
            ("key id", "holder", "purpose", "valid from", "valid until"),
            [
                (
                    each["key_id"],
                    each["holder"],
                    each["purpose"],
                    each["valid_from"],
                    each["valid_until"],
                )
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
