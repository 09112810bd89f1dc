"""Reads what was negotiated. What changes it goes through the sequencer."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from partners.envelope import RATE_AGREEMENT, Envelope, Signature
from partners.negotiation.proposal import AgreementState, Life, Proposal, state_of
from partners.queries import load_queries
from partners.store import utc

QUERIES = load_queries(Path(__file__).with_name("negotiation.sql"))
START = ("", 0)
"""Before every version."""


@dataclass(frozen=True, slots=True)
class Round:
    """A proposal with its payload and signatures."""

    proposal: Proposal
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Version:
    """An agreement version as it stands."""

    agreement_id: str
    version: int
    newest: Round
    life: Life | None
    """None until it is activated."""
    state: AgreementState


def list_versions(
    connection: Any,
    partner_id: str | None,
    now: datetime,
    rows_max: int,
    after: tuple[str, int] = START,
) -> tuple[Version, ...]:
    """The versions after one, by agreement and version: all, or those that a partner is to sign."""
    rows = QUERIES.versions(
        connection,
        partner_id=partner_id,
        agreement_id=None,
        version=None,
        after_id=after[0],
        after_version=after[1],
        rows_max=rows_max,
    )
    moment = log_moment(connection, now)
    return tuple(_version(row, moment) for row in rows)


def find_version(
    connection: Any, partner_id: str | None, now: datetime, agreement_id: str, version: int
) -> Version | None:
    """One version, if it is there and the partner is to sign it."""
    rows = QUERIES.versions(
        connection,
        partner_id=partner_id,
        agreement_id=agreement_id,
        version=version,
        after_id=START[0],
        after_version=START[1],
        rows_max=1,
    )
    moment = log_moment(connection, now)
    return next((_version(row, moment) for row in rows), None)


def list_rounds(
    connection: Any, partner_id: str | None, agreement_id: str, version: int
) -> tuple[Round, ...]:
    """Every proposal of a version that the partner was to sign, the first one first."""
    rows = QUERIES.rounds(
        connection, partner_id=partner_id, agreement_id=agreement_id, version=version
    )
    return tuple(_round(payload, signed, facts) for payload, signed, *facts in rows)


def log_moment(connection: Any, now: datetime) -> datetime:
    """The time by which the log judges: it never runs back, and may be ahead of our clock."""
    return max(now, utc(QUERIES.log_time(connection)))


def proposal_of(facts: Sequence[Any]) -> Proposal:
    """A proposal from round, proposer, digest, signatories, whether it counters, whether it was
    withdrawn, and who signed by which key.
    """
    round_number, proposer, sha256, signatories, is_counter, withdrawn, signed = facts
    return Proposal(
        round_number,
        proposer,
        bytes(sha256),
        tuple(signatories),
        tuple((partner_id, key_id) for partner_id, key_id, *_ in _listed(signed)),
        is_counter,
        withdrawn,
    )


def _version(row: Sequence[Any], moment: datetime) -> Version:
    agreement_id, version, payload, begins, ends, terminated, signed, *facts = row
    newest = _round(payload, signed, facts)
    life = Life(utc(begins), utc(ends) if ends else None, terminated) if begins else None
    return Version(agreement_id, version, newest, life, state_of(newest.proposal, life, moment))


def _round(payload: Any, signed: Any, facts: Sequence[Any]) -> Round:
    signatures = tuple(
        Signature(key_id, bytes.fromhex(signature)) for _, key_id, signature in _listed(signed)
    )
    envelope = Envelope(RATE_AGREEMENT, bytes(payload), signatures)
    return Round(proposal_of((*facts, signed)), envelope)


def _listed(rows: Any) -> list[Any]:
    return json.loads(rows) if isinstance(rows, str) else rows or []
