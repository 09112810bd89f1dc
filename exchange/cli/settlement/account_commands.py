"""`account submit`, `account approve`, `account refuse` and `account list`: where partners are
paid.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from exchange.cli.calling import App, ByActingOperator, ByAnybody
from exchange.cli.connection import Connection, connect
from exchange.cli.documents import instant
from exchange.cli.options import (
    JsonOption,
    PartnerProfileOption,
    ServerOption,
    partner_profile,
)
from exchange.cli.output import answer, pairs, table
from partners.envelope import SETTLEMENT_ACCOUNT, sign
from partners.errors import Reason, Refused
from partners.keys import Purpose
from partners.wire import envelope_to_proto, time_to_proto
from pointclear.partners.v1.partners_service_pb2 import ListPartnersRequest, ListPartnersResponse
from pointclear.settlement.v1 import account_pb2 as pb

PartnerArgument = Annotated[str, typer.Argument(metavar="PARTNER", help="Whose account.")]
VersionArgument = Annotated[int, typer.Argument(metavar="VERSION", help="As `account list` says.")]


def account_app() -> App:
    """The commands about partners' bank accounts."""
    app = App(
        no_args_is_help=True, help="Say where a partner is paid, and let it in by two operators."
    )
    app.command("submit")(submit)
    app.command("approve")(approve)
    app.command("refuse")(refuse)
    app.command("list")(list_accounts)
    return app


