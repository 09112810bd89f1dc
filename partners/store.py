"""Reads the registry's snapshot from the database. The edge of this package.

Terms are parsed from the bytes that both brands signed, after verifying both signatures again: a
row that was altered by SQL does not become a rate.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from partners.envelope import RATE_AGREEMENT, Envelope, Signature
from partners.environment import Environment
from partners.errors import Refused
from partners.keys import Purpose
from partners.life import PartnerState
from partners.limits.wire import limits_from_body, switches_from_body
from partners.operators.roles import Role
from partners.points import currency_scale
from partners.queries import load_queries
from partners.registry import Force, Partner, RegisteredKey, Registry, Tax, TaxRate, Unit
from partners.routes.wire import route_from_body
from partners.signing import verify_agreement
from partners.wire import terms_from_payload

QUERIES = load_queries(Path(__file__).with_name("registry.sql"))


def load_registry(connection: Any, revision: int, audience: str) -> Registry:
    """The snapshot at a terms revision; `connection` is a psycopg2 connection in the transaction
    that read the revision.

    An agreement that no longer verifies is not part of it, but named as altered.
    """
    units = {name: Unit(number, name, scale) for number, name, scale in QUERIES.units(connection)}
    states = {number: PartnerState(state) for number, state in QUERIES.partner_states(connection)}
    partners = {
        row[1]: Partner(row[0], row[1], row[2], tuple(row[3]), row[4], row[5], states[row[0]])
        for row in QUERIES.partners(connection)
    }
    keys = load_keys(connection)
    forces, altered = load_forces(connection, keys, audience)
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
        altered=altered,
    )
    for kind, body in QUERIES.restraints(connection):
        if kind == "switches":
            registry = registry.with_switches(switches_from_body(bytes(body)))
        elif kind == "routes":
            registry = registry.with_route(route_from_body(bytes(body)))
        else:
            registry = registry.with_limits(limits_from_body(bytes(body)))
    return registry


def load_keys(connection: Any) -> dict[str, RegisteredKey]:
    """Every key that was ever registered, by its id."""
    return {
        row[0]: RegisteredKey(
            row[0], row[1], Purpose(row[2]), bytes(row[3]), utc(row[4]), utc(row[5]), row[6], row[7]
        )
        for row in QUERIES.keys(connection)
    }


def load_taxes(connection: Any) -> dict[str, Tax]:
    """Every tax code with its rates."""
    rates: dict[str, list[TaxRate]] = {}
    for code, effective_from, basis_points in QUERIES.tax_rates(connection):
        rates.setdefault(code, []).append(TaxRate(utc(effective_from), basis_points))
    return {
        code: Tax(code, number, tuple(rates[code])) for code, number in QUERIES.taxes(connection)
    }


def load_forces(
    connection: Any, keys: dict[str, RegisteredKey], audience: str
) -> tuple[tuple[Force, ...], frozenset[tuple[str, int]]]:
    """Every version that is or was in force, all of its signatures verified again; and the names of
    those that are not stored as they were signed.
    """
    signatures: dict[tuple[str, int], list[Signature]] = {}
    for agreement_id, version, key_id, signature in QUERIES.force_signatures(connection):
        signatures.setdefault((agreement_id, version), []).append(
            Signature(key_id, bytes(signature))
        )
    forces, altered = [], set()
    for agreement_id, version, payload, begins, ends in QUERIES.forces(connection):
        name = (agreement_id, version)
        signed = Envelope(RATE_AGREEMENT, bytes(payload), tuple(signatures.get(name, ())))
        try:
            terms = terms_from_payload(signed, audience)
            verify_agreement(signed, terms, keys)
        except Refused:
            altered.add(name)
            continue
        if terms.name != name:
            altered.add(name)
            continue
        forces.append(Force(terms, utc(begins), utc(ends) if ends else None))
    return tuple(forces), frozenset(altered)


def utc(moment: datetime) -> datetime:
    """The instant in UTC, whatever the session's time zone is."""
    return moment.astimezone(UTC)
