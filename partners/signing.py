"""Whose signatures a statement needs. Pure.

- A transfer order: exactly one, by a key of its partner for orders.
- A rate agreement: both brands, each by a key for agreements.
- A key event: the new key, and one that may register it: an operator's, or the partner's own for
  agreements.
"""

from collections.abc import Mapping

from partners import envelope as dsse
from partners.agreement import Terms
from partners.envelope import Envelope, require_type
from partners.errors import Reason, Refused
from partners.keys import Purpose, VerifyKey, key_id_of
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


def verify_key_event(
    envelope: Envelope, partner_id: str, public_key: bytes, registry: Registry
) -> RegisteredKey:
    """The key that may register; raises Refused(POSSESSION_UNPROVEN) unless it and the new key both
    signed.
    """
    new_key = key_id_of(public_key)
    others = [each.key_id for each in envelope.signatures if each.key_id != new_key]
    if len(envelope.signatures) != 2 or len(others) != 1:
        raise Refused(
            Reason.POSSESSION_UNPROVEN,
            "signatures",
            "a key event is signed by the new key and by one that may register it",
        )
    registrar = registry.keys.get(others[0])
    if registrar is None:
        raise Refused(Reason.KEY_UNKNOWN, "signatures", f"no key {others[0]} is registered")
    dsse.verify(
        envelope,
        {
            new_key: VerifyKey(new_key, public_key),
            registrar.key_id: VerifyKey(registrar.key_id, registrar.public_key),
        },
    )
    is_operator = registrar.purpose is Purpose.OPERATOR
    is_own = registrar.holder == f"partner/{partner_id}" and registrar.purpose is Purpose.AGREEMENTS
    if not (is_operator or is_own):
        raise Refused(
            Reason.POSSESSION_UNPROVEN, "signatures", "the second key may not register this one"
        )
    return registrar
