"""`overdue`: what partners have not paid in time, and what follows."""

from typing import Annotated, Any

import typer

from exchange.cli.calling import App, ByActingOperator, ByAnybody
from exchange.cli.connection import connect
from exchange.cli.documents import instant
from exchange.cli.options import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    JsonOption,
    OperatorProfileOption,
    ServerOption,
    WindowArgument,
    operator_profile,
)
from exchange.cli.output import answer, table
from partners.points import currency_scale, format_amount
from pointclear.settlement.v1 import overdue_pb2 as pb


def overdue_app() -> App:
    """The commands about what is overdue."""
    app = App(no_args_is_help=True, help="See what was not paid in time, and do what follows.")
    app.command("list")(list_overdue)
    app.command("draw")(draw)
    app.command("report")(report)
    return app


def list_overdue(
    by: ByAnybody,
    currency: Annotated[
        str, typer.Option(metavar="CODE", help="Only of this currency. [default: all]")
    ] = "",
) -> None:
    """List what was not paid in time, with the steps that are due.

    The server reminds by itself. DRAW is `overdue draw`, HOLD `switches set`, UNWIND `window
    unwind`; each takes two operators.
    """
    with by.connect() as connection:
        response: pb.ListOverdueResponse = connection.call(
            connection.settlement.ListOverdue, pb.ListOverdueRequest(currency=currency)
        )
    documents = [_overdue_document(each) for each in response.payments]
    answer(
        by.as_json,
        {"payments": documents},
        table(
            ("partner", "window", "amount", "reference", "due", "reminded", "collateral", "steps"),
            [
                (
                    each["partner_id"],
                    each["window_id"],
                    each["amount"],
                    each["reference"],
                    each["due_date"],
                    each["reminded_at"] or "",
                    each["collateral"],
                    " ".join(each["steps"]) or ("drawn" if each["drawn"] else ""),
                )
                for each in documents
            ],
            right=("amount", "collateral"),
        ),
    )


def draw(
    by: ByActingOperator,
    window_id: WindowArgument,
    reference: Annotated[str, typer.Argument(metavar="REFERENCE", help="As `overdue list` says.")],
) -> None:
    """Have a partner's collateral pay what it has not: all of the payment, or nothing.

    Then the money goes from the collateral account to the settlement account, by `payouts make
    CURRENCY --account collateral` or by hand, with the reference that this prints; the bank's
    files confirm both sides.
    """
    with by.connect() as connection:
        response: pb.DrawCollateralResponse = connection.call(
            connection.settlement.DrawCollateral,
            pb.DrawCollateralRequest(window_id=window_id, reference=reference),
        )
    answer(
        by.as_json,
        {"draw_reference": response.draw_reference, "amount_units": response.amount},
        f"Transfer it between the accounts with the reference {response.draw_reference}",
    )


def report(
    window_id: WindowArgument,
    partner: Annotated[str, typer.Argument(metavar="PARTNER", help="Who has not paid.")],
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: OperatorProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a stated window would come to without a partner. Changes nothing."""
    with connect(operator_profile(profile_dir, data_dir, server)) as connection:
        response: pb.GetUnwindReportResponse = connection.call(
            connection.settlement.GetUnwindReport,
            pb.GetUnwindReportRequest(window_id=window_id, partner_id=partner),
        )

    def money(units: int) -> str:
        return format_amount(units, response.scale)

    names = (
        *("net", "withheld_before", "withheld", "due_before", "due_after"),
        *("payment_before", "payment_after"),
    )
    parties: list[dict[str, str]] = [
        {
            "partner_id": each.partner_id,
            **{name: money(getattr(each, name)) for name in names},
            "withheld_after": money(each.withheld_before + each.due_before - each.due_after),
        }
        for each in response.parties
    ]
    # What was decided since the statement was made is given back: before and besides are not after.
    columns = ("net", "withheld_before", "withheld_after", *names[3:])
    document = {
        "window_id": window_id,
        "missing": partner,
        "currency": response.currency,
        "parties": parties,
        "withheld_total": money(response.withheld_total),
        "pay_ins": money(response.pay_ins),
        "pay_outs": money(response.pay_outs),
    }
    answer(
        as_json,
        document,
        table(
            ("partner", *(name.replace("_", " ") for name in columns)),
            [(each["partner_id"], *(each[name] for name in columns)) for each in parties],
            right=tuple(name.replace("_", " ") for name in columns),
        ),
        f"withheld in all {document['withheld_total']}; the others pay in {document['pay_ins']}"
        f" and are paid {document['pay_outs']}",
    )


def _overdue_document(each: pb.OverduePayment) -> dict[str, Any]:
    scale = currency_scale(each.currency).scale
    return {
        "partner_id": each.partner_id,
        "window_id": each.window_id,
        "currency": each.currency,
        "amount": format_amount(each.amount, scale),
        "reference": each.reference,
        "due_date": each.due_date,
        "overdue_since": instant(each.overdue_since),
        "steps": [pb.OverdueStep.Name(step).removeprefix("OVERDUE_STEP_") for step in each.steps],
        "reminded_at": instant(each.reminded_at),
        "collateral": format_amount(each.collateral, scale),
        "short": format_amount(each.short, scale),
        "drawn": each.drawn,
        "on_hold": each.on_hold,
    }
