"""`month balance`: what a partner and the exchange agree that stands between them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.cli.calling import ByAnybody
from exchange.cli.connection import Connection, connect
from exchange.cli.documents import instant, money
from exchange.cli.files import write_output
from exchange.cli.month.options import MonthArgument
from exchange.cli.output import answer, envelope_document, pairs
from exchange.cli.proofs import read_balance
from partners.envelope import BALANCE_CONFIRMATION, sign, to_json
from partners.keys import Purpose, VerifyKey
from partners.wire import envelope_from_proto, envelope_to_proto
from pointclear.settlement.v1 import month_pb2 as pb


def balance(
    by: ByAnybody,
    month: MonthArgument,
    partner: Annotated[str, typer.Option(help="Whose; an operator must say.")] = "",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Also write the signed balance here.")
    ] = None,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Confirm it: sign the same bytes. Partners only.")
    ] = False,
) -> None:
    """Fetch a partner's balance at the end of a month, verify it, and confirm it."""
    profile = by.profile()
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
        by.as_json,
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
