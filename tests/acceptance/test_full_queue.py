"""A full queue turns an order away with nothing recorded; the same order is carried out later."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from partners.errors import Reason
from pointclear.exchange.v1.exchange_service_pb2 import (
    BatchCreateTransfersRequest,
    CreateTransferRequest,
)
from tests.acceptance.coalition import (
    CALL_TIMEOUT_S,
    Brand,
    Refusal,
    check_log_and_books,
    coalition,
    make_data_dir,
    refusal_of,
)
from tests.processes import Server, connection, folder

QUEUE = 500
"""The least that a server may be set to."""


def test_what_comes_to_a_full_queue_is_turned_away_and_carried_out_later() -> None:
    with (
        folder() as home,
        Server(
            make_data_dir(home), "--set", f"queue_max={QUEUE}", "--set", "batch_max=1"
        ) as server,
        coalition(server, home, ("aurora", "borealis")) as members,
        ThreadPoolExecutor(1) as elsewhere,
    ):
        brand = members["aurora"]
        many = BatchCreateTransfersRequest(orders=[brand.order() for _ in range(QUEUE)])
        order = CreateTransferRequest(order=brand.order())
        with connection(server.data_dir) as database, database.cursor() as cursor:
            # Whoever holds the head's lock holds the sequencer: one order is under way.
            cursor.execute("SELECT 1 FROM head FOR UPDATE")
            create = brand.connection.exchange.BatchCreateTransfers
            waiting = elsewhere.submit(create, many, timeout=CALL_TIMEOUT_S)
            refusal = refusal_when_full(brand)
            assert (refusal.reason, refusal.receipt) == (Reason.QUEUE_FULL, None)
            turned_away = attempt(brand, order)
            assert isinstance(turned_away, Refusal)
            assert turned_away.reason is Reason.QUEUE_FULL
            database.rollback()
        results = waiting.result().results
        assert {each.WhichOneof("result") for each in results} == {"receipt"}
        brand.connection.exchange.CreateTransfer(order, timeout=CALL_TIMEOUT_S)
        check_log_and_books(server.data_dir)


def refusal_when_full(brand: Brand) -> Refusal:
    """Send orders until one is turned away; those before it wait in the queue."""
    while True:
        answer = attempt(brand, CreateTransferRequest(order=brand.order()))
        if answer is not None:
            return answer


def attempt(brand: Brand, request: CreateTransferRequest) -> Refusal | None:
    """The refusal that answers a call soon, or None where it was queued."""
    method: Any = brand.connection.exchange.CreateTransfer
    try:
        method(request, timeout=0.5)
    except grpc.RpcError as error:
        call: Any = error
        if call.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return None
        return refusal_of(error)
    raise AssertionError("an order was carried out though the head is locked")
