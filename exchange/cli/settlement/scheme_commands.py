"""`scheme set` and `scheme show`: how a settlement currency is settled.

`set` reads the currency's scheme and changes what it was told of.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
import uuid_utils

from exchange.cli.calling import App, ByActingOperator, ByAnybody
from exchange.cli.documents import instant, money
from exchange.cli.output import answer, table
from partners.points import currency_scale, parse_amount
from pointclear.settlement.v1.scheme_pb2 import (
    CashLegs,
    DefaultOutcome,
    GetSchemeRequest,
    GetSchemeResponse,
    ListSchemesRequest,
    ListSchemesResponse,
    Scheme,
    SetSchemeRequest,
    SetSchemeResponse,
)


class Legs(StrEnum):
    """Between whom money moves."""

    MULTILATERAL = "MULTILATERAL"
    BILATERAL = "BILATERAL"


CurrencyArgument = Annotated[
    str, typer.Argument(metavar="CURRENCY", help="ISO 4217 code of the settlement currency.")
]
DaysAfterDue = Annotated[
    int | None, typer.Option(metavar="N", min=0, help="Days after the due date.")
]


@dataclass(frozen=True, slots=True)
class SchemeTerms:
    """What a scheme may be told of; None is left as it is."""

    cut_off: Annotated[
        str | None,
        typer.Option(
            metavar="HH:MM",
            help="When windows close, by the zone's clock; 00:00 is the midnight that ends the"
            " day, '' leaves closing to people.",
        ),
    ] = None
    zone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="IANA name, such as Europe/Berlin.")
    ] = None
    banking_calendar: Annotated[
        str | None,
        typer.Option(
            metavar="CODE", help="A market or country, such as XECB, XNYS, CN; '' is Mon-Fri."
        ),
    ] = None
    due_days: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Banking days after the close.")
    ] = None
    minimum_payout: Annotated[
        str | None, typer.Option(metavar="AMOUNT", help="A smaller pay-out is carried.")
    ] = None
    acknowledge_minutes: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="To dispute a statement; 0 for none.")
    ] = None
    cash_legs: Annotated[
        Legs | None, typer.Option(case_sensitive=False, help="Between whom money moves.")
    ] = None
    remind_after_hours: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Hours after the due date.")
    ] = None
    draw_after_days: DaysAfterDue = None
    hold_after_days: DaysAfterDue = None
    unwind_after_days: DaysAfterDue = None
    account_cooling_hours: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Before a new account is paid to.")
    ] = None
    settlement_account: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER", help="IBAN, or the bank's own number; with or without spaces."
        ),
    ] = None
    collateral_account: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER", help="IBAN, or the bank's own number; with or without spaces."
        ),
    ] = None
    bank_bic: Annotated[
        str | None, typer.Option(metavar="BIC", help="Of the bank that keeps both.")
    ] = None
    operator_name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The operator as the bank knows it.")
    ] = None

    def changes(self, currency: str) -> dict[str, Any]:
        """The fields of the scheme that change, as the wire has them."""
        told = {name: value for name, value in asdict(self).items() if value is not None}
        if self.minimum_payout is not None:
            scale = currency_scale(currency).scale
            told["minimum_payout"] = parse_amount(self.minimum_payout, scale, "minimum_payout")
        for name in ("settlement_account", "collateral_account"):
            if name in told:
                told[name] = told[name].replace(" ", "")
        if self.cash_legs is not None:
            told["cash_legs"] = CashLegs.Value(f"CASH_LEGS_{self.cash_legs}")
        return told


def scheme_app() -> App:
    """The commands about schemes."""
    app = App(
        no_args_is_help=True, help="Say when a currency's windows close and payments are due."
    )
    app.command("set")(set_scheme)
    app.command("show")(show)
    return app


def set_scheme(
    by: ByActingOperator,
    currency: CurrencyArgument,
    terms: SchemeTerms,
) -> None:
    """Set a currency's scheme; what is not named stays as it is.

    With a cut-off, servers open the first window, and close each at the cut-off of its date.
    """
    with by.connect() as connection:
        before: GetSchemeResponse = connection.call(
            connection.settlement.GetScheme, GetSchemeRequest(currency=currency)
        )
        after = before.scheme
        for name, value in terms.changes(currency).items():
            setattr(after, name, value)
        request = SetSchemeRequest(change_id=uuid_utils.uuid7().bytes, scheme=after)
        response: SetSchemeResponse = connection.call(connection.settlement.SetScheme, request)
        holds: GetSchemeResponse = connection.call(
            connection.settlement.GetScheme, GetSchemeRequest(currency=response.scheme.currency)
        )
    _show(by.as_json, [_with_next(holds)])


def show(
    by: ByAnybody,
    currency: Annotated[
        str | None,
        typer.Argument(metavar="[CURRENCY]", help="One currency; without it, all that were set."),
    ] = None,
) -> None:
    """Show schemes; a partner is shown its own currency's."""
    with by.connect() as connection:
        if currency is None:
            listed: ListSchemesResponse = connection.call(
                connection.settlement.ListSchemes, ListSchemesRequest()
            )
            documents = [scheme_document(each) for each in listed.schemes]
        else:
            holds: GetSchemeResponse = connection.call(
                connection.settlement.GetScheme, GetSchemeRequest(currency=currency)
            )
            documents = [_with_next(holds)]
    _show(by.as_json, documents)


def scheme_document(scheme: Scheme) -> dict[str, Any]:
    """A scheme; money is a decimal figure."""
    return {
        "currency": scheme.currency,
        "cut_off": scheme.cut_off,
        "zone": scheme.zone,
        "banking_calendar": scheme.banking_calendar,
        "due_days": scheme.due_days,
        "minimum_payout": money(scheme.minimum_payout, scheme.currency),
        "acknowledge_minutes": scheme.acknowledge_minutes,
        "default_outcome": DefaultOutcome.Name(scheme.default_outcome).removeprefix(
            "DEFAULT_OUTCOME_"
        ),
        "cash_legs": CashLegs.Name(scheme.cash_legs).removeprefix("CASH_LEGS_"),
        "remind_after_hours": scheme.remind_after_hours,
        "draw_after_days": scheme.draw_after_days,
        "hold_after_days": scheme.hold_after_days,
        "unwind_after_days": scheme.unwind_after_days,
        "account_cooling_hours": scheme.account_cooling_hours,
        "settlement_account": scheme.settlement_account,
        "collateral_account": scheme.collateral_account,
        "bank_bic": scheme.bank_bic,
        "operator_name": scheme.operator_name,
    }


def by_the_clock(document: Mapping[str, Any]) -> str:
    """The next cut-off as the scheme's wall clock shows it: another time than was set where the
    clock is turned that day. Empty where there is none, or this machine does not know the zone.
    """
    try:
        moment = datetime.fromisoformat(document.get("next_cut_off") or "")
        local = moment.astimezone(ZoneInfo(document["zone"]))
    except (ValueError, ZoneInfoNotFoundError):
        return ""
    return f"{local:%Y-%m-%d %H:%M} in {document['zone']}"


def _with_next(response: GetSchemeResponse) -> dict[str, Any]:
    return scheme_document(response.scheme) | {"next_cut_off": instant(response.next_cut_off)}


def _show(as_json: bool, documents: list[dict[str, Any]]) -> None:
    rows = [
        (each["currency"], name.replace("_", " "), value)
        for each in documents
        for name, value in [*each.items(), ("which_is", by_the_clock(each))]
        if name != "currency" and value not in ("", None)
    ]
    answer(as_json, {"schemes": documents}, table(("currency", "term", "value"), rows))
