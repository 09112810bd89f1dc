"""Between the wire's messages and links: confirmations and salts in, links out."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from partners.envelope import Envelope, to_json
from partners.errors import Reason, Refused
from partners.links.commands import ConfirmLink
from partners.links.link import SALT_BYTES, Link, LinkMember, LinkMethod, LinkState
from partners.points import check_id, check_reference
from partners.wire import parse_strictly, time_from_proto, time_to_proto, uuid7
from pointclear.partners.v1 import link_service_pb2 as pb


def member_from_proto(program: str, member: str, salt: bytes) -> LinkMember:
    """A reference with its salt; raises Refused(FIELD_INVALID)."""
    check_reference(member, "member", required=True)
    check_salt(salt, "member_salt")
    return LinkMember(program, member, salt)


def check_salt(salt: bytes, field: str) -> None:
    """Raise Refused(FIELD_INVALID) unless these are as many bytes as a salt has."""
    if len(salt) != SALT_BYTES:
        raise Refused(Reason.FIELD_INVALID, field, f"a salt is {SALT_BYTES} random bytes")


def parse_confirmation(envelope: Envelope) -> pb.LinkConfirmation:
    """The confirmation that a verified envelope holds, parsed strictly."""
    return parse_strictly(pb.LinkConfirmation(), envelope.payload)


def confirmation_command(
    message: pb.LinkConfirmation, envelope: Envelope, member: str, salt: bytes
) -> ConfirmLink:
    """The command that a verified confirmation asks for; raises Refused(FIELD_INVALID) naming the
    first field that breaks its rule.
    """
    link_id = uuid7(message.link_id, "confirmation.link_id")
    check_id(message.program, "confirmation.program")
    method = method_from_proto(message.method)
    check_id(message.consent_version, "confirmation.consent_version")
    time_from_proto(message.confirmed_at, "confirmation.confirmed_at")
    own = member_from_proto(message.program, member, salt)
    if own.sha256() != message.member_sha256:
        raise Refused(
            Reason.FIELD_INVALID,
            "confirmation.member_sha256",
            "the confirmation commits to another member or salt than the request has",
        )
    return ConfirmLink(
        link_id,
        message.partner_id,
        own,
        method,
        message.consent_version,
        envelope.signatures[0].key_id,
        to_json(envelope).encode(),
    )


def method_from_proto(method: pb.LinkMethod.ValueType) -> LinkMethod:
    """How the member was known; raises Refused(FIELD_INVALID) when it is not stated."""
    known = method in pb.LinkMethod.values()
    name = pb.LinkMethod.Name(method).removeprefix("LINK_METHOD_") if known else ""
    if name not in LinkMethod.__members__:
        raise Refused(
            Reason.FIELD_INVALID, "confirmation.method", "it is not stated how the member was known"
        )
    return LinkMethod[name]


def method_to_proto(method: LinkMethod | None) -> pb.LinkMethod.ValueType:
    """The method as the wire names it."""
    return pb.LinkMethod.Value(f"LINK_METHOD_{method.name if method else 'UNSPECIFIED'}")


def state_from_proto(state: pb.LinkState.ValueType) -> str | None:
    """The name of a state that a list asks for, None for any; raises Refused(FIELD_INVALID)."""
    if state not in pb.LinkState.values():
        raise Refused(Reason.FIELD_INVALID, "state", "there is no such state")
    name = pb.LinkState.Name(state).removeprefix("LINK_STATE_")
    return None if name == "UNSPECIFIED" else name


def shown_state(link: Link, now: datetime) -> str:
    """How far a link has come, by the name that the wire has for it."""
    if link.state is LinkState.REVOKED:
        return "REVOKED"
    if link.frozen:
        return "FROZEN"
    return "LAPSED" if link.has_lapsed(now) else link.state.value


def link_to_proto(link: Link, programs: Collection[str], now: datetime) -> pb.Link:
    """A link as the brand of `programs` sees it: with its own member and no other's."""
    own = next((p for p in (link.source_program, link.target_program) if p in programs), None)
    shown = pb.Link(
        link_id=link.link_id.bytes,
        source_program=link.source_program,
        target_program=link.target_program,
        state=pb.LinkState.Value(f"LINK_STATE_{shown_state(link, now)}"),
        member=link.member_of(own) if own else "",
        started_at=time_to_proto(link.started_at),
        lapses_at=time_to_proto(link.lapses_at),
        method=method_to_proto(link.method),
        consent_version=link.consent_version,
    )
    if link.confirmed_at is not None:
        shown.confirmed_at.CopyFrom(time_to_proto(link.confirmed_at))
    return shown


def id_of(link_id: bytes) -> UUID:
    """A link's id as a request names it."""
    return uuid7(link_id, "link_id")
