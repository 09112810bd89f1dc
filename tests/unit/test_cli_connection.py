"""What a failed call means: a refusal with all that was said, or an exchange that is not there."""

from collections.abc import Callable, Sequence
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from exchange.cli.connection import failure_of_call
from exchange.cli.failure import ExitCode
from partners.envelope import TRANSFER_RECEIPT, sign
from partners.keys import SeedSigner
from partners.wire import envelope_to_proto

RECEIPT = sign(SeedSigner(bytes(32)), TRANSFER_RECEIPT, b"a receipt")
INFO = error_details_pb2.ErrorInfo(
    domain="pointclear",
    reason="LIMIT_EXCEEDED",
    metadata={"retry": "NEW_ID", "remedy": "Send less.", "maximumPoints": "5000"},
)
BAD_REQUEST = error_details_pb2.BadRequest(
    field_violations=[error_details_pb2.BadRequest.FieldViolation(field="source_points")]
)


class Ended(grpc.RpcError, grpc.Call):
    """A call that ended with a status, as a channel raises it."""

    def __init__(
        self, code: grpc.StatusCode, text: str, details: Sequence[Message] = (), said: str = ""
    ) -> None:
        super().__init__()
        self._code, self._text = code, text
        self._trailers: tuple[tuple[str, bytes], ...] = ()
        if details:
            status = status_pb2.Status(code=code.value[0], message=said or text)
            for each in details:
                packed = Packed()
                packed.Pack(each)
                status.details.append(packed)
            self._trailers = (("grpc-status-details-bin", status.SerializeToString()),)

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._text

    def trailing_metadata(self) -> Any:
        return self._trailers

    def initial_metadata(self) -> Any:
        return ()

    def is_active(self) -> bool:
        return False

    def time_remaining(self) -> float:
        return 0.0

    def cancel(self) -> bool:
        return False

    def add_callback(self, callback: Callable[[], None]) -> bool:
        return False


def test_a_refusal_is_read_with_everything_that_the_exchange_said() -> None:
    error = Ended(
        grpc.StatusCode.FAILED_PRECONDITION,
        "LIMIT_EXCEEDED: a transfer is of 50 to 5000 points",
        (INFO, BAD_REQUEST, envelope_to_proto(RECEIPT)),
    )
    failure = failure_of_call(error, "localhost:7443")
    assert failure.exit_code is ExitCode.REFUSED
    assert failure.reason == "LIMIT_EXCEEDED"
    assert failure.text == "a transfer is of 50 to 5000 points"
    assert failure.field == "source_points"
    assert (failure.retry, failure.remedy) == ("NEW_ID", "Send less.")
    assert failure.metadata == {"maximumPoints": "5000"}
    assert failure.receipt == RECEIPT
    assert failure.retry_after_s is None


def test_the_time_to_wait_is_read() -> None:
    info = error_details_pb2.ErrorInfo(domain="pointclear", reason="RATE_LIMITED")
    retry = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000))
    error = Ended(grpc.StatusCode.RESOURCE_EXHAUSTED, "too fast", (info, retry))
    failure = failure_of_call(error, "localhost:7443")
    assert (failure.exit_code, failure.retry_after_s) == (ExitCode.REFUSED, 1.5)


@pytest.mark.parametrize(
    ("code", "reason"),
    [(grpc.StatusCode.UNAVAILABLE, "TRY_LATER"), (grpc.StatusCode.INTERNAL, "INTERNAL")],
)
def test_a_service_that_is_not_ready_or_broken_has_not_refused(
    code: grpc.StatusCode, reason: str
) -> None:
    info = error_details_pb2.ErrorInfo(domain="pointclear", reason=reason)
    failure = failure_of_call(Ended(code, "wait", (info,)), "localhost:7443")
    assert (failure.exit_code, failure.reason) == (ExitCode.UNAVAILABLE, reason)


@pytest.mark.parametrize(
    ("code", "text", "told"),
    [
        (grpc.StatusCode.UNAVAILABLE, "Connection refused (111)", "no exchange answers at"),
        (grpc.StatusCode.UNAVAILABLE, "Ssl handshake failed", "the TLS handshake with"),
        (grpc.StatusCode.UNAVAILABLE, "DNS resolution failed", "is unavailable"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "", "did not answer in time"),
        (grpc.StatusCode.UNIMPLEMENTED, "Method not found!", "answered UNIMPLEMENTED"),
    ],
)
def test_an_error_without_our_details_means_that_the_exchange_is_unavailable(
    code: grpc.StatusCode, text: str, told: str
) -> None:
    failure = failure_of_call(Ended(code, text), "example.org:7443")
    assert (failure.exit_code, failure.reason) == (ExitCode.UNAVAILABLE, "UNAVAILABLE")
    assert told in failure.text
    assert "example.org:7443" in failure.text
    assert failure.remedy


def test_details_of_another_domain_or_that_contradict_the_status_are_not_ours() -> None:
    foreign = error_details_pb2.ErrorInfo(domain="example.org", reason="LIMIT_EXCEEDED")
    for error in (
        Ended(grpc.StatusCode.UNAVAILABLE, "no", (foreign,)),
        Ended(grpc.StatusCode.UNAVAILABLE, "no", (INFO,), said="something else"),
    ):
        assert failure_of_call(error, "localhost:7443").reason == "UNAVAILABLE"
