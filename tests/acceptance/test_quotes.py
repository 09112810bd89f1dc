"""Quotes through real channels, over two servers on one database."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
import uuid_utils

from exchange.cli.connection import connect
from exchange.cli.profile import load_profile
from exchange.cli.proofs import read_quote
from partners.errors import Reason
from partners.keys import Purpose
from partners.limits.values import PartnerSwitches
from partners.wire import envelope_from_proto
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.exchange.v1.exchange_service_pb2 import CreateQuoteRequest, CreateTransferRequest
from pointclear.exchange.v1.quote_pb2 import Quote
from tests.acceptance.coalition import (
    AUDIENCE,
    BLOCK,
    BLOCK_GIVES,
    CALL_TIMEOUT_S,
    MINIMUM,
    Brand,
    Coalition,
    check_log_and_books,
    coalition,
    make_data_dir,
    refusal_of,
    refused,
)
from tests.acceptance.test_limits import switched
from tests.processes import Server, folder, pointclear


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Server, Server, Coalition]]:
    with (
        folder() as home,
        Server(make_data_dir(home)) as first,
        Server(first.data_dir) as second,
        coalition(first, home) as members,
    ):
        yield first, second, members


@pytest.fixture
def aurora(servers: tuple[Server, Server, Coalition]) -> Brand:
    return servers[2]["aurora"]


def a_request(**changes: Any) -> CreateQuoteRequest:
    """For the least amount of aurora's points; `changes` are fields of the message."""
    fields: dict[str, Any] = {
        "quote_id": uuid_utils.uuid7().bytes,
        "source_program": "aurora",
        "target_program": "borealis",
    }
    if "target_points" not in changes:
        fields["source_points"] = MINIMUM
    return CreateQuoteRequest(**fields | changes)


def ask(brand: Brand, request: CreateQuoteRequest) -> SignedEnvelope:
    return brand.connection.exchange.CreateQuote(request, timeout=CALL_TIMEOUT_S).quote


def offer_of(brand: Brand, envelope: SignedEnvelope) -> Quote:
    """What a quote says, after verifying it with the exchange's own keys."""
    keys = brand.connection.exchange_keys(Purpose.RECEIPTS)
    return read_quote(envelope_from_proto(envelope), keys, AUDIENCE, brand.name)


def an_offer(brand: Brand, **changes: Any) -> Quote:
    return offer_of(brand, ask(brand, a_request(**changes)))


def order_at(brand: Brand, offer: Quote, **changes: Any) -> SignedEnvelope:
    fields: dict[str, Any] = {
        "source_points": offer.source_points,
        "target_points": offer.target_points,
        "agreement_id": "",
        "agreement_version": 0,
        "quote_id": offer.quote_id,
    }
    return brand.order(**fields | changes)


def test_a_transfer_at_a_quote_books_what_the_quote_says(aurora: Brand) -> None:
    offer = an_offer(aurora)
    proof = aurora.proof(aurora.send(order_at(aurora, offer)))
    record, part = proof.transfer, proof.source_part
    assert part is not None
    assert record.quote_id == offer.quote_id
    assert (record.source_points, record.target_points) == (MINIMUM, offer.target_points)
    assert (record.value, part.fee, part.tax) == (offer.value, offer.fee, offer.fee_tax.amount)
    assert (record.agreement_id, record.agreement_version) == ("aurora-borealis", 1)
    assert record.agreement_sha256 == offer.agreement_sha256


def test_the_same_request_gets_the_same_quote_byte_for_byte_from_either_server(
    servers: tuple[Server, Server, Coalition], aurora: Brand
) -> None:
    request = a_request()
    first = ask(aurora, request)
    with connect(load_profile(aurora.connection.profile.directory, servers[1].address)) as other:
        assert other.exchange.CreateQuote(request, timeout=CALL_TIMEOUT_S).quote == first
    changed = CreateQuoteRequest()
    changed.CopyFrom(request)
    changed.source_points += BLOCK
    refusal = refused(aurora.connection.exchange.CreateQuote, changed)
    assert (refusal.reason, refusal.field) == (Reason.MODIFIED_REQUEST, "quote_id")


def test_a_fixed_target_is_met_exactly_or_told_its_neighbours(aurora: Brand) -> None:
    offer = an_offer(aurora, target_points=4 * BLOCK_GIVES)
    assert (offer.source_points, offer.target_points) == (4 * BLOCK, 4 * BLOCK_GIVES)
    refusal = refused(
        aurora.connection.exchange.CreateQuote, a_request(target_points=4 * BLOCK_GIVES + 1)
    )
    assert (refusal.reason, refusal.field) == (Reason.AMOUNT_MISMATCH, "target_points")
    assert refusal.metadata == {
        "targetPointsBelow": str(4 * BLOCK_GIVES),
        "sourcePointsBelow": str(4 * BLOCK),
        "targetPointsAbove": str(5 * BLOCK_GIVES),
        "sourcePointsAbove": str(5 * BLOCK),
    }


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"quote_id": b"short"}, "quote_id"),
        ({"source_points": 0}, "source_points"),
        ({"valid_seconds": 901}, "valid_seconds"),
        ({"valid_seconds": -1}, "valid_seconds"),
        ({"segment": "NO ID"}, "segment"),
        ({"target_program": "a b"}, "target_program"),
    ],
)
def test_a_request_that_breaks_a_rule_is_told_its_field(
    aurora: Brand, changes: Any, field: str
) -> None:
    refusal = refused(aurora.connection.exchange.CreateQuote, a_request(**changes))
    assert (refusal.reason, refusal.field) == (Reason.FIELD_INVALID, field)


