"""`month balance`, `ageing`, `accruals`, `promotions`, `checklist`, `lock`, `reopen`, `paper`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.cli.connection import Connection, connect
from exchange.cli.documents import instant, money
from exchange.cli.files import write_output
from exchange.cli.options import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    EitherProfileOption,
    JsonOption,
    OperatorProfileOption,
    ReasonOption,
    ServerOption,
    either_profile,
    operator_profile,
)
from exchange.cli.output import Command, answer, envelope_document, pairs, table
from exchange.cli.proofs import read_balance
from partners.envelope import BALANCE_CONFIRMATION, sign, to_json
from partners.keys import Purpose, VerifyKey
from partners.wire import envelope_from_proto, envelope_to_proto
from pointclear.settlement.v1 import month_pb2 as pb

MONTH_TIMEOUT_S = 600.0
"""Checking all books takes minutes where there are millions of postings."""
AGES = ("not late", "1 to 7", "8 to 30", "31 to 60", "over 60")

MonthArgument = Annotated[str, typer.Argument(metavar="YYYY-MM", help="The month.")]
PeriodArgument = Annotated[
    str, typer.Argument(metavar="PERIOD", help="A month (YYYY-MM) or a day (YYYY-MM-DD).")
]
CurrencyOption = Annotated[str, typer.Option(help="ISO 4217 code of the settlement currency.")]
OwnCurrencyOption = Annotated[
    str, typer.Option(help="ISO 4217 code; an operator must say. [default: the caller's]")
]


def month_app() -> typer.Typer:
    """The commands about the month."""
    app = typer.Typer(
        no_args_is_help=True, help="Balances, ageing, accruals, promotions, and the close."
    )
    app.command("balance", cls=Command)(balance)
    app.command("ageing", cls=Command)(ageing)
    app.command("accruals", cls=Command)(accruals)
    app.command("promotions", cls=Command)(promotions)
    app.command("checklist", cls=Command)(checklist)
    app.command("lock", cls=Command)(lock)
    app.command("reopen", cls=Command)(reopen)
    app.command("paper", cls=Command)(paper)
    return app


def balance(
    month: MonthArgument,
    partner: Annotated[str, typer.Option(help="Whose; an operator must say.")] = "",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Also write the signed balance here.")
    ] = None,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Confirm it: sign the same bytes. Partners only.")
    ] = False,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: EitherProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch a partner's balance at the end of a month, verify it, and confirm it."""
    profile = either_profile(profile_dir, data_dir, server)
    if confirm and profile.caller.is_operator:
        raise typer.BadParameter("a balance is its partner's to confirm", param_hint="--confirm")
    with connect(profile) as connection:
        given = _balance(connection, month, partner)
        envelope = envelope_from_proto(given.confirmation)
        partner_id = partner or profile.caller.name
        stated = read_balance(envelope, _keys(connection, partner_id), profile.audience, partner_id)
        if confirm and not given.is_confirmed:
            signed = sign(
                profile.signer(Purpose.AGREEMENTS), BALANCE_CONFIRMATION, envelope.payload
            )
            connection.call(
                connection.settlement.ConfirmBalance,
                pb.ConfirmBalanceRequest(confirmation=envelope_to_proto(signed)),
            )
            given = _balance(connection, month, partner)
            envelope = envelope_from_proto(given.confirmation)
    if out is not None:
        write_output(out, (to_json(envelope) + "\n").encode())
    document = _balance_document(stated, given)
    shown = ("partner_id", "month", "last_window_id", "opening", "net", "payments", "position")
    answer(
        as_json,
        {**document, "envelope": envelope_document(envelope)},
        pairs((name.replace("_", " "), document[name]) for name in (*shown, "collateral")),
        f"confirmed at {document['confirmed_at']}" if given.is_confirmed else "not confirmed",
    )


def _keys(connection: Connection, partner_id: str) -> dict[str, VerifyKey]:
    """The exchange's keys, and the partner's, with which a balance may be signed."""
    own = connection.keys(f"partner/{partner_id}")
    agreed = {each.key_id: VerifyKey.of(each.public_key) for each in own}
    return connection.exchange_keys(Purpose.STATEMENTS) | agreed


def _balance(connection: Connection, month: str, partner: str) -> pb.GetBalanceConfirmationResponse:
    response: pb.GetBalanceConfirmationResponse = connection.call(
        connection.settlement.GetBalanceConfirmation,
        pb.GetBalanceConfirmationRequest(month=month, partner_id=partner),
    )
    return response


