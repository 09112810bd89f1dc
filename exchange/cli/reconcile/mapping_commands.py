"""`reconcile mapping set`, `show` and `suggest`."""

import codecs
import os
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.calling import App, ByPartner
from exchange.cli.connection import connect
from exchange.cli.files import opened, read_file, write_output
from exchange.cli.options import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    EitherProfileOption,
    ServerOption,
    either_profile,
)
from exchange.cli.output import answer, json_text
from exchange.cli.reconcile.suggesting import suggested
from pointclear.settlement.v1 import reconciliation_pb2 as pb

LOOKED_AT_BYTES = 1024 * 1024
LAST_BYTES = 64 * 1024


def mapping_app() -> App:
    """The commands about mappings."""
    app = App(no_args_is_help=True, help="Say once how your own files are written.")
    app.command("set")(set_mapping)
    app.command("show")(show_mapping)
    app.command("suggest")(suggest)
    return app


def set_mapping(
    by: ByPartner,
    file: Annotated[Path, typer.Argument(metavar="MAPPING.json", help="The mapping.")],
) -> None:
    """Set how your own files are written. Later runs are by it.

    `reconcile mapping suggest` makes one from a file. It is a JSON object; `columns` is needed, and
    of the rest what differs from the default.

    columns: your names of transfer_id, reference, member, program, direction, points (or points_out
    and points_in), money, rate (250:200, or one number: see rate_is), fee, tax, status, date.

    format: csv, xlsx (sheet) or fixed (widths: first character and number of characters); encoding,
    delimiter, quote, header.

    decimal, group: the marks in 1.234,50; date_format as %d.%m.%Y, zone.

    direction_words: your words to out and in. status_words: to COMMITTED, REVERSED, RESERVED or
    ABORTED. programs: your names of programs to ours.

    rows, totals: which rows hold control totals and the end marker, and of what.

    money_sign, money_covers, tax_covers, tolerance, in_transit_minutes: what is compared, how near.
    """
    content = read_file(file)
    with by.connect() as own:
        response: pb.SetColumnMappingResponse = own.call(
            own.settlement.SetColumnMapping, pb.SetColumnMappingRequest(mapping=content)
        )
    answer(by.as_json, {"version": response.version}, f"Mapping {response.version} is set")


def show_mapping(
    partner: Annotated[str, typer.Option(help="Whose; an operator must say.")] = "",
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: EitherProfileOption = None,
    server: ServerOption = None,
) -> None:
    """Print the mapping that is set, as JSON."""
    with connect(either_profile(profile_dir, data_dir, server)) as connection:
        response: pb.GetColumnMappingResponse = connection.call(
            connection.settlement.GetColumnMapping,
            pb.GetColumnMappingRequest(partner_id=partner),
        )
    typer.echo(response.mapping, nl=not response.mapping.endswith(b"\n"))


def suggest(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="One of your own files, CSV.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="MAPPING.json", help="Write it here.")
    ] = None,
) -> None:
    """Guess a mapping from a file, to be looked at before it is set. Nothing is sent."""
    guess = json_text(suggested(_looked_at(file)))
    if out is None:
        typer.echo(guess, nl=False)
        return
    write_output(out, guess)
    typer.echo(f"Wrote {out}: look at it, then `pointclear reconcile mapping set {out}`")


def _looked_at(path: Path) -> bytes:
    """A file's first and last rows, or all of a small one. Raises FileError."""
    with opened(path) as file:
        head = file.read(LOOKED_AT_BYTES)
        size = file.seek(0, os.SEEK_END)
        if size <= LOOKED_AT_BYTES:
            return head
        # An even place, so that UTF-16 stays what it is; whole rows, so that UTF-8 does.
        file.seek(max(LOOKED_AT_BYTES, size - LAST_BYTES & ~1))
        tail = file.read()
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return head + tail
    return head[: head.rfind(b"\n") + 1] + tail[tail.find(b"\n") + 1 :]
