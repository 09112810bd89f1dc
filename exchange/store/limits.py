"""Limits and switches as they are set, and what was counted towards limits."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from exchange.commands import Command, Order
from exchange.day_limits import DayTally, is_limited, subjects_of
from exchange.fold import Tally
from exchange.outcomes import Booked, Held
from exchange.store.queries import QUERIES
from partners.agreement import Terms
from partners.commands import Activate, SetLimits
from partners.limits.values import CorridorLimits, PartnerLimits, ProgramLimits
from partners.links.commands import ConfirmLink, StartLink
from partners.links.link import Link
from partners.registry import Registry


def load_tallies(connection: Any) -> dict[str, Tally]:
    """Every partner's recorded refusals."""
    return {row[0]: Tally(row[1], row[2]) for row in QUERIES.tallies(connection)}


def load_member_secret(connection: Any) -> bytes:
    """The secret under which members are counted."""
    return bytes(QUERIES.member_secret(connection))


def load_day_tallies(
    connection: Any,
    registry: Registry,
    secret: bytes,
    links: Mapping[UUID, Link],
    held: Iterable[Held],
    commands: Sequence[Command],
) -> dict[str, DayTally]:
    """What was counted of everything under which these commands may be limited."""
    limits_may_come = any(isinstance(each, SetLimits | Activate) for each in commands)
    subjects = {
        subject
        for each in commands
        if isinstance(each, Order) and (limits_may_come or is_limited(registry, each))
        for subject in subjects_of(registry, secret, each, members_named(each, links, commands))
    }
    subjects |= {subject for each in held for subject, _day, _amount in each.counted}
    if not subjects:
        return {}
    rows = QUERIES.day_tallies(connection, subjects=sorted(subjects))
    return {subject: DayTally(*tally) for subject, *tally in rows}


def load_corridor_tallies(connection: Any, terms: Terms) -> dict[str, DayTally]:
    """What was counted of a corridor, its sender and its target program."""
    source, target = terms.source_program, terms.target_program
    subjects = [
        CorridorLimits(source, target).subject,
        PartnerLimits(terms.source_partner).subject,
        ProgramLimits(target).subject,
    ]
    rows = QUERIES.day_tallies(connection, subjects=subjects)
    return {subject: DayTally(*tally) for subject, *tally in rows}


def members_named(
    order: Order, links: Mapping[UUID, Link], commands: Iterable[Command]
) -> list[tuple[str, str]]:
    """The members of source and target program whom an order may be for: its own, or those of its
    link, which the batch itself may bring in.
    """
    if order.link_id is None:
        return [(order.source_member, order.target_member)]
    known = dict(links[order.link_id].members) if order.link_id in links else {}
    for each in commands:
        if isinstance(each, StartLink | ConfirmLink) and each.link_id == order.link_id:
            known.setdefault(each.member.program, each.member.member)
    return [(known.get(order.source_program, ""), known.get(order.target_program, ""))]


def write_restraint(connection: Any, kind: str, subject: str, outcome: Booked) -> None:
    """A subject's switches or limits, as the leaf states them, in place of those before."""
    QUERIES.write_restraint(
        connection, kind=kind, subject=subject, body=outcome.body, log_index=outcome.log_index
    )
