"""Whose signatures a statement needs."""

import hashlib
from datetime import timedelta

import pytest

from partners.envelope import (
    KEY_EVENT,
    RATE_AGREEMENT,
    TRANSFER_ORDER,
    Envelope,
    counter_sign,
    sign,
)
from partners.errors import Reason, Refused
from partners.key_events import Registration, Revocation, RevocationReason
from partners.keys import Purpose, SeedSigner
from partners.signing import (
    require_purpose,
    verified_signer,
    verify_agreement,
    verify_registration,
    verify_revocation,
)
from tests import factories as make

OPERATOR = make.signer("operator/li-na", Purpose.OPERATOR)
REGISTRY = make.a_registry(*make.founding(), make.add_key("operator/li-na", Purpose.OPERATOR))
AGREEMENT = make.agreement_payload()
NEW = SeedSigner(hashlib.sha256(b"new").digest())


def agreements_key(brand: str) -> SeedSigner:
    return make.signer(f"partner/{brand}", Purpose.AGREEMENTS)


def signed_by(
    *signers: SeedSigner, kind: str = RATE_AGREEMENT, payload: bytes = AGREEMENT
) -> Envelope:
    envelope = sign(signers[0], kind, payload)
    for signer in signers[1:]:
        envelope = counter_sign(signer, envelope)
    return envelope


def agreement_refused(*signers: SeedSigner) -> Reason:
    with pytest.raises(Refused) as refused:
        verify_agreement(signed_by(*signers), make.TERMS, REGISTRY.keys)
    return refused.value.reason


def test_an_agreement_that_both_brands_signed_is_good_in_either_order() -> None:
    grocery, fuel = agreements_key("grocery"), agreements_key("fuel")
    verify_agreement(signed_by(grocery, fuel), make.TERMS, REGISTRY.keys)
    verify_agreement(signed_by(fuel, grocery), make.TERMS, REGISTRY.keys)


def test_t06_an_agreement_with_one_signature_stripped_is_not_in_force() -> None:
    grocery, fuel, deli = map(agreements_key, make.BRANDS)
    assert agreement_refused(grocery) is Reason.COUNTER_SIGNATURE_MISSING
    assert agreement_refused(fuel) is Reason.COUNTER_SIGNATURE_MISSING
    assert agreement_refused(grocery, deli) is Reason.COUNTER_SIGNATURE_MISSING


def test_t02_a_key_for_orders_signs_no_agreement() -> None:
    reason = agreement_refused(agreements_key("grocery"), make.order_signer("fuel"))
    assert reason is Reason.KEY_UNKNOWN


def test_an_agreement_signed_by_a_key_that_nobody_registered_is_refused() -> None:
    assert agreement_refused(agreements_key("grocery"), NEW) is Reason.KEY_UNKNOWN


def test_t07_an_agreement_whose_bytes_changed_is_refused() -> None:
    envelope = signed_by(agreements_key("grocery"), agreements_key("fuel"))
    altered = Envelope(
        envelope.payload_type,
        make.agreement_payload(price_per_target_point=1),
        envelope.signatures,
    )
    with pytest.raises(Refused) as refused:
        verify_agreement(altered, make.TERMS, REGISTRY.keys)
    assert refused.value.reason is Reason.SIGNATURE_INVALID


def test_a_statement_of_one_signer_has_one_signature() -> None:
    envelope = signed_by(
        make.order_signer("grocery"), make.order_signer("fuel"), kind=TRANSFER_ORDER, payload=b"x"
    )
    with pytest.raises(Refused) as refused:
        verified_signer(envelope, TRANSFER_ORDER, Purpose.ORDERS, REGISTRY)
    assert refused.value.reason is Reason.ENVELOPE_MALFORMED


def test_the_signer_is_the_key_that_the_envelope_names() -> None:
    envelope = sign(make.order_signer("fuel"), TRANSFER_ORDER, b"x")
    key = verified_signer(envelope, TRANSFER_ORDER, Purpose.ORDERS, REGISTRY)
    assert (key.holder, key.purpose) == ("partner/fuel", Purpose.ORDERS)
    require_purpose(key, Purpose.ORDERS)
    with pytest.raises(Refused) as refused:
        require_purpose(key, Purpose.AGREEMENTS)
    assert refused.value.reason is Reason.KEY_UNKNOWN


REGISTRATION = Registration(
    "partner/grocery", Purpose.ORDERS, NEW.public_key, make.NOW, make.NOW + timedelta(days=1)
)
REVOCATION = Revocation(
    "partner/grocery", make.order_signer("grocery").key_id, RevocationReason.LOST
)


def vouching(*signers: SeedSigner) -> list[str]:
    envelope = signed_by(*signers, kind=KEY_EVENT, payload=b"x")
    return [key.holder for key in verify_registration(envelope, REGISTRATION, REGISTRY)]


def key_event_refused(*signers: SeedSigner) -> Reason:
    envelope = signed_by(*signers, kind=KEY_EVENT, payload=b"x")
    with pytest.raises(Refused) as refused:
        verify_registration(envelope, REGISTRATION, REGISTRY)
    return refused.value.reason


def test_an_operator_and_the_partners_own_agreements_key_may_register_a_key() -> None:
    assert vouching(NEW, OPERATOR) == ["operator/li-na"]
    assert vouching(agreements_key("grocery"), NEW) == ["partner/grocery"]


def test_operators_and_the_holders_own_agreements_key_may_revoke_a_key_and_no_other() -> None:
    def revoked_by(*signers: SeedSigner) -> list[str]:
        envelope = signed_by(*signers, kind=KEY_EVENT, payload=b"x")
        return [key.holder for key in verify_revocation(envelope, REVOCATION, REGISTRY)]

    assert revoked_by(OPERATOR) == ["operator/li-na"]
    assert revoked_by(agreements_key("grocery")) == ["partner/grocery"]
    for other in (make.order_signer("grocery"), agreements_key("fuel"), make.RECEIPTS, NEW):
        with pytest.raises(Refused) as refused:
            revoked_by(other)
        assert refused.value.reason is Reason.KEY_UNKNOWN


def test_t04_a_key_whose_possession_is_not_proven_is_not_registered() -> None:
    assert key_event_refused(OPERATOR) is Reason.POSSESSION_UNPROVEN
    assert key_event_refused(NEW) is Reason.POSSESSION_UNPROVEN
    assert key_event_refused(OPERATOR, agreements_key("grocery")) is Reason.POSSESSION_UNPROVEN


def test_no_other_key_may_register_one() -> None:
    for signer in (
        make.order_signer("grocery"),
        agreements_key("fuel"),
        make.RECEIPTS,
    ):
        assert key_event_refused(NEW, signer) is Reason.POSSESSION_UNPROVEN
    unregistered = SeedSigner(hashlib.sha256(b"another").digest())
    assert key_event_refused(NEW, unregistered) is Reason.KEY_UNKNOWN


def test_t04_a_key_event_with_a_forged_proof_is_refused() -> None:
    genuine = signed_by(NEW, OPERATOR, kind=KEY_EVENT, payload=b"x")
    moved = Envelope(KEY_EVENT, b"y", genuine.signatures)
    with pytest.raises(Refused) as refused:
        verify_registration(moved, REGISTRATION, REGISTRY)
    assert refused.value.reason is Reason.SIGNATURE_INVALID
