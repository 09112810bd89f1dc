"""Reads links, and the members that they join. SQL is in `links.sql`."""

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from partners.links.link import PENDING_TIME, Link, LinkMethod, LinkState
from partners.queries import load_queries
from partners.store import utc

QUERIES = load_queries(Path(__file__).with_name("links.sql"))


def link_of_row(row: Any) -> Link:
    """A link from the columns that every query of links gives."""
    link_id, source, target, state, frozen, log_index, started_at, confirmed_at = row[:8]
    method, consent_version, source_member, target_member = row[8:]
    return Link(
        UUID(link_id),
        source,
        target,
        LinkState(state),
        frozen,
        log_index,
        utc(started_at),
        utc(confirmed_at) if confirmed_at else None,
        LinkMethod(method) if method else None,
        consent_version or "",
        source_member or "",
        target_member or "",
    )


def read_link(connection: Any, link_id: UUID) -> Link | None:
    """A link, or None where there is none."""
    row = QUERIES.link(connection, link_id=str(link_id))
    return link_of_row(row) if row else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which links are meant; what is None excludes none."""

    programs: tuple[str, ...] | None
    """The caller's, None for an operator, who sees all."""
    state: str | None
    program: str | None
    member: str | None


def list_links(
    connection: Any, wanted: Wanted, before: UUID | None, links_max: int, now: datetime
) -> tuple[Link, ...]:
    """The newest links before one, by the time in their ids."""
    rows = QUERIES.listed(
        connection,
        programs=None if wanted.programs is None else list(wanted.programs),
        state=wanted.state,
        program=wanted.program,
        member=wanted.member,
        lapsed_from=now - PENDING_TIME,
        before_id=str(before) if before else None,
        links_max=links_max,
    )
    return tuple(map(link_of_row, rows))


def links_of(connection: Any, program: str, member: str) -> int:
    """How many links hold a reference."""
    return int(QUERIES.member_links(connection, program=program, member=member))


def count_look_up(connection: Any, partner_number: int, day: date, per_day: int) -> bool:
    """Take one of a partner's look-ups of a day; whether there was one left.

    A crash after it costs the caller that one.
    """
    asked = QUERIES.count_look_up(
        connection, partner_number=partner_number, day=day, per_day=per_day
    )
    return asked is not None
