"""What any answer must be, whatever was sent. Source: docs/protocol, "Errors", and the rules of the
reasons in refusal.proto.

Never INTERNAL. An error is one status with one ErrorInfo, and fits into what a client takes of
trailers. A call that failed wrote nothing, unless it says so by a receipt; a receipt stands for
exactly one record, which says the same.
"""

from collections.abc import Iterable
from typing import TypeVar
from urllib.parse import quote

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2

from exchange.wire.refusals import MESSAGE_MAX
from partners import envelope as dsse
from partners.envelope import REVERSAL_NOTICE, TRANSFER_RECEIPT, require_type
from partners.errors import RULES, Reason, Retry
from partners.keys import VerifyKey
from partners.wire import envelope_from_proto
from pointclear.common.v1 import refusal_pb2
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from pointclear.exchange.v1 import transfer_pb2
from tests import factories as make
from tests.fuzz.house import Answer

_M = TypeVar("_M", bound=Message)

TRAILERS_MAX = 8 * 1024
"""Bytes of trailers that a client takes for certain."""
TRAILERS_SPARE = 256
"""For the trailers that are not ours."""
ORDERS = ("CreateTransfer", "BatchCreateTransfers")
ONE_ORDER = ("CreateTransfer", "ReverseTransfer")
"""A refusal of it that is recorded has a receipt."""
OF_REVERSALS = {
    Reason.TRANSFER_UNKNOWN,
    Reason.TRANSFER_STATE,
    Reason.TARGET_REVERSES,
    Reason.ALREADY_REVERSED,
}
"""Recorded too where a reversal is refused for them."""
WRITING = (
    *ORDERS,
    "ReverseTransfer",
    *("RegisterPartner", "RegisterKey", "RevokeKey", "AddTaxRate"),
    *("ProposeAgreement", "CounterAgreement", "SignAgreement", "WithdrawAgreement"),
    *("ActivateAgreement", "TerminateAgreement", "EndAgreement"),
    *("StartLink", "ConfirmLink", "RevokeLink", "FreezeLink", "UnfreezeLink", "RequireLinks"),
    *("ValidateMember", "EraseMember", "CreateQuote"),
    *("OpenWindow", "CloseWindow", "SettleWindow", "ImportBankFile", "SetScheme"),
    "ResolveSuspense",
    *("SetInvoicing", "IssueInvoices", "LockPeriod", "ReopenPeriod", "ConfirmBalance"),
    "SetBillingDetails",
    *("Act", "AddOperator", "GrantRole", "WithdrawRole"),
    *(
        "SetSwitches",
        "SetLimits",
        "SetRoute",
        "ReleaseTransfer",
        "RefuseTransfer",
        "CancelTransfer",
    ),
    *("PullCredits", "ConfirmCredit", "ResolveTransfer"),
    *("ActivatePartner", "SuspendPartner", "ResumePartner", "ExitPartner"),
    *("RequestWithdrawal", "ApproveWithdrawal", "RefuseWithdrawal", "BookAdjustment"),
    *("SubmitSettlementAccount", "ApproveSettlementAccount", "RefuseSettlementAccount"),
    *("MakePayOutFile", "RejectPayOutFile", "DrawCollateral", "WithdrawOwnFunds", "RecallOwnFunds"),
    *("AcknowledgeStatement", "DisputeLines", "EndDispute", "AbortWindow", "UnwindPartner"),
    *("SetColumnMapping", "UploadReconciliation", "RunReconciliation"),
    *("AssignBreak", "CommentBreak", "ResolveBreak", "WriteOffBreak"),
    # A report is kept when it is first asked for.
    *("DownloadReport", "SetAccountMap"),
)
NEEDLESS = {Reason.TRY_LATER, Reason.QUEUE_FULL, Reason.RATE_LIMITED, Reason.CALLER_UNKNOWN}
"""Nobody is in the way here, so whatever is answered with these was misunderstood."""
OF_A_REFUSAL = {"head", "record", "refusal_tally", "request", "stream_entry", "stream_head"}
"""The tables that a recorded refusal touches."""


def judge(answer: Answer) -> frozenset[Reason | None]:
    """The reason of a refusal, None for success, of a batch those of its orders; fails for what no
    call may be answered with.
    """
    if answer.bug is not None:
        raise AssertionError(f"{answer.method.name} met a bug") from answer.bug
    if answer.code == "OK":
        return judge_success(answer)
    assert answer.status is not None, (answer.code, answer.text)
    assert answer.status.message == answer.text
    reason, receipt = judge_status(answer.status, answer.code)
    if answer.method.name in ONE_ORDER:
        of_reversals = answer.method.name == "ReverseTransfer" and reason in OF_REVERSALS
        assert (receipt is not None) == (is_recorded(reason) or of_reversals), reason
    if receipt is None:
        # What contradicts a brand's earlier answer is kept against it.
        kept = {"delivery_answer", "delivery"} if answer.method.name == "ConfirmCredit" else set()
        assert (answer.written or {}).keys() <= kept, (reason, answer.written)
    else:
        assert answer.method.name in ONE_ORDER
        judge_records([(receipt, reason)], answer)
    return frozenset((reason,))


