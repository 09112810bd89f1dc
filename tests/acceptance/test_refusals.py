"""Every bad input gets its named reason through a real channel, and writes nothing but what the
protocol says is recorded.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
import uuid_utils
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from exchange.cli.connection import open_channel
from exchange.cli.deployment.development_ca import (
    create_authority,
    new_tls_key,
    pem,
    private_key_pem,
)
from exchange.cli.deployment.initialise import load_authority
from exchange.edge import MESSAGE_BYTES_MAX, RECEIVE_BYTES_MAX
from partners.envelope import (
    KEY_EVENT,
    RATE_AGREEMENT,
    SETTLEMENT_STATEMENT,
    TRANSFER_ORDER,
    Envelope,
    Signature,
    pae,
    sign,
)
from partners.errors import RULES, Reason
from partners.key_files import FileSigner
from partners.keys import Purpose, SeedSigner, Signer, key_id_of
from partners.wire import envelope_to_proto, purpose_to_proto, time_to_proto
from pointclear.common.v1 import refusal_pb2
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.exchange.v1.exchange_service_pb2 import (
    CreateTransferRequest,
    CreateTransferResponse,
    GetTransferRequest,
    ListReceiptsRequest,
    TransferResult,
)
from pointclear.exchange.v1.exchange_service_pb2_grpc import ExchangeServiceStub
from pointclear.exchange.v1.transfer_pb2 import TRANSFER_STATE_REFUSED, TransferOrder
from pointclear.partners.v1 import partners_service_pb2 as partners_pb
from pointclear.partners.v1.key_pb2 import KEY_ACTION_REGISTER, KeyEvent
from pointclear.settlement.v1 import settlement_service_pb2 as settlement_pb
from tests.acceptance.coalition import (
    AUDIENCE,
    BLOCK_COST,
    CALL_TIMEOUT_S,
    MAXIMUM,
    MINIMUM,
    Brand,
    Coalition,
    Refusal,
    agree,
    coalition,
    code_of,
    join,
    make_data_dir,
    refusal_of,
    refused,
    terms,
    transfer_id_of,
)
from tests.processes import Server, connection, contents, folder, written
from tests.unit.edwards25519 import (
    BASE,
    NEUTRAL,
    SMALL_ORDER_POINTS,
    add,
    encode,
    multiply,
    small_order_encodings,
)

RECORDED = {"head": 0, "record": 1, "request": 1, "stream_entry": 1, "stream_head": 0}
"""What a recorded refusal writes: the rows that come, by table."""
TALLY = "refusal_tally"
"""Counts a partner's recorded refusals of this minute: one row, new or changed."""
MONTHS = timedelta(days=500)
POOR = "pauper"
"""A brand whose cap lets one order of the minimum pass."""

Changes = Callable[[], dict[str, Any]]


@pytest.fixture(scope="module")
def members() -> Iterator[Coalition]:
    """Three brands; version 2 is in force from cirrus to borealis, and a fourth has a low cap."""
    with (
        folder() as home,
        # A flipped bit costs as much of a partner's rate as an order.
        Server(make_data_dir(home), "--set", "orders_burst=100000") as server,
        coalition(server, home) as founded,
        join(founded.operator, home, POOR, cap=3 * BLOCK_COST) as poor,
    ):
        founded.brands[POOR] = poor
        agree(founded, POOR, "borealis")
        agree(founded, "cirrus", "borealis", version=2)
        yield founded


@pytest.fixture
def aurora(members: Coalition) -> Brand:
    return members["aurora"]


@pytest.fixture
def borealis(members: Coalition) -> Brand:
    return members["borealis"]


@contextmanager
def writing(members: Coalition, expected: dict[str, int]) -> Iterator[None]:
    """Fails unless the block writes these rows and no others."""
    with connection(members.data_dir) as database:
        before = contents(database)
        yield
        changed = written(before, contents(database))
        assert (TALLY in changed) == (expected is RECORDED)
        changed.pop(TALLY, None)
        assert changed == expected


def writing_nothing(members: Coalition) -> Any:
    """Fails if the block writes anything at all."""
    return writing(members, {})


# A byte flipped anywhere


def test_t01_a_byte_flipped_anywhere_in_an_envelope_is_refused_before_the_queue(
    members: Coalition, aurora: Brand
) -> None:
    order = aurora.order()
    raw = CreateTransferRequest(order=order).SerializeToString()
    start = len(raw) - order.ByteSize()
    changed = [
        raw[:place] + bytes([raw[place] ^ mask]) + raw[place + 1 :]
        for place in range(start, len(raw))
        for mask in (1 << bit for bit in range(8))
    ]
    with open_channel(aurora.connection.profile) as channel:
        method: Any = channel.unary_unary(
            "/pointclear.exchange.v1.ExchangeService/CreateTransfer",
            response_deserializer=CreateTransferResponse.FromString,
        )
        with writing_nothing(members):
            reasons = {refusal.reason for refusal in all_refused(method, changed)}
    assert reasons == {
        Reason.ENVELOPE_MALFORMED,
        Reason.PAYLOAD_TYPE_WRONG,
        Reason.KEY_UNKNOWN,
        Reason.SIGNATURE_INVALID,
    }
    # The bytes that were changed are good as they were, and none of it used the id up.
    assert aurora.proof(aurora.send(order)).record.transfer_id == transfer_id_of(order).bytes