def submit(
    profile_dir: PartnerProfileOption,
    name: Annotated[str, typer.Option(help="The holder, as the bank knows it.")],
    town: Annotated[str, typer.Option(help="Of the holder's address.")],
    country: Annotated[str, typer.Option(help="Of the address: two letters, ISO 3166-1.")],
    iban: Annotated[str, typer.Option(help="With or without spaces.")] = "",
    other: Annotated[
        str, typer.Option("--number", help="The account's number, where there is no IBAN.")
    ] = "",
    bic: Annotated[str, typer.Option(help="Of the bank; needed without an IBAN.")] = "",
    clearing: Annotated[
        str,
        typer.Option(metavar="SYSTEM:MEMBER", help="In place of a BIC, such as USABA:021000021."),
    ] = "",
    street: Annotated[str, typer.Option(help="Of the address.")] = "",
    building: Annotated[str, typer.Option(help="Number of the house.")] = "",
    postcode: Annotated[str, typer.Option(help="Of the address.")] = "",
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign where you are paid, with your key for agreements, and submit it.

    Nothing is paid there before two operators have approved it and the cooling time is over. If you
    did not mean it, revoke the key, or ask the operator to refuse it. Repeating it is harmless.
    """
    profile = partner_profile(profile_dir, server)
    system, _, member = clearing.partition(":")
    account = pb.BankAccount(
        iban="".join(iban.split()).upper(),
        other=other,
        bic=bic.upper(),
        clearing_system=system,
        clearing_member=member,
        name=name,
        address=pb.PostalAddress(
            street=street, building=building, postcode=postcode, town=town, country=country.upper()
        ),
    )
    with connect(profile) as connection:
        known = accounts_of(connection, profile.caller.name)
        newest = known[-1] if known else None
        if newest is None or newest.account != account or not stands(newest):
            event = pb.SettlementAccountEvent(
                audience=profile.audience,
                partner_id=profile.caller.name,
                currency=_currency_of(connection),
                version=(newest.version if newest else 0) + 1,
                account=account,
                issued_at=time_to_proto(datetime.now(UTC)),
            ).SerializeToString(deterministic=True)
            envelope = sign(profile.signer(Purpose.AGREEMENTS), SETTLEMENT_ACCOUNT, event)
            response: pb.SubmitSettlementAccountResponse = connection.call(
                connection.settlement.SubmitSettlementAccount,
                pb.SubmitSettlementAccountRequest(event=envelope_to_proto(envelope)),
            )
            newest = response.account
    _show(as_json, newest)


def approve(
    by: ByActingOperator,
    partner: PartnerArgument,
    version: VersionArgument,
) -> None:
    """Approve a partner's newest account; its cooling time begins.

    Ask the partner first, another way than the one by which the account came, whether it is theirs.
    """
    profile = by.profile()
    with connect(profile, by.reason) as connection:
        named = _named(connection, partner, version)
        response: pb.ApproveSettlementAccountResponse = connection.call(
            connection.settlement.ApproveSettlementAccount,
            pb.ApproveSettlementAccountRequest(
                partner_id=partner, version=version, sha256=named.sha256
            ),
        )
    _show(by.as_json, response.account)


def refuse(
    by: ByActingOperator,
    partner: PartnerArgument,
    version: VersionArgument,
) -> None:
    """Refuse an account that is not in effect yet. One operator is enough."""
    profile = by.profile()
    with connect(profile, by.reason) as connection:
        response: pb.RefuseSettlementAccountResponse = connection.call(
            connection.settlement.RefuseSettlementAccount,
            pb.RefuseSettlementAccountRequest(partner_id=partner, version=version),
        )
    _show(by.as_json, response.account)


def list_accounts(
    by: ByAnybody,
    partner: Annotated[
        str, typer.Option(help="Whose accounts. [default: the caller's, or all for an operator]")
    ] = "",
) -> None:
    """List every version of partners' accounts."""
    with by.connect() as connection:
        documents = [account_document(each) for each in accounts_of(connection, partner)]
    answer(
        by.as_json,
        {"accounts": documents},
        table(
            ("partner", "version", "account", "bank", "holder", "state", "from"),
            [
                (
                    each["partner_id"],
                    each["version"],
                    each["iban"] or each["number"],
                    each["bic"] or each["clearing"],
                    each["name"],
                    each["state"],
                    each["effective_from"] or "",
                )
                for each in documents
            ],
        ),
    )


def accounts_of(connection: Connection, partner: str) -> list[pb.SettlementAccountVersion]:
    """Every version of a partner's account, or of all that the caller may see. Raises Failed."""
    response: pb.ListSettlementAccountsResponse = connection.call(
        connection.settlement.ListSettlementAccounts,
        pb.ListSettlementAccountsRequest(partner_id=partner),
    )
    return list(response.accounts)


def stands(version: pb.SettlementAccountVersion) -> bool:
    """Whether a version is in effect, or may come to be."""
    return version.state in (
        pb.ACCOUNT_STATE_SUBMITTED,
        pb.ACCOUNT_STATE_COOLING,
        pb.ACCOUNT_STATE_EFFECTIVE,
    )


def account_document(version: pb.SettlementAccountVersion) -> dict[str, Any]:
    """A version for machines."""
    return {
        "partner_id": version.partner_id,
        "currency": version.currency,
        "version": version.version,
        "state": pb.AccountState.Name(version.state).removeprefix("ACCOUNT_STATE_"),
        **bank_account_document(version.account),
        "sha256": version.sha256.hex(),
        "log_index": version.log_index,
        "submitted_at": instant(version.submitted_at),
        "approved_at": instant(version.approved_at),
        "effective_from": instant(version.effective_from),
    }


def bank_account_document(account: pb.BankAccount) -> dict[str, Any]:
    """A bank account for machines."""
    address = account.address
    clearing = f"{account.clearing_system}:{account.clearing_member}"
    return {
        "iban": account.iban,
        "number": account.other,
        "bic": account.bic,
        "clearing": clearing if account.clearing_system else "",
        "name": account.name,
        "street": address.street,
        "building": address.building,
        "postcode": address.postcode,
        "town": address.town,
        "country": address.country,
    }


def _named(connection: Connection, partner: str, version: int) -> pb.SettlementAccountVersion:
    for each in accounts_of(connection, partner):
        if each.version == version:
            return each
    raise Refused(Reason.FIELD_INVALID, "version", f"{partner} has submitted no version {version}")


def _currency_of(connection: Connection) -> str:
    """In what the calling partner settles. Raises Failed."""
    response: ListPartnersResponse
    own = connection.profile.caller.name
    for response in connection.pages(connection.partners.ListPartners, ListPartnersRequest()):
        for each in response.partners:
            if each.partner_id == own:
                return str(each.settlement_account.currency)
    raise Refused(Reason.PARTNER_UNKNOWN, "partner_id", f"there is no partner {own}")


def _show(as_json: bool, version: pb.SettlementAccountVersion) -> None:
    document = account_document(version)
    shown = [(name.replace("_", " "), value) for name, value in document.items() if value]
    answer(as_json, {"account": document}, pairs(shown))
