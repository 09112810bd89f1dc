"""The exchange's signers: what is signed is signed by the key that it names."""

import pytest

from exchange.seal import PayloadKind
from exchange.signing import sign_entry
from partners.envelope import CREDIT_NOTICE, TRANSFER_RECEIPT, verify
from partners.errors import Reason, Refused
from partners.keys import Purpose, SeedSigner, VerifyKey
from partners.signers import Signers
from pointclear.exchange.v1.transfer_pb2 import CreditNotice, TransferReceipt

OLD, NEW, LATER = (SeedSigner(bytes([n]) * 32) for n in (1, 2, 3))
ROTATED = Signers({Purpose.RECEIPTS: (NEW, OLD)})


@pytest.mark.parametrize("signer", [OLD, NEW])
def test_a_payload_is_signed_by_the_key_that_it_names_after_a_rotation_too(
    signer: SeedSigner,
) -> None:
    receipt = TransferReceipt(signing_key_id=signer.key_id, stream_seq=7).SerializeToString()
    notice = CreditNotice(signing_key_id=signer.key_id, stream_seq=7).SerializeToString()
    for kind, payload_type, payload in (
        (PayloadKind.RECEIPT, TRANSFER_RECEIPT, receipt),
        (PayloadKind.NOTICE, CREDIT_NOTICE, notice),
    ):
        envelope = sign_entry(ROTATED, kind, payload)
        assert (envelope.payload_type, envelope.payload) == (payload_type, payload)
        verify(envelope, {signer.key_id: VerifyKey.of(signer.public_key)})


def test_the_first_is_in_use_and_all_are_held() -> None:
    assert ROTATED[Purpose.RECEIPTS] is NEW
    assert ROTATED.key_ids(Purpose.RECEIPTS) == (NEW.key_id, OLD.key_id)
    assert ROTATED.named(Purpose.RECEIPTS, OLD.key_id) is OLD
    with pytest.raises(ValueError, match="no signer"):
        Signers({Purpose.RECEIPTS: ()})


def test_a_key_that_is_not_held_is_asked_for_later_and_found_once_it_lies_there() -> None:
    held = {Purpose.RECEIPTS: [NEW, OLD]}
    signers = Signers({Purpose.RECEIPTS: (NEW, OLD)}, lambda: held)
    with pytest.raises(Refused) as refused:
        signers.named(Purpose.RECEIPTS, LATER.key_id)
    assert refused.value.reason is Reason.TRY_LATER
    held[Purpose.RECEIPTS].insert(0, LATER)
    assert signers.named(Purpose.RECEIPTS, LATER.key_id) is LATER
