"""`collateral list`, `collateral withdraw`, `collateral approve` and `collateral refuse`."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import typer
import uuid_utils

from exchange.cli.calling import App, ByActingOperator, ByAnybody
from exchange.cli.connection import Connection, connect
from exchange.cli.documents import instant, money
from exchange.cli.options import (
    JsonOption,
    PartnerProfileOption,
    ServerOption,
    parse_uuid,
    partner_profile,
)
from exchange.cli.output import answer, pairs, table
from partners.envelope import COLLATERAL_WITHDRAWAL, sign
from partners.errors import Reason, Refused
from partners.keys import Purpose
from partners.points import currency_scale, parse_amount
from partners.wire import envelope_to_proto, time_to_proto
from pointclear.settlement.v1 import collateral_pb2 as pb

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="As `collateral list` says.")]


def collateral_app() -> App:
    """The commands about collateral."""
    app = App(no_args_is_help=True, help="Show collateral, and have it paid back by two operators.")
    app.command("list")(list_collateral)
    app.command("withdraw")(withdraw)
    app.command("approve")(approve)
    app.command("refuse")(refuse)
    return app


def list_collateral(
    by: ByAnybody,
    partner: Annotated[
        str, typer.Option(help="Whose. [default: the caller's, or all for an operator]")
    ] = "",
) -> None:
    """List collateral, what moved it, and the withdrawals that were asked for.

    Money that is paid to the collateral account with a partner's reference tops it up.
    """
    with by.connect() as connection:
        found = [collateral_document(each) for each in collateral_of(connection, partner)]
    names = ("partner_id", "currency", "balance", "on_its_way", "free", "top_up_reference")
    columns = ("partner", "currency", "balance", "on its way", "free", "top-ups name")
    stands = table(columns, [[each[name] for name in names] for each in found], right=columns[2:5])
    moves = [
        (each["partner_id"], "withdrawal", move["amount"], move["state"], move["withdrawal_id"])
        for each in found
        for move in each["withdrawals"]
    ] + [
        (
            each["partner_id"],
            move["kind"].lower().replace("_", " "),
            move["amount"],
            "confirmed" if move["confirmed"] else "pending",
            move["reference"],
        )
        for each in found
        for move in each["movements"]
        if move["kind"] != "WITHDRAWAL"
    ]
    moved = table(("partner", "movement", "amount", "state", "id"), moves, right=("amount",))
    answer(by.as_json, {"collateral": found}, stands, *((moved,) if moves else ()))


def withdraw(
    profile_dir: PartnerProfileOption,
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="Such as 5000.00.")],
    withdrawal_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Of a request that is repeated.")
    ] = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask for collateral back, signed with your key for agreements.

    Two operators let it go; it is paid to your settlement account. What covers what you owe stays.
    """
    profile = partner_profile(profile_dir, server)
    named = parse_uuid(withdrawal_id) if withdrawal_id else UUID(str(uuid_utils.uuid7()))
    with connect(profile) as connection:
        (own,) = collateral_of(connection, profile.caller.name)
        request = pb.CollateralWithdrawal(
            audience=profile.audience,
            partner_id=profile.caller.name,
            withdrawal_id=named.bytes,
            currency=own.currency,
            amount=parse_amount(amount, currency_scale(own.currency).scale, "amount"),
            issued_at=time_to_proto(datetime.now(UTC)),
        ).SerializeToString(deterministic=True)
        envelope = sign(profile.signer(Purpose.AGREEMENTS), COLLATERAL_WITHDRAWAL, request)
        response: pb.RequestWithdrawalResponse = connection.call(
            connection.settlement.RequestWithdrawal,
            pb.RequestWithdrawalRequest(withdrawal=envelope_to_proto(envelope)),
        )
    _show(as_json, response.withdrawal)


def approve(
    by: ByActingOperator,
    withdrawal_id: IdArgument,
) -> None:
    """Let a withdrawal go: the bank is to make it. Collateral that covers a debt stays."""
    with by.connect() as connection:
        named = _named(connection, withdrawal_id)
        response: pb.ApproveWithdrawalResponse = connection.call(
            connection.settlement.ApproveWithdrawal,
            pb.ApproveWithdrawalRequest(withdrawal_id=named.withdrawal_id, sha256=named.sha256),
        )
    _show(by.as_json, response.withdrawal)


def refuse(
    by: ByActingOperator,
    withdrawal_id: IdArgument,
) -> None:
    """Refuse a withdrawal, or take back one that the bank has not made. Ask the bank first."""
    with by.connect() as connection:
        response: pb.RefuseWithdrawalResponse = connection.call(
            connection.settlement.RefuseWithdrawal,
            pb.RefuseWithdrawalRequest(withdrawal_id=parse_uuid(withdrawal_id).bytes),
        )
    _show(by.as_json, response.withdrawal)


def collateral_of(connection: Connection, partner: str) -> list[pb.Collateral]:
    """A partner's collateral, or that of all whom the caller may see. Raises Failed."""
    response: pb.ListCollateralResponse = connection.call(
        connection.settlement.ListCollateral, pb.ListCollateralRequest(partner_id=partner)
    )
    return list(response.collateral)


def collateral_document(collateral: pb.Collateral) -> dict[str, Any]:
    """A partner's collateral for machines."""
    kind = pb.CollateralMovementKind

    def figure(units: int) -> str:
        return money(units, collateral.currency)

    return {
        "partner_id": collateral.partner_id,
        "currency": collateral.currency,
        "balance": figure(collateral.balance),
        "on_its_way": figure(collateral.on_its_way),
        "free": figure(collateral.free),
        "top_up_reference": collateral.top_up_reference,
        "movements": [
            {
                "kind": kind.Name(each.kind).removeprefix("COLLATERAL_MOVEMENT_KIND_"),
                "amount": figure(each.amount),
                "reference": each.reference,
                "confirmed": each.confirmed,
                "log_index": each.log_index,
                "recorded_at": instant(each.recorded_at),
            }
            for each in collateral.movements
        ],
        "withdrawals": [withdrawal_document(each) for each in collateral.withdrawals],
    }


def withdrawal_document(withdrawal: pb.Withdrawal) -> dict[str, Any]:
    """A withdrawal for machines."""
    return {
        "withdrawal_id": str(UUID(bytes=withdrawal.withdrawal_id)),
        "partner_id": withdrawal.partner_id,
        "currency": withdrawal.currency,
        "amount": money(withdrawal.amount, withdrawal.currency),
        "state": pb.WithdrawalState.Name(withdrawal.state).removeprefix("WITHDRAWAL_STATE_"),
        "reference": withdrawal.reference,
        "sha256": withdrawal.sha256.hex(),
        "requested_at": instant(withdrawal.requested_at),
        "log_index": withdrawal.log_index,
    }


def _named(connection: Connection, withdrawal_id: str) -> pb.Withdrawal:
    wanted = parse_uuid(withdrawal_id).bytes
    for each in collateral_of(connection, ""):
        for withdrawal in each.withdrawals:
            if withdrawal.withdrawal_id == wanted:
                return withdrawal
    raise Refused(
        Reason.WITHDRAWAL_UNKNOWN,
        "withdrawal_id",
        f"nobody has asked for a withdrawal {withdrawal_id}",
    )


def _show(as_json: bool, withdrawal: pb.Withdrawal) -> None:
    document = withdrawal_document(withdrawal)
    shown = [(name.replace("_", " "), value) for name, value in document.items() if value]
    answer(as_json, {"withdrawal": document}, pairs(shown))
