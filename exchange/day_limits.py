"""What may be done in a day: limits on partners, corridors, programs and members. Pure.

Rules kept here:

- A day is a day of UTC by the log's time. A tally holds its subject's newest day alone.
- What no limit bounds is not counted, so that a limit counts from when it was set.
- What is held for review counts like what is committed.
- A member is known by a keyed digest of program and reference (BLAKE2b, 128 bits), under a secret
  of this deployment that lies where it can be dropped. No reference is in a tally.
- A member who had points from a program may be barred from sending there. The member at the turning
  point counts: points came into its account, and must not go back from it.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from exchange.commands import Order
from exchange.linked_members import members_of
from exchange.outcomes import Counted
from partners.agreement import Terms
from partners.errors import Reason, Refused
from partners.limits.values import CorridorLimits, PartnerLimits, ProgramLimits, day_of
from partners.links.link import Link
from partners.registry import Registry

_NEVER = -1_000_000
_UNLIMITED = CorridorLimits("", "")


@dataclass(frozen=True, slots=True)
class DayTally:
    """What a subject did on its newest day."""

    day: int = _NEVER
    """Days since 1970."""
    transfers: int = 0
    amount: int = 0

    def on(self, day: int) -> "DayTally":
        """What it did on `day`, which is not before its newest."""
        return self if self.day == day else DayTally(day)

    def plus(self, amount: int) -> "DayTally":
        """The tally after one more transfer of the same day."""
        return DayTally(self.day, self.transfers + 1, self.amount + amount)

    def minus(self, day: int, amount: int) -> "DayTally":
        """The tally after a transfer of `day` was voided; one of another day is past."""
        if self.day != day:
            return self
        return DayTally(day, max(0, self.transfers - 1), max(0, self.amount - amount))


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit that a transfer meets: whose, what the transfer adds, and how much there may be."""

    subject: str
    amount: int
    transfers_max: int
    """In a day; 0 does not bound."""
    amount_max: int
    reason: Reason
    field: str
    text: str

    def check(self, tally: DayTally) -> None:
        """Raise Refused unless the day so far has room for the transfer."""
        if self.transfers_max and tally.transfers >= self.transfers_max:
            raise Refused(self.reason, self.field, self.text)
        if self.amount_max and tally.amount + self.amount > self.amount_max:
            raise Refused(self.reason, self.field, self.text)


@dataclass(frozen=True, slots=True)
class Transfer:
    """What the limits look at."""

    terms: Terms
    source_points: int
    target_points: int
    value: int
    members: tuple[str, str] | None = None
    """References in source and target program; None where nobody is named, as in a simulation."""
    link: Link | None = None


@dataclass(frozen=True, slots=True)
class Passed:
    """A transfer that no limit of a day refuses."""

    counted: Mapping[str, DayTally] = field(default_factory=dict)
    """The tallies that it changes, as they are after it."""
    is_held: bool = False
    """Whether an operator must look at it first."""
    returns: tuple[Counted, ...] = ()
    """What goes back where it is held and then voided. A member's tallies do not: they count what
    was tried."""


def check_day_limits(
    registry: Registry,
    secret: bytes,
    tallies: Mapping[str, DayTally],
    transfer: Transfer,
    now: datetime,
) -> Passed:
    """What a transfer counts as.

    Raises Refused (VELOCITY_EXCEEDED, COUNTERPARTY_LIMIT or LINK_COOLING) for the first limit that
    it meets: of the corridor, the target program, the sender, the link, the member.
    """
    today = day_of(now)
    counted: dict[str, DayTally] = {}
    returns: list[Counted] = []
    for bound in bounds_of(registry, secret, transfer):
        tally = tallies.get(bound.subject, DayTally()).on(today)
        bound.check(tally)
        counted[bound.subject] = tally.plus(bound.amount)
        if not bound.subject.startswith("member/"):
            returns.append((bound.subject, today, bound.amount))
    corridor = corridor_limits(registry, transfer.terms)
    if transfer.members is not None:
        check_cooling(corridor, transfer.link, now)
        check_return(corridor, secret, tallies, transfer, today)
        counted |= arrival(registry, secret, transfer, today)
    return Passed(counted, needs_review(corridor, counted, transfer), tuple(returns))


def needs_review(
    corridor: CorridorLimits, counted: Mapping[str, DayTally], transfer: Transfer
) -> bool:
    """Whether an operator must look at the transfer before it is committed."""
    if corridor.review_above_points and transfer.source_points > corridor.review_above_points:
        return True
    member = next((each for name, each in counted.items() if name.startswith("member/")), None)
    return member is not None and (
        0 < corridor.review_member_transfers_per_day < member.transfers
        or 0 < corridor.review_member_points_per_day < member.amount
    )


def bounds_of(registry: Registry, secret: bytes, transfer: Transfer) -> Iterator[Bound]:
    """The limits that bound a transfer, in the order in which they are checked."""
    terms, set_to = transfer.terms, registry.restraints
    corridor = corridor_limits(registry, terms)
    if corridor.source_points_per_day:
        yield Bound(
            corridor.subject,
            transfer.source_points,
            0,
            corridor.source_points_per_day,
            Reason.VELOCITY_EXCEEDED,
            "source_points",
            f"the corridor takes {corridor.source_points_per_day} points in a day",
        )
    program = set_to.program_limits.get(terms.target_program)
    if program is not None and program.target_points_per_day:
        yield Bound(
            program.subject,
            transfer.target_points,
            0,
            program.target_points_per_day,
            Reason.COUNTERPARTY_LIMIT,
            "",
            "the other side takes no more today",
        )
    partner = set_to.partner_limits.get(terms.source_partner)
    if partner is not None and (partner.transfers_per_day or partner.value_per_day):
        yield Bound(
            partner.subject,
            transfer.value,
            partner.transfers_per_day,
            partner.value_per_day,
            Reason.VELOCITY_EXCEEDED,
            "",
            "you may send no more today",
        )
    transfers, points = member_limits(corridor, terms)
    reviewed = corridor.review_member_transfers_per_day or corridor.review_member_points_per_day
    if transfer.members is not None and (transfers or points or reviewed):
        yield Bound(
            member_subject(secret, terms, transfer.members[0]),
            transfer.source_points,
            transfers,
            points,
            Reason.VELOCITY_EXCEEDED,
            "source_member" if transfer.link is None else "link_id",
            "the member may convert no more of these points today",
        )


