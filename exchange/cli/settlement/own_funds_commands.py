"""`own-funds`: what is the operator's own at the bank, and how it is taken out."""

from typing import Annotated, Any

import typer

from exchange.cli.calling import App, ByActingOperator, ByOperator
from exchange.cli.connection import Connection
from exchange.cli.documents import instant, money
from exchange.cli.output import answer, table
from partners.points import currency_scale, parse_amount
from pointclear.settlement.v1 import own_funds_pb2 as pb

CurrencyArgument = Annotated[
    str, typer.Argument(metavar="CURRENCY", help="ISO 4217 code of the settlement currency.")
]


def own_funds_app() -> App:
    """The commands about the operator's own funds."""
    app = App(
        no_args_is_help=True,
        help="Show the operator's own money, and take fees and taxes out by two operators.",
    )
    app.command("list")(list_own_funds)
    app.command("withdraw")(withdraw)
    app.command("recall")(recall)
    return app


def list_own_funds(
    by: ByOperator,
    currency: CurrencyArgument,
) -> None:
    """List the operator's accounts and what was withdrawn from them.

    On `hub.promotions` stands what the operator owes for bonuses: each window's draft says what it
    is to pay, and the window's legs the reference under which.
    """
    with by.connect() as connection:
        found = own_funds_of(connection, currency)
    accounts = [
        {
            "name": each.name,
            "balance": money(each.posted, currency),
            "on_its_way": money(each.on_its_way, currency),
            "free": money(each.free, currency),
        }
        for each in found.accounts
    ]
    withdrawals = [withdrawal_document(each, currency) for each in found.withdrawals]
    stands = table(
        ("account", "balance", "on its way", "may be withdrawn"),
        [tuple(each.values()) for each in accounts],
        right=("balance", "on its way", "may be withdrawn"),
    )
    taken = table(
        ("no.", "from", "amount", "reference", "state"),
        [
            (each["number"], each["account"], each["amount"], each["reference"], each["state"])
            for each in withdrawals
        ],
        right=("no.", "amount"),
    )
    answer(
        by.as_json,
        {"currency": currency, "accounts": accounts, "withdrawals": withdrawals},
        stands,
        *((taken,) if withdrawals else ()),
    )


def withdraw(
    by: ByActingOperator,
    currency: CurrencyArgument,
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="Such as 1250.00.")],
    account: Annotated[
        str, typer.Option("--from", metavar="ACCOUNT", help="As `own-funds list` names it.")
    ] = "hub.fees",
    number: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Which withdrawal of the currency."
            " [default: the newest where it is this one and the bank has not made it, or the next]",
        ),
    ] = None,
) -> None:
    """Take fees or taxes out: have the bank pay them to the operator's own account.

    What has been earned, lies at the bank, and is not what creditors wait for may be withdrawn.
    Then tell the bank to pay it, with the reference that this prints.
    """
    units = parse_amount(amount, currency_scale(currency).scale, "amount")
    with by.connect() as connection:
        if number is None:
            number = _number(own_funds_of(connection, currency), account, units)
        response: pb.WithdrawOwnFundsResponse = connection.call(
            connection.settlement.WithdrawOwnFunds,
            pb.WithdrawOwnFundsRequest(
                currency=currency, account=account, amount=units, number=number
            ),
        )
    document = withdrawal_document(response.withdrawal, currency)
    answer(
        by.as_json,
        {"withdrawal": document},
        f"Withdrawal {number} of {document['amount']} {currency} from {account} is"
        f" {document['state'].lower()}",
        f"Pay it at the bank with the reference {document['reference']}",
    )


def recall(
    by: ByActingOperator,
    currency: CurrencyArgument,
    number: Annotated[int, typer.Argument(metavar="N", help="As `own-funds list` says.")],
) -> None:
    """Take a withdrawal back that the bank has not made, and will not make."""
    with by.connect() as connection:
        response: pb.RecallOwnFundsResponse = connection.call(
            connection.settlement.RecallOwnFunds,
            pb.RecallOwnFundsRequest(currency=currency, number=number),
        )
    document = withdrawal_document(response.withdrawal, currency)
    answer(by.as_json, {"withdrawal": document}, f"Withdrawal {number} is taken back")


def own_funds_of(connection: Connection, currency: str) -> pb.ListOwnFundsResponse:
    """What the server knows of the operator's own funds in a currency."""
    request = pb.ListOwnFundsRequest(currency=currency)
    response: pb.ListOwnFundsResponse = connection.call(connection.settlement.ListOwnFunds, request)
    return response


def _number(found: pb.ListOwnFundsResponse, account: str, units: int) -> int:
    """Which withdrawal is meant: who repeats one that was approved means that, not another."""
    if found.withdrawals:
        newest = found.withdrawals[-1]
        is_pending = newest.state == pb.OWN_WITHDRAWAL_STATE_PENDING
        if is_pending and (newest.account, newest.amount) == (account, units):
            return newest.number
    return len(found.withdrawals) + 1


def withdrawal_document(withdrawal: pb.OwnWithdrawal, currency: str) -> dict[str, Any]:
    """A withdrawal as `--json` shows it."""
    state = pb.OwnWithdrawalState.Name(withdrawal.state)
    return {
        "number": withdrawal.number,
        "account": withdrawal.account,
        "amount": money(withdrawal.amount, currency),
        "reference": withdrawal.reference,
        "state": state.removeprefix("OWN_WITHDRAWAL_STATE_"),
        "log_index": withdrawal.log_index,
        "recorded_at": instant(withdrawal.recorded_at),
    }