def all_refused(method: Any, requests: Sequence[bytes], at_once: int = 100) -> Iterator[Refusal]:
    """How each request is refused, a hundred under way at a time."""
    for first in range(0, len(requests), at_once):
        calls = [
            method.future(each, timeout=CALL_TIMEOUT_S)
            for each in requests[first : first + at_once]
        ]
        for call in calls:
            error = call.exception()
            assert error is not None, "a changed envelope was accepted"
            yield refusal_of(error)


# Before the queue: nothing is written, no receipt is given


@dataclass(frozen=True, slots=True)
class Case:
    """An order at fault, and how it is answered."""

    name: str
    reason: Reason
    field: str
    changes: Changes
    brand: str = "aurora"


def fixed(**changes: Any) -> Changes:
    """Changes that need no clock."""
    return lambda: changes


def at(**offsets: timedelta) -> Changes:
    """Times of an order, from now."""
    return lambda: {name: datetime.now(UTC) + offset for name, offset in offsets.items()}


def id_made(ago: timedelta) -> Changes:
    """A UUIDv7 of another time."""

    def changes() -> dict[str, Any]:
        milliseconds = int((datetime.now(UTC) - ago).timestamp() * 1000)
        return {"transfer_id": milliseconds.to_bytes(6, "big") + uuid_utils.uuid7().bytes[6:]}

    return changes


FIELD_CASES = [
    *(
        Case(f"{field} of {name}", Reason.FIELD_INVALID, field, fixed(**{field: value}))
        for field in ("source_points", "target_points")
        for name, value in (
            ("zero", 0),
            ("minus one block", -50),
            # The bytes of 2^63 are those of the least signed number.
            ("2^63", -(2**63)),
            ("2^63-1", 2**63 - 1),
            ("2^62+1", 2**62 + 1),
        )
    ),
    Case("id of version 4", Reason.FIELD_INVALID, "transfer_id", fixed(transfer_id=b"\x40" * 16)),
    Case("id of 15 bytes", Reason.FIELD_INVALID, "transfer_id", fixed(transfer_id=b"\x70" * 15)),
    Case("id too old", Reason.FIELD_INVALID, "transfer_id", id_made(MONTHS)),
    Case("id ahead", Reason.FIELD_INVALID, "transfer_id", id_made(-timedelta(hours=1))),
    Case("version 0", Reason.FIELD_INVALID, "agreement_version", fixed(agreement_version=0)),
    Case("no member", Reason.FIELD_INVALID, "source_member", fixed(source_member="")),
    Case("member with NUL", Reason.FIELD_INVALID, "target_member", fixed(target_member="a\0b")),
    Case(
        "quote in a program", Reason.FIELD_INVALID, "target_program", fixed(target_program="x'--")
    ),
    Case(
        "reference of 65",
        Reason.FIELD_INVALID,
        "partner_reference",
        fixed(partner_reference="r" * 65),
    ),
    Case(
        "expiry before issue",
        Reason.FIELD_INVALID,
        "expires_at",
        at(issued_at=timedelta(), expires_at=-timedelta(seconds=1)),
    ),
    Case(
        "sandbox audience",
        Reason.AUDIENCE_WRONG,
        "audience",
        fixed(audience="pointclear.test/sandbox"),
    ),
    Case("no audience", Reason.AUDIENCE_WRONG, "audience", fixed(audience="")),
    Case("naming another", Reason.SIGNER_NOT_CALLER, "signatures", fixed(partner_id="borealis")),
]


@pytest.mark.parametrize("case", FIELD_CASES, ids=lambda case: case.name)
def test_an_order_at_fault_by_itself_writes_nothing(members: Coalition, case: Case) -> None:
    brand = members[case.brand]
    with writing_nothing(members):
        refusal = brand.refused(brand.order(**case.changes()))
    assert (refusal.reason, refusal.field, refusal.receipt) == (case.reason, case.field, None)


def test_t01_only_the_channels_own_partner_orders_on_it(
    members: Coalition, aurora: Brand, borealis: Brand
) -> None:
    of_b = borealis.order("cirrus")
    forged = SignedEnvelope.FromString(aurora.order().SerializeToString())
    message = pae(forged.payload_type, forged.payload)
    forged.signatures[0].key_id = borealis.orders.key_id
    forged.signatures[0].signature = borealis.orders.sign(message)
    with writing_nothing(members):
        assert aurora.refused(of_b).reason is Reason.SIGNER_NOT_CALLER
        assert aurora.refused(forged).reason is Reason.SIGNER_NOT_CALLER
        assert borealis.refused(aurora.order()).reason is Reason.SIGNER_NOT_CALLER
        assert borealis.refused(forged).reason is Reason.SIGNER_NOT_CALLER


