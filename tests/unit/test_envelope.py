"""Envelopes: what is signed, what a change anywhere does, and DSSE's JSON form."""

import base64
import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partners import envelope as envelopes
from partners.envelope import (
    QUOTE,
    SIGNATURES_MAX,
    SIGNED_BYTES_MAX,
    TRANSFER_ORDER,
    TRANSFER_RECEIPT,
    Envelope,
    Signature,
    check_shape,
    counter_sign,
    from_json,
    pae,
    payload_digest,
    require_signers,
    require_type,
    sign,
    to_json,
    verify,
)
from partners.errors import Reason, Refused
from partners.keys import SeedSigner, VerifyKey

SIGNERS = tuple(SeedSigner(bytes([number]) * 32) for number in range(1, 6))
AMBER, BASIL = SIGNERS[:2]
KEYS = {signer.key_id: VerifyKey.of(signer.public_key) for signer in SIGNERS}
PAYLOAD = b"\x0a\x05amber\x10\xfa\x01"
ORDER = sign(AMBER, TRANSFER_ORDER, PAYLOAD)
AGREED = counter_sign(BASIL, ORDER)


def malformed_field(envelope: Envelope) -> str:
    with pytest.raises(Refused) as refused:
        check_shape(envelope)
    assert refused.value.reason == Reason.ENVELOPE_MALFORMED
    return refused.value.field


def refusal_of(envelope: Envelope) -> Refused:
    with pytest.raises(Refused) as refused:
        verify(envelope, KEYS)
    return refused.value


def test_the_encoding_is_the_one_that_dsse_publishes() -> None:
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_the_encoding_counts_bytes_and_not_characters() -> None:
    assert pae("é", b"") == b"DSSEv1 2 \xc3\xa9 0 "


@given(st.tuples(st.text(), st.binary()), st.tuples(st.text(), st.binary()))
def test_two_statements_never_share_an_encoding(
    one: tuple[str, bytes], other: tuple[str, bytes]
) -> None:
    assert (pae(*one) == pae(*other)) == (one == other)


def test_each_payload_type_has_its_own_name() -> None:
    types = [
        value
        for value in vars(envelopes).values()
        if isinstance(value, str) and value.startswith("application/vnd.pointclear.")
    ]
    assert len(types) == len(set(types)) == 22
    for kind in types:
        assert re.fullmatch(r"application/vnd\.pointclear\.[a-z]+(-[a-z]+)?\.v1\+protobuf", kind)
    assert TRANSFER_ORDER == "application/vnd.pointclear.transfer-order.v1+protobuf"


def test_what_was_signed_verifies_with_one_signature_and_with_two() -> None:
    verify(ORDER, KEYS)
    verify(AGREED, KEYS)
    assert AGREED.payload is ORDER.payload
    assert [each.key_id for each in AGREED.signatures] == [AMBER.key_id, BASIL.key_id]


@pytest.mark.parametrize("envelope", [ORDER, AGREED], ids=["one signature", "two signatures"])
def test_t01_every_flipped_byte_of_an_envelope_is_refused(envelope: Envelope) -> None:
    def refused(changed: Envelope) -> Reason:
        return refusal_of(changed).reason

    for mask in (0x01, 0x20, 0x80, 0xFF):
        for index in range(len(envelope.payload)):
            changed = replace(envelope, payload=flipped(envelope.payload, index, mask))
            assert refused(changed) == Reason.SIGNATURE_INVALID
        for index in range(len(envelope.payload_type)):
            kind = flipped(envelope.payload_type.encode(), index, mask).decode("latin-1")
            assert refused(replace(envelope, payload_type=kind)) in {
                Reason.ENVELOPE_MALFORMED,
                Reason.SIGNATURE_INVALID,
            }
        for number, signature in enumerate(envelope.signatures):
            for index in range(len(signature.signature)):
                value = flipped(signature.signature, index, mask)
                changed = with_signature(envelope, number, replace(signature, signature=value))
                assert refused(changed) == Reason.SIGNATURE_INVALID
            for index in range(len(signature.key_id)):
                key_id = flipped(signature.key_id.encode(), index, mask).decode("latin-1")
                changed = with_signature(envelope, number, replace(signature, key_id=key_id))
                assert refused(changed) in {Reason.ENVELOPE_MALFORMED, Reason.KEY_UNKNOWN}


def flipped(value: bytes, index: int, mask: int) -> bytes:
    changed = bytearray(value)
    changed[index] ^= mask
    return bytes(changed)


