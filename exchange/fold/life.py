"""Decides the steps in the life of a partner. Pure but for the run that it is given."""

from exchange.fold.run import Run
from exchange.json_body import JSON_BODY, json_body
from exchange.outcomes import PartnerMoved, Repeated, Result
from partners.environment import Environment
from partners.errors import Reason, Refused
from partners.life import LifeStep, state_after
from partners.operators.commands import MovePartner


def move_partner(run: Run, command: MovePartner) -> Result:
    """A step holds for every order that is decided after it, in the same batch too."""
    known = run.entries.get(command.entry_key)
    if known is not None:
        return Repeated(known[0])
    partner = run.registry.partners.get(command.partner_id)
    if partner is None:
        raise Refused(
            Reason.PARTNER_UNKNOWN, "partner_id", f"there is no partner {command.partner_id}"
        )
    state = state_after(partner.state, command.step)
    in_production = run.registry.environment is Environment.PRODUCTION
    if command.step is LifeStep.ACTIVATE and in_production and not command.certification:
        raise Refused(
            Reason.CERTIFICATION_MISSING, "certification", "production needs a passed certification"
        )
    run.registry = run.registry.with_partner_state(command.partner_id, state)
    body = {
        "cause": command.cause,
        "certification": command.certification or None,
        "partner_id": command.partner_id,
        "state": state,
        "step": command.step,
    }
    return run.enter(
        command.entry_key,
        JSON_BODY,
        json_body(body),
        effect=PartnerMoved(command.partner_id, state),
    )
