"""A brand's answer is one if everything about it is right; else it is none, for a reason that has a
name.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from partners import envelope as dsse
from partners.confirmations.confirmation import (
    Asked,
    Confirmation,
    NoAnswer,
    check_points,
)
from partners.confirmations.verification import (
    envelope_of,
    signed_confirmation,
    verified_answer,
)
from partners.confirmations.wire import confirmation_from_payload, confirmation_payload
from partners.envelope import CREDIT_CONFIRMATION, Envelope, Signature, counter_sign, sign
from partners.errors import Reason
from partners.keys import Purpose, SeedSigner
from partners.program_port import (
    CreditOutcome,
    DeclineReason,
    Fault,
    InstructionKind,
    ProgramAnswer,
    ProgramUnavailable,
)
from partners.registry import RegisteredKey
from pointclear.partners.v1 import program_service_pb2 as pb

NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)
DAY = timedelta(days=1)
AUDIENCE = "pointclear.local/development"
INSTRUCTION = UUID("019b8d99-69fa-7000-8000-00000000002a")
ANOTHER = UUID("019b8d99-69fa-7000-8000-00000000002b")
BRAND, OTHER, AGREEING, LAPSED, REVOKED = (SeedSigner(bytes([n]) * 32) for n in range(1, 6))
STRANGER = SeedSigner(bytes(32))


def registered(signer: SeedSigner, holder: str = "partner/borealis", **changes: Any) -> Any:
    return replace(
        RegisteredKey(
            signer.key_id, holder, Purpose.ORDERS, signer.public_key, NOW - DAY, NOW + DAY, 1
        ),
        **changes,
    )


KEYS = {
    each.key_id: each
    for each in (
        registered(BRAND),
        registered(OTHER, "partner/aurora"),
        registered(AGREEING, purpose=Purpose.AGREEMENTS),
        registered(LAPSED, valid_until=NOW),
        registered(REVOKED, revoked_index=7),
    )
}
ASKED = Asked(AUDIENCE, "borealis", "borealis-points", INSTRUCTION, InstructionKind.CREDIT, 500)
SEALED = b"sealed code"
SAID = Confirmation(
    AUDIENCE,
    "borealis",
    INSTRUCTION,
    InstructionKind.CREDIT,
    "borealis-points",
    CreditOutcome.DONE,
    NOW,
    500,
    program_reference="B/17",
)


def verdict(envelope: Envelope, fulfilment: bytes = b"", **asked: Any) -> ProgramAnswer:
    return verified_answer(envelope, replace(ASKED, **asked), KEYS.get, NOW, fulfilment)


def said(signer: SeedSigner = BRAND, **changes: Any) -> Envelope:
    return signed_confirmation(signer, replace(SAID, **changes))


def signed_message(change: Callable[[pb.CreditConfirmation], object]) -> Envelope:
    """Signed by the brand, of what our own code would not say."""
    message = pb.CreditConfirmation.FromString(confirmation_payload(SAID))
    change(message)
    return sign(BRAND, CREDIT_CONFIRMATION, message.SerializeToString(deterministic=True))


def test_a_good_confirmation_is_an_answer_with_the_evidence_for_it() -> None:
    envelope = said()
    answer = verdict(envelope)
    assert (answer.outcome, answer.points, answer.reason) == (CreditOutcome.DONE, 500, None)
    assert answer.reference == "B/17"
    assert answer.evidence is not None
    assert envelope_of(answer.evidence) == envelope
    assert verdict(envelope_of(answer.evidence)) == answer


@pytest.mark.parametrize(
    "each",
    [
        SAID,
        replace(
            SAID,
            outcome=CreditOutcome.DECLINED,
            points=0,
            reason=DeclineReason.MEMBER_FROZEN,
            program_reference="",
        ),
        replace(SAID, kind=InstructionKind.REVERSE, outcome=CreditOutcome.NEVER, points=0),
        replace(SAID, fulfilment_sha256=hashlib.sha256(SEALED).digest()),
    ],
)
def test_what_is_read_is_what_was_said(each: Confirmation) -> None:
    assert confirmation_from_payload(confirmation_payload(each)) == each


def test_a_reversal_may_take_fewer_than_were_asked_for() -> None:
    taken = said(kind=InstructionKind.REVERSE, points=3)
    answer = verdict(taken, kind=InstructionKind.REVERSE)
    assert (answer.outcome, answer.points) == (CreditOutcome.DONE, 3)


def test_never_is_the_answer_to_a_look_up() -> None:
    never = said(outcome=CreditOutcome.NEVER, points=0)
    assert verdict(never, looked_up=True).outcome is CreditOutcome.NEVER


def test_a_fulfilment_comes_with_the_confirmation_that_commits_to_it() -> None:
    envelope = said(fulfilment_sha256=hashlib.sha256(SEALED).digest())
    assert verdict(envelope, SEALED).fulfilment == SEALED


def flipped(envelope: Envelope) -> Envelope:
    (signature,) = envelope.signatures
    wrong = bytes([signature.signature[0] ^ 1]) + signature.signature[1:]
    return replace(envelope, signatures=(Signature(signature.key_id, wrong),))


def under(envelope: Envelope, signer: SeedSigner) -> Envelope:
    """The same signature, said to be another key's."""
    (signature,) = envelope.signatures
    return replace(envelope, signatures=(Signature(signer.key_id, signature.signature),))


