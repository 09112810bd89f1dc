"""LinkService: links between members' accounts, look-ups of members, and their erasure. Changes go
through the sequencer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Engine

from partners.caller import Caller
from partners.envelope import LINK_CONFIRMATION
from partners.errors import Reason, Refused
from partners.keys import Purpose
from partners.links import store, wire
from partners.links.commands import (
    EraseMember,
    FreezeLink,
    LinkCommand,
    RequireLinks,
    RevokeLink,
    StartLink,
)
from partners.links.link import Link, LinkState, unknown_link
from partners.links.tick import at_tick
from partners.paging import page_end, page_size, page_token
from partners.points import check_id, check_reference, check_reference_form
from partners.program_port import Eligibility, ProgramPort, ProgramUnavailable
from partners.registry import Registry
from partners.signing import verified_signer
from partners.transaction import in_transaction
from partners.wire import envelope_from_proto, uuid7
from pointclear.partners.v1 import link_service_pb2 as pb

CarryOut = Callable[[LinkCommand], Awaitable[object]]
"""Has the sequencer carry a command out; raises the Refused that answers it."""


class NewestRegistry(Protocol):
    """Where the newest snapshot comes from."""

    async def refresh(self) -> Registry:
        """The registry as the database has it now."""


@dataclass(frozen=True, slots=True)
class LookUps:
    """How members are looked up."""

    port_of: Callable[[str], ProgramPort | None]
    """The program of an id, None where its members cannot be looked up."""
    per_day: int
    """Of one caller, in a UTC day."""
    answer_after_s: float
    """Every answer is given this long after the question."""


@dataclass(frozen=True, slots=True)
class Named:
    """A member as an erasure names it."""

    program: str
    member: str


class LinkService:
    """The handlers. They raise Refused; the edge maps it to the wire."""

    def __init__(
        self,
        engine: Engine,
        carry_out: CarryOut,
        registry: NewestRegistry,
        audience: str,
        look_ups: LookUps,
        empty_orders: Callable[[Engine, str, str], int],
        now: Callable[[], datetime],
        new_id: Callable[[], UUID],
    ) -> None:
        """`empty_orders` forgets a program's member in the stored orders; returns in how many.
        `new_id` names an erasure, each time anew: done again, it forgets what has come since.
        """
        self._engine = engine
        self._carry_out = carry_out
        self._registry = registry
        self._audience = audience
        self._look_ups = look_ups
        self._empty_orders = empty_orders
        self._now = now
        self._new_id = new_id

    async def start_link(
        self, request: pb.StartLinkRequest, caller: Caller
    ) -> pb.StartLinkResponse:
        """A brand starts a link for its own member."""
        partner_id = caller.require_partner()
        link_id = wire.id_of(request.link_id)
        check_id(request.source_program, "source_program")
        check_id(request.target_program, "target_program")
        member = wire.member_from_proto(request.source_program, request.member, request.member_salt)
        registry = await self._registry.refresh()
        if registry.programs.get(request.source_program) != partner_id:
            raise Refused(
                Reason.PROGRAM_UNKNOWN, "source_program", "you have no program of that name"
            )
        await self._carry_out(
            StartLink(link_id, request.source_program, request.target_program, member)
        )
        return pb.StartLinkResponse(link=await self._shown(link_id, caller))

    async def confirm_link(
        self, request: pb.ConfirmLinkRequest, caller: Caller
    ) -> pb.ConfirmLinkResponse:
        """The other brand confirms it, signed."""
        partner_id = caller.require_partner()
        envelope = envelope_from_proto(request.confirmation)
        registry = await self._registry.refresh()
        key = verified_signer(envelope, LINK_CONFIRMATION, Purpose.ORDERS, registry)
        message = wire.parse_confirmation(envelope)
        if key.holder != caller.holder or message.partner_id != partner_id:
            raise Refused(
                Reason.SIGNER_NOT_CALLER, "signatures", "the confirmation is another partner's"
            )
        if message.audience != self._audience:
            raise Refused(
                Reason.AUDIENCE_WRONG, "confirmation.audience", f"this exchange is {self._audience}"
            )
        command = wire.confirmation_command(message, envelope, request.member, request.member_salt)
        await self._carry_out(command)
        return pb.ConfirmLinkResponse(link=await self._shown(command.link_id, caller))

    async def revoke_link(
        self, request: pb.RevokeLinkRequest, caller: Caller
    ) -> pb.RevokeLinkResponse:
        """Either brand ends a link."""
        link_id = wire.id_of(request.link_id)
        await self._carry_out(RevokeLink(link_id, caller.require_partner()))
        return pb.RevokeLinkResponse(link=await self._shown(link_id, caller))

    async def freeze_link(
        self, request: pb.FreezeLinkRequest, caller: Caller
    ) -> pb.FreezeLinkResponse:
        """Operators: no order may move the points of its members."""
        caller.require_operator()
        link_id, change_id = wire.id_of(request.link_id), uuid7(request.change_id, "change_id")
        await self._carry_out(FreezeLink(change_id, link_id, frozen=True))
        return pb.FreezeLinkResponse(link=await self._shown(link_id, caller))

    async def unfreeze_link(
        self, request: pb.UnfreezeLinkRequest, caller: Caller
    ) -> pb.UnfreezeLinkResponse:
        """Operators: they may move again."""
        caller.require_operator()
        link_id, change_id = wire.id_of(request.link_id), uuid7(request.change_id, "change_id")
        await self._carry_out(FreezeLink(change_id, link_id, frozen=False))
        return pb.UnfreezeLinkResponse(link=await self._shown(link_id, caller))

    async def require_links(
        self, request: pb.RequireLinksRequest, caller: Caller
    ) -> pb.RequireLinksResponse:
        """Operators: whether orders that touch a program must name a link."""
        caller.require_operator()
        change_id = uuid7(request.change_id, "change_id")
        program = check_id(request.program, "program")
        await self._carry_out(RequireLinks(change_id, program, request.required))
        registry = await self._registry.refresh()
        return pb.RequireLinksResponse(programs=sorted(registry.link_required))

    async def list_links(
        self, request: pb.ListLinksRequest, caller: Caller
    ) -> pb.ListLinksResponse:
        """The caller's links, newest first; an operator sees all, without references."""
        size = page_size(request.page_size)
        wanted = await self._wanted(request, caller)
        listed = pb.ListLinksRequest(
            state=request.state, program=request.program, member=request.member
        )
        digested = b"links" + listed.SerializeToString(deterministic=True)
        end = page_end(caller.holder, digested, request.page_token)
        before, now = UUID(end) if end else None, self._now()
        found = await self._database(store.list_links, wanted, before, size + 1, now)
        following = ""
        if len(found) > size:
            following = page_token(caller.holder, digested, str(found[size - 1].link_id))
        return pb.ListLinksResponse(
            links=[wire.link_to_proto(each, wanted.programs or (), now) for each in found[:size]],
            next_page_token=following,
        )

    async def validate_member(
        self, request: pb.ValidateMemberRequest, caller: Caller
    ) -> pb.ValidateMemberResponse:
        """Whether a program takes points for a member: one answer and one time for whoever it does
        not know and whoever may not.
        """
        partner_id = caller.require_partner()
        check_id(request.program, "program")
        registry = await self._registry.refresh()
        port = self._port(registry, partner_id, request.program)
        member = await self._asked_member(request, caller, registry)
        number, day = registry.partners[partner_id].number, self._now().date()
        asked = await self._database(store.count_look_up, number, day, self._look_ups.per_day)
        if not asked:
            raise Refused(
                Reason.VELOCITY_EXCEEDED,
                "",
                f"{self._look_ups.per_day} members were looked up today",
                {"lookUpsPerDay": str(self._look_ups.per_day)},
            )
        frozen = (request.program, member) in registry.frozen_members
        try:
            found = await at_tick(port.validate_member(member), self._look_ups.answer_after_s)
        except (ProgramUnavailable, TimeoutError):
            raise Refused(Reason.TRY_LATER, "", "the program did not answer") from None
        return pb.ValidateMemberResponse(eligible=found is Eligibility.ELIGIBLE and not frozen)

    async def erase_member(
        self, request: pb.EraseMemberRequest, caller: Caller
    ) -> pb.EraseMemberResponse:
        """Forget a member's reference wherever it is stored.

        First the stored orders, then the links: a crash in between leaves the links, by which the
        same request finds what there is to forget once more.
        """
        wire.check_salt(request.salt, "salt")
        links = orders = 0
        for named in await self._named(request, caller):
            orders += await asyncio.to_thread(
                self._empty_orders, self._engine, named.program, named.member
            )
            links += await self._database(store.links_of, named.program, named.member)
            await self._carry_out(EraseMember(self._new_id(), named.program, named.member))
        return pb.EraseMemberResponse(links_ended=links, orders_emptied=orders)

    async def _shown(self, link_id: UUID, caller: Caller) -> pb.Link:
        link, registry = await self._database(store.read_link, link_id), await self._current()
        assert link is not None, "a link that was changed is stored"
        return wire.link_to_proto(link, own_programs(registry, caller), self._now())

    async def _current(self) -> Registry:
        return await self._registry.refresh()

    async def _wanted(self, request: pb.ListLinksRequest, caller: Caller) -> store.Wanted:
        if request.program:
            check_id(request.program, "program")
        check_reference_form(request.member, "member", required=False)
        if caller.is_operator and request.member:
            raise Refused(Reason.FIELD_INVALID, "member", "operators see no references")
        programs = None if caller.is_operator else own_programs(await self._current(), caller)
        state = wire.state_from_proto(request.state)
        return store.Wanted(programs, state, request.program or None, request.member or None)

    def _port(self, registry: Registry, partner_id: str, program: str) -> ProgramPort:
        owner = registry.programs.get(program)
        known = any(
            {partner_id, owner} == {force.terms.source_partner, force.terms.target_partner}
            and program in (force.terms.source_program, force.terms.target_program)
            and force.covers(self._now())
            for force in registry.agreements.values()
        )
        port = self._look_ups.port_of(program) if known else None
        if port is None:
            # The same whether there is no such program or none that the caller has terms with.
            raise Refused(
                Reason.PROGRAM_UNKNOWN, "program", "there is no program whose members you may ask"
            )
        return port

    async def _asked_member(
        self, request: pb.ValidateMemberRequest, caller: Caller, registry: Registry
    ) -> str:
        """The member that is asked about: consented to it, or linked."""
        if not request.link_id:
            check_reference(request.member, "member", required=True)
            check_id(request.consent_version, "consent_version")
            return request.member
        if request.member:
            raise Refused(Reason.FIELD_INVALID, "member", "a link is named in place of a member")
        link: Link | None = await self._database(store.read_link, wire.id_of(request.link_id))
        own = own_programs(registry, caller)
        if link is None or not any(link.joins(each, request.program) for each in own):
            raise unknown_link()
        if link.state is not LinkState.ACTIVE:
            raise Refused(Reason.LINK_STATE, "link_id", "the link is not ACTIVE")
        return link.member_of(request.program)

    async def _named(self, request: pb.EraseMemberRequest, caller: Caller) -> list[Named]:
        """The members that a request names; raises Refused unless they are the caller's to name."""
        registry = await self._current()
        own = registry.programs if caller.is_operator else own_programs(registry, caller)
        if request.link_id:
            link: Link | None = await self._database(store.read_link, wire.id_of(request.link_id))
            if link is None or not {link.source_program, link.target_program} & set(own):
                raise unknown_link()
            return [Named(*each) for each in link.members if each[0] in own]
        check_id(request.program, "program")
        # What it looks like does not matter: what was taken before that did must be forgotten too.
        check_reference_form(request.member, "member", required=True)
        if request.program not in own:
            raise Refused(Reason.PROGRAM_UNKNOWN, "program", "there is no such program of yours")
        return [Named(request.program, request.member)]

    async def _database(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await in_transaction(self._engine, work, *arguments)


def own_programs(registry: Registry, caller: Caller) -> tuple[str, ...]:
    """The programs of a partner; none of an operator's."""
    return () if caller.is_operator else registry.partners[caller.name].programs
