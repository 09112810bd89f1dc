"""`invoice issue`, `list`, `show`, `set`, `agreed` and `details`."""

from typing import Annotated, Any

import typer

from exchange.cli.calling import App, ByActingOperator, ByAnybody
from exchange.cli.documents import instant, money
from exchange.cli.output import answer, pairs, table
from exchange.cli.settlement.billing_commands import address_text, details_app, details_document
from pointclear.settlement.v1 import month_pb2 as pb

ISSUE_TIMEOUT_S = 600.0
"""A month of millions of lines takes minutes."""

CurrencyOption = Annotated[str, typer.Option(help="ISO 4217 code of the settlement currency.")]
OwnCurrencyOption = Annotated[
    str, typer.Option(help="ISO 4217 code; an operator must say. [default: the caller's]")
]


def invoice_app() -> App:
    """The commands about invoices and credit notes."""
    app = App(no_args_is_help=True, help="Issue and read invoices and credit notes.")
    app.command("issue")(issue)
    app.command("list")(list_invoices)
    app.command("show")(show)
    app.command("set")(set_invoicing)
    app.command("agreed")(agreed)
    app.add_typer(details_app(), name="details")
    return app


def issue(
    by: ByActingOperator,
    month: Annotated[str, typer.Argument(metavar="YYYY-MM", help="The month of supply.")],
    currency: CurrencyOption,
) -> None:
    """Issue the invoices and credit notes of a month.

    The month is over and all its windows are stated. Nothing is issued while a document that
    charges tax lacks a party's billing details. Repeating it is harmless.
    """
    request = pb.IssueInvoicesRequest(currency=currency, month=month)
    with by.connect() as connection:
        response: pb.IssueInvoicesResponse = connection.call(
            connection.settlement.IssueInvoices, request, ISSUE_TIMEOUT_S
        )
    rest = [_supply_document(each, currency) for each in response.not_invoiced]
    unknown = list(response.parties_without_details)
    answer(
        by.as_json,
        {
            "month": month,
            "currency": currency,
            "invoices": list(response.invoice_ids),
            "issued": response.issued,
            "not_invoiced": rest,
            "parties_without_details": unknown,
        },
        f"{month}: {len(response.invoice_ids)} documents, {response.issued} of them issued now",
        *([f"issued without billing details of: {', '.join(unknown)}"] if unknown else []),
        *([_rest_table(rest, currency)] if rest else []),
    )


def list_invoices(
    by: ByAnybody,
    month: Annotated[str, typer.Option(metavar="YYYY-MM", help="Only of this month.")] = "",
    currency: OwnCurrencyOption = "",
    partner: Annotated[str, typer.Option(help="Only of this supplier or customer.")] = "",
) -> None:
    """List invoices and credit notes in the order in which they were issued."""
    request = pb.ListInvoicesRequest(currency=currency, month=month, partner_id=partner)
    with by.connect() as connection:
        pages = connection.pages(connection.settlement.ListInvoices, request)
        found: list[pb.Invoice] = [each for page in pages for each in page.invoices]
    documents = [invoice_document(each) for each in found]
    answer(
        by.as_json,
        {"invoices": documents},
        table(
            ("id", "kind", "month", "supplier", "customer", "supply", "total", "currency"),
            [
                tuple(
                    each[name]
                    for name in (
                        *("invoice_id", "kind", "month", "supplier", "customer"),
                        *("type", "total", "currency"),
                    )
                )
                for each in documents
            ],
            right=("total",),
        ),
    )


def show(
    by: ByAnybody,
    invoice_id: Annotated[str, typer.Argument(help="Such as hub/FEE/1.")],
) -> None:
    """Show one invoice or credit note with its lines."""
    with by.connect() as connection:
        response: pb.GetInvoiceResponse = connection.call(
            connection.settlement.GetInvoice, pb.GetInvoiceRequest(invoice_id=invoice_id)
        )
    document = invoice_document(response.invoice)
    shown = ("kind", "month", "supplier", "customer", "type", "mode", "corrects", "issued_at")
    sums = ("net", "tax", "rounding", "total")
    answer(
        by.as_json,
        document,
        pairs(
            (
                *((name.replace("_", " "), document[name]) for name in ("name", *shown)),
                *_details_rows(document),
            )
        ),
        table(
            ("corridor", "agreement", "promotion", "tax", "count", "points", "net", "tax amount"),
            [_line_row(each) for each in document["lines"]],
            right=("count", "points", "net", "tax amount"),
        ),
        pairs((name, f"{document[name]} {document['currency']}") for name in sums),
    )


def set_invoicing(
    by: ByActingOperator,
    supplier: Annotated[str, typer.Option(help="A partner, or `hub` for the operator's fees.")],
    supply: Annotated[str, typer.Option(help="value, fee or promotion.")],
    how: Annotated[str, typer.Option(help="supplier, self-billed or none.")],
    currency: CurrencyOption,
    customer: Annotated[str, typer.Option(help="A partner, `hub`, or all others.")] = "*",
    agreement: Annotated[
        str, typer.Option(help="Id of the agreement; needed for self-billed.")
    ] = "",
    series: Annotated[str, typer.Option(help="Name of the series. [default: by supply]")] = "",
) -> None:
    """Record how supplies are invoiced in all months that are invoiced from now on."""
    invoicing = pb.Invoicing(
        supplier=supplier,
        customer=customer,
        type=_choice(pb.SupplyType, "SUPPLY_TYPE_", supply, "--supply"),
        mode=_choice(pb.InvoicingMode, "INVOICING_MODE_", how, "--how"),
        agreement=agreement,
        series=series,
    )
    request = pb.SetInvoicingRequest(currency=currency, invoicing=invoicing)
    with by.connect() as connection:
        connection.call(connection.settlement.SetInvoicing, request)
    document = _invoicing_document(invoicing)
    answer(by.as_json, document, f"{supplier} to {customer}, {supply}: {how}")