def test_t02_no_other_statement_passes_for_an_order(members: Coalition, aurora: Brand) -> None:
    receipt = aurora.send(aurora.order())
    agreement = sign(aurora.agreements, RATE_AGREEMENT, terms("aurora", "borealis", version=3))
    statements = aurora.connection.profile.signer(Purpose.STATEMENTS)
    others = [
        receipt,
        envelope_to_proto(agreement),
        envelope_to_proto(sign(statements, SETTLEMENT_STATEMENT, b"\x0a\x01x")),
        envelope_to_proto(sign(aurora.orders, KEY_EVENT, aurora.payload())),
        envelope_to_proto(sign(aurora.orders, "text/plain", aurora.payload())),
    ]
    with writing_nothing(members):
        for other in others:
            refusal = aurora.refused(other)
            assert (refusal.reason, refusal.field) == (Reason.PAYLOAD_TYPE_WRONG, "payload_type")
            assert refusal.metadata == {"expectedPayloadType": TRANSFER_ORDER}


def test_t02_an_order_passes_for_no_other_statement(members: Coalition, aurora: Brand) -> None:
    partners, order = aurora.connection.partners, aurora.order()
    with writing_nothing(members):
        for method, request in (
            (partners.ProposeAgreement, partners_pb.ProposeAgreementRequest(agreement=order)),
            (partners.SignAgreement, partners_pb.SignAgreementRequest(agreement=order)),
            (partners.RegisterKey, partners_pb.RegisterKeyRequest(key_event=order)),
        ):
            assert refused(method, request).reason is Reason.PAYLOAD_TYPE_WRONG


def test_t02_a_key_signs_for_its_purpose_only(members: Coalition, aurora: Brand) -> None:
    with_terms_key = envelope_to_proto(sign(aurora.agreements, TRANSFER_ORDER, aurora.payload()))
    by_orders_key = sign(aurora.orders, RATE_AGREEMENT, terms("aurora", "borealis", version=3))
    request = partners_pb.ProposeAgreementRequest(agreement=envelope_to_proto(by_orders_key))
    with writing_nothing(members):
        assert aurora.refused(with_terms_key).reason is Reason.KEY_UNKNOWN
        propose = aurora.connection.partners.ProposeAgreement
        assert refused(propose, request).reason is Reason.KEY_UNKNOWN


@pytest.mark.parametrize(
    "change",
    [
        lambda payload: payload + b"\x98\x06\x01",  # field 99
        lambda payload: payload + b"\x0a\x01x",  # the audience once more
        lambda payload: payload + b"\x40\x00",  # a field set to its default
        lambda payload: payload + b"\xff",
        lambda payload: payload[:-1],
        lambda payload: b"\x0a\x80\x00" + payload,  # a length in two bytes where one would do
        lambda payload: bytes(4096),
        lambda payload: bytes(4000),
    ],
    ids=["unknown", "doubled", "default", "rubbish", "cut", "long length", "too long", "zeros"],
)
def test_t06_a_payload_in_any_other_encoding_is_refused_though_signed(
    members: Coalition, aurora: Brand, change: Callable[[bytes], bytes]
) -> None:
    payload = change(aurora.payload())
    signature = Signature(aurora.orders.key_id, aurora.orders.sign(pae(TRANSFER_ORDER, payload)))
    with writing_nothing(members):
        refusal = aurora.refused(envelope_to_proto(Envelope(TRANSFER_ORDER, payload, (signature,))))
    assert (refusal.reason, refusal.field) == (Reason.ENVELOPE_MALFORMED, "payload")


def test_t06_signatures_are_exactly_one(members: Coalition, aurora: Brand) -> None:
    stripped, doubled, empty = aurora.order(), aurora.order(), SignedEnvelope()
    del stripped.signatures[:]
    doubled.signatures.append(doubled.signatures[0])
    second = aurora.order()
    second.signatures.add(
        key_id=aurora.agreements.key_id,
        signature=aurora.agreements.sign(pae(second.payload_type, second.payload)),
    )
    with writing_nothing(members):
        for each in (stripped, doubled, empty, second):
            assert aurora.refused(each).reason is Reason.ENVELOPE_MALFORMED


def test_an_unknown_key_and_one_whose_time_has_not_come_are_refused(
    members: Coalition, aurora: Brand
) -> None:
    key = SeedSigner(bytes([1]) * 32)
    order = envelope_to_proto(sign(key, TRANSFER_ORDER, aurora.payload()))
    with writing_nothing(members):
        assert aurora.refused(order).reason is Reason.KEY_UNKNOWN
    tomorrow = time_to_proto(datetime.now(UTC) + timedelta(days=1))
    register(members, event(key, "aurora", (key, aurora.agreements), valid_from=tomorrow))
    with writing_nothing(members):
        refusal = aurora.refused(order)
    assert (refusal.reason, refusal.receipt) == (Reason.KEY_NOT_IN_FORCE, None)


