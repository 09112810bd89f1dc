"""How a refusal leaves a failed call: as a google.rpc.Status with details that machines act on."""

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

from exchange.wire.refusals import message_of
from partners.envelope import Envelope
from partners.errors import Refused, Retry
from partners.wire import envelope_to_proto

DOMAIN = "pointclear"
RETRY_DELAY_S = 1


class RecordedRefusal(Refused):
    """A refusal that was recorded, with the receipt that proves it."""

    receipt: Envelope

    @classmethod
    def of(cls, refusal: Refused, receipt: Envelope | None) -> Refused:
        """The refusal with its receipt; the refusal itself where there is none."""
        if receipt is None:
            return refusal
        recorded = cls(refusal.reason, refusal.field, refusal.text, refusal.metadata)
        recorded.receipt = receipt
        return recorded


def status_code(refusal: Refused) -> StatusCode:
    """The gRPC status code of the refusal's reason."""
    return StatusCode[refusal.code]


def status_of(refusal: Refused) -> status_pb2.Status:
    """The status of a failed call: ErrorInfo, the field at fault, when to retry, and last the
    receipt.
    """
    details: list[Any] = []

    def add(message: object) -> None:
        packed = Any()
        packed.Pack(message)  # type: ignore[arg-type]
        details.append(packed)

    metadata = {**refusal.metadata, "retry": refusal.retry.name, "remedy": refusal.remedy}
    add(error_details_pb2.ErrorInfo(reason=refusal.reason.name, domain=DOMAIN, metadata=metadata))
    if refusal.field:
        add(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(
                        field=refusal.field, description=message_of(refusal.text)
                    )
                ]
            )
        )
    if refusal.retry is Retry.SAME_ID:
        add(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=RETRY_DELAY_S)))
    if isinstance(refusal, RecordedRefusal):
        add(envelope_to_proto(refusal.receipt))
    text = f"{refusal.reason.name}: {refusal.text}" if refusal.text else refusal.reason.name
    number: int = status_code(refusal).value[0]
    return status_pb2.Status(code=number, message=message_of(text), details=details)
