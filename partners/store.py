"""Reads the registry's snapshot from the database, and keeps what was proposed and signed. The edge
of this package.

Terms are parsed from the bytes that both brands signed, after verifying both signatures again: a
row that was altered by SQL does not become a rate.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from partners.agreement import Terms
from partners.envelope import RATE_AGREEMENT, Envelope, Signature
from partners.keys import Purpose
from partners.limits.wire import limits_from_body, switches_from_body
from partners.points import currency_scale
from partners.queries import load_queries
from partners.registry import Force, Partner, RegisteredKey, Registry, Tax, TaxRate, Unit
from partners.signing import verify_agreement
from partners.wire import terms_from_payload

QUERIES = load_queries(Path(__file__).with_name("registry.sql"))


def load_registry(connection: Any, revision: int, audience: str) -> Registry:
    """The snapshot at a terms revision; `connection` is a psycopg2 connection in the transaction
    that read the revision.

    Raises Refused when an agreement in force no longer verifies.
    """
    units = {name: Unit(number, name, scale) for number, name, scale in QUERIES.units(connection)}
    partners = {
        row[1]: Partner(row[0], row[1], row[2], tuple(row[3]), row[4], row[5])
        for row in QUERIES.partners(connection)
    }
    keys = {
        row[0]: RegisteredKey(
            row[0], row[1], Purpose(row[2]), bytes(row[3]), utc(row[4]), utc(row[5]), row[6], row[7]
        )
        for row in QUERIES.keys(connection)
    }
    forces = load_forces(connection, keys, audience)
    registry = Registry(
        revision,
        partners,
        {
            program: partner.partner_id
            for partner in partners.values()
            for program in partner.programs
        },
        units,
        {name: currency_scale(name) for name in units if not name.startswith("PTS:")},
        load_taxes(connection),
        keys,
        {(force.terms.agreement_id, force.terms.version): force for force in forces},
        frozenset(program for (program,) in QUERIES.link_required(connection)),
        {
            (program, member): frozenset(map(UUID, link_ids))
            for program, member, link_ids in QUERIES.frozen_members(connection)
        },
    )
    for kind, body in QUERIES.restraints(connection):
        if kind == "switches":
            registry = registry.with_switches(switches_from_body(bytes(body)))
        else:
            registry = registry.with_limits(limits_from_body(bytes(body)))
    return registry


def load_taxes(connection: Any) -> dict[str, Tax]:
    """Every tax code with its rates."""
    rates: dict[str, list[TaxRate]] = {}
    for code, effective_from, basis_points in QUERIES.tax_rates(connection):
        rates.setdefault(code, []).append(TaxRate(utc(effective_from), basis_points))
    return {
        code: Tax(code, number, tuple(rates[code])) for code, number in QUERIES.taxes(connection)
    }


def load_forces(connection: Any, keys: dict[str, RegisteredKey], audience: str) -> Iterable[Force]:
    """Every version that is or was in force, both of its signatures verified again."""
    signatures: dict[tuple[str, int], list[Signature]] = {}
    for agreement_id, version, key_id, signature in QUERIES.force_signatures(connection):
        signatures.setdefault((agreement_id, version), []).append(
            Signature(key_id, bytes(signature))
        )
    for payload, effective_from, effective_until in QUERIES.forces(connection):
        bare = Envelope(RATE_AGREEMENT, bytes(payload), ())
        terms = terms_from_payload(bare, audience)
        signed = tuple(signatures.get((terms.agreement_id, terms.version), ()))
        verify_agreement(Envelope(RATE_AGREEMENT, bytes(payload), signed), terms, keys)
        yield Force(terms, utc(effective_from), utc(effective_until) if effective_until else None)


def utc(moment: datetime) -> datetime:
    """The instant in UTC, whatever the session's time zone is."""
    return moment.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class StoredAgreement:
    """A version with the signatures so far."""

    agreement_id: str
    version: int
    envelope: Envelope
    effective_from: datetime | None
    effective_until: datetime | None


def list_agreements(connection: Any, partner_id: str | None) -> tuple[StoredAgreement, ...]:
    """All versions, or those to which `partner_id` is a party."""
    rows = QUERIES.agreements(connection, partner_id=partner_id)
    return tuple(
        StoredAgreement(
            agreement_id,
            version,
            Envelope(RATE_AGREEMENT, bytes(payload), _signatures(signed)),
            utc(begins) if begins else None,
            utc(ends) if ends else None,
        )
        for agreement_id, version, payload, begins, ends, signed in rows
    )


def _signatures(rows: Any) -> tuple[Signature, ...]:
    pairs = json.loads(rows) if isinstance(rows, str) else rows or []
    return tuple(Signature(key_id, bytes.fromhex(signature)) for key_id, signature in pairs)


def store_signature(
    connection: Any, terms: Terms, envelope: Envelope, partner_id: str, signature: Signature
) -> bytes:
    """Keep a proposal or a counter-signature; a repeat changes nothing. Returns the payload that
    the version has.

    A crash before the commit leaves nothing; after it the caller's repeat finds the rows and
    changes nothing.
    """
    name = {"agreement_id": terms.agreement_id, "version": terms.version}
    QUERIES.propose(
        connection,
        **name,
        source_partner=terms.source_partner,
        target_partner=terms.target_partner,
        payload=envelope.payload,
    )
    stored = bytes(QUERIES.agreement_payload(connection, **name))
    if stored == envelope.payload:
        QUERIES.add_signature(
            connection,
            **name,
            partner_id=partner_id,
            key_id=signature.key_id,
            signature=signature.signature,
        )
    return stored
