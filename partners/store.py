"""Reads the registry's snapshot from the database. The edge of this package.

Terms are parsed from the bytes that both brands signed, after verifying both signatures again: a
row that was altered by SQL does not become a rate.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from partners.envelope import RATE_AGREEMENT, Envelope, Signature
from partners.environment import Environment
from partners.keys import Purpose
from partners.life import PartnerState
from partners.limits.wire import limits_from_body, switches_from_body
from partners.operators.roles import Role
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
    states = {number: PartnerState(state) for number, state in QUERIES.partner_states(connection)}
    partners = {
        row[1]: Partner(row[0], row[1], row[2], tuple(row[3]), row[4], row[5], states[row[0]])
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
        operators={
            name: frozenset(map(Role, roles)) for name, roles in QUERIES.operators(connection)
        },
        environment=Environment(QUERIES.environment(connection) or Environment.DEVELOPMENT),
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
