"""`invoice details set` and `invoice details show`: who parties are for tax law.

`set` reads what holds of the party and changes what it was told of; a file says all of it.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.cli.calling import App, ByActingOperator, ByAnybody
from exchange.cli.connection import Connection
from exchange.cli.documents import instant
from exchange.cli.output import answer, pairs, table
from partners.errors import Reason, Refused
from partners.files import read_file
from pointclear.settlement.v1 import billing_pb2 as pb
from pointclear.settlement.v1.account_pb2 import PostalAddress

ADDRESS = ("street", "building", "postcode", "town", "country")
MEMBERS = ("name", *ADDRESS, "tax_number", "tax_country", "effective_from")
"""Of a file."""

AddressOption = Annotated[str | None, typer.Option(help="Of the address.")]


def details_app() -> App:
    """The commands about billing details."""
    app = App(
        no_args_is_help=True, help="Say who parties are on invoices: names, addresses, tax numbers."
    )
    app.command("set")(set_details)
    app.command("show")(show)
    return app


def set_details(
    by: ByActingOperator,
    party: Annotated[str, typer.Argument(metavar="PARTY", help="A partner, or `hub`.")],
    currency: Annotated[str, typer.Option(help="ISO 4217 code of the settlement currency.")],
    file: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="All of it, as one object; options come after it."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The full legal name.")] = None,
    street: AddressOption = None,
    building: Annotated[str | None, typer.Option(help="Number of the house.")] = None,
    postcode: AddressOption = None,
    town: AddressOption = None,
    country: Annotated[
        str | None, typer.Option(help="Of the address: two letters, ISO 3166-1.")
    ] = None,
    tax_number: Annotated[
        str | None,
        typer.Option(help="With its country's prefix, such as DE136695976; '' for none."),
    ] = None,
    tax_country: Annotated[
        str | None, typer.Option(help="Whose number it is. [default: the address's country]")
    ] = None,
    effective_from: Annotated[
        str | None,
        typer.Option("--from", metavar="YYYY-MM-DD", help="First day of issue. [default: at once]"),
    ] = None,
) -> None:
    """Record who a party is on documents that are issued from now on, or from a day on.

    Without a file, what is not named stays as it is. What was issued stays as it was issued.
    """
    given = {
        "name": name,
        "street": street,
        "building": building,
        "postcode": postcode,
        "town": town,
        "country": country,
        "tax_number": tax_number,
        "tax_country": tax_country,
        "effective_from": effective_from,
    }
    with by.connect() as connection:
        before = _read(file) if file else _in_effect(connection, party, currency)
        if tax_number is not None:
            # Another number may be another country's.
            before = before | {"tax_country": ""}
        values = before | {each: value for each, value in given.items() if value is not None}
        response: pb.SetBillingDetailsResponse = connection.call(
            connection.settlement.SetBillingDetails, _request(party, currency, values)
        )
    document = version_document(response.recorded)
    shown = [(each.replace("_", " "), value) for each, value in document.items() if value != ""]
    answer(by.as_json, document, pairs(shown))


def show(
    by: ByAnybody,
    party: Annotated[
        str, typer.Argument(metavar="[PARTY]", help="A partner, or `hub`. [default: all]")
    ] = "",
    currency: Annotated[
        str, typer.Option(help="ISO 4217 code; an operator must say. [default: the caller's]")
    ] = "",
) -> None:
    """Show who parties are on documents, every version; a partner sees its own, and the hub's."""
    with by.connect() as connection:
        documents = [version_document(each) for each in _versions(connection, party, currency)]
    answer(
        by.as_json,
        {"details": documents},
        table(
            ("party", "from", "holds", "name", "address", "tax number"),
            [
                (
                    each["party"],
                    each["effective_from"],
                    "yes" if each["is_in_effect"] else "",
                    each["name"],
                    address_text(each),
                    each["tax_number"],
                )
                for each in documents
            ],
        ),
    )


def version_document(version: pb.BillingDetailsVersion) -> dict[str, Any]:
    """A version; its members that a file may have are those that can be set."""
    return {
        "party": version.party,
        **details_document(version.details),
        "effective_from": version.effective_from,
        "is_in_effect": version.is_in_effect,
        "recorded_at": instant(version.recorded_at),
        "log_index": version.log_index,
    }


def details_document(details: pb.BillingDetails) -> dict[str, str]:
    """Who a party is for tax law."""
    address = details.address
    return {
        "name": details.name,
        "street": address.street,
        "building": address.building,
        "postcode": address.postcode,
        "town": address.town,
        "country": address.country,
        "tax_number": details.tax_number,
        "tax_country": details.tax_country,
    }


def address_text(details: dict[str, Any]) -> str:
    """An address in one line."""
    street = f"{details['street']} {details['building']}".strip()
    town = f"{details['postcode']} {details['town']}".strip()
    return ", ".join(each for each in (street, town, details["country"]) if each)


def _request(party: str, currency: str, values: dict[str, str]) -> pb.SetBillingDetailsRequest:
    address = {each: values.get(each, "") for each in ADDRESS}
    address["country"] = address["country"].upper()
    return pb.SetBillingDetailsRequest(
        currency=currency,
        party=party,
        details=pb.BillingDetails(
            name=values.get("name", ""),
            address=PostalAddress(**address),
            tax_number=values.get("tax_number", ""),
            tax_country=values.get("tax_country", "").upper(),
        ),
        effective_from=values.get("effective_from", ""),
    )


def _read(path: Path) -> dict[str, str]:
    """The members of a file. Raises FileError, or Refused(FIELD_INVALID) naming the member."""
    try:
        values = json.loads(read_file(path))
    except ValueError as error:
        raise Refused(Reason.FIELD_INVALID, "file", f"this is no JSON: {error}") from None
    if not isinstance(values, dict):
        raise Refused(Reason.FIELD_INVALID, "file", "the file holds no object")
    for each, value in values.items():
        if each not in MEMBERS:
            raise Refused(
                Reason.FIELD_INVALID, each, f"there is no such member: use {', '.join(MEMBERS)}"
            )
        if not isinstance(value, str):
            raise Refused(Reason.FIELD_INVALID, each, "every member is a text")
    return values


def _in_effect(connection: Connection, party: str, currency: str) -> dict[str, str]:
    """What holds of a party now; empty where nothing does."""
    for each in _versions(connection, party, currency):
        if each.is_in_effect:
            return details_document(each.details)
    return {}


def _versions(connection: Connection, party: str, currency: str) -> list[pb.BillingDetailsVersion]:
    request = pb.ListBillingDetailsRequest(currency=currency, party=party)
    response: pb.ListBillingDetailsResponse = connection.call(
        connection.settlement.ListBillingDetails, request
    )
    return list(response.versions)
