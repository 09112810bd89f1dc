"""`link start`, `confirm`, `revoke`, `list`, `freeze`, `unfreeze` and `require`."""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import typer
import uuid_utils

from exchange.cli.calling import App, ByPartner
from exchange.cli.connection import Connection, connect
from exchange.cli.documents import link_document
from exchange.cli.options import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    EitherProfileOption,
    JsonOption,
    OperatorProfileOption,
    PartnerProfileOption,
    ReasonOption,
    ServerOption,
    either_profile,
    operator_profile,
    parse_uuid,
    partner_profile,
)
from exchange.cli.output import answer, pairs, table
from exchange.cli.profile import Profile
from partners.envelope import LINK_CONFIRMATION, sign
from partners.keys import Purpose
from partners.links.link import SALT_BYTES, LinkMember
from partners.wire import envelope_to_proto, time_to_proto
from pointclear.partners.v1 import link_service_pb2 as pb

PAGE = 500
METHODS = {
    "sign-in": pb.LINK_METHOD_SIGN_IN,
    "one-time-code": pb.LINK_METHOD_ONE_TIME_CODE,
    "in-person": pb.LINK_METHOD_IN_PERSON,
}
STATES = ("PENDING", "ACTIVE", "FROZEN", "REVOKED", "LAPSED")

LinkArgument = Annotated[str, typer.Argument(metavar="LINK_ID", help="A UUID.")]
SaltOption = Annotated[
    str | None,
    typer.Option(metavar="HEX", help="32 bytes, to send the same again. [default: new ones]"),
]


def link_app() -> App:
    """The commands about links."""
    app = App(
        no_args_is_help=True,
        help="Link a member's accounts in two programs, so that neither brand learns the other's.",
    )
    app.command("start")(start)
    app.command("confirm")(confirm)
    app.command("revoke")(revoke)
    app.command("list")(list_links)
    app.command("freeze")(freeze)
    app.command("unfreeze")(unfreeze)
    app.command("require")(require)
    return app


