"""What entries change besides the journal, each written by its subject's module.

Written within the batch's transaction: a crash before its commit leaves nothing of an effect.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from exchange.commands import WindowStep
from exchange.outcomes import (
    Activated,
    Booked,
    CounterSigned,
    KeyRevoked,
    LinkChanged,
    LinkFrozen,
    LinksRequired,
    MemberErased,
    Outcome,
    PartnerAdded,
    PartnerMoved,
    Proposed,
    RolesChanged,
    TaxRateAdded,
    Terminated,
    WindowClosed,
    WindowOpened,
    Withdrawn,
)
from exchange.store.agreements import write_activation, write_negotiated, write_termination
from exchange.store.facts import write_facts
from exchange.store.limits import write_restraint
from exchange.store.links import write_demand, write_erasure, write_link, write_link_member
from exchange.store.operators import write_action, write_roles
from exchange.store.registry import (
    write_key,
    write_partner,
    write_partner_state,
    write_revocation,
    write_tax_rate,
)
from exchange.store.windows import write_closed, write_opened, write_step
from partners.actions.commands import ApproveAction, ProposeAction
from partners.limits.values import (
    CorridorLimits,
    CorridorSwitches,
    PartnerLimits,
    PartnerSwitches,
    ProgramLimits,
    ProgramSwitches,
)
from partners.registry import RegisteredKey, Registry
from partners.routes.route import Route


def write_effects(
    connection: Any, outcomes: Iterable[Outcome], registry: Registry, roots: Mapping[int, bytes]
) -> None:
    """Write what a batch changes besides the journal: rare, and a round trip each."""
    for outcome in outcomes:
        if isinstance(outcome, Booked):
            write_effect(connection, outcome, registry, roots)


def write_effect(
    connection: Any, outcome: Booked, registry: Registry, roots: Mapping[int, bytes]
) -> None:
    """Write what an entry changes besides the journal."""
    log_index = outcome.log_index
    if outcome.facts:
        write_facts(connection, outcome)
    match outcome.effect:
        case PartnerAdded() as added:
            write_partner(connection, added, log_index)
        case PartnerMoved() as moved:
            write_partner_state(connection, moved, registry, log_index)
        case RegisteredKey() as key:
            write_key(connection, key)
        case KeyRevoked() as revoked:
            write_revocation(connection, revoked)
        case TaxRateAdded() as added_rate:
            write_tax_rate(connection, added_rate, log_index)
        case Proposed() | CounterSigned() | Withdrawn() as negotiated:
            write_negotiated(connection, negotiated, log_index)
        case Activated() as activated:
            write_activation(connection, activated, registry, log_index)
        case Terminated() as terminated:
            write_termination(connection, terminated, log_index)
        case WindowOpened(opened):
            write_opened(connection, opened, roots[log_index])
        case WindowClosed(closed, opened):
            write_closed(connection, closed, roots[log_index])
            write_opened(connection, opened, roots[log_index])
        case WindowStep() as step:
            write_step(connection, step)
        case PartnerSwitches() | CorridorSwitches() | ProgramSwitches() as switches:
            write_restraint(connection, "switches", switches.subject, outcome)
        case PartnerLimits() | CorridorLimits() | ProgramLimits() as limits:
            write_restraint(connection, "limits", limits.subject, outcome)
        case Route() as route:
            write_restraint(connection, "routes", route.subject, outcome)
        case LinkChanged(link, member):
            write_link(connection, link)
            if member is not None:
                write_link_member(connection, link, member, registry)
        case LinkFrozen(link):
            write_link(connection, link)
        case LinksRequired() as demand:
            write_demand(connection, demand)
        case MemberErased() as erased:
            write_erasure(connection, erased, registry)
        case ProposeAction() | ApproveAction() as signed:
            write_action(connection, signed, log_index, outcome.recorded_at)
        case RolesChanged() as changed:
            write_roles(connection, changed, log_index)
        case None:
            pass
