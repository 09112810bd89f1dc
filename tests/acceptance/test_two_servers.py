"""Two server processes on one database: whichever is asked, an order is carried out once, a limit
is one limit, and the answer is the same.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from exchange.cli.connection import connect
from exchange.cli.profile import load_profile
from partners.errors import Reason
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.exchange.v1.exchange_service_pb2 import CreateTransferRequest
from tests.acceptance.coalition import (
    BLOCK_COST,
    CALL_TIMEOUT_S,
    Brand,
    Coalition,
    agree,
    check_log_and_books,
    coalition,
    join,
    make_data_dir,
    refusal_of,
    transfer_id_of,
)
from tests.processes import Server, connection, contents, folder, written

POOR = "pauper"
ORDERS_WITHIN_CAP = 3


@dataclass(frozen=True, slots=True)
class Pair:
    """Two servers, and the coalition behind both."""

    first: Server
    second: Server
    members: Coalition


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with (
        folder() as home,
        Server(make_data_dir(home)) as first,
        Server(first.data_dir) as second,
        coalition(first, home, ("aurora", "borealis")) as members,
        # An order costs two blocks.
        join(members.operator, home, POOR, cap=(2 * ORDERS_WITHIN_CAP + 1) * BLOCK_COST) as poor,
    ):
        members.brands[POOR] = poor
        agree(members, POOR, "borealis")
        yield Pair(first, second, members)


def send_to_both(
    pair: Pair, brand: Brand, orders: Sequence[SignedEnvelope]
) -> list[list[SignedEnvelope | Reason]]:
    """What each server answers to each order, all sent at once."""

    def send_to(server: Server) -> list[SignedEnvelope | Reason]:
        profile = load_profile(brand.connection.profile.directory, server.address)
        with connect(profile) as own:
            method = own.exchange.CreateTransfer
            calls = [
                method.future(CreateTransferRequest(order=order), timeout=CALL_TIMEOUT_S)
                for order in orders
            ]
            return [answer(call) for call in calls]

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(send_to, (pair.first, pair.second)))


def answer(call: Any) -> SignedEnvelope | Reason:
    """The receipt, or the reason of the refusal."""
    error = call.exception()
    if error is not None:
        return refusal_of(error).reason
    receipt: SignedEnvelope = call.result().receipt
    return receipt


def test_t03_a_thousand_identical_orders_over_two_servers_are_one_transfer(pair: Pair) -> None:
    aurora = pair.members["aurora"]
    order = aurora.order()
    with connection(pair.members.data_dir) as database:
        before = contents(database)
        from_first, from_second = send_to_both(pair, aurora, [order] * 500)
        changed = written(before, contents(database))
    assert changed["record"] == 1
    (receipt,) = {
        each.SerializeToString()
        for each in from_first + from_second
        if not isinstance(each, Reason)
    }
    assert len(from_first + from_second) == 1_000
    assert aurora.proof(SignedEnvelope.FromString(receipt)).record.log_index > 0
    other = aurora.order(transfer_id=transfer_id_of(order).bytes, source_points=150)
    assert send_to_both(pair, aurora, [other]) == 2 * [[Reason.MODIFIED_REQUEST]]


def test_a_cap_is_one_cap_however_many_servers_ask(pair: Pair) -> None:
    poor = pair.members[POOR]
    orders = [poor.order() for _ in range(40)]
    from_first, from_second = send_to_both(pair, poor, orders)
    assert from_first == from_second
    outcomes = Counter(each if isinstance(each, Reason) else "COMMITTED" for each in from_first)
    assert outcomes == {
        "COMMITTED": ORDERS_WITHIN_CAP,
        Reason.NET_DEBIT_CAP_EXCEEDED: 40 - ORDERS_WITHIN_CAP,
    }


def test_terms_put_in_force_at_one_server_bind_at_the_other(pair: Pair) -> None:
    borealis = pair.members["borealis"]
    at_second = load_profile(borealis.connection.profile.directory, pair.second.address)
    with connect(at_second) as own:
        before = CreateTransferRequest(order=borealis.order("aurora"))
        own.exchange.CreateTransfer(before, timeout=CALL_TIMEOUT_S)
        agree(pair.members, "borealis", "aurora", version=2)
        stale = CreateTransferRequest(order=borealis.order("aurora"))
        with pytest.raises(grpc.RpcError) as failed:
            own.exchange.CreateTransfer(stale, timeout=CALL_TIMEOUT_S)
        assert refusal_of(failed.value).reason is Reason.AGREEMENT_NOT_IN_FORCE
        now = CreateTransferRequest(order=borealis.order("aurora", agreement_version=2))
        receipt = own.exchange.CreateTransfer(now, timeout=CALL_TIMEOUT_S).receipt
    assert borealis.proof(receipt).record.agreement_version == 2


def test_the_books_agree_and_one_server_goes_on_when_the_other_stops(pair: Pair) -> None:
    check_log_and_books(pair.members.data_dir)
    assert pair.second.stop() == 0
    # The database runs as long as one of its users lives.
    aurora = pair.members["aurora"]
    assert aurora.proof(aurora.send(aurora.order())).record.log_index > 0