def agreed(
    by: ByAnybody,
    currency: OwnCurrencyOption = "",
) -> None:
    """Show how supplies are invoiced, as it was recorded."""
    with by.connect() as connection:
        response: pb.ListInvoicingResponse = connection.call(
            connection.settlement.ListInvoicing, pb.ListInvoicingRequest(currency=currency)
        )
    documents = [_invoicing_document(each) for each in response.invoicing]
    names = ("supplier", "customer", "type", "mode", "agreement", "series")
    answer(
        by.as_json,
        {"invoicing": documents},
        table(names, [tuple(each[name] for name in names) for each in documents]),
    )


def invoice_document(invoice: pb.Invoice) -> dict[str, Any]:
    """An invoice or a credit note."""
    currency = invoice.currency
    return {
        "invoice_id": invoice.invoice_id,
        "name": invoice.name,
        "kind": "CREDIT_NOTE" if invoice.is_credit_note else "INVOICE",
        "issuer": invoice.issuer,
        "series": invoice.series,
        "number": invoice.number,
        "month": invoice.month,
        "currency": currency,
        "supplier": invoice.supplier,
        "supplier_name": invoice.supplier_name,
        "customer": invoice.customer,
        "customer_name": invoice.customer_name,
        "type": _name(pb.SupplyType, "SUPPLY_TYPE_", invoice.type),
        "mode": _name(pb.InvoicingMode, "INVOICING_MODE_", invoice.mode),
        "agreement": invoice.agreement,
        "corrects": list(invoice.corrects),
        "lines": [_line_document(each, currency) for each in invoice.lines],
        "net": money(invoice.net, currency),
        "taxes": [
            {
                "tax_code": each.tax_code,
                "basis_points": each.basis_points,
                "net": money(each.net, currency),
                "tax": money(each.tax, currency),
            }
            for each in invoice.taxes
        ],
        "tax": money(invoice.tax, currency),
        "rounding": money(invoice.rounding, currency),
        "total": money(invoice.total, currency),
        "windows": list(invoice.windows),
        "issued_at": instant(invoice.issued_at),
        "log_index": invoice.log_index,
        # Null where nothing was recorded when the document was issued.
        "supplier_details": (
            details_document(invoice.supplier_details)
            if invoice.HasField("supplier_details")
            else None
        ),
        "customer_details": (
            details_document(invoice.customer_details)
            if invoice.HasField("customer_details")
            else None
        ),
    }


def _details_rows(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Name, address and tax number of both parties, for people."""
    rows = []
    for side in ("supplier", "customer"):
        details = document[f"{side}_details"]
        if details:
            known = (details["name"], address_text(details), details["tax_number"])
            rows.append((f"{side} details", "; ".join(each for each in known if each)))
    return rows


def _line_document(line: pb.InvoiceLine, currency: str) -> dict[str, Any]:
    return {
        "source_program": line.source_program,
        "target_program": line.target_program,
        "agreement_id": line.agreement_id,
        "promotion_id": line.promotion_id,
        "tax_code": line.tax_code,
        "tax_basis_points": line.tax_basis_points,
        "is_reversed": line.is_reversed,
        "corrects": line.corrects,
        "count": line.count,
        "points": line.points,
        "net": money(line.net, currency),
        "tax": money(line.tax, currency),
    }


def _line_row(line: dict[str, Any]) -> tuple[object, ...]:
    what = " reversed" if line["is_reversed"] else ""
    return (
        f"{line['source_program']} to {line['target_program']}{what}",
        line["agreement_id"],
        line["promotion_id"],
        line["tax_code"],
        line["count"],
        line["points"],
        line["net"],
        line["tax"],
    )


def _supply_document(supply: pb.NotInvoiced, currency: str) -> dict[str, Any]:
    return {
        "supplier": supply.supplier,
        "customer": supply.customer,
        "type": _name(pb.SupplyType, "SUPPLY_TYPE_", supply.type),
        "net": money(supply.net, currency),
        "tax": money(supply.tax, currency),
    }


def _rest_table(rest: list[dict[str, Any]], currency: str) -> Any:
    return table(
        ("not invoiced here", "to", "supply", f"net {currency}", f"tax {currency}"),
        [tuple(each.values()) for each in rest],
        right=(f"net {currency}", f"tax {currency}"),
    )


def _invoicing_document(invoicing: pb.Invoicing) -> dict[str, Any]:
    return {
        "supplier": invoicing.supplier,
        "customer": invoicing.customer,
        "type": _name(pb.SupplyType, "SUPPLY_TYPE_", invoicing.type),
        "mode": _name(pb.InvoicingMode, "INVOICING_MODE_", invoicing.mode),
        "agreement": invoicing.agreement,
        "series": invoicing.series,
    }


def _name(choices: Any, prefix: str, number: int) -> str:
    return str(choices.Name(number)).removeprefix(prefix)


def _choice(choices: Any, prefix: str, text: str, option: str) -> Any:
    known = {name.removeprefix(prefix).lower().replace("_", "-"): n for name, n in choices.items()}
    if not known.get(text):
        named = ", ".join(name for name, number in known.items() if number)
        raise typer.BadParameter(f"one of {named}", param_hint=option)
    return known[text]
