"""Between the wire's messages and pay-out files, payment requests and remittance advice."""

from datetime import date
from typing import Any

from partners.errors import Reason, Refused
from partners.wire import time_to_proto
from pointclear.settlement.v1 import payout_pb2 as pb
from pointclear.settlement.v1.bank_pb2 import BankAccountKind
from settlement.accounts.wire import account_to_proto
from settlement.bank.matching import AccountKind
from settlement.bank.wire import KINDS
from settlement.payouts.instruction import Instructed, LeftOut, PayOutKind
from settlement.payouts.papers import Paper, PaymentRequest, RemittanceAdvice
from settlement.payouts.store import Filed


def file_message(filed: Filed) -> pb.PayOutFile:
    """A file as the wire shows it."""
    file = filed.file
    return pb.PayOutFile(
        window_id=file.window_id,
        number=file.number,
        message_id=file.message_id,
        currency=file.currency,
        created_at=time_to_proto(file.created_at),
        execution_date=file.execution_date.isoformat(),
        payments=(
            instructed_message(each, is_rejected=each.reference in filed.rejected)
            for each in file.payments
        ),
        left_out=map(left_out_message, file.left_out),
        digests={name: bytes.fromhex(digest) for name, digest in file.digests.items()},
        rejected=filed.is_rejected,
        account=KINDS[file.pays_from],
    )


def instructed_message(payment: Instructed, *, is_rejected: bool = False) -> pb.InstructedPayOut:
    """A payment as the wire shows it."""
    return pb.InstructedPayOut(
        reference=payment.reference,
        partner_id=payment.partner_id,
        amount=payment.amount,
        account=account_to_proto(payment.account),
        account_version=payment.account_version,
        account_sha256=bytes.fromhex(payment.account_sha256),
        kind=_kind(payment.kind),
        rejected=is_rejected,
    )


def left_out_message(left_out: LeftOut) -> pb.LeftOutPayOut:
    """A pay-out that stands in no file, as the wire shows it."""
    return pb.LeftOutPayOut(
        reference=left_out.reference,
        partner_id=left_out.partner_id,
        amount=left_out.amount,
        reason=pb.LeftOutReason.Value(f"LEFT_OUT_REASON_{left_out.why}"),
        kind=_kind(left_out.kind),
    )


def _kind(kind: PayOutKind) -> pb.PayOutKind.ValueType:
    return pb.PayOutKind.Value(f"PAY_OUT_KIND_{kind}")


def account_kind_from(kind: BankAccountKind.ValueType) -> AccountKind:
    """Which of the two accounts a request names; raises Refused(FIELD_INVALID)."""
    for known, message in KINDS.items():
        if message == kind:
            return known
    raise Refused(
        Reason.FIELD_INVALID, "account", "name the settlement account or the collateral account"
    )


def _said_of(paper: Paper) -> dict[str, Any]:
    return {
        "partner_id": paper.partner_id,
        "legal_name": paper.legal_name,
        "window_id": paper.window_id,
        "statement_version": paper.statement_version,
        "statement_sha256": paper.statement_sha256,
        "currency": paper.currency.code,
        "scale": paper.currency.scale,
        "amount": paper.amount,
        "amount_text": paper.amount_text,
        "reference": paper.reference,
        "state": paper.state,
        "paid_at": time_to_proto(paper.paid_at) if paper.paid_at is not None else None,
    }


def request_message(request: PaymentRequest) -> pb.PaymentRequest:
    """A payment request as the wire shows it."""
    return pb.PaymentRequest(
        **_said_of(request.paper),
        due_date=_day(request.due_date),
        payee_name=request.payee_name,
        payee_account=request.payee_account,
        payee_bic=request.payee_bic,
    )


def advice_message(advice: RemittanceAdvice) -> pb.RemittanceAdvice:
    """A remittance advice as the wire shows it."""
    return pb.RemittanceAdvice(
        **_said_of(advice.paper),
        message_id=advice.message_id,
        execution_date=_day(advice.execution_date),
        account_version=advice.account_version,
        account=account_to_proto(advice.account) if advice.account is not None else None,
    )


def _day(day: date | None) -> str:
    return day.isoformat() if day else ""