def start(
    source_program: Annotated[str, typer.Option(help="Your program.")],
    target_program: Annotated[str, typer.Option(help="The other brand's program.")],
    member: Annotated[str, typer.Option(help="Your id for the member.")],
    profile_dir: PartnerProfileOption,
    link_id: Annotated[
        str | None,
        typer.Option("--id", metavar="UUID", help="A UUID version 7. [default: a new one]"),
    ] = None,
    salt: SaltOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start a link for your member; the other brand confirms it within a day.

    To send the same again, name its --id and --salt.
    """
    request = pb.StartLinkRequest(
        link_id=parse_uuid(link_id).bytes if link_id else new_id(),
        source_program=source_program,
        target_program=target_program,
        member=member,
        member_salt=parse_salt(salt),
    )
    with connect(partner_profile(profile_dir, server)) as connection:
        link = connection.call(connection.links.StartLink, request).link
    _answer_link(as_json, "Started", link, request.member_salt)


def confirm(
    link_id: LinkArgument,
    program: Annotated[str, typer.Option(help="Your program.")],
    member: Annotated[str, typer.Option(help="Your id for the member.")],
    consent: Annotated[
        str, typer.Option(metavar="VERSION", help="Version of the text that the member agreed to.")
    ],
    profile_dir: PartnerProfileOption,
    method: Annotated[
        str, typer.Option(help=f"How the member was known: {', '.join(METHODS)}.")
    ] = "sign-in",
    salt: SaltOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Confirm a link for your member, signed with your key for orders."""
    if method not in METHODS:
        raise typer.BadParameter(f"{method!r} is none of {', '.join(METHODS)}")
    profile = partner_profile(profile_dir, server)
    own = LinkMember(program, member, parse_salt(salt))
    request = confirmation_request(
        profile, parse_uuid(link_id).bytes, own, METHODS[method], consent, datetime.now(UTC)
    )
    with connect(profile) as connection:
        link = connection.call(connection.links.ConfirmLink, request).link
    _answer_link(as_json, "Confirmed", link, own.salt)


def revoke(
    by: ByPartner,
    link_id: LinkArgument,
) -> None:
    """End a link, for ever; either brand may."""
    request = pb.RevokeLinkRequest(link_id=parse_uuid(link_id).bytes)
    with by.connect() as connection:
        link = connection.call(connection.links.RevokeLink, request).link
    _answer_link(by.as_json, "Revoked", link)


def list_links(
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: EitherProfileOption = None,
    state: Annotated[
        str | None, typer.Option(help=f"Only those that are {', '.join(STATES)}.")
    ] = None,
    program: Annotated[str, typer.Option(help="Only those of this program.")] = "",
    member: Annotated[str, typer.Option(help="Only those of this member of yours.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 100,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """List links, newest first: a partner its own, an operator all, without members."""
    if state is not None and state not in STATES:
        raise typer.BadParameter(f"{state!r} is none of {', '.join(STATES)}")
    wanted = pb.ListLinksRequest(
        state=pb.LinkState.Value(f"LINK_STATE_{state or 'UNSPECIFIED'}"),
        program=program,
        member=member,
    )
    with connect(either_profile(profile_dir, data_dir, server)) as connection:
        documents = [link_document(each) for each in _links(connection, wanted, limit)]
    answer(
        as_json,
        {"links": documents},
        table(
            ("link", "programs", "member", "state", "started", "confirmed"),
            [
                (
                    each["link_id"],
                    f"{each['source_program']} – {each['target_program']}",
                    each["member"],
                    each["state"],
                    each["started_at"],
                    each["confirmed_at"] or "",
                )
                for each in documents
            ],
        ),
    )


def freeze(
    link_id: LinkArgument,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: OperatorProfileOption = None,
    reason: ReasonOption = "",
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Freeze a link's members: no order may move their points, by this link or without one."""
    request = pb.FreezeLinkRequest(change_id=new_id(), link_id=parse_uuid(link_id).bytes)
    with connect(operator_profile(profile_dir, data_dir, server), reason) as connection:
        link = connection.call(connection.links.FreezeLink, request).link
    _answer_link(as_json, "Froze", link)


def unfreeze(
    link_id: LinkArgument,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: OperatorProfileOption = None,
    reason: ReasonOption = "",
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Unfreeze a link's members."""
    request = pb.UnfreezeLinkRequest(change_id=new_id(), link_id=parse_uuid(link_id).bytes)
    with connect(operator_profile(profile_dir, data_dir, server), reason) as connection:
        link = connection.call(connection.links.UnfreezeLink, request).link
    _answer_link(as_json, "Unfroze", link)


def require(
    program: Annotated[str, typer.Argument(metavar="PROGRAM", help="The program.")],
    off: Annotated[bool, typer.Option("--off", help="Demand links no longer.")] = False,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: OperatorProfileOption = None,
    reason: ReasonOption = "",
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have every order that touches a program name a link."""
    request = pb.RequireLinksRequest(change_id=new_id(), program=program, required=not off)
    with connect(operator_profile(profile_dir, data_dir, server), reason) as connection:
        response = connection.call(connection.links.RequireLinks, request)
    programs = list(response.programs)
    shown = f"Links are demanded by: {', '.join(programs) or 'no program'}"
    answer(as_json, {"programs": programs}, shown)


def _links(connection: Connection, wanted: pb.ListLinksRequest, limit: int) -> Iterator[pb.Link]:
    token = ""
    while limit > 0:
        request = pb.ListLinksRequest(page_size=min(limit, PAGE), page_token=token)
        request.MergeFrom(wanted)
        page = connection.call(connection.links.ListLinks, request)
        yield from page.links
        limit, token = limit - len(page.links), page.next_page_token
        if not token:
            return


def _answer_link(as_json: bool, verb: str, link: pb.Link, salt: bytes = b"") -> None:
    document = link_document(link)
    if salt:
        # It opens what the log holds of the member: nobody can without it.
        document["member_salt"] = salt.hex()
    facts = [(name.replace("_", " "), value) for name, value in document.items() if value]
    answer(as_json, document, f"{verb} {document['link_id']}: {document['state']}", pairs(facts))


def confirmation_request(
    profile: Profile,
    link_id: bytes,
    own: LinkMember,
    method: pb.LinkMethod.ValueType,
    consent_version: str,
    now: datetime,
) -> pb.ConfirmLinkRequest:
    """A brand's confirmation of a link for its own member, signed with its key for orders.

    Raises KeyFileError.
    """
    payload = pb.LinkConfirmation(
        audience=profile.audience,
        partner_id=profile.caller.name,
        link_id=link_id,
        program=own.program,
        member_sha256=own.sha256(),
        method=method,
        consent_version=consent_version,
        confirmed_at=time_to_proto(now),
    ).SerializeToString(deterministic=True)
    signed = sign(profile.signer(Purpose.ORDERS), LINK_CONFIRMATION, payload)
    return pb.ConfirmLinkRequest(
        confirmation=envelope_to_proto(signed), member=own.member, member_salt=own.salt
    )


def new_id() -> bytes:
    """A UUID version 7."""
    return UUID(bytes=uuid_utils.uuid7().bytes).bytes


def parse_salt(text: str | None) -> bytes:
    """32 bytes in hex, new ones where none are given. Raises typer.BadParameter."""
    if text is None:
        return secrets.token_bytes(SALT_BYTES)
    try:
        salt = bytes.fromhex(text)
    except ValueError:
        salt = b""
    if len(salt) != SALT_BYTES:
        raise typer.BadParameter(f"a salt is {SALT_BYTES} bytes in hex")
    return salt