WRONG: dict[str, tuple[Envelope, Fault]] = {
    "unsigned": (replace(said(), signatures=()), Fault.MALFORMED),
    "signed twice": (counter_sign(OTHER, said()), Fault.MALFORMED),
    "not of its type": (
        sign(BRAND, CREDIT_CONFIRMATION, b"\xff\xff not a message"),
        Fault.MALFORMED,
    ),
    "with an unknown field": (
        sign(BRAND, CREDIT_CONFIRMATION, confirmation_payload(SAID) + b"\xf8\x07\x01"),
        Fault.MALFORMED,
    ),
    "without its time": (
        signed_message(lambda each: each.ClearField("decided_at")),
        Fault.MALFORMED,
    ),
    "an order": (sign(BRAND, dsse.TRANSFER_ORDER, confirmation_payload(SAID)), Fault.TYPE_WRONG),
    "signed by a stranger": (said(STRANGER), Fault.KEY_UNKNOWN),
    "signed with another's key": (said(OTHER), Fault.KEY_WRONG),
    "signed with the key for agreements": (said(AGREEING), Fault.KEY_WRONG),
    "signed with a lapsed key": (said(LAPSED), Fault.KEY_NOT_IN_FORCE),
    "signed with a revoked key": (said(REVOKED), Fault.KEY_NOT_IN_FORCE),
    "with a bit changed": (flipped(said()), Fault.SIGNATURE_INVALID),
    "another's signature under the brand's key": (
        under(said(OTHER), BRAND),
        Fault.SIGNATURE_INVALID,
    ),
    "for the sandbox": (said(audience="pointclear.local/sandbox"), Fault.AUDIENCE_WRONG),
    "of another brand": (said(partner_id="aurora"), Fault.PARTNER_WRONG),
    "for another transfer": (said(instruction_id=ANOTHER), Fault.INSTRUCTION_WRONG),
    "for a short id": (
        signed_message(lambda each: setattr(each, "instruction_id", b"short")),
        Fault.INSTRUCTION_WRONG,
    ),
    "of a reversal": (said(kind=InstructionKind.REVERSE), Fault.INSTRUCTION_WRONG),
    "of a kind to come": (
        signed_message(lambda each: setattr(each, "kind", 9)),
        Fault.INSTRUCTION_WRONG,
    ),
    "of another program": (said(program="borealis-miles"), Fault.PROGRAM_WRONG),
    "without an outcome": (
        signed_message(lambda each: setattr(each, "outcome", 0)),
        Fault.OUTCOME_UNKNOWN,
    ),
    "of an outcome to come": (
        signed_message(lambda each: setattr(each, "outcome", 9)),
        Fault.OUTCOME_UNKNOWN,
    ),
    "never, unasked": (said(outcome=CreditOutcome.NEVER, points=0), Fault.OUTCOME_UNKNOWN),
    "done for nothing": (said(points=0), Fault.POINTS_WRONG),
    "done in part": (said(points=499), Fault.POINTS_WRONG),
    "done for more": (said(points=501), Fault.POINTS_WRONG),
    "done for less than nothing": (said(points=-500), Fault.POINTS_WRONG),
    "declined with points": (
        said(outcome=CreditOutcome.DECLINED, reason=DeclineReason.OTHER),
        Fault.POINTS_WRONG,
    ),
    "declined without a reason": (
        said(outcome=CreditOutcome.DECLINED, points=0),
        Fault.REASON_WRONG,
    ),
    "done with a reason": (said(reason=DeclineReason.LIMIT), Fault.REASON_WRONG),
    "of a reason to come": (
        signed_message(lambda each: setattr(each, "reason", 99)),
        Fault.REASON_WRONG,
    ),
    "with a long reference": (said(program_reference="x" * 65), Fault.FIELD_INVALID),
    "with a reference that steers a terminal": (
        said(program_reference="\x1b[2J"),
        Fault.FIELD_INVALID,
    ),
    "without its fulfilment": (
        said(fulfilment_sha256=hashlib.sha256(SEALED).digest()),
        Fault.FULFILMENT_WRONG,
    ),
}


