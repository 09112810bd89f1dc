"""What reports read of the wire's messages."""

from pointclear.common.v1 import refusal_pb2
from pointclear.exchange.v1 import transfer_pb2


def refusal_of(payload: bytes) -> tuple[str, str, str]:
    """Source program, target program and reason of an order that was refused, from its receipt."""
    receipt = transfer_pb2.TransferReceipt.FromString(payload)
    record = transfer_pb2.TransferRecord.FromString(receipt.record)
    reason = refusal_pb2.Reason.Name(record.reason).removeprefix("REASON_")
    return record.source_program, record.target_program, reason
