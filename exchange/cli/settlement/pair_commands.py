"""`pairs list`, `pairs paid` and `pairs received`: what partners pay each other."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from exchange.cli.calling import App, ByAnybody
from exchange.cli.connection import Connection, connect
from exchange.cli.documents import money
from exchange.cli.options import (
    JsonOption,
    PartnerProfileOption,
    ServerOption,
    partner_profile,
)
from exchange.cli.output import answer, table
from exchange.cli.settlement.settlement_commands import SETTLE_TIMEOUT_S
from partners.envelope import PAYMENT_CONFIRMATION, sign
from partners.errors import Reason, Refused
from partners.keys import Purpose
from partners.wire import envelope_to_proto, time_to_proto
from pointclear.settlement.v1 import pair_pb2 as pb

ReferenceArgument = Annotated[
    str, typer.Argument(metavar="REFERENCE", help="Of the payment, as `pairs list` says.")
]
OfWindowOption = Annotated[
    str, typer.Option("--window", metavar="WINDOW_ID", help="Its window, once that has ended.")
]


def pairs_app() -> App:
    """The commands about what partners pay each other."""
    app = App(
        no_args_is_help=True, help="Show what partners pay each other, and confirm it by signature."
    )
    app.command("list")(list_legs)
    app.command("paid")(paid)
    app.command("received")(received)
    return app


def list_legs(
    by: ByAnybody,
    window_id: Annotated[
        str,
        typer.Argument(metavar="[WINDOW_ID]", help="Default: all that are not settled yet."),
    ] = "",
) -> None:
    """List what partners are asked to pay each other; a partner sees what it pays and is paid."""
    with by.connect() as connection:
        legs = [leg_document(each) for each in legs_of(connection, window_id)]
    _show(by.as_json, {"legs": legs}, legs)


def paid(
    profile_dir: PartnerProfileOption,
    reference: ReferenceArgument,
    window_id: OfWindowOption = "",
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Confirm that you have paid another partner all that you were asked for.

    It is signed with your key for agreements, and booked when the payee has confirmed it too.
    """
    _confirm(profile_dir, reference, window_id, server, pb.PAYMENT_SIDE_PAID, as_json=as_json)


def received(
    profile_dir: PartnerProfileOption,
    reference: ReferenceArgument,
    window_id: OfWindowOption = "",
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Confirm that another partner has paid you: look at your bank account first.

    It is signed with your key for agreements, and booked when the payer has confirmed it too.
    """
    _confirm(profile_dir, reference, window_id, server, pb.PAYMENT_SIDE_RECEIVED, as_json=as_json)


def _confirm(
    profile_dir: PartnerProfileOption,
    reference: str,
    window_id: str,
    server: ServerOption,
    side: "pb.PaymentSide.ValueType",
    *,
    as_json: bool,
) -> None:
    profile = partner_profile(profile_dir, server)
    with connect(profile) as connection:
        leg = _named(connection, reference, window_id)
        payload = pb.PaymentConfirmation(
            audience=profile.audience,
            partner_id=profile.caller.name,
            window_id=leg.window_id,
            reference=leg.reference,
            side=side,
            currency=leg.currency,
            amount=leg.amount,
            issued_at=time_to_proto(datetime.now(UTC)),
        ).SerializeToString(deterministic=True)
        envelope = sign(profile.signer(Purpose.AGREEMENTS), PAYMENT_CONFIRMATION, payload)
        response: pb.ConfirmPaymentResponse = connection.call(
            connection.settlement.ConfirmPayment,
            pb.ConfirmPaymentRequest(confirmation=envelope_to_proto(envelope)),
            SETTLE_TIMEOUT_S,
        )
    document = leg_document(response.leg)
    _show(as_json, {"leg": document}, [document])


def legs_of(connection: Connection, window_id: str = "") -> list[pb.PairLeg]:
    """What partners are asked to pay each other, as far as the caller sees it. Raises Failed."""
    response: pb.ListPairLegsResponse = connection.call(
        connection.settlement.ListPairLegs, pb.ListPairLegsRequest(window_id=window_id)
    )
    return list(response.legs)


def _named(connection: Connection, reference: str, window_id: str) -> pb.PairLeg:
    for each in legs_of(connection, window_id):
        if each.reference == reference:
            return each
    raise Refused(
        Reason.LEG_STATE,
        "reference",
        f"you are asked for no payment {reference}: see `pointclear pairs list`; where its window"
        " has ended, name that with --window",
    )


def leg_document(leg: pb.PairLeg) -> dict[str, Any]:
    """A payment between partners for machines."""
    return {
        "window_id": leg.window_id,
        "reference": leg.reference,
        "payer": leg.payer,
        "payee": leg.payee,
        "currency": leg.currency,
        "amount": money(leg.amount, leg.currency),
        "state": pb.PairLegState.Name(leg.state).removeprefix("PAIR_LEG_STATE_"),
        "paid_index": leg.paid_index or None,
        "received_index": leg.received_index or None,
        "due_date": leg.due_date,
    }


def _show(as_json: bool, document: dict[str, Any], legs: list[dict[str, Any]]) -> None:
    names = ("window_id", "payer", "payee", "amount", "state", "due_date", "reference")
    columns = tuple(name.removesuffix("_id").replace("_", " ") for name in names)
    rows = [tuple(each[name] for name in names) for each in legs]
    answer(as_json, document, table(columns, rows, right=("amount",)))
