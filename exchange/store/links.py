"""Links between members, and the members who are forgotten."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from exchange.commands import Command, Order
from exchange.day_limits import member_subjects
from exchange.outcomes import LinksRequired, MemberErased
from exchange.store.limits import load_member_secret
from exchange.store.queries import QUERIES
from partners.links.commands import ConfirmLink, EraseMember, FreezeLink, RevokeLink, StartLink
from partners.links.link import Link, LinkMember
from partners.links.store import link_of_row
from partners.registry import Registry


def load_links(connection: Any, commands: Iterable[Command]) -> dict[UUID, Link]:
    """The links that these commands name, and those of members who are to be forgotten."""
    named: set[str] = set()
    forgotten: list[EraseMember] = []
    for command in commands:
        match command:
            case Order(link_id=UUID() as link_id):
                named.add(str(link_id))
            case StartLink() | ConfirmLink() | RevokeLink() | FreezeLink():
                named.add(str(command.link_id))
            case EraseMember():
                forgotten.append(command)
            case _:
                pass
    if not named and not forgotten:
        return {}
    rows = QUERIES.links(
        connection,
        link_ids=sorted(named),
        programs=[each.program for each in forgotten],
        members=[each.member for each in forgotten],
    )
    links = map(link_of_row, rows)
    return {link.link_id: link for link in links}


def write_link(connection: Any, link: Link) -> None:
    """A link as it stands."""
    QUERIES.write_link(
        connection,
        link_id=str(link.link_id),
        source_program=link.source_program,
        target_program=link.target_program,
        state=link.state.value,
        frozen=link.frozen,
        log_index=link.log_index,
        started_at=link.started_at,
        confirmed_at=link.confirmed_at,
        method=link.method.value if link.method else None,
        consent_version=link.consent_version or None,
    )


def write_link_member(connection: Any, link: Link, member: LinkMember, registry: Registry) -> None:
    """One side's reference, where it can be forgotten."""
    QUERIES.write_link_member(
        connection,
        link_id=str(link.link_id),
        partner_number=registry.partner_of_program(member.program).number,
        program=member.program,
        member=member.member,
        salt=member.salt,
    )


def write_demand(connection: Any, demand: LinksRequired) -> None:
    """Whether orders from or to a program have to name a link."""
    QUERIES.require_links(connection, program=demand.program, required=demand.required)


def write_erasure(connection: Any, erased: MemberErased, registry: Registry) -> None:
    """The ended links of a member, whose reference and day tallies are deleted."""
    for link in erased.links:
        write_link(connection, link)
    QUERIES.forget_member(connection, program=erased.program, member=erased.member)
    secret = load_member_secret(connection)
    subjects = member_subjects(registry, secret, erased.program, erased.member)
    QUERIES.forget_day_tallies(connection, subjects=sorted(subjects))