def test_t15_a_message_beyond_its_limit_is_refused(members: Coalition, aurora: Brand) -> None:
    largest = CreateTransferRequest(order=SignedEnvelope(payload=bytes(MESSAGE_BYTES_MAX - 8)))
    assert largest.ByteSize() == MESSAGE_BYTES_MAX
    larger = CreateTransferRequest(order=SignedEnvelope(payload=bytes(MESSAGE_BYTES_MAX - 7)))
    huge = CreateTransferRequest(order=SignedEnvelope(payload=bytes(2 * RECEIVE_BYTES_MAX)))
    create = aurora.connection.exchange.CreateTransfer
    with writing_nothing(members):
        assert refused(create, largest).reason is Reason.ENVELOPE_MALFORMED
        assert refused(create, larger).reason is Reason.MESSAGE_TOO_LARGE
        with pytest.raises(grpc.RpcError) as without_details:
            create(huge, timeout=CALL_TIMEOUT_S)
        assert code_of(without_details.value) is grpc.StatusCode.RESOURCE_EXHAUSTED


# In the sequencer: recorded, receipted, a leaf

RECORDED_CASES = [
    Case(
        "stale agreement",
        Reason.AGREEMENT_NOT_IN_FORCE,
        "agreement_version",
        fixed(agreement_version=1),
        brand="cirrus",
    ),
    Case(
        "another corridor's agreement",
        Reason.AGREEMENT_NOT_IN_FORCE,
        "agreement_id",
        fixed(agreement_id="aurora-cirrus"),
    ),
    Case("no increment", Reason.INCREMENT, "source_points", fixed(source_points=125)),
    Case("a point more", Reason.AMOUNT_MISMATCH, "target_points", fixed(target_points=51)),
    Case("a point less", Reason.AMOUNT_MISMATCH, "target_points", fixed(target_points=49)),
    Case("unknown target", Reason.PROGRAM_UNKNOWN, "target_program", fixed(target_program="dusk")),
    Case("unknown source", Reason.PROGRAM_UNKNOWN, "source_program", fixed(source_program="dusk")),
    Case(
        "another's program",
        Reason.NOT_A_PARTY,
        "source_program",
        fixed(source_program="borealis", target_program="cirrus", agreement_id="borealis-cirrus"),
    ),
    Case("no agreement", Reason.AGREEMENT_UNKNOWN, "agreement_id", fixed(agreement_id="dawn")),
    Case("no such version", Reason.AGREEMENT_UNKNOWN, "agreement_id", fixed(agreement_version=7)),
    Case(
        "below the minimum",
        Reason.LIMIT_EXCEEDED,
        "source_points",
        fixed(source_points=MINIMUM - 50),
    ),
    Case(
        "above the maximum",
        Reason.LIMIT_EXCEEDED,
        "source_points",
        fixed(source_points=MAXIMUM + 50),
    ),
    Case(
        "expired",
        Reason.ORDER_EXPIRED,
        "expires_at",
        at(issued_at=-timedelta(minutes=9), expires_at=-timedelta(seconds=1)),
    ),
    Case(
        "from the future",
        Reason.ORDER_FROM_FUTURE,
        "issued_at",
        at(issued_at=timedelta(minutes=2), expires_at=timedelta(minutes=9)),
    ),
    Case("beyond the cap", Reason.NET_DEBIT_CAP_EXCEEDED, "", fixed(source_points=200), POOR),
]


@pytest.mark.parametrize("case", RECORDED_CASES, ids=lambda case: case.name)
def test_an_order_that_the_sequencer_refuses_is_recorded_with_a_receipt(
    members: Coalition, case: Case
) -> None:
    brand = members[case.brand]
    order = brand.order(**case.changes())
    with writing(members, RECORDED):
        refusal = brand.refused(order)
    assert (refusal.reason, refusal.field) == (case.reason, case.field)
    assert refusal.receipt is not None
    record = brand.proof(refusal.receipt).record
    assert record.transfer_id == transfer_id_of(order).bytes
    assert record.state == TRANSFER_STATE_REFUSED
    assert refusal_pb2.Reason.Name(record.reason) == f"REASON_{case.reason}"

    # The answer stands, byte for byte, and asking again writes nothing.
    with writing_nothing(members):
        again = brand.refused(order)
        found = brand.connection.exchange.GetTransfer(
            GetTransferRequest(transfer_id=record.transfer_id), timeout=CALL_TIMEOUT_S
        )
    assert (again.reason, again.receipt) == (case.reason, refusal.receipt)
    assert (found.state, found.reason) == (record.state, record.reason)
    assert found.entry.envelope == refusal.receipt


def test_a_refusal_says_in_figures_what_would_have_been_right(aurora: Brand) -> None:
    assert aurora.refused(aurora.order(target_points=51)).metadata == {"targetPoints": "50"}
    assert aurora.refused(aurora.order(source_points=125)).metadata == {"incrementPoints": "50"}
    assert aurora.refused(aurora.order(source_points=50)).metadata == {
        "minimumPoints": str(MINIMUM),
        "maximumPoints": str(MAXIMUM),
    }


