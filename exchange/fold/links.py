"""Decides links between members' accounts, and what is forgotten of members. Pure but for the run
that it is given.

No body holds a reference: a start commits to one, a confirmation is the brand's own signed
commitment, and an erasure names links alone.
"""

from dataclasses import replace

from exchange.fold.run import Run
from exchange.json_body import JSON_BODY, json_body
from exchange.outcomes import LinkChanged, LinkFrozen, LinksRequired, MemberErased, Repeated, Result
from partners.envelope import ENVELOPE_BODY
from partners.errors import Reason, Refused
from partners.links.commands import (
    ConfirmLink,
    EraseMember,
    FreezeLink,
    LinkCommand,
    RequireLinks,
    RevokeLink,
    StartLink,
)
from partners.links.link import Link, LinkMember, LinkState, require_pending, unknown_link


def link_entry_key(command: LinkCommand) -> str:
    """The key under which a command's entry is booked."""
    match command:
        case StartLink():
            return f"link/{command.link_id}/start"
        case ConfirmLink():
            return f"link/{command.link_id}/confirm"
        case RevokeLink():
            return f"link/{command.link_id}/revoke"
        case FreezeLink():
            return f"link/{command.link_id}/frozen/{command.change_id}"
        case RequireLinks():
            return f"links-required/{command.program}/{command.change_id}"
        case EraseMember():
            return f"erasure/{command.erasure_id}/{command.program}"


def decide_link(run: Run, command: LinkCommand) -> Result:
    """Dispatch a command about links."""
    match command:
        case StartLink():
            return start_link(run, command)
        case ConfirmLink():
            return confirm_link(run, command)
        case RevokeLink():
            return revoke_link(run, command)
        case FreezeLink():
            return freeze_link(run, command)
        case RequireLinks():
            return require_links(run, command)
        case EraseMember():
            return erase_member(run, command)


def start_link(run: Run, command: StartLink) -> Result:
    body = json_body(
        {
            "link_id": str(command.link_id),
            "source_program": command.source_program,
            "target_program": command.target_program,
            "source_member_sha256": command.member.sha256().hex(),
        }
    )
    entry_key = link_entry_key(command)
    if entry_key in run.entries:
        return run.same_body(entry_key, body, "link_id", Reason.MODIFIED_REQUEST)
    for field, program in (
        ("source_program", command.source_program),
        ("target_program", command.target_program),
    ):
        if program not in run.registry.programs:
            raise Refused(Reason.PROGRAM_UNKNOWN, field, f"there is no program {program}")
    programs = run.registry.programs
    if programs[command.source_program] == programs[command.target_program]:
        raise Refused(Reason.FIELD_INVALID, "target_program", "a link joins programs of two brands")
    refuse_frozen(run, command.member, "member")
    link = Link(
        command.link_id,
        command.source_program,
        command.target_program,
        LinkState.PENDING,
        frozen=False,
        log_index=run.index,
        started_at=run.now,
        source_member=command.member.member,
    )
    run.links[link.link_id] = link
    return run.enter(entry_key, JSON_BODY, body, effect=LinkChanged(link, command.member))


def confirm_link(run: Run, command: ConfirmLink) -> Result:
    field = "confirmation.link_id"
    link = run.links.get(command.link_id)
    if link is None or run.registry.programs.get(link.target_program) != command.partner_id:
        raise unknown_link(field)
    entry_key = link_entry_key(command)
    if entry_key in run.entries:
        return run.same_body(entry_key, command.body, field, Reason.MODIFIED_REQUEST)
    key = run.registry.keys.get(command.key_id)
    if key is None or not key.in_force(run.index, run.now):
        raise Refused(Reason.KEY_NOT_IN_FORCE, "signatures", "the signing key is not in force")
    if command.member.program != link.target_program:
        raise Refused(
            Reason.FIELD_INVALID, "confirmation.program", "the program is not the link's target"
        )
    require_pending(link, run.now, field)
    if link.frozen:
        raise Refused(Reason.MEMBER_FROZEN, field, "the link is frozen")
    refuse_frozen(run, command.member, "member")
    link = replace(
        link,
        state=LinkState.ACTIVE,
        log_index=run.index,
        confirmed_at=run.now,
        method=command.method,
        consent_version=command.consent_version,
        target_member=command.member.member,
    )
    run.links[link.link_id] = link
    effect = LinkChanged(link, command.member)
    return run.enter(entry_key, ENVELOPE_BODY, command.body, effect=effect)