def _balance_document(
    stated: pb.BalanceConfirmation, given: pb.GetBalanceConfirmationResponse
) -> dict[str, Any]:
    currency = stated.currency
    return {
        "partner_id": stated.partner_id,
        "month": stated.month,
        "currency": currency,
        "last_window_id": stated.last_window_id,
        "log_size": stated.log_size,
        "opening": money(stated.opening, currency),
        "net": money(stated.net, currency),
        "payments": money(stated.payments, currency),
        "position": money(stated.position, currency),
        "collateral": money(stated.collateral, currency),
        "points": [
            {"program_id": each.program_id, "out": each.points_out, "in": each.points_in}
            for each in stated.points
        ],
        "open_payments": [
            {
                "window_id": each.window_id,
                "reference": each.reference,
                "amount": money(each.amount, currency),
            }
            for each in stated.open_payments
        ],
        "open_payment_count": stated.open_payment_count,
        "open_payment_total": money(stated.open_payment_total, currency),
        "is_confirmed": given.is_confirmed,
        "confirmed_at": instant(given.confirmed_at),
    }


def ageing(
    currency: OwnCurrencyOption = "",
    as_of: Annotated[
        str, typer.Option(metavar="YYYY-MM-DD", help="From which ages count. [default: today]")
    ] = "",
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: EitherProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show payments that are not confirmed, and positions, by their age in days."""
    day = as_of or datetime.now(UTC).date().isoformat()
    with connect(either_profile(profile_dir, data_dir, server)) as connection:
        response: pb.GetAgeingResponse = connection.call(
            connection.settlement.GetAgeing, pb.GetAgeingRequest(currency=currency, as_of=day)
        )
    code = response.currency
    legs = [
        {
            "partner_id": each.partner_id,
            "window_id": each.window_id,
            "reference": each.reference,
            "due_date": each.due_date,
            "days_late": each.days_late,
            "amount": money(each.amount, code),
        }
        for each in response.legs
    ]
    positions: list[dict[str, Any]] = [
        {
            "partner_id": each.partner_id,
            "position": money(each.position, code),
            "by_age": {
                name: money(units, code)
                for name, units in zip(AGES, _ages(each.by_age), strict=True)
            },
        }
        for each in response.positions
    ]
    answer(
        as_json,
        {"as_of": day, "currency": code, "payments": legs, "positions": positions},
        table(
            ("partner", "window", "reference", "due", "days late", f"amount {code}"),
            [tuple(each.values()) for each in legs],
            right=("days late", f"amount {code}"),
        ),
        table(
            ("partner", f"position {code}", *AGES),
            [
                (each["partner_id"], each["position"], *each["by_age"].values())
                for each in positions
            ],
            right=(f"position {code}", *AGES),
        ),
    )


def _ages(ages: pb.AgeBuckets) -> tuple[int, ...]:
    young = (ages.not_late, ages.days_1_to_7, ages.days_8_to_30)
    return (*young, ages.days_31_to_60, ages.days_over_60)


def accruals(
    month: MonthArgument,
    currency: OwnCurrencyOption = "",
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: EitherProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what windows of a month that are not stated came to so far."""
    with connect(either_profile(profile_dir, data_dir, server)) as connection:
        response: pb.GetAccrualsResponse = connection.call(
            connection.settlement.GetAccruals, pb.GetAccrualsRequest(currency=currency, month=month)
        )
    code = response.currency
    documents = [
        {
            "window_id": each.window_id,
            "partner_id": each.partner_id,
            "counterparty": each.counterparty,
            "code": each.code,
            "tax_code": each.tax_code,
            "amount": money(each.amount, code),
        }
        for each in response.accruals
    ]
    answer(
        as_json,
        {"month": month, "currency": code, "accruals": documents},
        table(
            ("window", "partner", "against", "code", "tax", f"amount {code}"),
            [tuple(each.values()) for each in documents],
            right=(f"amount {code}",),
        ),
    )


def promotions(
    month: MonthArgument,
    currency: OwnCurrencyOption = "",
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: EitherProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what promotions cost in a month, and their points against their budgets."""
    with connect(either_profile(profile_dir, data_dir, server)) as connection:
        response: pb.GetPromotionCostsResponse = connection.call(
            connection.settlement.GetPromotionCosts,
            pb.GetPromotionCostsRequest(currency=currency, month=month),
        )
    code = response.currency
    costs = [
        {
            "agreement_id": each.agreement_id,
            "promotion_id": each.promotion_id,
            "funder": each.funder,
            "target_partner": each.target_partner,
            "is_own": each.is_own,
            "cost": money(each.cost, code),
        }
        for each in response.costs
    ]
    budgets = [
        {
            "agreement_id": each.agreement_id,
            "version": each.version,
            "promotion_id": each.promotion_id,
            "budget_points": each.budget_points,
            "granted_points": each.granted_points,
        }
        for each in response.budgets
    ]
    answer(
        as_json,
        {"month": month, "currency": code, "costs": costs, "budgets": budgets},
        table(
            ("agreement", "promotion", "paid by", "points of", "its own", f"cost {code}"),
            [tuple(each.values()) for each in costs],
            right=(f"cost {code}",),
        ),
        table(
            ("agreement", "version", "promotion", "budget points", "granted points"),
            [tuple(each.values()) for each in budgets],
            right=("budget points", "granted points"),
        ),
    )


def checklist(
    period: PeriodArgument,
    currency: CurrencyOption,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: OperatorProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is done for a close and what is not, worked out now."""
    with connect(operator_profile(profile_dir, data_dir, server)) as connection:
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
        as_json,
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
    period: PeriodArgument,
    currency: CurrencyOption,
    explain: Annotated[
        list[str],
        typer.Option(metavar="ITEM=TEXT", help="Why an item may stay open; as often as needed."),
    ] = [],  # noqa: B006 - typer reads it and never writes
    reason: ReasonOption = "",
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: OperatorProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lock a day softly or a month hard. Repeating it is harmless."""
    explanations = [pb.Explanation(item=item, text=text) for item, text in map(_explained, explain)]
    request = pb.LockPeriodRequest(currency=currency, period=period, explanations=explanations)
    with connect(operator_profile(profile_dir, data_dir, server), reason) as connection:
        response: pb.LockPeriodResponse = connection.call(
            connection.settlement.LockPeriod, request, MONTH_TIMEOUT_S
        )
    state = _period_state(response.state)
    answer(as_json, {"period": period, "state": state}, f"{period}: {state}")


def _explained(text: str) -> tuple[str, str]:
    item, equals, why = text.partition("=")
    if not equals:
        raise typer.BadParameter("write ITEM=TEXT", param_hint="--explain")
    return item, why


def reopen(
    period: PeriodArgument,
    currency: CurrencyOption,
    why: Annotated[str, typer.Option(help="What the adjustment period is for; kept for ever.")],
    reason: ReasonOption = "",
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: OperatorProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Begin an adjustment period for what was locked."""
    request = pb.ReopenPeriodRequest(currency=currency, period=period, reason=why)
    with connect(operator_profile(profile_dir, data_dir, server), reason or why) as connection:
        response: pb.ReopenPeriodResponse = connection.call(
            connection.settlement.ReopenPeriod, request
        )
    state, name = _period_state(response.state), response.adjustment_period
    answer(
        as_json,
        {"period": period, "state": state, "adjustment_period": name},
        f"{period}: {state}, adjustment period {name}",
    )


def _period_state(state: pb.PeriodState.ValueType) -> str:
    return pb.PeriodState.Name(state).removeprefix("PERIOD_STATE_")


def paper(
    kind: Annotated[str, typer.Argument(help="invoice, balance, ageing or accruals.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Ends in .pdf, .csv or .xlsx.")],
    invoice: Annotated[str, typer.Option(metavar="ID", help="Of an invoice, as hub/FEE/1.")] = "",
    period: Annotated[
        str, typer.Option(help="Month of a balance or accruals, day of an ageing.")
    ] = "",
    currency: OwnCurrencyOption = "",
    partner: Annotated[str, typer.Option(help="Of a balance; an operator must say.")] = "",
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: EitherProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a document, a balance, an ageing or accruals as a file for people."""
    form = out.suffix.removeprefix(".")
    request = pb.DownloadMonthPaperRequest(
        paper=_numbered(pb.MonthPaper, "MONTH_PAPER_", kind, "KIND"),
        format=_numbered(pb.MonthFormat, "MONTH_FORMAT_", form, "--out"),
        invoice_id=invoice,
        currency=currency,
        period=period,
        partner_id=partner,
    )
    with connect(either_profile(profile_dir, data_dir, server)) as connection:
        chunks: list[pb.DownloadMonthPaperResponse] = list(
            connection.stream(connection.settlement.DownloadMonthPaper, request, MONTH_TIMEOUT_S)
        )
    content = b"".join(each.chunk for each in chunks)
    write_output(out, content)
    answer(as_json, {"file": str(out), "size": len(content)}, f"Wrote {out}")


def _numbered(choices: Any, prefix: str, text: str, option: str) -> Any:
    known = {name.removeprefix(prefix).lower(): n for name, n in choices.items() if n}
    if text not in known:
        raise typer.BadParameter(f"one of {', '.join(known)}", param_hint=option)
    return known[text]
