"""What a signed action must pass before it is queued. Pure.

The order of the checks is the protocol's, and the first that fails answers: shape, payload type,
keys registered for operators, signatures, strict parse, signer is the caller, audience, field
rules. Nothing here changes with time: whether key, role and clock allow it is decided in the
sequencer.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta

from partners import envelope as dsse
from partners.actions.commands import Action, ActionSigner, ApproveAction, ProposeAction
from partners.actions.rules import RULES, Rule, needs_action
from partners.actions.wire import action_from_payload
from partners.caller import Caller
from partners.envelope import OPERATOR_ACTION, Envelope, require_type, to_json
from partners.errors import Reason, Refused
from partners.keys import Purpose
from partners.registry import Registry
from partners.signing import require_purpose, verify_with

REASON_MAX = 200
"""Characters of a reason."""
VALIDITY_MAX = timedelta(days=7)
"""From `issued_at` to `expires_at`."""

_PERSONAL = re.compile(r"\S@\S+\.\S|(?<![\w-])\+?\d[\d ()]{8,}\d(?![\w-])")
"""Things shaped like an e-mail address or a telephone number."""


@dataclass(frozen=True, slots=True)
class SignedAction:
    """A verified action, as the commands that record it."""

    proposal: ProposeAction
    approval: ApproveAction | None
    """Where a checker has signed too."""


def verified_action(
    envelope: Envelope,
    request: bytes,
    caller: Caller,
    registry: Registry,
    audience: str,
    *,
    four_eyes: bool,
) -> SignedAction:
    """The action in an envelope, sent by `caller` with the request that it names.

    `four_eyes` is whether calls that need two people do so in this deployment. Raises the Refused
    of the first check that fails.
    """
    holders = verified_holders(envelope, registry)
    stated_audience, request_sha256, action = action_from_payload(envelope.payload)
    if holders[-1] != caller.holder:
        raise Refused(Reason.SIGNER_NOT_CALLER, "signatures", "the last signature is the caller's")
    if holders[0] != f"operator/{action.maker}":
        raise Refused(Reason.SIGNER_NOT_CALLER, "signatures", "the first signature is the maker's")
    if stated_audience != audience:
        raise Refused(Reason.AUDIENCE_WRONG, "audience", f"this exchange is {audience}")
    rule = check_fields(action)
    if request_sha256 != hashlib.sha256(request).digest():
        raise Refused(Reason.FIELD_INVALID, "request_sha256", "the request is not the one signed")
    two_person = rule.checker is not None and (four_eyes or len(holders) > 1)
    if four_eyes and not action.reason:
        raise Refused(Reason.FIELD_INVALID, "reason", "say in a few words why this is done")
    return commands_of(action, envelope, request, rule, holders, two_person=two_person)


def verified_holders(envelope: Envelope, registry: Registry) -> tuple[str, ...]:
    """Whose keys signed, maker first."""
    dsse.check_shape(envelope)
    if len(envelope.signatures) > 2:
        raise Refused(Reason.ENVELOPE_MALFORMED, "signatures", "an action has one signature or two")
    require_type(envelope, OPERATOR_ACTION)
    for each in envelope.signatures:
        if each.key_id in registry.keys:
            require_purpose(registry.keys[each.key_id], Purpose.OPERATOR)
    verify_with(envelope, registry.keys)
    return tuple(registry.keys[each.key_id].holder for each in envelope.signatures)


def check_free_text(text: str, field: str) -> None:
    """Raise Refused(FIELD_INVALID) for words that cannot be kept for ever: too long, not printable,
    or with what is shaped like a person's address.
    """
    if len(text) > REASON_MAX or not (text + " ").isprintable():
        raise Refused(
            Reason.FIELD_INVALID, field, f"a {field} has up to {REASON_MAX} printable characters"
        )
    if _PERSONAL.search(text):
        raise Refused(
            Reason.FIELD_INVALID,
            field,
            f"a {field} is kept for ever: leave out addresses and telephone numbers of persons",
        )


def check_fields(action: Action) -> Rule:
    """The rule of the action's method; raises Refused(FIELD_INVALID) naming the field."""
    if action.action_id.version != 7:
        raise Refused(Reason.FIELD_INVALID, "action_id", "an action's id is a UUID version 7")
    if not needs_action(action.method):
        raise Refused(
            Reason.FIELD_INVALID, "method", f"{action.method!r} is no call that takes an action"
        )
    check_free_text(action.reason, "reason")
    if not timedelta() < action.expires_at - action.issued_at <= VALIDITY_MAX:
        raise Refused(
            Reason.FIELD_INVALID,
            "expires_at",
            f"an action expires within {VALIDITY_MAX.days} days of its issue",
        )
    return RULES[action.method]


def commands_of(
    action: Action,
    envelope: Envelope,
    request: bytes,
    rule: Rule,
    holders: tuple[str, ...],
    *,
    two_person: bool,
) -> SignedAction:
    """The commands that record an action with the signatures on its envelope."""
    if len(holders) > 1 and rule.checker is None:
        raise Refused(Reason.ENVELOPE_MALFORMED, "signatures", "this call takes one signature")
    names = [holder.partition("/")[2] for holder in holders]
    first, *others = envelope.signatures
    maker = ActionSigner(names[0], first.key_id, rule.maker, first.signature)
    alone = Envelope(envelope.payload_type, envelope.payload, (first,))
    kept = request if rule.keeps_request else None
    proposal = ProposeAction(action, maker, two_person, to_json(alone).encode(), kept)
    if not others or rule.checker is None:
        return SignedAction(proposal, None)
    if names[1] == names[0]:
        raise Refused(
            Reason.CHECKER_IS_MAKER, "signatures", f"{names[0]} has signed this action already"
        )
    checker = ActionSigner(names[1], others[0].key_id, rule.checker, others[0].signature)
    approval = ApproveAction(action, maker, checker, to_json(envelope).encode())
    return SignedAction(proposal, approval)
