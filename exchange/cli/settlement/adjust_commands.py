"""`adjust book` and `adjust list`: journals that finance books by hand."""

from typing import Annotated, Any
from uuid import UUID

import typer

from exchange.cli.calling import App, ByActingOperator, ByAnybody
from exchange.cli.documents import instant, money
from exchange.cli.output import answer, pairs, table
from partners.points import currency_scale, parse_amount
from pointclear.settlement.v1 import adjustment_pb2 as pb

SIDE = "a partner, hub.fees, hub.rounding or hub.losses"


def adjust_app() -> App:
    """The commands about adjustments."""
    app = App(no_args_is_help=True, help="Put the books right by journals that two people sign.")
    app.command("book")(book)
    app.command("list")(list_adjustments)
    return app


def book(
    by: ByActingOperator,
    currency: Annotated[str, typer.Option(metavar="CODE", help="ISO 4217 code.")],
    payer: Annotated[str, typer.Option("--from", metavar="PARTY", help=f"Who pays: {SIDE}.")],
    payee: Annotated[str, typer.Option("--to", metavar="PARTY", help="Who is paid: likewise.")],
    amount: Annotated[str, typer.Option(metavar="AMOUNT", help="Such as 12.50.")],
    relates_to: Annotated[
        str,
        typer.Option(
            metavar="ID",
            help="Of the transfer, window, dispute, break, payment, bank entry, adjustment or"
            " document that it puts right, or its day or month.",
        ),
    ],
    write_off: Annotated[
        bool, typer.Option("--write-off", help="A loss, between a partner and hub.losses.")
    ] = False,
) -> None:
    """Book a journal in the open window, with a reason. No cap refuses it.

    It takes a finance maker and a finance checker. What was stated stays stated.
    """
    request = pb.BookAdjustmentRequest(
        kind=pb.ADJUSTMENT_KIND_WRITE_OFF if write_off else pb.ADJUSTMENT_KIND_ADJUSTMENT,
        currency=currency,
        payer=payer,
        payee=payee,
        amount=parse_amount(amount, currency_scale(currency).scale, "amount"),
        relates_to=relates_to,
    )
    with by.connect() as connection:
        response: pb.BookAdjustmentResponse = connection.call(
            connection.settlement.BookAdjustment, request
        )
    document = adjustment_document(response.adjustment)
    shown = [(name.replace("_", " "), value) for name, value in document.items() if value]
    answer(by.as_json, {"adjustment": document}, pairs(shown))


def list_adjustments(
    by: ByAnybody,
    currency: Annotated[str, typer.Option(metavar="CODE", help="Only of this currency.")] = "",
    partner: Annotated[
        str, typer.Option(help="Whose position. [default: the caller's, or all for an operator]")
    ] = "",
    relates_to: Annotated[str, typer.Option(metavar="ID", help="Only what relates to this.")] = "",
) -> None:
    """List adjustments and write-offs, oldest first."""
    request = pb.ListAdjustmentsRequest(
        currency=currency, partner_id=partner, relates_to=relates_to
    )
    with by.connect() as connection:
        response: pb.ListAdjustmentsResponse = connection.call(
            connection.settlement.ListAdjustments, request
        )
    documents = [adjustment_document(each) for each in response.adjustments]
    names = ("window_id", "kind", "payer", "payee", "amount", "relates_to", "reason")
    columns = ("window", "kind", "from", "to", "amount", "relates to", "reason")
    rows = [[each[name] for name in names] for each in documents]
    answer(by.as_json, {"adjustments": documents}, table(columns, rows, right=("amount",)))


def adjustment_document(adjustment: pb.Adjustment) -> dict[str, Any]:
    """An adjustment for machines."""
    return {
        "adjustment_id": str(UUID(bytes=adjustment.adjustment_id)),
        "kind": pb.AdjustmentKind.Name(adjustment.kind).removeprefix("ADJUSTMENT_KIND_"),
        "currency": adjustment.currency,
        "payer": adjustment.payer,
        "payee": adjustment.payee,
        "amount": money(adjustment.amount, adjustment.currency),
        "reason": adjustment.reason,
        "relates_to": adjustment.relates_to,
        "maker": adjustment.maker,
        "checker": adjustment.checker,
        "window_id": adjustment.window_id,
        "log_index": adjustment.log_index,
        "booked_at": instant(adjustment.booked_at),
    }
