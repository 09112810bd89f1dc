"""A service whose calls come from several parts."""

from typing import Any, cast

import pytest

from exchange.edge import snake_case
from exchange.joined_calls import JoinedCalls
from pointclear.settlement.v1 import settlement_service_pb2
from settlement.service import SettlementService
from tests import factories as make

METHODS = settlement_service_pb2.DESCRIPTOR.services_by_name["SettlementService"].methods


def test_a_call_is_found_in_the_part_that_has_it_and_in_none_else() -> None:
    joined = JoinedCalls("text", JoinedCalls({"key": 1}))
    assert joined.upper() == "TEXT"
    assert list(joined.items()) == [("key", 1)]
    with pytest.raises(AttributeError, match="no part has the call settle"):
        joined.settle()


def test_every_call_of_settlement_is_of_exactly_one_room() -> None:
    nothing = cast(Any, None)
    parts = SettlementService(nothing, nothing, make.AUDIENCE, nothing)._parts
    rooms = {
        each.name: [part for part in parts if hasattr(part, snake_case(each.name))]
        for each in METHODS
    }
    assert {name for name, found in rooms.items() if len(found) != 1} == set()