def with_signature(envelope: Envelope, number: int, signature: Signature) -> Envelope:
    signatures = list(envelope.signatures)
    signatures[number] = signature
    return replace(envelope, signatures=tuple(signatures))


def test_t02_a_statement_under_another_type_does_not_verify() -> None:
    for kind in (QUOTE, TRANSFER_RECEIPT):
        assert refusal_of(replace(ORDER, payload_type=kind)).reason == Reason.SIGNATURE_INVALID


def test_t02_a_call_takes_one_type_only() -> None:
    require_type(ORDER, TRANSFER_ORDER)
    with pytest.raises(Refused) as refused:
        require_type(ORDER, QUOTE)
    assert refused.value.reason == Reason.PAYLOAD_TYPE_WRONG
    assert refused.value.metadata == {"expectedPayloadType": QUOTE}


def test_t06_a_required_signature_that_was_stripped_is_missed() -> None:
    required = (AMBER.key_id, BASIL.key_id)
    require_signers(AGREED, required)
    for kept in AGREED.signatures:
        stripped = replace(AGREED, signatures=(kept,))
        verify(stripped, KEYS)
        with pytest.raises(Refused) as refused:
            require_signers(stripped, required)
        assert refused.value.reason == Reason.COUNTER_SIGNATURE_MISSING


def test_t06_a_key_is_looked_up_by_name_and_never_searched_for() -> None:
    mislabelled = with_signature(ORDER, 0, replace(ORDER.signatures[0], key_id=BASIL.key_id))
    assert refusal_of(mislabelled).reason == Reason.SIGNATURE_INVALID


def test_a_key_that_nobody_registered_is_named_in_the_refusal() -> None:
    stranger = SeedSigner(bytes(32))
    refused = refusal_of(counter_sign(stranger, ORDER))
    assert refused.reason == Reason.KEY_UNKNOWN
    assert refused.field == "signatures[1].key_id"
    assert refused.metadata == {"keyId": stranger.key_id}


def test_an_unknown_key_is_reported_before_a_bad_signature() -> None:
    stranger = SeedSigner(bytes(32))
    bad = replace(ORDER.signatures[0], signature=bytes(64))
    envelope = with_signature(counter_sign(stranger, ORDER), 0, bad)
    assert refusal_of(envelope).reason == Reason.KEY_UNKNOWN


def test_the_digest_covers_the_payload_and_no_signature() -> None:
    assert payload_digest(AGREED) == payload_digest(ORDER)
    assert payload_digest(replace(ORDER, payload=b"other")) != payload_digest(ORDER)


SIGNATURE = ORDER.signatures[0]


@pytest.mark.parametrize(
    ("envelope", "field"),
    [
        (replace(ORDER, payload_type=""), "payload_type"),
        (replace(ORDER, payload_type="a b"), "payload_type"),
        (replace(ORDER, payload_type=TRANSFER_ORDER + "\n"), "payload_type"),
        (replace(ORDER, payload_type="ärger"), "payload_type"),
        (replace(ORDER, payload_type="\ud800"), "payload_type"),
        (replace(ORDER, payload_type="a" * 129), "payload_type"),
        (replace(ORDER, payload=b""), "payload"),
        (replace(ORDER, payload=bytes(SIGNED_BYTES_MAX)), "payload"),
        (replace(ORDER, signatures=()), "signatures"),
        (replace(ORDER, signatures=(SIGNATURE, SIGNATURE)), "signatures"),
        (with_signature(ORDER, 0, replace(SIGNATURE, key_id="")), "signatures[0].key_id"),
        (
            with_signature(ORDER, 0, replace(SIGNATURE, key_id=SIGNATURE.key_id.upper())),
            "signatures[0].key_id",
        ),
        (
            with_signature(ORDER, 0, replace(SIGNATURE, key_id=SIGNATURE.key_id + "\n")),
            "signatures[0].key_id",
        ),
        (
            with_signature(AGREED, 1, replace(SIGNATURE, signature=bytes(63))),
            "signatures[1].signature",
        ),
    ],
)
def test_a_wrong_shape_is_refused_at_its_field(envelope: Envelope, field: str) -> None:
    assert malformed_field(envelope) == field


def test_the_signed_encoding_may_have_4096_bytes_and_not_one_more() -> None:
    frame = len(pae(TRANSFER_ORDER, bytes(1000))) - 1000
    largest = sign(AMBER, TRANSFER_ORDER, bytes(SIGNED_BYTES_MAX - frame))
    assert len(pae(largest.payload_type, largest.payload)) == SIGNED_BYTES_MAX
    verify(largest, KEYS)
    assert malformed_field(replace(largest, payload=largest.payload + b"\0")) == "payload"
    with pytest.raises(Refused):
        sign(AMBER, TRANSFER_ORDER, largest.payload + b"\0")


