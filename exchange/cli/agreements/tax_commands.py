"""`tax add` and `tax list`."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from exchange.cli.calling import App, ByActingOperator, ByAnybody
from exchange.cli.connection import connect
from exchange.cli.documents import instant
from exchange.cli.options import (
    parse_instant,
)
from exchange.cli.output import answer, table
from partners.wire import time_to_proto
from pointclear.partners.v1.partners_service_pb2 import (
    AddTaxRateRequest,
    AddTaxRateResponse,
    ListTaxRatesRequest,
    TaxRate,
)


def tax_app() -> App:
    """The commands about taxes."""
    app = App(no_args_is_help=True, help="Add and list the rates of taxes.")
    app.command("add")(add)
    app.command("list")(list_rates)
    return app


def add(
    by: ByActingOperator,
    tax_code: Annotated[str, typer.Argument(metavar="CODE", help="The tax, such as vat6.")],
    basis_points: Annotated[int, typer.Option("--bps", help="The rate in basis points.")],
    effective_from: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="TIME",
            help="The day or instant from which it holds, ISO 8601; UTC if it names no offset.",
        ),
    ],
) -> None:
    """Add the rate of a tax from a future day on; a code that is new begins with it.

    Transfers are taxed by the rate in force at their moment; none is taxed again.
    """
    profile = by.profile()
    try:
        rate = TaxRate(
            tax_code=tax_code,
            basis_points=basis_points,
            effective_from=time_to_proto(parse_instant(effective_from)),
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    with connect(profile, by.reason) as connection:
        response: AddTaxRateResponse = connection.call(
            connection.partners.AddTaxRate, AddTaxRateRequest(rate=rate)
        )
    document = rate_document(response.rate)
    answer(
        by.as_json,
        {"rate": document},
        f"{document['tax_code']}: {document['basis_points']} basis points"
        f" from {document['effective_from']}",
    )


def list_rates(
    by: ByAnybody,
) -> None:
    """List every tax with its rates, past and to come."""
    with by.connect() as connection:
        pages = connection.pages(connection.partners.ListTaxRates, ListTaxRatesRequest())
        rates = [rate_document(each) for page in pages for each in page.rates]
    now = datetime.now(UTC)
    answer(
        by.as_json,
        {"rates": rates},
        table(
            ("tax", "basis points", "from", ""),
            [
                (
                    each["tax_code"],
                    each["basis_points"],
                    each["effective_from"] or "ever",
                    "to come" if is_to_come(each, now) else "",
                )
                for each in rates
            ],
            right=("basis points",),
        ),
    )


def rate_document(rate: TaxRate) -> dict[str, Any]:
    """A rate for machines; one that has held since ever has no instant."""
    return {
        "tax_code": rate.tax_code,
        "basis_points": rate.basis_points,
        "effective_from": instant(rate.effective_from),
    }


def is_to_come(rate: dict[str, Any], now: datetime) -> bool:
    """Whether a rate begins after `now`."""
    begins = rate["effective_from"]
    return begins is not None and datetime.fromisoformat(begins) > now
