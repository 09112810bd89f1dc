"""The edge's own doings, without a channel."""

import asyncio
from typing import Any, NoReturn

import pytest

from exchange.calls import Call
from exchange.edge import Course, Door, abort
from exchange.wire.refusals import MESSAGE_MAX
from partners.errors import Reason, Refused
from pointclear.exchange.v1 import exchange_service_pb2

SERVICE = exchange_service_pb2.DESCRIPTOR.services_by_name["ExchangeService"]


class Aborted(Exception):
    """The call is over."""


class Context:
    """As much of gRPC's context as ending a call takes."""

    async def abort(self, *_status: object) -> NoReturn:
        raise Aborted


def test_no_more_is_logged_of_a_refusal_than_its_caller_is_told() -> None:
    calls: list[Call] = []
    course = Course(SERVICE.methods_by_name["GetPosition"], Door(ended=calls.append))
    context: Any = Context()
    refusal = Refused(Reason.FIELD_INVALID, "partner_id", "é-" * MESSAGE_MAX)
    with pytest.raises(Aborted):
        asyncio.run(abort(context, refusal, course))
    course.end()
    (call,) = calls
    assert len(call.text.encode()) <= MESSAGE_MAX
    assert call.text.startswith("é-é-")