def revoke_link(run: Run, command: RevokeLink) -> Result:
    link = run.links.get(command.link_id)
    programs = (link.source_program, link.target_program) if link else ()
    if link is None or command.partner_id not in map(run.registry.programs.get, programs):
        raise unknown_link()
    if link.state is LinkState.REVOKED:
        return Repeated(link.log_index)
    link = replace(link, state=LinkState.REVOKED, log_index=run.index)
    run.links[link.link_id] = link
    body = json_body({"link_id": str(link.link_id), "revoked_by": command.partner_id})
    return run.enter(link_entry_key(command), JSON_BODY, body, effect=LinkChanged(link))


def freeze_link(run: Run, command: FreezeLink) -> Result:
    link = run.links.get(command.link_id)
    if link is None:
        raise unknown_link()
    body = json_body({"link_id": str(link.link_id), "frozen": command.frozen})
    entry_key = link_entry_key(command)
    if entry_key in run.entries:
        return run.same_body(entry_key, body, "change_id", Reason.MODIFIED_REQUEST)
    link = replace(link, frozen=command.frozen)
    run.links[link.link_id] = link
    run.registry = run.registry.with_frozen(link.link_id, link.members, frozen=link.frozen)
    return run.enter(entry_key, JSON_BODY, body, effect=LinkFrozen(link))


def require_links(run: Run, command: RequireLinks) -> Result:
    if command.program not in run.registry.programs:
        raise Refused(Reason.PROGRAM_UNKNOWN, "program", f"there is no program {command.program}")
    body = json_body({"program": command.program, "required": command.required})
    entry_key = link_entry_key(command)
    if entry_key in run.entries:
        return run.same_body(entry_key, body, "change_id", Reason.MODIFIED_REQUEST)
    run.registry = run.registry.with_links_required(command.program, required=command.required)
    effect = LinksRequired(command.program, command.required)
    return run.enter(entry_key, JSON_BODY, body, effect=effect)


def erase_member(run: Run, command: EraseMember) -> Result:
    entry_key = link_entry_key(command)
    if entry_key in run.entries:
        return Repeated(run.entries[entry_key][0])
    named = (command.program, command.member)
    ended = tuple(
        forgotten(link, command.program, run.index)
        for _, link in sorted(run.links.items())
        if named in link.members
    )
    run.links |= {link.link_id: link for link in ended}
    for link in ended:
        run.registry = run.registry.with_frozen(link.link_id, [named], frozen=False)
    body = json_body({"program": command.program, "links": [str(link.link_id) for link in ended]})
    effect = MemberErased(command.program, command.member, ended)
    return run.enter(entry_key, JSON_BODY, body, effect=effect)


def forgotten(link: Link, program: str, log_index: int) -> Link:
    """A link that has lost the reference of one program, and so is ended."""
    if link.state is not LinkState.REVOKED:
        link = replace(link, state=LinkState.REVOKED, log_index=log_index)
    if program == link.source_program:
        return replace(link, source_member="")
    return replace(link, target_member="")


def refuse_frozen(run: Run, member: LinkMember, field: str) -> None:
    """Raise Refused(MEMBER_FROZEN) for a member who is frozen through another link."""
    if (member.program, member.member) in run.registry.frozen_members:
        raise Refused(Reason.MEMBER_FROZEN, field, "the member is frozen")