def test_another_partners_quote_is_one_that_does_not_exist(
    servers: tuple[Server, Server, Coalition], aurora: Brand
) -> None:
    offer = an_offer(aurora)
    cirrus = servers[2]["cirrus"]
    refusal = cirrus.refused(order_at(cirrus, offer))
    assert (refusal.reason, refusal.field) == (Reason.QUOTE_UNKNOWN, "quote_id")
    refusal = aurora.refused(order_at(aurora, offer, target="cirrus"))
    assert (refusal.reason, refusal.field) == (Reason.QUOTE_UNKNOWN, "quote_id")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"source_points": MINIMUM + BLOCK}, "source_points"),
        ({"target_points": 1}, "target_points"),
    ],
)
def test_a_refused_order_does_not_use_its_quote_up(aurora: Brand, changes: Any, field: str) -> None:
    offer = an_offer(aurora)
    refusal = aurora.refused(order_at(aurora, offer, **changes))
    assert (refusal.reason, refusal.field) == (Reason.AMOUNT_MISMATCH, field)
    assert refusal.receipt is not None
    aurora.send(order_at(aurora, offer))


def test_an_expired_quote_is_refused_at_every_attempt(aurora: Brand) -> None:
    offer = an_offer(aurora, valid_seconds=1)
    order = order_at(aurora, offer)
    # The exchange's clock decides, and it is this machine's.
    time.sleep(max(0.0, offer.expires_at.seconds + 1.1 - time.time()))
    for attempt in (order, order_at(aurora, offer)):
        refusal = aurora.refused(attempt)
        assert (refusal.reason, refusal.field) == (Reason.QUOTE_EXPIRED, "quote_id")


def test_of_many_transfers_at_one_quote_over_two_servers_one_is_committed(
    servers: tuple[Server, Server, Coalition], aurora: Brand
) -> None:
    offer = an_offer(aurora)
    orders = [order_at(aurora, offer) for _ in range(40)]
    directory = aurora.connection.profile.directory

    with (
        connect(load_profile(directory, servers[0].address)) as one,
        connect(load_profile(directory, servers[1].address)) as other,
        ThreadPoolExecutor(20) as pool,
    ):

        def send(place: int) -> Reason | None:
            exchange = (one, other)[place % 2].exchange
            try:
                request = CreateTransferRequest(order=orders[place])
                exchange.CreateTransfer(request, timeout=CALL_TIMEOUT_S)
            except grpc.RpcError as error:
                return refusal_of(error).reason
            return None

        outcomes = list(pool.map(send, range(len(orders))))
    assert outcomes.count(None) == 1
    assert outcomes.count(Reason.QUOTE_USED) == len(orders) - 1
    check_log_and_books(servers[2].data_dir)


def test_a_brand_whose_quoting_is_stopped_may_still_order(
    servers: tuple[Server, Server, Coalition], aurora: Brand
) -> None:
    stopped = PartnerSwitches("aurora", quoting_stopped=True)
    with switched(servers[2], stopped, PartnerSwitches("aurora")):
        refusal = refused(aurora.connection.exchange.CreateQuote, a_request())
        assert (refusal.reason, refusal.field) == (Reason.PARTNER_SUSPENDED, "source_program")
        aurora.send(aurora.order())


def said_by(*arguments: str) -> Any:
    """The document that a command prints."""
    ended = pointclear(*arguments)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_the_commands_quote_and_order(aurora: Brand, tmp_path: Any) -> None:
    profile = str(aurora.connection.profile.directory)
    server = aurora.connection.profile.server
    kept = tmp_path / "quote.json"
    asked = said_by(
        *("quote", "--as", profile, "--server", server, "--from", "aurora", "--to", "borealis"),
        *("--target-points", str(4 * BLOCK_GIVES), "--out", str(kept), "--json"),
    )
    assert asked["source_points"] == 4 * BLOCK
    done = said_by(
        *("transfer", "--as", profile, "--server", server, "--quote", str(kept)),
        *("--source-member", "m-1", "--target-member", "m-2", "--json"),
    )
    assert (done["state"], done["target_points"]) == ("COMMITTED", 4 * BLOCK_GIVES)
