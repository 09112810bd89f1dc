"""`month checklist`, `lock`, `reopen`: the close of a day or a month."""

from typing import Annotated

import typer

from exchange.cli.calling import ByActingOperator, ByOperator
from exchange.cli.connection import connect
from exchange.cli.month.options import MONTH_TIMEOUT_S, CurrencyOption, PeriodArgument
from exchange.cli.output import answer, table
from pointclear.settlement.v1 import month_pb2 as pb


def checklist(
    by: ByOperator,
    period: PeriodArgument,
    currency: CurrencyOption,
) -> None:
    """Show what is done for a close and what is not, worked out now."""
    with by.connect() as connection:
        response: pb.GetCloseChecklistResponse = connection.call(
            connection.settlement.GetCloseChecklist,
            pb.GetCloseChecklistRequest(currency=currency, period=period),
            MONTH_TIMEOUT_S,
        )
    items = [
        {
            "item": each.item,
            "state": pb.CloseState.Name(each.state).removeprefix("CLOSE_STATE_"),
            "found": each.found,
        }
        for each in response.items
    ]
    state = _period_state(response.state)
    answer(
        by.as_json,
        {
            "period": period,
            "currency": currency,
            "state": state,
            "adjustment_period": response.adjustment_period,
            "items": items,
        },
        f"{period}: {state}",
        table(("item", "state", "found"), [tuple(each.values()) for each in items]),
    )


def lock(
    by: ByActingOperator,
    period: PeriodArgument,
    currency: CurrencyOption,
    explain: Annotated[
        list[str],
        typer.Option(metavar="ITEM=TEXT", help="Why an item may stay open; as often as needed."),
    ] = [],  # noqa: B006 - typer reads it and never writes
) -> None:
    """Lock a day softly or a month hard. Repeating it is harmless."""
    explanations = [pb.Explanation(item=item, text=text) for item, text in map(_explained, explain)]
    request = pb.LockPeriodRequest(currency=currency, period=period, explanations=explanations)
    with by.connect() as connection:
        response: pb.LockPeriodResponse = connection.call(
            connection.settlement.LockPeriod, request, MONTH_TIMEOUT_S
        )
    state = _period_state(response.state)
    answer(by.as_json, {"period": period, "state": state}, f"{period}: {state}")


def _explained(text: str) -> tuple[str, str]:
    item, equals, why = text.partition("=")
    if not equals:
        raise typer.BadParameter("write ITEM=TEXT", param_hint="--explain")
    return item, why


def reopen(
    by: ByActingOperator,
    period: PeriodArgument,
    currency: CurrencyOption,
    why: Annotated[str, typer.Option(help="What the adjustment period is for; kept for ever.")],
) -> None:
    """Begin an adjustment period for what was locked."""
    request = pb.ReopenPeriodRequest(currency=currency, period=period, reason=why)
    with connect(by.profile(), by.reason or why) as connection:
        response: pb.ReopenPeriodResponse = connection.call(
            connection.settlement.ReopenPeriod, request
        )
    state, name = _period_state(response.state), response.adjustment_period
    answer(
        by.as_json,
        {"period": period, "state": state, "adjustment_period": name},
        f"{period}: {state}, adjustment period {name}",
    )


def _period_state(state: pb.PeriodState.ValueType) -> str:
    return pb.PeriodState.Name(state).removeprefix("PERIOD_STATE_")
