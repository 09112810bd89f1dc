"""What a debtor is asked to pay, and what a creditor was paid, as papers. Pure but for the
typesetter.

A request says nothing of how far its payment has come, and an advice is written when the bank's
statement shows the payment: so neither ever says anything else.
"""

from datetime import date
from typing import Any, Final

from settlement.accounts.account import BankAccount
from settlement.payouts.papers import Paper, PaymentRequest, RemittanceAdvice
from settlement.reports.typesetting import TEMPLATES, figure, typeset

TEMPLATE = TEMPLATES / "payment.typ"
_GROUP: Final = 4


def payment_request_pdf(request: PaymentRequest, operator: str, day: date) -> bytes:
    """The paper by which a debtor pays; `day` is the business date."""
    paper = request.paper
    facts = [
        ["Pay to", request.payee_name],
        ["Account", _grouped(request.payee_account)],
        *([["BIC", request.payee_bic]] if request.payee_bic else []),
        ["Due date", request.due_date.isoformat() if request.due_date else "at once"],
    ]
    note = (
        "Give this reference and nothing else, in the field for a structured reference where there"
        " is one: by it your payment is found. The amount stands in your settlement statement."
    )
    return _paper("Payment request", "Please pay", paper, facts, note, operator, day)


def remittance_advice_pdf(advice: RemittanceAdvice, operator: str, day: date) -> bytes:
    """The paper by which a creditor finds the payment on its own account."""
    paper = advice.paper
    account = advice.account
    facts = [
        ["Paid to", account.name if account else paper.legal_name],
        *([["Account", _account(account)]] if account else []),
        *([["BIC", account.bic]] if account and account.bic else []),
        *([["Executed on", advice.execution_date.isoformat()]] if advice.execution_date else []),
        ["Bank statement read on", paper.paid_at.date().isoformat() if paper.paid_at else ""],
        *([["Pay-out file", advice.message_id]] if advice.message_id else []),
    ]
    note = (
        "The payment carries this reference as EndToEndId. It pays your settlement statement of"
        " this window."
    )
    return _paper("Remittance advice", "We paid", paper, facts, note, operator, day)


def _paper(
    title: str,
    lead: str,
    paper: Paper,
    facts: list[list[str]],
    note: str,
    operator: str,
    day: date,
) -> bytes:
    data: dict[str, Any] = {
        "title": title,
        "lead": lead,
        "issuer": operator,
        "name": paper.legal_name,
        "partner_id": paper.partner_id,
        "mark": paper.reference,
        "window_id": paper.window_id,
        "business_date": day.isoformat(),
        "version": paper.statement_version,
        "currency": paper.currency.code,
        "amount": figure(paper.amount, paper.currency),
        "reference": _grouped(paper.reference),
        "facts": facts,
        "note": note,
        "statement_sha256": paper.statement_sha256.hex(),
    }
    return typeset(TEMPLATE, data, day)


def _account(account: BankAccount) -> str:
    if account.iban:
        return _grouped(account.iban)
    system = f" ({account.clearing_system} {account.clearing_member})".replace("( ", "(")
    return account.other + (system if account.clearing_system else "")


def _grouped(text: str) -> str:
    """In groups of four, as IBAN and ISO 11649 are printed; other texts as they are."""
    if not text[:4].isalnum() or not text.isalnum() or not text[2:4].isdigit():
        return text
    return " ".join(text[start : start + _GROUP] for start in range(0, len(text), _GROUP))
