"""`member validate` and `member erase`."""

import secrets
from typing import Annotated

import typer

from exchange.cli.calling import App
from exchange.cli.connection import connect
from exchange.cli.options import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    EitherProfileOption,
    JsonOption,
    PartnerProfileOption,
    ReasonOption,
    ServerOption,
    either_profile,
    parse_uuid,
    partner_profile,
)
from exchange.cli.output import answer
from partners.links.link import SALT_BYTES
from pointclear.partners.v1 import link_service_pb2 as pb

ERASE_TIMEOUT_S = 3600.0
"""Every stored order is looked at."""

LinkOption = Annotated[
    str | None, typer.Option("--link", metavar="LINK_ID", help="A link in place of a member.")
]


def member_app() -> App:
    """The commands about members."""
    app = App(no_args_is_help=True, help="Look members up, and forget them.")
    app.command("validate")(validate)
    app.command("erase")(erase)
    return app


def validate(
    program: Annotated[str, typer.Option(help="The program that is asked.")],
    profile_dir: PartnerProfileOption,
    member: Annotated[str, typer.Option(help="Its id for the member.")] = "",
    consent: Annotated[
        str,
        typer.Option(metavar="VERSION", help="Version of the text by which the member agreed."),
    ] = "",
    link: LinkOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask whether a program takes points for a member.

    Whom it does not know and who may not take part are one answer.
    """
    request = pb.ValidateMemberRequest(
        program=program,
        member=member,
        consent_version=consent,
        link_id=parse_uuid(link).bytes if link else b"",
    )
    with connect(partner_profile(profile_dir, server)) as connection:
        response = connection.call(connection.links.ValidateMember, request)
    shown = "The program takes points for this member" if response.eligible else "Not eligible"
    answer(as_json, {"program": program, "eligible": response.eligible}, shown)


def erase(
    program: Annotated[str, typer.Option(help="The program.")] = "",
    member: Annotated[str, typer.Option(help="Its id for the member.")] = "",
    link: LinkOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: EitherProfileOption = None,
    reason: ReasonOption = "",
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget a member's reference wherever the exchange stores it, and end the links.

    A partner may do so for its own members, an operator for anyone's. What was signed and recorded
    stays, and proves what it did: it never held the reference.
    """
    if (link is None) == (not (program and member)):
        raise typer.BadParameter("name --program and --member, or --link")
    request = pb.EraseMemberRequest(
        program=program,
        member=member,
        link_id=parse_uuid(link).bytes if link else b"",
        salt=secrets.token_bytes(SALT_BYTES),
    )
    with connect(either_profile(profile_dir, data_dir, server), reason) as connection:
        response = connection.call(connection.links.EraseMember, request, ERASE_TIMEOUT_S)
    document = {"links_ended": response.links_ended, "orders_emptied": response.orders_emptied}
    answer(
        as_json,
        document,
        f"Forgotten: {response.links_ended} links ended,"
        f" {response.orders_emptied} stored orders emptied",
    )
