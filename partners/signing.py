"""Whose signatures a statement needs. Pure.

- A transfer order: exactly one, by a key of its partner for orders.
- A rate agreement: both brands, each by a key for agreements.
- A key event: whom `partners.key_events` names, and of a registration the new key too.
"""

from collections.abc import Iterable, Mapping

from partners import envelope as dsse
from partners.agreement import Terms
from partners.envelope import Envelope, require_type
from partners.errors import Reason, Refused
from partners.key_events import Registration, Revocation, may_vouch
from partners.keys import Purpose, VerifyKey
from partners.registry import RegisteredKey, Registry


def verified_signer(
    envelope: Envelope, payload_type: str, purpose: Purpose, registry: Registry
) -> RegisteredKey:
    """The key behind an envelope with exactly one signature.

    Raises Refused in the protocol's order: shape, payload type, key registered for this purpose,
    signature.
    """
    dsse.check_shape(envelope)
    if len(envelope.signatures) != 1:
        raise Refused(Reason.ENVELOPE_MALFORMED, "signatures", "this statement has one signature")
    require_type(envelope, payload_type)
    key = registry.keys.get(envelope.signatures[0].key_id)
    if key is not None:
        require_purpose(key, purpose)
    verify_with(envelope, registry.keys)
    return registry.keys[envelope.signatures[0].key_id]


def verify_with(envelope: Envelope, keys: Mapping[str, RegisteredKey]) -> None:
    """Verify every signature against the registered keys; raises Refused(KEY_UNKNOWN or
    SIGNATURE_INVALID).
    """
    named = {
        each.key_id: VerifyKey(each.key_id, keys[each.key_id].public_key)
        for each in envelope.signatures
        if each.key_id in keys
    }
    dsse.verify(envelope, named)


def require_purpose(key: RegisteredKey, purpose: Purpose) -> None:
    """Raise Refused(KEY_UNKNOWN) for a key registered for something else: for this purpose it is
    not known.
    """
    if key.purpose is not purpose:
        raise Refused(
            Reason.KEY_UNKNOWN,
            "signatures",
            f"key {key.key_id} is for {key.purpose.lower()}, not for {purpose.lower()}",
        )


def verify_agreement(envelope: Envelope, terms: Terms, keys: Mapping[str, RegisteredKey]) -> None:
    """Both brands and every other funder signed these terms; raises Refused otherwise."""
    dsse.check_shape(envelope)
    verify_with(envelope, keys)
    for each in envelope.signatures:
        require_purpose(keys[each.key_id], Purpose.AGREEMENTS)
    holders = {keys[each.key_id].holder for each in envelope.signatures}
    for partner_id in terms.signatories:
        if f"partner/{partner_id}" not in holders:
            raise Refused(
                Reason.COUNTER_SIGNATURE_MISSING, "agreement", f"{partner_id} has not signed"
            )


def verify_registration(
    envelope: Envelope, event: Registration, registry: Registry
) -> tuple[RegisteredKey, ...]:
    """The keys that vouch for the new one; raises Refused(POSSESSION_UNPROVEN) unless it and they
    all signed.
    """
    own = VerifyKey.of(event.public_key)
    others = [each.key_id for each in envelope.signatures if each.key_id != own.key_id]
    if not others or len(others) == len(envelope.signatures):
        raise Refused(
            Reason.POSSESSION_UNPROVEN,
            "signatures",
            "a registration is signed by the new key and by one that may register it",
        )
    vouching = _registered(others, registry)
    _verify_all(envelope, (own, *vouching))
    for key in vouching:
        if not may_vouch(key, event.holder):
            raise Refused(
                Reason.POSSESSION_UNPROVEN,
                "signatures",
                f"key {key.key_id} may not register keys of {event.holder}",
            )
    return vouching


def verify_revocation(
    envelope: Envelope, event: Revocation, registry: Registry
) -> tuple[RegisteredKey, ...]:
    """The keys that ask for the revocation, which all signed; raises Refused(KEY_UNKNOWN) for one
    that may not.
    """
    asking = _registered([each.key_id for each in envelope.signatures], registry)
    _verify_all(envelope, asking)
    for key in asking:
        if not may_vouch(key, event.holder):
            raise Refused(
                Reason.KEY_UNKNOWN,
                "signatures",
                f"key {key.key_id} may not revoke keys of {event.holder}",
            )
    return asking


def _registered(key_ids: Iterable[str], registry: Registry) -> tuple[RegisteredKey, ...]:
    found: list[RegisteredKey] = []
    for key_id in key_ids:
        if key_id not in registry.keys:
            raise Refused(Reason.KEY_UNKNOWN, "signatures", f"no key {key_id} is registered")
        found.append(registry.keys[key_id])
    return tuple(found)


def _verify_all(envelope: Envelope, keys: Iterable[VerifyKey | RegisteredKey]) -> None:
    dsse.verify(envelope, {key.key_id: VerifyKey(key.key_id, key.public_key) for key in keys})
