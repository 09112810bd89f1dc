"""Bytes in; never INTERNAL, never a write that was not due. Threats 1, 2, 6, 17 and 28.

Each kind of hostility is tried on every method, as a partner, as another one and as an operator.
`oracle` says what any answer must be.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from partners.errors import Reason
from pointclear.exchange.v1.exchange_service_pb2 import (
    BatchCreateTransfersRequest,
    BatchCreateTransfersResponse,
)
from pointclear.exchange.v1.transfer_pb2 import TransferOrder
from tests import factories as make
from tests.fuzz.budget import fuzzed
from tests.fuzz.hostile import canonical, damaged_bytes, hostile_values, one_in
from tests.fuzz.house import CALLERS, METHODS, PARTNER, House
from tests.fuzz.oracle import ORDERS, is_recorded, judge
from tests.fuzz.requests import SIGNERS, STATEMENTS, TYPES, Statement, good_requests

SIGNED_TIMES = 5
"""How many more examples are signed ones: most of the exchange lies behind a signature."""
CORPUS = json.loads(Path(__file__).with_name("corpus.json").read_text(encoding="utf-8"))
"""What was found once: what it is, the method, and the request in hex."""

GOOD = good_requests()
every_method = pytest.mark.parametrize("name", METHODS)


def send(exchange: House, name: str, caller: str, raw: bytes) -> frozenset[Reason | None]:
    """Call, and hold the answer against the oracle."""
    return judge(exchange.call(name, caller, raw))


@every_method
def test_random_bytes_change_nothing(exchange: House, name: str) -> None:
    @fuzzed()
    @given(st.binary(max_size=300), st.sampled_from(CALLERS))
    def check(raw: bytes, caller: str) -> None:
        send(exchange, name, caller, raw)

    check()


@every_method
def test_t01_a_damaged_request_is_carried_out_whole_or_not_at_all(
    exchange: House, name: str
) -> None:
    @fuzzed()
    @given(damaged_bytes(GOOD[name].SerializeToString()))
    def check(raw: bytes) -> None:
        for caller in CALLERS:
            send(exchange, name, caller, raw)

    check()


@every_method
def test_t17_no_value_of_any_field_is_more_than_a_value(exchange: House, name: str) -> None:
    @fuzzed()
    @given(hostile_values(METHODS[name].input_type, GOOD[name].SerializeToString()))
    def check(raw: bytes) -> None:
        for caller in CALLERS:
            send(exchange, name, caller, raw)

    check()


@st.composite
def signed(draw: st.DrawFn, statement: Statement) -> Any:
    """A request whose signatures are good over a payload that is not, now and then by the wrong
    keys, too many of them, or as another type.
    """
    payload = draw(st.sampled_from(statement.payloads))
    if statement.method in ORDERS and not draw(one_in(4)):
        payload = with_id(payload, statement, draw(st.integers(10, 10**9)))
    payload = draw(hostile_values(statement.kind, payload))
    if draw(one_in(4)):
        payload = draw(damaged_bytes(payload))
    if not draw(one_in(8)):
        payload = canonical(statement.kind, payload)
    payload_type, signers = statement.payload_type, list(statement.signers)
    if draw(one_in(10)):
        payload_type = draw(st.sampled_from(TYPES))
    if draw(one_in(5)):
        signers = draw(st.lists(st.sampled_from(SIGNERS), max_size=5))
    return statement.request(payload, payload_type, signers)


def with_id(payload: bytes, statement: Statement, number: int) -> bytes:
    """The order under an id of its own, that no other method uses."""
    number += ORDERS.index(statement.method) << 40
    order = TransferOrder.FromString(payload)
    order.transfer_id = make.transfer_id(number).bytes
    return order.SerializeToString(deterministic=True)


@pytest.mark.parametrize("name", STATEMENTS)
def test_t01_t02_t06_a_signature_vouches_for_no_payload(exchange: House, name: str) -> None:
    reached: Counter[Reason | None] = Counter()

    @fuzzed(SIGNED_TIMES)
    @given(signed(STATEMENTS[name]))
    def check(request: Message) -> None:
        for caller in CALLERS:
            reached.update(send(exchange, name, caller, request.SerializeToString()))

    check()
    assert {Reason.FIELD_INVALID, Reason.ENVELOPE_MALFORMED} <= reached.keys()


@st.composite
def plausible(draw: st.DrawFn, statement: Statement) -> Any:
    """A request that comes as far as what decides: one thing in its payload is what it might be."""
    payload = draw(st.sampled_from(statement.payloads))
    if statement.method in ORDERS:
        payload = with_id(payload, statement, draw(st.integers(10**9, 2 * 10**9)))
    payload = canonical(
        statement.kind, draw(hostile_values(statement.kind, payload, mild=True, times=1))
    )
    return statement.request(payload, statement.payload_type, statement.signers)


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_refusal_that_is_recorded_has_one_record_and_its_receipt(
    exchange: House, name: str
) -> None:
    reached: Counter[Reason | None] = Counter()

    @fuzzed(SIGNED_TIMES)
    @given(plausible(STATEMENTS[name]))
    def check(request: Message) -> None:
        reached.update(send(exchange, name, PARTNER, request.SerializeToString()))

    check()
    if name in ORDERS:
        assert sum(reason is not None and is_recorded(reason) for reason in reached) > 1


@fuzzed(SIGNED_TIMES)
@given(st.lists(signed(STATEMENTS["BatchCreateTransfers"]), min_size=2, max_size=8))
def test_the_orders_of_a_batch_are_each_answered_for_themselves(
    exchange: House, requests: list[BatchCreateTransfersRequest]
) -> None:
    batch = BatchCreateTransfersRequest(orders=[each.orders[0] for each in requests])
    answer = exchange.call("BatchCreateTransfers", PARTNER, batch.SerializeToString())
    judge(answer)
    (response,) = map(BatchCreateTransfersResponse.FromString, answer.responses)
    assert len(response.results) == len(requests)


@pytest.mark.parametrize("kept", CORPUS, ids=lambda kept: kept["what"])
def test_what_was_found_once_is_answered_by_name(exchange: House, kept: dict[str, str]) -> None:
    for caller in CALLERS:
        send(exchange, kept["method"], caller, bytes.fromhex(kept["request"]))
