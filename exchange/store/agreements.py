"""The rounds of agreement versions, and the versions in force."""

from collections.abc import Iterable
from typing import Any

from exchange.commands import Command, Order
from exchange.outcomes import Activated, CounterSigned, Proposed, Terminated, Withdrawn
from exchange.store.queries import QUERIES
from partners.agreement import Terms
from partners.commands import Activate, CounterSign, Propose, Withdraw
from partners.negotiation.proposal import Proposal
from partners.negotiation.store import proposal_of
from partners.registry import Registry


def load_proposals(connection: Any, commands: Iterable[Command]) -> dict[tuple[str, int], Proposal]:
    """The newest proposals of the agreement versions that these commands name."""
    names = sorted({name for name in map(version_named, commands) if name})
    if not names:
        return {}
    ids, versions = zip(*names, strict=True)
    rows = QUERIES.newest_proposals(connection, agreement_ids=list(ids), versions=list(versions))
    return {(row[0], row[1]): proposal_of(row[2:]) for row in rows}


def load_altered(
    connection: Any, registry: Registry, commands: Iterable[Command], quoted: Iterable[Terms]
) -> frozenset[tuple[str, int]]:
    """Which of the activated versions that these orders or their quotes name are not stored as the
    snapshot has them, whose signatures were verified: their rows were altered by other hands.
    """
    named = sorted(
        {
            (each.agreement_id, each.agreement_version)
            for each in commands
            if isinstance(each, Order)
        }.union(terms.name for terms in quoted)
        & registry.agreements.keys()
    )
    if not named:
        return frozenset()
    ids, versions = zip(*named, strict=True)
    rows = QUERIES.stored_forces(connection, agreement_ids=list(ids), versions=list(versions))
    stored = {(row[0], row[1]): (bytes(row[2]), *row[3:]) for row in rows}
    forces = {name: registry.agreements[name] for name in named}
    return frozenset(
        name
        for name, force in forces.items()
        if stored.get(name) != (force.terms.sha256, force.effective_from, force.effective_until)
    )


def version_named(command: Command) -> tuple[str, int] | None:
    """The agreement version that a command negotiates or activates."""
    match command:
        case Propose(terms=terms) | CounterSign(terms=terms) | Activate(terms=terms):
            return terms.name
        case Withdraw():
            return command.agreement_id, command.version
        case _:
            return None


def write_negotiated(
    connection: Any, effect: Proposed | CounterSigned | Withdrawn, log_index: int
) -> None:
    """A round of an agreement version: opened, signed by one more, or taken back."""
    match effect:
        case Proposed(command, round_number):
            QUERIES.write_proposal(
                connection,
                agreement_id=command.terms.agreement_id,
                version=command.terms.version,
                round=round_number,
                source_partner=command.terms.source_partner,
                target_partner=command.terms.target_partner,
                proposer=command.partner_id,
                signatories=list(command.terms.signatories),
                is_counter=command.is_counter,
                payload=command.payload,
                log_index=log_index,
            )
        case CounterSigned():
            pass
        case Withdrawn(command=withdrawn):
            QUERIES.write_withdrawal(
                connection,
                agreement_id=withdrawn.agreement_id,
                version=withdrawn.version,
                round=effect.round,
                log_index=log_index,
            )
            return
    signed = effect.command
    QUERIES.write_agreement_signature(
        connection,
        agreement_id=signed.terms.agreement_id,
        version=signed.terms.version,
        round=effect.round,
        partner_id=signed.partner_id,
        key_id=signed.key_id,
        signature=signed.signature,
        log_index=log_index,
    )


def write_activation(
    connection: Any, activated: Activated, registry: Registry, log_index: int
) -> None:
    """A version that came into force, and its promotions with nothing granted."""
    force = activated.force
    terms = force.terms
    source = registry.points_unit(terms.source_program).number
    target = registry.points_unit(terms.target_program).number
    QUERIES.write_force(
        connection,
        agreement_id=terms.agreement_id,
        version=terms.version,
        round=activated.round,
        corridor=source << 32 | target,
        effective_from=force.effective_from,
        effective_until=force.effective_until,
        log_index=log_index,
    )
    QUERIES.write_promotions(
        connection,
        agreement_id=terms.agreement_id,
        version=terms.version,
        promotion_ids=[each.promotion_id for each in terms.promotions],
        budgets=[each.budget_points for each in terms.promotions],
    )


def write_termination(connection: Any, terminated: Terminated, log_index: int) -> None:
    """The end that a notice gave to a version."""
    force = terminated.force
    QUERIES.write_termination(
        connection,
        agreement_id=force.terms.agreement_id,
        version=force.terms.version,
        effective_until=force.effective_until,
        log_index=log_index,
    )
