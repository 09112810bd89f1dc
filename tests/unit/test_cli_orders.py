"""Orders as a client makes them: what the exchange reads is what was meant."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import uuid_utils

from exchange.wire.orders import order_from_proto, parse_order
from partners.envelope import verify
from partners.keys import SeedSigner, VerifyKey
from partners.wire import envelope_from_proto, time_to_proto
from pointclear.client.orders import build_order, sign_order

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
SIGNER = SeedSigner(bytes(range(32)))
ID = uuid_utils.uuid7().bytes


def payload(issued_at: datetime = NOW, source_points: int = 100) -> bytes:
    return build_order(
        audience="pointclear.test/unit",
        partner_id="grocery",
        transfer_id=ID,
        source_program="grocery",
        target_program="fuel",
        source_member="h-1",
        target_member="f-1",
        source_points=source_points,
        target_points=50,
        agreement_id="grocery-fuel",
        agreement_version=2,
        issued_at=issued_at,
        expires_at=NOW + timedelta(minutes=5),
        partner_reference="basket 7",
    )


def test_a_signed_order_verifies_and_reads_back_as_it_was_meant() -> None:
    envelope = envelope_from_proto(sign_order(SIGNER, payload()))
    verify(envelope, {SIGNER.key_id: VerifyKey.of(SIGNER.public_key)})
    order = order_from_proto(parse_order(envelope), envelope)
    assert order.transfer_id == UUID(bytes=ID)
    assert (order.source_points, order.target_points) == (100, 50)
    assert (order.source_program, order.target_program) == ("grocery", "fuel")
    assert (order.source_member, order.target_member) == ("h-1", "f-1")
    assert (order.agreement_id, order.agreement_version) == ("grocery-fuel", 2)
    assert (order.issued_at, order.expires_at) == (NOW, NOW + timedelta(minutes=5))
    assert order.partner_reference == "basket 7"


def test_a_time_that_is_converted_before_gives_the_same_bytes() -> None:
    again = build_order(
        audience="pointclear.test/unit",
        partner_id="grocery",
        transfer_id=ID,
        source_program="grocery",
        target_program="fuel",
        source_member="h-1",
        target_member="f-1",
        source_points=100,
        target_points=50,
        agreement_id="grocery-fuel",
        agreement_version=2,
        issued_at=time_to_proto(NOW),
        expires_at=time_to_proto(NOW + timedelta(minutes=5)),
        partner_reference="basket 7",
    )
    assert again == payload()


def test_points_that_64_bits_do_not_hold_are_a_value_error() -> None:
    with pytest.raises(ValueError, match="range"):
        payload(source_points=2**63)
