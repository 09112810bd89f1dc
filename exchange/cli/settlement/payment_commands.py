"""`payments`: what a partner is asked to pay for a window, and what it is paid."""

from typing import Annotated, Any

import typer
from rich.console import RenderableType

from exchange.cli.calling import App, ByAnybody
from exchange.cli.documents import instant
from exchange.cli.options import (
    WindowArgument,
)
from exchange.cli.output import answer, pairs
from exchange.cli.settlement.account_commands import bank_account_document
from pointclear.settlement.v1 import payout_pb2 as pb

PartnerOption = Annotated[
    str, typer.Option(help="Whose; an operator must say. [default: the caller's]")
]


def payments_app() -> App:
    """The commands about what a partner is asked for and paid."""
    app = App(
        no_args_is_help=True, help="Show what a partner is asked to pay, and what it is paid."
    )
    app.command("request")(request)
    app.command("advice")(advice)
    return app


def request(
    by: ByAnybody,
    window_id: WindowArgument,
    partner: PartnerOption = "",
) -> None:
    """Show what a partner is asked to pay for a window, and how to state it."""
    with by.connect() as connection:
        response: pb.GetPaymentRequestResponse = connection.call(
            connection.settlement.GetPaymentRequest,
            pb.GetPaymentRequestRequest(window_id=window_id, partner_id=partner),
        )
    documents = [_request_document(each) for each in response.requests]
    _show_papers(by.as_json, "requests", documents, f"{window_id} asks for no payment")


def advice(
    by: ByAnybody,
    window_id: WindowArgument,
    partner: PartnerOption = "",
) -> None:
    """Show what a partner is paid for a window, and how far that has come."""
    with by.connect() as connection:
        response: pb.GetRemittanceAdviceResponse = connection.call(
            connection.settlement.GetRemittanceAdvice,
            pb.GetRemittanceAdviceRequest(window_id=window_id, partner_id=partner),
        )
    documents = [_advice_document(each) for each in response.advices]
    _show_papers(by.as_json, "advices", documents, f"{window_id} pays nothing out")


def _request_document(paper: pb.PaymentRequest) -> dict[str, Any]:
    return {
        **_paper_document(paper),
        "due_date": paper.due_date or None,
        "payee_name": paper.payee_name,
        "payee_account": paper.payee_account,
        "payee_bic": paper.payee_bic,
        "paid_at": instant(paper.paid_at),
    }


def _advice_document(paper: pb.RemittanceAdvice) -> dict[str, Any]:
    return {
        **_paper_document(paper),
        "message_id": paper.message_id,
        "execution_date": paper.execution_date or None,
        **bank_account_document(paper.account),
        "account_version": paper.account_version,
        "paid_at": instant(paper.paid_at),
    }


def _paper_document(paper: pb.PaymentRequest | pb.RemittanceAdvice) -> dict[str, Any]:
    return {
        "partner_id": paper.partner_id,
        "legal_name": paper.legal_name,
        "window_id": paper.window_id,
        "statement_version": paper.statement_version,
        "statement_sha256": paper.statement_sha256.hex(),
        "currency": paper.currency,
        "amount": paper.amount_text,
        "reference": paper.reference,
        "state": paper.state,
    }


def _show_papers(as_json: bool, name: str, documents: list[dict[str, Any]], none: str) -> None:
    shown: list[RenderableType] = [
        pairs((key.replace("_", " "), value) for key, value in document.items() if value)
        for document in documents
    ]
    answer(as_json, {name: documents}, *(shown or [none]))