def test_t03_an_id_stands_for_one_order_for_ever(
    members: Coalition, aurora: Brand, borealis: Brand
) -> None:
    committed, rejected = aurora.order(), aurora.order(target_points=51)
    receipt = aurora.send(committed)
    first_refusal = aurora.refused(rejected).receipt
    with writing_nothing(members):
        assert aurora.send(committed) == receipt
        assert aurora.refused(rejected).receipt == first_refusal
        for used, points in ((committed, 50), (rejected, 51)):
            transfer_id = transfer_id_of(used).bytes
            # What differs is named to whoever sent the first, and to nobody else.
            for brand, other, field in (
                (aurora, {"source_points": 150}, "source_points"),
                (aurora, {"target_points": points}, "issued_at"),
                (borealis, {"target": "cirrus"}, "transfer_id"),
            ):
                refusal = brand.refused(brand.order(transfer_id=transfer_id, **other))
                assert (refusal.reason, refusal.field) == (Reason.MODIFIED_REQUEST, field)
                assert refusal.receipt is None
                assert "aurora" not in str(refusal.status)


def test_an_order_under_another_signature_of_the_same_bytes_is_the_same_order(
    members: Coalition, aurora: Brand
) -> None:
    payload = aurora.payload()
    key = SeedSigner(bytes([2]) * 32)
    register(members, event(key, "aurora", (key, aurora.agreements)))
    receipt = aurora.send(envelope_to_proto(sign(aurora.orders, TRANSFER_ORDER, payload)))
    with writing_nothing(members):
        assert aurora.send(envelope_to_proto(sign(key, TRANSFER_ORDER, payload))) == receipt


# Batches


def test_a_batch_answers_each_order_in_its_place(members: Coalition, aurora: Brand) -> None:
    good, other = aurora.order(), aurora.order(target="cirrus")
    tampered = aurora.order()
    tampered.payload = tampered.payload[:-1] + bytes([tampered.payload[-1] ^ 1])
    mixed = [
        good,
        aurora.order(target_points=51),
        tampered,
        members["borealis"].order("cirrus"),
        good,
        aurora.order(transfer_id=transfer_id_of(good).bytes, source_points=150),
        aurora.order(source_points=0),
        other,
    ]
    results = aurora.send_batch(mixed)
    assert [outcome(each) for each in results] == [
        "COMMITTED",
        "AMOUNT_MISMATCH, recorded",
        "SIGNATURE_INVALID",
        "SIGNER_NOT_CALLER",
        "COMMITTED",
        "MODIFIED_REQUEST",
        "FIELD_INVALID",
        "COMMITTED",
    ]
    assert results[0].receipt == results[4].receipt == aurora.send(good)
    for order, result in zip(mixed, results, strict=True):
        receipt = result.receipt if result.HasField("receipt") else result.refusal.receipt
        if receipt.payload:
            assert aurora.proof(receipt).record.transfer_id == transfer_id_of(order).bytes
    with writing_nothing(members):
        again = aurora.send_batch(mixed)
    assert [outcome(each) for each in again] == [outcome(each) for each in results]


def outcome(result: TransferResult) -> str:
    """What became of an order of a batch, after holding the refusal against its rule."""
    if result.HasField("receipt"):
        return "COMMITTED"
    refusal = result.refusal
    reason = Reason(refusal_pb2.Reason.Name(refusal.reason).removeprefix("REASON_"))
    rule = RULES[reason]
    assert refusal.remedy == rule.remedy
    assert refusal_pb2.RetryClass.Name(refusal.retry) == f"RETRY_CLASS_{rule.retry}"
    return f"{reason}, recorded" if refusal.HasField("receipt") else reason


def test_of_six_orders_in_one_batch_the_cap_lets_exactly_one_pass(members: Coalition) -> None:
    poor = members[POOR]
    outcomes = [outcome(each) for each in poor.send_batch([poor.order() for _ in range(6)])]
    assert outcomes == ["COMMITTED"] + 5 * ["NET_DEBIT_CAP_EXCEEDED, recorded"]


@pytest.mark.parametrize("count", [0, 501])
def test_a_batch_has_1_to_500_orders(members: Coalition, aurora: Brand, count: int) -> None:
    order = aurora.order()
    with writing_nothing(members), pytest.raises(grpc.RpcError) as failed:
        aurora.send_batch([order] * count)
    refusal = refusal_of(failed.value)
    assert (refusal.reason, refusal.field) == (Reason.FIELD_INVALID, "orders")


# Keys at registration


def operator_key(members: Coalition) -> Signer:
    """The first operator's key."""
    return members.operator.profile.signer(Purpose.OPERATOR)