def corridor_limits(registry: Registry, terms: Terms) -> CorridorLimits:
    """What operators have set for the corridor of these terms."""
    if not registry.restraints.corridor_limits:
        return _UNLIMITED
    corridor = (terms.source_program, terms.target_program)
    return registry.restraints.corridor_limits.get(corridor, _UNLIMITED)


def member_limits(corridor: CorridorLimits, terms: Terms) -> tuple[int, int]:
    """Transfers and points of a member in a day: the operators' or the terms', whichever is less;
    0 does not bound.
    """
    signed = terms.member_limits
    return (
        stricter(corridor.member_transfers_per_day, signed.transfers_per_day),
        stricter(corridor.member_points_per_day, signed.source_points_per_day),
    )


def stricter(one: int, other: int) -> int:
    """The less of two limits of which 0 is none."""
    return min(one, other) if one and other else one or other


def check_cooling(corridor: CorridorLimits, link: Link | None, now: datetime) -> None:
    """Raise Refused(LINK_COOLING) while the order's link is newer than the corridor allows."""
    if link is None or link.confirmed_at is None or not corridor.link_cooling:
        return
    if now < link.confirmed_at + corridor.link_cooling:
        raise Refused(Reason.LINK_COOLING, "link_id", "the link is too new for this corridor")


def check_return(
    corridor: CorridorLimits,
    secret: bytes,
    tallies: Mapping[str, DayTally],
    transfer: Transfer,
    today: int,
) -> None:
    """Raise Refused(VELOCITY_EXCEEDED) while what the member had from the target program bars it
    from sending there.
    """
    if not corridor.return_ban_days or transfer.members is None:
        return
    terms = transfer.terms
    came = arrival_subject(secret, terms.source_program, transfer.members[0], terms.target_program)
    if today - tallies.get(came, DayTally()).day < corridor.return_ban_days:
        raise Refused(
            Reason.VELOCITY_EXCEEDED,
            "source_member" if transfer.link is None else "link_id",
            "the member had points from the target program, and may not send them back yet",
        )


def arrival(
    registry: Registry, secret: bytes, transfer: Transfer, today: int
) -> dict[str, DayTally]:
    """That the target's member had points today, where the opposite corridor asks for it."""
    terms = transfer.terms
    back = (terms.target_program, terms.source_program)
    limits = registry.restraints.corridor_limits.get(back)
    if limits is None or not limits.return_ban_days or transfer.members is None:
        return {}
    subject = arrival_subject(
        secret, terms.target_program, transfer.members[1], terms.source_program
    )
    return {subject: DayTally(today, 1, 0)}


def member_subject(secret: bytes, terms: Terms, member: str) -> str:
    """The subject under which a source program's member is counted in a corridor."""
    return f"member/{digest(secret, terms.source_program, member, terms.target_program)}"


def arrival_subject(secret: bytes, program: str, member: str, came_from: str) -> str:
    """The subject under which it is kept that a program's member had points from another."""
    return f"arrival/{digest(secret, program, member, came_from)}"


def digest(secret: bytes, *parts: str) -> str:
    """What stands for a member; parts hold no zero byte."""
    text = "\0".join(parts).encode()
    return hashlib.blake2b(text, key=secret, digest_size=16).hexdigest()


def subjects_of(
    registry: Registry, secret: bytes, order: Order, members: Iterable[tuple[str, str]]
) -> Iterator[str]:
    """Every subject that some limit might count an order under, for any of these members of source
    and target program.
    """
    source, target = order.source_program, order.target_program
    yield PartnerLimits(order.partner_id).subject
    yield CorridorLimits(source, target).subject
    yield ProgramLimits(target).subject
    for sender, receiver in members:
        yield f"member/{digest(secret, source, sender, target)}"
        yield arrival_subject(secret, source, sender, target)
        yield arrival_subject(secret, target, receiver, source)


def member_subjects(registry: Registry, secret: bytes, program: str, member: str) -> Iterator[str]:
    """Every subject under which one member of a program may be counted."""
    for other in registry.programs:
        yield f"member/{digest(secret, program, member, other)}"
        yield arrival_subject(secret, program, member, other)


def is_limited(registry: Registry, order: Order) -> bool:
    """Whether any limit of a day may bound an order as things stand."""
    set_to = registry.restraints
    if set_to.corridor_limits or set_to.program_limits or set_to.partner_limits:
        return True
    force = registry.agreements.get((order.agreement_id, order.agreement_version))
    if force is None:
        return False
    limits = force.terms.member_limits
    return bool(limits.transfers_per_day or limits.source_points_per_day)


def transfer_of(
    order: Order, links: Mapping[UUID, Link], terms: Terms, target_points: int, value: int
) -> Transfer:
    """What the limits look at in an order whose link, if it names one, is there."""
    return Transfer(
        terms,
        order.source_points,
        target_points,
        value,
        members_of(links, order),
        links[order.link_id] if order.link_id else None,
    )
