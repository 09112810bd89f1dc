"""Decides operators' actions, approvals and roles. Pure but for the run that it is given.

Rules kept here:

- An action's id stands for its bytes for ever: a repeat is answered with what was recorded first.
- Whoever signs must hold the role at this log index, with a key in force, within the action's time.
  For an approval that goes for both signers: what a maker may no longer do, nobody approves.
- The checker is not the maker. The database has that as a constraint too.
- Somebody keeps the role that gives roles.
"""

from datetime import timedelta

from exchange.fold.run import Run
from exchange.json_body import JSON_BODY, json_body
from exchange.outcomes import Repeated, Result, RolesChanged
from partners.actions.commands import Action, ActionSigner, ApproveAction, ProposeAction
from partners.envelope import ENVELOPE_BODY, from_json
from partners.errors import Reason, Refused
from partners.operators.commands import ChangeRoles
from partners.operators.roles import Role, require_role

CLOCK_SKEW = timedelta(seconds=30)
"""How far an action's `issued_at` may lie ahead of our clock."""


def propose_action(run: Run, command: ProposeAction) -> Result:
    action = command.action
    known = run.entries.get(command.entry_key)
    if known is not None:
        index, body = known
        # What counts is what was signed; who repeats it may sign with another key.
        if from_json(body.decode()).payload != action.payload:
            raise Refused(
                Reason.MODIFIED_REQUEST, "action_id", "this id was used for another action"
            )
        return Repeated(index)
    check_signer(run, command.maker)
    check_time(run, action)
    return run.enter(command.entry_key, ENVELOPE_BODY, command.body, effect=command)


def approve_action(run: Run, command: ApproveAction) -> Result:
    known = run.entries.get(command.entry_key)
    if known is not None:
        return Repeated(known[0])
    if command.checker.operator == command.maker.operator:
        raise Refused(Reason.CHECKER_IS_MAKER, "signatures", "a second operator approves")
    check_signer(run, command.maker)
    check_signer(run, command.checker)
    check_time(run, command.action)
    return run.enter(command.entry_key, ENVELOPE_BODY, command.body, effect=command)


def check_signer(run: Run, signer: ActionSigner) -> None:
    """Raise Refused unless the key is in force now and its holder has the role that is needed."""
    key = run.registry.keys.get(signer.key_id)
    if key is None or not key.in_force(run.index, run.now):
        raise Refused(
            Reason.KEY_NOT_IN_FORCE, "signatures", f"the key of {signer.operator} is not in force"
        )
    held = run.registry.operators.get(signer.operator, frozenset())
    require_role(signer.role, held, signer.operator)


def check_time(run: Run, action: Action) -> None:
    """`issued_at` less the skew ≤ now < `expires_at`, by the exchange's clock."""
    if run.now < action.issued_at - CLOCK_SKEW:
        raise Refused(
            Reason.FIELD_INVALID, "issued_at", "the action was issued later than it is here"
        )
    if action.expires_at <= run.now:
        raise Refused(Reason.ACTION_EXPIRED, "expires_at", "the action's expiry has passed")


def change_roles(run: Run, command: ChangeRoles) -> Result:
    known = run.entries.get(command.entry_key)
    if known is not None:
        return Repeated(known[0])
    operators = run.registry.operators
    if command.new and command.operator in operators:
        raise Refused(
            Reason.ALREADY_EXISTS, "operator.name", f"there is an operator {command.operator}"
        )
    if not command.new and command.operator not in operators:
        raise Refused(
            Reason.OPERATOR_UNKNOWN, "operator", f"there is no operator {command.operator}"
        )
    roles = (operators.get(command.operator, frozenset()) | command.grant) - command.withdraw
    after = {**operators, command.operator: roles}
    if not any(Role.OPERATOR in held for held in after.values()):
        raise Refused(
            Reason.FIELD_INVALID, "role", "the last operator keeps its role: who else could give it"
        )
    run.registry = run.registry.with_operator(command.operator, roles)
    body = {"cause": command.cause, "operator": command.operator, "roles": sorted(roles)}
    return run.enter(
        command.entry_key,
        JSON_BODY,
        json_body(body),
        effect=RolesChanged(command.operator, roles),
    )