def event(
    key: SeedSigner | FileSigner | bytes, partner_id: str, signers: Sequence[Signer], **changes: Any
) -> SignedEnvelope:
    """A key event for a key, or for 32 bytes that nobody has a key to."""
    now = datetime.now(UTC)
    fields: dict[str, Any] = {
        "audience": AUDIENCE,
        "partner_id": partner_id,
        "action": KEY_ACTION_REGISTER,
        "purpose": purpose_to_proto(Purpose.ORDERS),
        "public_key": key if isinstance(key, bytes) else key.public_key,
        "valid_from": time_to_proto(now - timedelta(minutes=1)),
        "valid_until": time_to_proto(now + timedelta(days=365)),
    }
    payload = KeyEvent(**fields | changes).SerializeToString(deterministic=True)
    message = pae(KEY_EVENT, payload)
    signatures = [Signature(each.key_id, each.sign(message)) for each in signers]
    if isinstance(key, bytes):
        # For a key of small order this one constant verifies every message.
        signatures.insert(0, Signature(key_id_of(key), encode(NEUTRAL) + bytes(32)))
    return envelope_to_proto(Envelope(KEY_EVENT, payload, tuple(signatures)))


def register(members: Coalition, key_event: SignedEnvelope) -> None:
    """Have the operator register a key."""
    request = partners_pb.RegisterKeyRequest(key_event=key_event)
    members.operator.call(members.operator.partners.RegisterKey, request)


def registration_refused(connection: Any, key_event: SignedEnvelope) -> Refusal:
    """How a registration is refused."""
    request = partners_pb.RegisterKeyRequest(key_event=key_event)
    return refused(connection.partners.RegisterKey, request)


WEAK = {
    **{f"small order {place}": key for place, key in enumerate(small_order_encodings())},
    **{
        f"mixed order {place}": encode(add(multiply(7, BASE), point))
        for place, point in enumerate(SMALL_ORDER_POINTS)
        if place
    },
    "no point": (2).to_bytes(32, "little"),
    "short": bytes(31),
    "long": bytes(33),
    "nothing": b"",
}


def test_t04_weak_keys_are_never_registered(members: Coalition, aurora: Brand) -> None:
    assert len(WEAK) == 14 + 7 + 4
    with writing_nothing(members):
        for name, key in WEAK.items():
            by_operator = event(key, "aurora", [operator_key(members)])
            for refusal in (
                registration_refused(members.operator, by_operator),
                registration_refused(aurora.connection, event(key, "aurora", [aurora.agreements])),
            ):
                assert refusal.reason is Reason.KEY_WEAK, name
                assert refusal.field == "key_event.public_key"


def test_t04_a_key_belongs_to_one_partner_and_one_purpose(
    members: Coalition, aurora: Brand, borealis: Brand
) -> None:
    theirs, ours, operator = borealis.orders, aurora.orders, operator_key(members)
    statements = purpose_to_proto(Purpose.STATEMENTS)
    taken = event(theirs, "aurora", (theirs, operator))
    again = event(ours, "aurora", (ours, operator), purpose=statements)
    with writing_nothing(members):
        for key_event in (taken, again):
            refusal = registration_refused(members.operator, key_event)
            assert (refusal.reason, refusal.code) == (Reason.KEY_IN_USE, "ALREADY_EXISTS")


def test_t04_a_key_is_registered_by_its_holder_with_one_that_may(
    members: Coalition, aurora: Brand, borealis: Brand
) -> None:
    key, stranger = SeedSigner(bytes([3]) * 32), SeedSigner(bytes([4]) * 32)
    operator = operator_key(members)
    garbled = event(key, "aurora", (key, operator))
    garbled.signatures[0].signature = bytes(64)
    wrong = {
        "no possession": (event(key, "aurora", (operator,)), Reason.POSSESSION_UNPROVEN),
        "possession only": (event(key, "aurora", (key,)), Reason.POSSESSION_UNPROVEN),
        "possession garbled": (garbled, Reason.SIGNATURE_INVALID),
        "by a key for orders": (
            event(key, "aurora", (key, aurora.orders)),
            Reason.POSSESSION_UNPROVEN,
        ),
        "by another partner": (
            event(key, "aurora", (key, borealis.agreements)),
            Reason.POSSESSION_UNPROVEN,
        ),
        "by nobody known": (event(key, "aurora", (key, stranger)), Reason.KEY_UNKNOWN),
        "for nobody known": (event(key, "dusk", (key, operator)), Reason.PARTNER_UNKNOWN),
        "for a sandbox": (
            event(key, "aurora", (key, operator), audience="pointclear.test/sandbox"),
            Reason.AUDIENCE_WRONG,
        ),
        "as the exchange's": (
            event(key, "aurora", (key, operator), purpose=purpose_to_proto(Purpose.RECEIPTS)),
            Reason.FIELD_INVALID,
        ),
    }
    with writing_nothing(members):
        for name, (key_event, reason) in wrong.items():
            assert registration_refused(members.operator, key_event).reason is reason, name
        of_aurora = event(key, "aurora", (key, aurora.agreements))
        refusal = registration_refused(borealis.connection, of_aurora)
        assert refusal.reason is Reason.SIGNER_NOT_CALLER