def judge_success(answer: Answer) -> frozenset[Reason | None]:
    """What the orders of a batch came to; fails unless what was answered is of the method's type
    and what was written is its due.
    """
    kind: type[Message] = GetMessageClass(answer.method.output_type)
    responses = [kind.FromString(raw) for raw in answer.responses]
    if answer.method.name not in WRITING:
        assert not answer.written, answer.written
    for response in responses:
        if isinstance(response, pb.CreateTransferResponse):
            judge_records([(response.receipt, None)], answer)
        elif isinstance(response, pb.ReverseTransferResponse):
            judge_records([(response.notice, None)], answer)
        elif isinstance(response, pb.BatchCreateTransfersResponse):
            results = [judge_result(each) for each in response.results]
            judge_records([(r, reason) for r, reason in results if r is not None], answer)
            return frozenset(reason for _, reason in results)
    return frozenset((None,))


def judge_result(each: pb.TransferResult) -> tuple[SignedEnvelope | None, Reason | None]:
    """The receipt of an order in a batch, and why it was refused if it was."""
    if each.HasField("receipt"):
        return each.receipt, None
    assert each.HasField("refusal")
    reason = Reason(refusal_pb2.Reason.Name(each.refusal.reason).removeprefix("REASON_"))
    assert reason not in NEEDLESS
    assert each.refusal.HasField("receipt") == is_recorded(reason)
    assert len(each.refusal.message.encode()) <= MESSAGE_MAX
    return (each.refusal.receipt if each.refusal.HasField("receipt") else None), reason


def judge_status(status: status_pb2.Status, code: str) -> tuple[Reason, SignedEnvelope | None]:
    """The reason of a status, and its receipt if it has one; fails unless it has the form of a
    refusal.
    """
    infos = unpacked(status, error_details_pb2.ErrorInfo)
    assert len(infos) == 1, status
    (info,) = infos
    assert info.domain == "pointclear"
    reason = Reason[info.reason]
    rule = RULES[reason]
    assert reason not in NEEDLESS, status.message
    assert rule.code == code
    assert (info.metadata["retry"], info.metadata["remedy"]) == (rule.retry, rule.remedy)
    assert len(status.message.encode()) <= MESSAGE_MAX
    trailers = len(status.SerializeToString()) * 4 / 3 + len(quote(status.message))
    assert trailers < TRAILERS_MAX - TRAILERS_SPARE
    assert len(unpacked(status, error_details_pb2.BadRequest)) <= 1
    delays = unpacked(status, error_details_pb2.RetryInfo)
    assert bool(delays) == (rule.retry is Retry.SAME_ID)
    receipts = unpacked(status, SignedEnvelope)
    if not receipts:
        return reason, None
    (receipt,) = receipts
    assert status.details[-1].Is(SignedEnvelope.DESCRIPTOR)
    return reason, receipt


def judge_records(receipts: Iterable[tuple[SignedEnvelope, Reason | None]], answer: Answer) -> None:
    """Fail unless the receipts are the exchange's and say of each new record what was answered, and
    there is no other.
    """
    stated: dict[int, Reason | None] = {}
    for receipt, reason in receipts:
        record = record_of(receipt)
        refused = record.state == transfer_pb2.TRANSFER_STATE_REFUSED
        assert refused == (reason is not None)
        if reason is not None:
            assert refusal_pb2.Reason.Name(record.reason) == f"REASON_{reason}"
        stated[record.log_index] = reason
    new = sorted(index for index in stated if index >= answer.indexes.start)
    assert new == list(answer.indexes)
    written = dict(answer.written or {})
    assert written.get("record", 0) == written.get("request", 0) == len(new)
    if all(stated[index] is not None for index in new):
        assert written.keys() <= OF_A_REFUSAL


def record_of(
    receipt: SignedEnvelope,
) -> transfer_pb2.TransferRecord | transfer_pb2.ReversalRecord:
    """What a receipt or a reversal notice says, after verifying it."""
    envelope = envelope_from_proto(receipt)
    key_id = make.RECEIPTS.key_id
    dsse.verify(envelope, {key_id: VerifyKey(key_id, make.RECEIPTS.public_key)})
    if envelope.payload_type == REVERSAL_NOTICE:
        notice = transfer_pb2.ReversalNotice.FromString(envelope.payload)
        return transfer_pb2.ReversalRecord.FromString(notice.record)
    require_type(envelope, TRANSFER_RECEIPT)
    stated = transfer_pb2.TransferReceipt.FromString(envelope.payload)
    return transfer_pb2.TransferRecord.FromString(stated.record)


def is_recorded(reason: Reason) -> bool:
    """Whether an order that is refused for it has a receipt."""
    value = refusal_pb2.Reason.DESCRIPTOR.values_by_name[f"REASON_{reason}"]
    rule = value.GetOptions().Extensions[refusal_pb2.reason_rule]
    return bool(rule.stage == refusal_pb2.CHECK_STAGE_RECORDED)


def unpacked(status: status_pb2.Status, kind: type[_M]) -> list[_M]:
    """The details of this kind."""
    found = []
    for packed in status.details:
        message = kind()
        if packed.Unpack(message):
            found.append(message)
    return found
