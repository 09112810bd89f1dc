"""What a brand signed, verified again by whoever did not make the call."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from adapters.file_program.instructions import ProgramName
from adapters.file_program.results import Signing, parse_results, write_results
from adapters.file_program.signature import sign_results, verify_results
from partners.confirmations.confirmation import Confirmation, NoAnswer
from partners.confirmations.evidence import said_in
from partners.confirmations.http_evidence import content_digest, http_evidence
from partners.confirmations.json_form import confirmation_json
from partners.confirmations.verification import KeyOf, evidence_of, signed_confirmation
from partners.keys import Purpose, SeedSigner, VerifyKey
from partners.program_port import CreditOutcome, Evidence, Fault, InstructionKind
from partners.registry import RegisteredKey

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


def in_file(signer: SeedSigner = BRAND) -> Evidence:
    others = [replace(SAID, instruction_id=UUID(int=number)) for number in range(6)]
    name = ProgramName(SAID.audience, SAID.partner_id, SAID.program)
    said = [*others, SAID, *others]
    file = parse_results(write_results(name, "r-1", SAID.decided_at, Signing.DSSE, said))
    return verify_results(sign_results(signer, file), file, key_of(signer), SAID.decided_at)[6]


def key_of(signer: SeedSigner) -> KeyOf:
    day = timedelta(days=1)
    valid = SAID.decided_at - day, SAID.decided_at + day
    holder = f"partner/{SAID.partner_id}"
    key = RegisteredKey(signer.key_id, holder, Purpose.ORDERS, signer.public_key, *valid, 1)
    return {key.key_id: key}.get


def over_grpc(signer: SeedSigner = BRAND) -> Evidence:
    return evidence_of(signed_confirmation(signer, SAID))


@pytest.mark.parametrize(
    "evidence", [over_http(), over_grpc(), in_file()], ids=["http", "grpc", "file"]
)
def test_evidence_says_what_was_signed(evidence: Evidence) -> None:
    assert said_in(evidence, KEY) == SAID


@pytest.mark.parametrize(
    "evidence", [over_http(), over_grpc(), in_file()], ids=["http", "grpc", "file"]
)
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
        (in_file(signer=OTHER), Fault.KEY_WRONG),
        (replace(in_file(signer=OTHER), key_id=BRAND.key_id), Fault.SIGNATURE_INVALID),
        (replace(in_file(), media_type=over_grpc().media_type), Fault.SIGNATURE_INVALID),
        (replace(over_grpc(), media_type=in_file().media_type), Fault.MALFORMED),
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