def test_an_envelope_takes_four_signatures_and_not_a_fifth() -> None:
    envelope = ORDER
    for signer in SIGNERS[1:SIGNATURES_MAX]:
        envelope = counter_sign(signer, envelope)
    verify(envelope, KEYS)
    with pytest.raises(Refused) as refused:
        counter_sign(SIGNERS[SIGNATURES_MAX], envelope)
    assert refused.value.field == "signatures"


def test_nobody_signs_one_envelope_twice() -> None:
    with pytest.raises(Refused, match="one key twice"):
        counter_sign(AMBER, ORDER)


# The JSON form.

WRITTEN = json.loads(to_json(ORDER))


def json_refusal(text: str) -> Refused:
    with pytest.raises(Refused) as refused:
        from_json(text)
    assert refused.value.reason == Reason.ENVELOPE_MALFORMED
    return refused.value


def test_the_json_form_is_the_one_of_dsse() -> None:
    payload = base64.b64encode(PAYLOAD).decode()
    value = base64.b64encode(SIGNATURE.signature).decode()
    assert to_json(ORDER) == (
        f'{{"payload":"{payload}","payloadType":"{TRANSFER_ORDER}",'
        f'"signatures":[{{"keyid":"{AMBER.key_id}","sig":"{value}"}}]}}'
    )


@given(st.binary(min_size=1, max_size=3900), st.integers(1, SIGNATURES_MAX))
def test_json_gives_back_what_was_written(payload: bytes, signers: int) -> None:
    envelope = sign(AMBER, TRANSFER_ORDER, payload)
    for signer in SIGNERS[1:signers]:
        envelope = counter_sign(signer, envelope)
    assert from_json(to_json(envelope)) == envelope


def test_json_of_other_tools_is_read() -> None:
    url_safe = base64.urlsafe_b64encode(SIGNATURE.signature).decode()
    document = WRITTEN | {
        "signatures": [{"keyid": AMBER.key_id, "sig": url_safe, "extension": {"kind": "x"}}],
        "comment": "DSSE says that fields which it does not define are passed over",
    }
    assert from_json(json.dumps(document, indent=2) + "\n") == ORDER


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"payload": None}, "payload"),
        ({"payload": 5}, "payload"),
        ({"payload": "YQ"}, "payload"),
        ({"payload": "YQ=="[:2] + "="}, "payload"),
        ({"payload": "YR=="}, "payload"),
        ({"payload": "YQ==\n"}, "payload"),
        ({"payload": "Y Q=="}, "payload"),
        ({"payload": "é==="}, "payload"),
        ({"payload": ""}, "payload"),
        ({"payloadType": None}, "payloadType"),
        ({"payloadType": ["a"]}, "payloadType"),
        ({"payloadType": "\ud800"}, "payload_type"),
        ({"signatures": None}, "signatures"),
        ({"signatures": {}}, "signatures"),
        ({"signatures": []}, "signatures"),
        ({"signatures": ["x"]}, "keyid"),
        ({"signatures": [{"keyid": AMBER.key_id}]}, "sig"),
        ({"signatures": [{"sig": "YQ=="}]}, "keyid"),
        ({"signatures": WRITTEN["signatures"] * 5}, "signatures"),
    ],
)
def test_json_that_is_not_strictly_an_envelope_is_refused(
    change: dict[str, object], field: str
) -> None:
    assert json_refusal(json.dumps(WRITTEN | change)).field == field


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '"x"', "[" * 10_000, "{}" * 2, '{"payload": NaN}', "9" * 10_000],
    ids=["empty", "cut", "list", "null", "text", "deep", "two", "NaN", "long number"],
)
def test_text_that_is_no_json_envelope_is_refused(text: str) -> None:
    json_refusal(text)


@pytest.mark.parametrize("name", ["payload", "payloadType", "signatures", "keyid", "sig"])
def test_json_with_a_name_twice_is_refused(name: str) -> None:
    text = to_json(ORDER)
    assert json_refusal(text.replace(f'"{name}":', f'"{name}":"x","{name}":', 1)).field == ""


def test_json_larger_than_any_envelope_is_refused_unread() -> None:
    assert "characters" in json_refusal(to_json(ORDER) + " " * envelopes.JSON_CHARS_MAX).text
