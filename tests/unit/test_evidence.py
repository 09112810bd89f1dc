"""What a brand signed, verified again by whoever did not make the call."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from partners.confirmations.confirmation import Confirmation, NoAnswer
from partners.confirmations.evidence import said_in
from partners.confirmations.http_evidence import content_digest, http_evidence
from partners.confirmations.json_form import confirmation_json
from partners.confirmations.verification import evidence_of, signed_confirmation
from partners.keys import SeedSigner, VerifyKey
from partners.program_port import CreditOutcome, Evidence, Fault, InstructionKind

BRAND = SeedSigner(bytes(range(32)))
OTHER = SeedSigner(bytes(range(1, 33)))
KEY = VerifyKey.of(BRAND.public_key)
SAID = Confirmation(
    "somewhere/production",
    "airline",
    UUID("019a9c1e-7d70-7c3a-9f3e-2b1d6f1f0a11"),
    InstructionKind.CREDIT,
    "airline-miles",
    CreditOutcome.DONE,
    datetime(2026, 11, 22, tzinfo=UTC),
    500,
)


def over_http(status: int = 200, signer: SeedSigner = BRAND) -> Evidence:
    body = confirmation_json(SAID)
    base = f'"@status": {status}\n"content-digest": {content_digest(body)}\n'
    base += '"@signature-params": ("@status" "content-digest");created=1;keyid="k"'
    return http_evidence(base.encode(), body, signer.key_id, signer.sign(base.encode()))


def over_grpc(signer: SeedSigner = BRAND) -> Evidence:
    return evidence_of(signed_confirmation(signer, SAID))


@pytest.mark.parametrize("evidence", [over_http(), over_grpc()], ids=["http", "grpc"])
def test_evidence_says_what_was_signed(evidence: Evidence) -> None:
    assert said_in(evidence, KEY) == SAID


@pytest.mark.parametrize("evidence", [over_http(), over_grpc()], ids=["http", "grpc"])
def test_no_byte_of_evidence_can_be_altered(evidence: Evidence) -> None:
    for at in range(len(evidence.content)):
        content = bytearray(evidence.content)
        content[at] ^= 1
        with pytest.raises(NoAnswer):
            said_in(replace(evidence, content=bytes(content)), KEY)
    for at in range(len(evidence.signature)):
        signature = bytearray(evidence.signature)
        signature[at] ^= 1
        with pytest.raises(NoAnswer):
            said_in(replace(evidence, signature=bytes(signature)), KEY)


@pytest.mark.parametrize(
    ("evidence", "fault"),
    [
        (over_http(signer=OTHER), Fault.KEY_WRONG),
        (over_grpc(signer=OTHER), Fault.KEY_WRONG),
        (replace(over_http(signer=OTHER), key_id=BRAND.key_id), Fault.SIGNATURE_INVALID),
        (replace(over_grpc(signer=OTHER), key_id=BRAND.key_id), Fault.SIGNATURE_INVALID),
        (over_http(status=202), Fault.SIGNATURE_INVALID),
        (replace(over_http(), media_type="text/plain"), Fault.TYPE_WRONG),
        (replace(over_grpc(), media_type=over_http().media_type), Fault.SIGNATURE_INVALID),
        (replace(over_http(), media_type=over_grpc().media_type), Fault.SIGNATURE_INVALID),
    ],
)
def test_what_proves_nothing_is_refused(evidence: Evidence, fault: Fault) -> None:
    with pytest.raises(NoAnswer) as caught:
        said_in(evidence, KEY)
    assert caught.value.fault is fault