# Who calls

AURORA = "pointclear://partner/aurora"
UNKNOWN_NAMES: dict[str, Sequence[x509.GeneralName]] = {
    "none": (),
    "two": (
        x509.UniformResourceIdentifier(AURORA),
        x509.UniformResourceIdentifier("pointclear://partner/borealis"),
    ),
    "the same twice": (
        x509.UniformResourceIdentifier(AURORA),
        x509.UniformResourceIdentifier(AURORA),
    ),
    "a DNS name that looks like it": (x509.DNSName(AURORA),),
    "another scheme": (x509.UniformResourceIdentifier("https://partner/aurora"),),
    "another kind": (x509.UniformResourceIdentifier("pointclear://admin/aurora"),),
    "a path": (x509.UniformResourceIdentifier(f"{AURORA}/more"),),
    "a query": (x509.UniformResourceIdentifier(f"{AURORA}?x"),),
    "no name": (x509.UniformResourceIdentifier("pointclear://partner/"),),
    "capitals": (x509.UniformResourceIdentifier("pointclear://partner/Aurora"),),
}


@contextmanager
def calling_as(
    members: Coalition, names: Sequence[x509.GeneralName], *, own_authority: bool = False
) -> Iterator[ExchangeServiceStub]:
    """A channel with a certificate of these names, by the exchange's authority unless told."""
    now, key = datetime.now(UTC), new_tls_key()
    authority = load_authority(members.data_dir)
    if own_authority:
        authority = create_authority("mine", new_tls_key(), now)
    builder = (
        x509.CertificateBuilder()
        # A common name has never named anybody here.
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, AURORA)]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate = builder.sign(authority.key, SHA256())
    profile = members["aurora"].connection.profile
    credentials = grpc.ssl_channel_credentials(
        profile.authority, private_key_pem(key), pem(certificate)
    )
    options = [("grpc.enable_http_proxy", 0)]
    with grpc.secure_channel(profile.server, credentials, options=options) as channel:
        yield ExchangeServiceStub(channel)


@pytest.mark.parametrize("names", UNKNOWN_NAMES.values(), ids=list(UNKNOWN_NAMES))
def test_a_certificate_names_exactly_one_caller_by_uri(
    members: Coalition, aurora: Brand, names: Sequence[x509.GeneralName]
) -> None:
    request = CreateTransferRequest(order=aurora.order())
    with writing_nothing(members), calling_as(members, names) as stub:
        for refusal in (
            refused(stub.CreateTransfer, request),
            refused(stub.ListReceipts, ListReceiptsRequest()),
        ):
            assert (refusal.reason, refusal.code) == (Reason.CALLER_UNKNOWN, "UNAUTHENTICATED")


def test_the_uri_counts_among_other_names(members: Coalition, aurora: Brand) -> None:
    names = (
        x509.DNSName("pointclear://partner/borealis"),
        x509.UniformResourceIdentifier(AURORA),
    )
    with calling_as(members, names) as stub:
        receipt = stub.CreateTransfer(
            CreateTransferRequest(order=aurora.order()), timeout=CALL_TIMEOUT_S
        ).receipt
    assert aurora.proof(receipt).record.source_partner == "aurora"


def test_a_certificate_of_another_authority_gets_no_channel(
    members: Coalition, aurora: Brand
) -> None:
    names = (x509.UniformResourceIdentifier(AURORA),)
    with writing_nothing(members), calling_as(members, names, own_authority=True) as stub:
        with pytest.raises(grpc.RpcError) as failed:
            stub.CreateTransfer(CreateTransferRequest(order=aurora.order()), timeout=CALL_TIMEOUT_S)
        assert code_of(failed.value) is grpc.StatusCode.UNAVAILABLE


def test_a_caller_that_was_never_registered_has_nothing(members: Coalition, aurora: Brand) -> None:
    order, names = aurora.order(), (x509.UniformResourceIdentifier("pointclear://partner/dusk"),)
    known = GetTransferRequest(transfer_id=transfer_id_of(order).bytes)
    aurora.send(order)
    with writing_nothing(members), calling_as(members, names) as stub:
        create = CreateTransferRequest(order=aurora.order())
        # A certificate of the authority alone makes nobody a caller, whatever is asked.
        for method, request in (
            (stub.CreateTransfer, create),
            (stub.GetTransfer, known),
            (stub.ListReceipts, ListReceiptsRequest()),
        ):
            assert refused(method, request).reason is Reason.CALLER_UNKNOWN


def test_t19_metadata_names_nobody(members: Coalition, aurora: Brand, borealis: Brand) -> None:
    own, foreign = aurora.order(), borealis.order("cirrus")
    create, get = aurora.connection.exchange.CreateTransfer, aurora.connection.exchange.GetTransfer
    claim: dict[str, Any] = {"metadata": (("x-partner-id", "borealis"),)}
    with writing_nothing(members):
        refusal = refused(create, CreateTransferRequest(order=foreign), **claim)
        assert refusal.reason is Reason.SIGNER_NOT_CALLER
    borealis.send(foreign)
    request = GetTransferRequest(transfer_id=transfer_id_of(foreign).bytes)
    assert refused(get, request, **claim).reason is Reason.TRANSFER_UNKNOWN
    answer = create(CreateTransferRequest(order=own), timeout=CALL_TIMEOUT_S, **claim)
    assert aurora.proof(answer.receipt).record.source_partner == "aurora"


