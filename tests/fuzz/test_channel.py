"""The same through a real channel: what gRPC makes of hostile bytes and of our answers."""

from google.protobuf.descriptor import MethodDescriptor
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.budget import fuzzed
from tests.fuzz.hostile import damaged_bytes, hostile_values
from tests.fuzz.house import METHODS, House
from tests.fuzz.oracle import judge
from tests.fuzz.requests import good_requests

GOOD = {name: request.SerializeToString() for name, request in good_requests().items()}


@st.composite
def calls(draw: st.DrawFn) -> tuple[MethodDescriptor, bytes]:
    """A method and what it is sent."""
    method = METHODS[draw(st.sampled_from(sorted(METHODS)))]
    good = GOOD[method.name]
    kinds = (st.binary(max_size=300), damaged_bytes(good), hostile_values(method.input_type, good))
    return method, draw(st.one_of(*kinds))


@fuzzed(10)
@given(calls(), st.sampled_from(("grocery", "operator")))
def test_through_a_channel_every_answer_comes_whole_or_by_name(
    exchange: House, call: tuple[MethodDescriptor, bytes], who: str
) -> None:
    method, raw = call
    judge(exchange.call_through_a_channel(method.name, who, raw))
