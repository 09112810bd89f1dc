"""Decides what registers and revokes keys. Pure but for the run that it is given.

The signatures were verified before the queue; here it is decided whether those who signed may, at
this index of the log. So of two events, or of an event and an order, the earlier one decides.
"""

from dataclasses import replace

from exchange.fold.run import Run
from exchange.outcomes import KeyRevoked, Result
from partners.commands import AddKey, RevokeKey
from partners.envelope import ENVELOPE_BODY
from partners.errors import Reason, Refused
from partners.key_events import (
    EXCHANGE,
    Registration,
    Revocation,
    RevocationReason,
    check_authority,
    signers_in_force,
)
from partners.keys import Purpose
from partners.registry import RegisteredKey


def add_key(run: Run, command: AddKey) -> Result:
    entry_key = f"key/{command.key_id}"
    if command.key_id in run.registry.keys:
        return run.same_body(entry_key, command.body, "key_event.public_key", Reason.KEY_IN_USE)
    kind, _, name = command.holder.partition("/")
    if kind == "partner" and name not in run.registry.partners:
        raise Refused(Reason.PARTNER_UNKNOWN, "key_event.partner_id", f"no partner {name}")
    purpose = Purpose(command.purpose)
    if command.registrar_key_ids:
        signers = signers_in_force(run.registry, command.registrar_key_ids, run.index, run.now)
        event = Registration(
            command.holder, purpose, command.public_key, command.valid_from, command.valid_until
        )
        check_authority(run.registry, event, signers)
    key = RegisteredKey(
        command.key_id,
        command.holder,
        purpose,
        command.public_key,
        command.valid_from,
        command.valid_until,
        run.index,
    )
    run.registry = run.registry.with_key(key)
    return run.enter(entry_key, ENVELOPE_BODY, command.body, effect=key)


def revoke_key(run: Run, command: RevokeKey) -> Result:
    key = run.registry.keys.get(command.key_id)
    if key is None or key.holder != command.holder:
        raise Refused(
            Reason.KEY_UNKNOWN, "key_event.key_id", f"{command.holder} has no key {command.key_id}"
        )
    entry_key = f"revoke-key/{command.key_id}"
    if key.revoked_index is not None:
        return run.same_body(entry_key, command.body, "key_event.key_id")
    signers = signers_in_force(run.registry, command.signer_key_ids, run.index, run.now)
    event = Revocation(command.holder, command.key_id, RevocationReason(command.reason))
    check_authority(run.registry, event, signers)
    if key.holder == EXCHANGE:
        require_another(run, key)
    run.registry = run.registry.with_key(replace(key, revoked_index=run.index))
    effect = KeyRevoked(key.key_id, run.index)
    return run.enter(entry_key, ENVELOPE_BODY, command.body, effect=effect)


def require_another(run: Run, key: RegisteredKey) -> None:
    """Raise Refused(KEY_NEEDED) for the exchange's only key of a purpose: nothing could be signed
    after it.
    """
    if not any(
        other.key_id != key.key_id
        and (other.holder, other.purpose) == (key.holder, key.purpose)
        and other.in_force(run.index, run.now)
        for other in run.registry.keys.values()
    ):
        raise Refused(
            Reason.KEY_NEEDED,
            "key_event.key_id",
            f"it is the exchange's only key for {key.purpose.lower()}",
        )