def test_t20_anothers_transfer_is_answered_as_one_that_does_not_exist(
    members: Coalition, aurora: Brand, borealis: Brand
) -> None:
    foreign, rejected = borealis.order("cirrus"), borealis.order("aurora", target_points=1)
    borealis.send(foreign)
    borealis.refused(rejected)
    get = aurora.connection.exchange.GetTransfer
    nowhere = refused(get, GetTransferRequest(transfer_id=uuid_utils.uuid7().bytes))
    assert (nowhere.reason, nowhere.code) == (Reason.TRANSFER_UNKNOWN, "NOT_FOUND")
    # A refused order is no business of its target's either.
    for order in (foreign, rejected):
        answer = refused(get, GetTransferRequest(transfer_id=transfer_id_of(order).bytes))
        assert answer.status == nowhere.status
    stream = aurora.connection.exchange.ListReceipts(
        ListReceiptsRequest(page_size=2**31 - 1), timeout=CALL_TIMEOUT_S
    )
    ids = {aurora.proof(entry.envelope).record.transfer_id for entry in stream.entries}
    assert not ids & {transfer_id_of(each).bytes for each in (foreign, rejected)}


def test_partners_call_no_operators_methods(members: Coalition, aurora: Brand) -> None:
    partners, settlement = aurora.connection.partners, aurora.connection.settlement
    calls: list[tuple[Any, Any]] = [
        (
            partners.RegisterPartner,
            partners_pb.RegisterPartnerRequest(partner=partners_pb.Partner(partner_id="dusk")),
        ),
        (
            partners.ActivateAgreement,
            partners_pb.ActivateAgreementRequest(agreement_id="aurora-borealis", version=1),
        ),
        (
            settlement.OpenWindow,
            settlement_pb.OpenWindowRequest(currency="EUR", business_date="2017-01-01"),
        ),
        (
            settlement.CloseWindow,
            settlement_pb.CloseWindowRequest(window_id="usd-2017-01-01"),
        ),
        (
            settlement.SettleWindow,
            settlement_pb.SettleWindowRequest(window_id="usd-2017-01-01"),
        ),
        (
            settlement.ImportBankFile,
            settlement_pb.ImportBankFileRequest(currency="USD", content=b"x"),
        ),
    ]
    with writing_nothing(members):
        for method, request in calls:
            refusal = refused(method, request)
            assert (refusal.reason, refusal.code) == (Reason.ROLE_MISSING, "PERMISSION_DENIED")


def test_operators_call_no_partners_methods(members: Coalition, aurora: Brand) -> None:
    operator, order = members.operator, aurora.order()
    sent = GetTransferRequest(transfer_id=transfer_id_of(order).bytes)
    with writing_nothing(members):
        for method, request in (
            (operator.exchange.CreateTransfer, CreateTransferRequest(order=order)),
            (operator.exchange.GetTransfer, sent),
            (operator.exchange.ListReceipts, ListReceiptsRequest()),
            (
                operator.partners.ProposeAgreement,
                partners_pb.ProposeAgreementRequest(agreement=order),
            ),
        ):
            assert refused(method, request).reason is Reason.ROLE_MISSING


def test_t28_no_refusal_says_where_or_how_the_exchange_stores(
    members: Coalition, aurora: Brand
) -> None:
    said = str(aurora.refused(aurora.order(agreement_id="dawn")).status)
    assert not any(word in said.lower() for word in ("postgres", "select", "traceback", ".py"))


def test_t21_no_member_reference_is_in_a_refusal_or_a_receipt(
    members: Coalition, aurora: Brand
) -> None:
    canary = {"source_member": "canary-4711", "target_member": "canary-0815"}
    committed = aurora.send(aurora.order(**canary))
    refusal = aurora.refused(aurora.order(target_points=51, **canary))
    shown = committed.SerializeToString() + refusal.status
    assert b"canary" not in shown
    with connection(members.data_dir) as database, database, database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM record WHERE position('canary' IN record) > 0")
        assert cursor.fetchone() == (0,)


def test_an_order_reaches_the_books_as_it_was_sent(members: Coalition, aurora: Brand) -> None:
    order = aurora.order()
    with connection(members.data_dir) as database:
        before = contents(database)
        aurora.send(order)
        changed = written(before, contents(database))
    # Points out and in, value, fee and tax; a receipt here and a notice there.
    assert changed["posting"] == 5
    assert changed["stream_entry"] == 2
    assert (changed["record"], changed["request"]) == (1, 1)
    assert TransferOrder.FromString(order.payload).source_points == MINIMUM
