"""`fulfilment open`: what a target brand sealed for the brand whose member surrendered points."""

import base64
import binascii
import sys
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from exchange.cli.calling import App
from exchange.cli.files import PRIVATE_MODE, read_file, write_output
from exchange.cli.options import JsonOption, PartnerProfileOption, parse_uuid, partner_profile
from exchange.cli.output import answer, visible
from exchange.cli.profile import Profile, key_path, passphrase_of
from partners.errors import Reason, Refused
from partners.fulfilment import open_sealed
from partners.key_files import load_key_file
from partners.keys import KEY_ID_CHARS, Purpose

FORMER_KEYS = f"orders.{'[0-9a-f]' * KEY_ID_CHARS}.pem"
"""Names of the keys for orders that were in use."""


def fulfilment_app() -> App:
    """The commands about fulfilments."""
    app = App(no_args_is_help=True, help="Codes and certificates that came in place of points.")
    app.command("open")(open_fulfilment)
    return app


def open_fulfilment(
    profile_dir: PartnerProfileOption,
    transfer: Annotated[str, typer.Option(metavar="UUID", help="The transfer that it came with.")],
    sealed: Annotated[
        Path, typer.Argument(metavar="FILE", help="What came, in base64; - for standard input.")
    ],
    key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.pem",
            help="The key that signed the order. [default: each of the profile's for orders]",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write it here, for its owner alone, and not out."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Open a fulfilment, offline, with the key that signed the order.

    What it prints is worth money to whoever reads it.
    """
    profile = partner_profile(profile_dir, None)
    transfer_id = parse_uuid(transfer)
    opened = _opened(_sealed_bytes(sealed), profile, key, transfer_id)
    document = {"transfer_id": str(transfer_id)}
    if out is not None:
        write_output(out, opened, PRIVATE_MODE)
        answer(as_json, {**document, "file": str(out)}, f"Wrote {out}")
    else:
        text = opened.decode(errors="replace")
        answer(as_json, {**document, "base64": base64.b64encode(opened).decode()}, visible(text))


def _sealed_bytes(path: Path) -> bytes:
    content = sys.stdin.buffer.read() if str(path) == "-" else read_file(path)
    try:
        return base64.b64decode(b"".join(content.split()), validate=True)
    except binascii.Error:
        raise Refused(Reason.FIELD_INVALID, "fulfilment", f"{path}: this is no base64") from None


def _opened(sealed: bytes, profile: Profile, key: Path | None, transfer_id: UUID) -> bytes:
    # An order may be older than the key in use: those before it are kept under their ids.
    in_use = key_path(profile.directory, Purpose.ORDERS)
    paths = [key] if key else [in_use, *sorted(in_use.parent.glob(FORMER_KEYS))]
    for path in paths:
        secret = load_key_file(path, passphrase_of(profile.directory)).opening_key()
        try:
            return open_sealed(sealed, secret, profile.audience, transfer_id)
        except Refused:
            continue
    raise Refused(
        Reason.FIELD_INVALID,
        "fulfilment",
        f"none of {len(paths)} keys opens it for this transfer; name with --key the one that signed"
        " the order",
    )
