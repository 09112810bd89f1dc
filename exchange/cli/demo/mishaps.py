"""Orders that go wrong on purpose, so that the demo shows how an exchange says no.

They are sent after the last day, into the window that follows it, and move nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import uuid_utils

from exchange.cli.connection import Connection
from exchange.cli.demo.coalition import MAXIMUM_POINTS, Corridor
from exchange.cli.demo.households import BLOCK_POINTS
from exchange.cli.failure import Failed
from partners.errors import Reason
from partners.keys import Purpose, Signer
from pointclear.client.orders import build_order, sign_order
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.exchange.v1.exchange_service_pb2 import CreateTransferRequest


@dataclass(frozen=True, slots=True)
class Mishap:
    """An order that must be refused, and why."""

    what: str
    expected: Reason
    order: SignedEnvelope


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the exchange said to it."""

    what: str
    expected: str
    reason: str
    recorded: bool
    """Whether it came with a signed receipt."""


@dataclass(frozen=True, slots=True)
class _Draft:
    """An order that would be good."""

    corridor: Corridor
    audience: str
    transfer_id: bytes
    issued_at: datetime
    source_points: int = BLOCK_POINTS
    target_points_off: int = 0

    def signed(self, signer: Signer) -> SignedEnvelope:
        source, target = self.corridor.source.partner_id, self.corridor.target.partner_id
        payload = build_order(
            audience=self.audience,
            partner_id=source,
            transfer_id=self.transfer_id,
            source_program=source,
            target_program=target,
            source_member="nobody",
            target_member="nobody",
            source_points=self.source_points,
            target_points=self.corridor.target_points(self.source_points) + self.target_points_off,
            agreement_id=self.corridor.agreement_id,
            agreement_version=1,
            issued_at=self.issued_at,
            expires_at=self.issued_at + timedelta(minutes=5),
        )
        return sign_order(signer, payload)


def mishaps(corridor: Corridor, audience: str, signer: Signer, now: datetime) -> Iterator[Mishap]:
    """The orders, in the order in which they are to be sent."""

    def draft() -> _Draft:
        return _Draft(corridor, audience, uuid_utils.uuid7().bytes, now)

    wrong = replace(draft(), target_points_off=1)
    yield Mishap("one target point too many", Reason.AMOUNT_MISMATCH, wrong.signed(signer))
    yield Mishap(
        "the same id for another order",
        Reason.MODIFIED_REQUEST,
        replace(wrong, target_points_off=0).signed(signer),
    )
    yield Mishap(
        "half a block more", Reason.INCREMENT, replace(draft(), source_points=75).signed(signer)
    )
    yield Mishap(
        "an order of an hour ago",
        Reason.ORDER_EXPIRED,
        replace(draft(), issued_at=now - timedelta(hours=1)).signed(signer),
    )
    yield Mishap(
        "more than the net debit cap allows",
        Reason.NET_DEBIT_CAP_EXCEEDED,
        replace(draft(), source_points=MAXIMUM_POINTS).signed(signer),
    )
    flipped = draft().signed(signer)
    flipped.payload = bytes([flipped.payload[0], flipped.payload[1] ^ 1]) + flipped.payload[2:]
    yield Mishap("one bit changed after signing", Reason.SIGNATURE_INVALID, flipped)


def send_mishaps(own: Connection, corridor: Corridor) -> tuple[Refusal, ...]:
    """Send them all as the corridor's source, and tell what came back."""
    signer = own.profile.signer(Purpose.ORDERS)
    return tuple(
        refusal_of(own, each)
        for each in mishaps(corridor, own.profile.audience, signer, datetime.now(UTC))
    )


def good_order(own: Connection, corridor: Corridor, now: datetime) -> SignedEnvelope:
    """An order of one block with nothing wrong."""
    draft = _Draft(corridor, own.profile.audience, uuid_utils.uuid7().bytes, now)
    return draft.signed(own.profile.signer(Purpose.ORDERS))


def refusal_of(own: Connection, mishap: Mishap) -> Refusal:
    """Send one, and tell what came back."""
    try:
        own.call(own.exchange.CreateTransfer, CreateTransferRequest(order=mishap.order))
    except Failed as failed:
        failure = failed.failure
        return Refusal(mishap.what, mishap.expected, failure.reason, failure.receipt is not None)
    return Refusal(mishap.what, mishap.expected, "COMMITTED", recorded=True)
