"""A brands' client process: `python -m exchange.cli.demo.brand_client PROFILE_DIR...`.

It reads wishes as JSON lines from standard input. At an empty line it signs all of them, each with
its own brand's key, sends them over each brand's own mutual TLS channel, and writes one JSON line
per outcome in the order of the wishes.

A wish may ask for a quote first; the order then names the quote in place of the agreement.

An order is signed once. When an answer says that the same order may be sent again, the very same
bytes are.
"""

import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import uuid_utils
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from exchange.cli.profile import Profile, load_profile
from partners.errors import RULES, Reason, Retry
from partners.keys import Purpose, Signer
from pointclear.client.channel import CHANNEL_OPTIONS
from pointclear.client.orders import build_order, sign_order
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.exchange.v1.exchange_service_pb2 import CreateQuoteRequest, CreateTransferRequest
from pointclear.exchange.v1.exchange_service_pb2_grpc import ExchangeServiceStub
from pointclear.exchange.v1.quote_pb2 import Quote
from pointclear.exchange.v1.transfer_pb2 import (
    TRANSFER_STATE_RESERVED,
    TransferReceipt,
    TransferRecord,
)

if TYPE_CHECKING:
    from pointclear.exchange.v1.exchange_service_pb2_grpc import ExchangeServiceAsyncStub

IN_FLIGHT = 32
"""Calls under way at once."""
ATTEMPTS_MAX = 20
EXPIRES_AFTER = timedelta(minutes=5)
COMMITTED = "COMMITTED"
RESERVED = "RESERVED"
"""The target's brand has not confirmed yet."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a member of `source` wants, as its brand orders it."""

    source: str
    target: str
    member: str
    source_points: int
    target_points: int
    agreement_id: str
    reference: str
    segment: str = ""
    """The member's tier, where the agreement has tiers."""
    uplift_points: int = 0
    """Of the target points, what the tier gives."""
    promotion_id: str = ""
    bonus_points: int = 0
    """Of the target points, what the promotion gives."""
    asks: bool = False
    """Whether the brand asks for a quote first."""
    link_id: str = ""
    """In hex: the member's link, in place of the member."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a wish."""

    transfer_id: str
    outcome: str
    """`COMMITTED`, `RESERVED`, or the reason of the refusal."""
    quoted: bool = False
    """Whether the order was at a quote."""


@dataclass(frozen=True, slots=True)
class Brand:
    """A brand's side of its channel."""

    profile: Profile
    signer: Signer
    stub: "ExchangeServiceAsyncStub"


def signed(
    brand: Brand, wish: Wish, transfer_id: bytes, now: datetime, quote_id: bytes = b""
) -> SignedEnvelope:
    """The brand's order for a wish, at a quote or else under the agreement."""
    payload = build_order(
        audience=brand.profile.audience,
        partner_id=wish.source,
        transfer_id=transfer_id,
        source_program=wish.source,
        target_program=wish.target,
        source_member="" if wish.link_id else wish.member,
        target_member="" if wish.link_id else wish.member,
        source_points=wish.source_points,
        target_points=wish.target_points,
        agreement_id="" if quote_id else wish.agreement_id,
        agreement_version=0 if quote_id else 1,
        issued_at=now,
        expires_at=now + EXPIRES_AFTER,
        partner_reference=wish.reference,
        segment=wish.segment,
        quote_id=quote_id,
        link_id=bytes.fromhex(wish.link_id),
    )
    return sign_order(brand.signer, payload)


async def send(brand: Brand, wish: Wish, places: asyncio.Semaphore) -> Outcome:
    """Order what is wished, until there is an answer that stands."""
    transfer_id = uuid_utils.uuid7()
    async with places:
        quote_id = await quote_for(brand, wish) if wish.asks else b""
        order = signed(brand, wish, transfer_id.bytes, datetime.now(UTC), quote_id)
        for attempt in range(ATTEMPTS_MAX):
            try:
                response = await brand.stub.CreateTransfer(CreateTransferRequest(order=order))
                return Outcome(str(transfer_id), outcome_of(response.receipt), bool(quote_id))
            except grpc.aio.AioRpcError as error:
                reason = reason_of(error)
                if reason and RULES[reason].retry is not Retry.SAME_ID:
                    return Outcome(str(transfer_id), reason.value)
                await asyncio.sleep(0.05 * 2 ** min(attempt, 5))
    return Outcome(str(transfer_id), Reason.TRY_LATER.value)


def outcome_of(receipt: SignedEnvelope) -> str:
    """How a transfer stands by its receipt."""
    record = TransferRecord.FromString(TransferReceipt.FromString(receipt.payload).record)
    return RESERVED if record.state == TRANSFER_STATE_RESERVED else COMMITTED


async def quote_for(brand: Brand, wish: Wish) -> bytes:
    """The id of an offer of exactly what is wished. Empty where there is none: an order without a
    quote is then told why.
    """
    request = CreateQuoteRequest(
        quote_id=uuid_utils.uuid7().bytes,
        source_program=wish.source,
        target_program=wish.target,
        source_points=wish.source_points,
        segment=wish.segment,
    )
    try:
        response = await brand.stub.CreateQuote(request)
    except grpc.aio.AioRpcError:
        return b""
    offer = Quote.FromString(response.quote.payload)
    return offer.quote_id if offer.target_points == wish.target_points else b""


def reason_of(error: grpc.aio.AioRpcError) -> Reason | None:
    """The refusal's reason, or None where gRPC itself failed the call."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    if status is None or not status.details:
        return None
    info = ErrorInfo()
    return Reason(info.reason) if status.details[0].Unpack(info) else None


async def serve_wishes(directories: list[Path]) -> None:
    """Answer wishes until standard input ends."""
    brands: dict[str, Brand] = {}
    channels = []
    for directory in directories:
        profile = load_profile(directory)
        credentials = grpc.ssl_channel_credentials(
            profile.authority, profile.tls_key, profile.certificate
        )
        options = [*CHANNEL_OPTIONS, ("grpc.enable_http_proxy", 0)]
        channel = grpc.aio.secure_channel(profile.server, credentials, options=options)
        channels.append(channel)
        stub = ExchangeServiceStub(channel)
        brands[profile.caller.name] = Brand(profile, profile.signer(Purpose.ORDERS), stub)
    places = asyncio.Semaphore(IN_FLIGHT)
    wishes: list[Wish] = []
    while line := await asyncio.to_thread(sys.stdin.readline):
        if line.strip():
            wishes.append(Wish(**json.loads(line)))
            continue
        outcomes = await asyncio.gather(*(send(brands[w.source], w, places) for w in wishes))
        for outcome in outcomes:
            print(json.dumps(asdict(outcome)))
        sys.stdout.flush()
        wishes.clear()
    for channel in channels:
        await channel.close()


if __name__ == "__main__":
    asyncio.run(serve_wishes([Path(each) for each in sys.argv[1:]]))
