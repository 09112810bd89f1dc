"""What an order must pass before it is queued: each check by its reason, and in their order."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from exchange.admission import ID_SKEW, admit
from exchange.commands import Order
from partners.envelope import (
    RATE_AGREEMENT,
    TRANSFER_ORDER,
    TRANSFER_RECEIPT,
    Envelope,
    Signature,
    counter_sign,
    pae,
    sign,
)
from partners.errors import Reason, Refused
from partners.keys import Purpose, SeedSigner
from partners.wire import envelope_from_proto, envelope_to_proto, time_to_proto
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from tests import factories as make

REGISTRY = make.a_registry()
STORED_FROM = datetime(2026, 6, 1, tzinfo=UTC)
STRANGER = SeedSigner(hashlib.sha256(b"stranger").digest())


def admitted(envelope: Envelope, caller: str = "grocery") -> Order:
    return admit(envelope, caller, REGISTRY, make.AUDIENCE, STORED_FROM, make.NOW)


def refusal_of(envelope: Envelope, caller: str = "grocery") -> tuple[Reason, str]:
    with pytest.raises(Refused) as refused:
        admitted(envelope, caller)
    return refused.value.reason, refused.value.field


def signed(payload: bytes, kind: str = TRANSFER_ORDER) -> Envelope:
    """Bytes that the grocery brand really signed."""
    return sign(make.order_signer("grocery"), kind, payload)


def test_a_good_order_is_admitted_with_the_bytes_that_came() -> None:
    envelope = make.a_signed_order()
    order = admitted(envelope)
    assert order == replace(make.an_order(), signature=envelope.signatures[0].signature)
    assert order.payload == envelope.payload
    assert order.payload_sha256 == hashlib.sha256(envelope.payload).digest()


# The order of the checks


@dataclass(frozen=True)
class Sending:
    """How an order is made, signed and sent; each fault changes one thing of it."""

    fields: dict[str, object] = field(default_factory=dict)
    after_payload: bytes = b""
    kind: str = TRANSFER_ORDER
    signer: SeedSigner = field(default_factory=lambda: make.order_signer("grocery"))
    flipped: bool = False
    cut: int = 0
    caller: str = "grocery"

    def verdict(self) -> Reason | None:
        """The reason of the refusal, or None for an order that is admitted."""
        payload = make.order_payload(1, **self.fields) + self.after_payload  # type: ignore[arg-type]
        raw = self.signer.sign(pae(self.kind, payload))
        raw = bytes([raw[0] ^ self.flipped]) + raw[1 : 64 - self.cut]
        envelope = Envelope(self.kind, payload, (Signature(self.signer.key_id, raw),))
        try:
            admitted(envelope, self.caller)
        except Refused as refused:
            return refused.reason
        return None


Fault = tuple[Reason, Callable[[Sending], Sending]]

FAULTS: list[Fault] = [
    (Reason.ENVELOPE_MALFORMED, lambda s: replace(s, cut=1)),
    (Reason.PAYLOAD_TYPE_WRONG, lambda s: replace(s, kind=RATE_AGREEMENT)),
    (Reason.KEY_UNKNOWN, lambda s: replace(s, signer=STRANGER)),
    (Reason.SIGNATURE_INVALID, lambda s: replace(s, flipped=True)),
    (Reason.ENVELOPE_MALFORMED, lambda s: replace(s, after_payload=b"\xf8\x07\x01")),
    (Reason.SIGNER_NOT_CALLER, lambda s: replace(s, caller="fuel")),
    (Reason.AUDIENCE_WRONG, lambda s: replace(s, fields=s.fields | {"audience": "sandbox"})),
    (Reason.FIELD_INVALID, lambda s: replace(s, fields=s.fields | {"source_points": 0})),
]
"""In the order in which the protocol answers them."""


def test_an_order_without_a_fault_is_admitted() -> None:
    assert Sending().verdict() is None


@pytest.mark.parametrize(("reason", "fault"), FAULTS)
def test_each_fault_has_its_reason(reason: Reason, fault: Callable[[Sending], Sending]) -> None:
    assert fault(Sending()).verdict() is reason


@pytest.mark.parametrize(("earlier", "later"), list(combinations(FAULTS, 2)))
def test_of_two_faults_the_earlier_check_answers(earlier: Fault, later: Fault) -> None:
    assert later[1](earlier[1](Sending())).verdict() is earlier[0]


# Envelope and signer


def test_t01_every_flipped_byte_of_an_order_on_the_wire_is_refused() -> None:
    wire = envelope_to_proto(make.a_signed_order()).SerializeToString()
    good = make.a_signed_order()
    for place in range(len(wire)):
        flipped = wire[:place] + bytes([wire[place] ^ 1]) + wire[place + 1 :]
        try:
            envelope = envelope_from_proto(SignedEnvelope.FromString(flipped))
        except DecodeError:
            continue
        assert envelope != good
        with pytest.raises(Refused):
            admitted(envelope)


@pytest.mark.parametrize("kind", [RATE_AGREEMENT, TRANSFER_RECEIPT, "text/plain"])
def test_t02_an_order_under_another_type_is_refused(kind: str) -> None:
    refusal = refusal_of(signed(make.order_payload(), kind))
    assert refusal == (Reason.PAYLOAD_TYPE_WRONG, "payload_type")


@pytest.mark.parametrize("audience", ["", "pointclear.test/sandbox", make.AUDIENCE + " "])
def test_t02_an_order_for_another_exchange_or_environment_is_refused(audience: str) -> None:
    envelope = make.a_signed_order(audience=audience)
    assert refusal_of(envelope) == (Reason.AUDIENCE_WRONG, "audience")


def test_t02_another_statement_in_an_orders_clothes_is_refused() -> None:
    envelope = signed(make.agreement_payload())
    assert refusal_of(envelope)[0] is Reason.ENVELOPE_MALFORMED


def test_t02_a_key_for_agreements_signs_no_order() -> None:
    signer = make.signer("partner/grocery", Purpose.AGREEMENTS)
    envelope = sign(signer, TRANSFER_ORDER, make.order_payload())
    assert refusal_of(envelope)[0] is Reason.KEY_UNKNOWN
    forged = replace(envelope, payload=make.order_payload(2))
    assert refusal_of(forged)[0] is Reason.KEY_UNKNOWN


def test_an_order_has_one_signature() -> None:
    twice = counter_sign(make.order_signer("fuel"), make.a_signed_order())
    assert refusal_of(twice) == (Reason.ENVELOPE_MALFORMED, "signatures")
    unsigned = replace(make.a_signed_order(), signatures=())
    assert refusal_of(unsigned)[0] is Reason.ENVELOPE_MALFORMED


@pytest.mark.parametrize(
    ("signer", "partner_id", "caller"),
    [("fuel", "grocery", "grocery"), ("grocery", "fuel", "grocery"), ("fuel", "fuel", "grocery")],
)
def test_signer_sender_and_channel_are_one_partner(
    signer: str, partner_id: str, caller: str
) -> None:
    payload = make.order_payload(partner_id=partner_id)
    envelope = sign(make.order_signer(signer), TRANSFER_ORDER, payload)
    assert refusal_of(envelope, caller) == (Reason.SIGNER_NOT_CALLER, "signatures")


# The one encoding


def varint(number: int) -> bytes:
    """Seven bits a byte, least first."""
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


GOOD = make.order_payload()
SOURCE_POINTS = b"\x40"
"""The tag of field 8, a varint."""


def with_points(encoded: bytes) -> bytes:
    """The order with its 100 source points encoded otherwise."""
    assert GOOD.count(SOURCE_POINTS + b"\x64\x48") == 1
    return GOOD.replace(SOURCE_POINTS + b"\x64\x48", SOURCE_POINTS + encoded + b"\x48")


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(GOOD + b"\xf8\x07\x01", id="an unknown field"),
        pytest.param(GOOD + b"\x0a\x14" + make.AUDIENCE.encode(), id="the audience twice"),
        pytest.param(GOOD + b"\x40\x64", id="the points twice"),
        pytest.param(GOOD + b"\x6a\x00", id="the expiry in two parts"),
        pytest.param(with_points(b"\xe4\x00"), id="a longer varint"),
        pytest.param(with_points(varint(100 + 2**64)), id="a varint of 65 bits"),
        pytest.param(with_points(b"\x00"), id="a zero that is written"),
        pytest.param(GOOD[22:] + GOOD[:22], id="fields out of order"),
        pytest.param(GOOD[:-1], id="cut short"),
        pytest.param(GOOD + b"\x00", id="a tag of zero"),
        pytest.param(GOOD.replace(b"till 7", b"till\xff7"), id="no UTF-8"),
    ],
)
def test_t06_any_other_encoding_is_refused(payload: bytes) -> None:
    assert payload != GOOD
    assert refusal_of(signed(payload)) == (Reason.ENVELOPE_MALFORMED, "payload")


def test_the_order_that_these_were_made_from_is_admitted() -> None:
    assert admitted(signed(GOOD)).source_points == 100
    assert admitted(signed(with_points(b"\x66"))).source_points == 102


@pytest.mark.parametrize(
    "points",
    [
        pytest.param(2**63, id="2^63"),
        pytest.param(2**64 - 1, id="minus one"),
        pytest.param(2**64 - 2**62, id="minus 2^62"),
        pytest.param(2**62 + 1, id="2^62 and one"),
    ],
)
def test_an_amount_on_the_wire_is_1_to_2_to_the_62(points: int) -> None:
    assert refusal_of(signed(with_points(varint(points)))) == (
        Reason.FIELD_INVALID,
        "source_points",
    )


@pytest.mark.parametrize("name", ["source_points", "target_points"])
@pytest.mark.parametrize("points", [0, -1, -(2**63), 2**62 + 1, 2**63 - 1])
def test_neither_amount_is_zero_negative_or_too_large(name: str, points: int) -> None:
    changes = {"target_points": 1} | {name: points}
    envelope = make.a_signed_order(**changes)  # type: ignore[arg-type]
    assert refusal_of(envelope) == (Reason.FIELD_INVALID, name)


def test_the_largest_amount_is_admitted() -> None:
    order = admitted(make.a_signed_order(source_points=2**62, target_points=2**62))
    assert (order.source_points, order.target_points) == (2**62, 2**62)


# Fields


def an_id(version: int = 7, variant: int = 2, at: datetime = make.NOW) -> bytes:
    """A transfer id of another version or variant."""
    number = make.transfer_id(1, at).int & ~(15 << 76) & ~(3 << 62)
    return (number | version << 76 | variant << 62).to_bytes(16, "big")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        an_id()[:15],
        an_id() + b"\0",
        bytes(16),
        b"\xff" * 16,
        an_id(version=4),
        an_id(version=1),
        an_id(version=8),
        an_id(variant=0),
        an_id(variant=3),
    ],
)
def test_a_transfer_id_is_a_uuid_of_version_7(raw: bytes) -> None:
    envelope = make.a_signed_order(transfer_id=raw)
    assert refusal_of(envelope) == (Reason.FIELD_INVALID, "transfer_id")


MILLISECOND = timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("at", "good"),
    [
        (STORED_FROM - MILLISECOND, False),
        (STORED_FROM, True),
        (make.NOW + ID_SKEW, True),
        (make.NOW + ID_SKEW + MILLISECOND, False),
        (datetime(1970, 1, 1, tzinfo=UTC), False),
        (datetime(9999, 12, 31, tzinfo=UTC), False),
    ],
)
def test_the_time_inside_an_id_is_one_that_is_stored(at: datetime, good: bool) -> None:
    envelope = make.a_signed_order(transfer_id=an_id(at=at))
    if good:
        assert admitted(envelope).transfer_id.bytes == an_id(at=at)
    else:
        assert refusal_of(envelope) == (Reason.FIELD_INVALID, "transfer_id")


def test_an_id_from_beyond_the_year_9999_is_refused_like_any_other_from_the_future() -> None:
    raw = b"\xff" * 6 + an_id()[6:]
    envelope = make.a_signed_order(transfer_id=raw)
    assert refusal_of(envelope) == (Reason.FIELD_INVALID, "transfer_id")


T17 = ["", "UPPER", "a'; DROP TABLE record; --", "nul\0", "\u202eabc", "a" * 65, "a" * 1_000]


@pytest.mark.parametrize("name", ["source_program", "target_program", "agreement_id"])
@pytest.mark.parametrize("value", T17)
def test_t17_names_are_ids(name: str, value: str) -> None:
    envelope = make.a_signed_order(**{name: value})  # type: ignore[arg-type]
    assert refusal_of(envelope) == (Reason.FIELD_INVALID, name)


@pytest.mark.parametrize("name", ["source_member", "target_member", "partner_reference"])
@pytest.mark.parametrize("value", ["nul\0", "\u202eabc", "a" * 65, "é", "two\nlines", " lead"])
def test_t17_references_are_printable_ascii_and_never_in_the_refusal(name: str, value: str) -> None:
    envelope = make.a_signed_order(**{name: value})  # type: ignore[arg-type]
    with pytest.raises(Refused) as refused:
        admitted(envelope)
    assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, name)
    assert value not in str(refused.value)


@pytest.mark.parametrize("name", ["source_member", "target_member"])
def test_an_order_names_both_members_and_may_leave_the_senders_reference_out(name: str) -> None:
    envelope = make.a_signed_order(**{name: ""})  # type: ignore[arg-type]
    assert refusal_of(envelope) == (Reason.FIELD_INVALID, name)
    assert admitted(make.a_signed_order(partner_reference="")).partner_reference == ""


@pytest.mark.parametrize("version", [0, -1, -(2**31)])
def test_versions_count_from_1(version: int) -> None:
    envelope = make.a_signed_order(agreement_version=version)
    assert refusal_of(envelope) == (Reason.FIELD_INVALID, "agreement_version")


@pytest.mark.parametrize("name", ["issued_at", "expires_at"])
@pytest.mark.parametrize(
    ("seconds", "nanos"),
    [(0, 0), (-1, 0), (1, -1), (1, 10**9), (1, 1), (253_402_300_800, 0), (2**63 - 1, 0)],
)
def test_times_are_set_and_no_finer_than_a_microsecond(name: str, seconds: int, nanos: int) -> None:
    stamp = Timestamp(seconds=seconds, nanos=nanos)
    envelope = make.a_signed_order(**{name: stamp})  # type: ignore[arg-type]
    assert refusal_of(envelope) == (Reason.FIELD_INVALID, name)


@pytest.mark.parametrize("later", [timedelta(), timedelta(seconds=-1)])
def test_an_order_expires_after_it_was_issued(later: timedelta) -> None:
    envelope = make.a_signed_order(
        issued_at=time_to_proto(make.NOW), expires_at=time_to_proto(make.NOW + later)
    )
    assert refusal_of(envelope) == (Reason.FIELD_INVALID, "expires_at")


FIELD_FAULTS: list[tuple[str, object]] = [
    ("transfer_id", b""),
    ("source_program", ""),
    ("target_program", ""),
    ("source_member", ""),
    ("target_member", ""),
    ("source_points", 0),
    ("target_points", 0),
    ("agreement_id", ""),
    ("agreement_version", 0),
    ("issued_at", Timestamp()),
    ("expires_at", Timestamp()),
    ("partner_reference", "é"),
]


@pytest.mark.parametrize(("earlier", "later"), list(combinations(FIELD_FAULTS, 2)))
def test_of_two_wrong_fields_the_first_in_the_message_is_named(
    earlier: tuple[str, object], later: tuple[str, object]
) -> None:
    envelope = make.a_signed_order(**dict([earlier, later]))  # type: ignore[arg-type]
    assert refusal_of(envelope) == (Reason.FIELD_INVALID, earlier[0])
