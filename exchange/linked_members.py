"""Who an order is for: its members, named or joined by a link. Pure.

The order of the checks is part of the protocol: a link is named where a program demands one, it is
the sender's and of these two programs, it is active, and neither member is frozen.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from exchange.commands import Order
from partners.errors import Reason, Refused
from partners.links.link import Link, LinkState
from partners.registry import Registry


def check_members(
    registry: Registry, links: Mapping[UUID, Link], order: Order, now: datetime
) -> None:
    """Raise the Refused of the first check that an order's members fail. The source program is the
    sender's own.
    """
    if order.link_id is None:
        for program in (order.source_program, order.target_program):
            if program in registry.link_required:
                raise Refused(
                    Reason.LINK_REQUIRED, "link_id", f"orders that touch {program} name a link"
                )
    else:
        check_link(links.get(order.link_id), order, now)
    if registry.frozen_members:
        check_frozen(registry, links, order)


def check_link(link: Link | None, order: Order, now: datetime) -> None:
    """Raise Refused(LINK_UNKNOWN or LINK_STATE) unless the order may name the link."""
    if link is None or not link.joins(order.source_program, order.target_program):
        # The same for what does not exist and for what is others'.
        raise Refused(Reason.LINK_UNKNOWN, "link_id", "there is no such link of these programs")
    if link.state is not LinkState.ACTIVE:
        state = "LAPSED" if link.has_lapsed(now) else link.state
        raise Refused(Reason.LINK_STATE, "link_id", f"the link is {state}, not ACTIVE")


def check_frozen(registry: Registry, links: Mapping[UUID, Link], order: Order) -> None:
    """Raise Refused(MEMBER_FROZEN) where either member is frozen, through whatever link."""
    members = members_of(links, order)
    programs = (order.source_program, order.target_program)
    fields = ("source_member", "target_member") if order.link_id is None else ("link_id",) * 2
    for field, program, member in zip(fields, programs, members, strict=True):
        if (program, member) in registry.frozen_members:
            raise Refused(Reason.MEMBER_FROZEN, field, "the member is frozen")


def members_of(links: Mapping[UUID, Link], order: Order) -> tuple[str, str]:
    """The references of the source's and the target's member, empty where they were forgotten."""
    if order.link_id is None:
        return order.source_member, order.target_member
    link = links[order.link_id]
    return link.member_of(order.source_program), link.member_of(order.target_program)