@pytest.mark.parametrize(("envelope", "fault"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_no_answer_and_the_fault_is_named(
    envelope: Envelope, fault: Fault
) -> None:
    with pytest.raises(NoAnswer) as raised:
        verdict(envelope)
    assert raised.value.fault is fault
    assert isinstance(raised.value, ProgramUnavailable)


def test_every_fault_has_its_case() -> None:
    others = {Fault.UNREACHABLE, Fault.NOT_TRUSTED, Fault.LATE, Fault.AT_WORK, Fault.FAILED}
    called = {each for each in Fault if each.called}
    assert {fault for _, fault in WRONG.values()} == called - others


@pytest.mark.parametrize(
    ("envelope", "fulfilment"),
    [
        (said(), SEALED),
        (said(fulfilment_sha256=hashlib.sha256(SEALED).digest()), SEALED + b"x"),
        (said(fulfilment_sha256=hashlib.sha256(bytes(1025)).digest()), bytes(1025)),
        (
            said(
                outcome=CreditOutcome.DECLINED,
                points=0,
                reason=DeclineReason.OTHER,
                fulfilment_sha256=hashlib.sha256(SEALED).digest(),
            ),
            SEALED,
        ),
    ],
    ids=["nobody said so", "another", "too large", "declined all the same"],
)
def test_a_fulfilment_that_the_confirmation_does_not_cover_is_no_answer(
    envelope: Envelope, fulfilment: bytes
) -> None:
    with pytest.raises(NoAnswer) as raised:
        verdict(envelope, fulfilment)
    assert raised.value.fault is Fault.FULFILMENT_WRONG


def test_no_single_byte_of_a_confirmation_can_be_changed() -> None:
    good = said()
    for place in range(len(good.payload)):
        changed = bytearray(good.payload)
        changed[place] ^= 1
        with pytest.raises(NoAnswer) as raised:
            verdict(replace(good, payload=bytes(changed)))
        assert raised.value.fault is Fault.SIGNATURE_INVALID


def test_whoever_sends_it_is_told_in_the_words_of_a_refusal() -> None:
    reasons = {}
    for name, (envelope, _) in WRONG.items():
        with pytest.raises(NoAnswer) as raised:
            verdict(envelope)
        reasons[name] = raised.value.refusal().reason
    assert reasons["signed by a stranger"] is Reason.KEY_UNKNOWN
    assert reasons["signed with another's key"] is Reason.SIGNER_NOT_CALLER
    assert reasons["with a bit changed"] is Reason.SIGNATURE_INVALID
    assert reasons["done in part"] is Reason.FIELD_INVALID


def test_points_that_a_look_up_could_not_check_are_checked_by_whoever_knows_them() -> None:
    answer = verdict(said(points=499), points=None, looked_up=True)
    with pytest.raises(NoAnswer) as raised:
        check_points(answer.outcome, InstructionKind.CREDIT, answer.points, 500)
    assert raised.value.fault is Fault.POINTS_WRONG
