"""`limits partner`, `limits corridor`, `limits program` and `limits list`.

A command reads the subject's limits and changes those that it was told of.
"""

from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import timedelta
from typing import Annotated, Any, TypeVar

import typer
import uuid_utils

from exchange.cli.calling import App, ByActingOperator, ByAnybody
from exchange.cli.connection import Connection
from exchange.cli.documents import money
from exchange.cli.options import (
    parse_duration,
)
from exchange.cli.output import answer, table
from partners.errors import Reason, Refused
from partners.limits.values import (
    CorridorLimits,
    Funding,
    Headroom,
    Limits,
    PartnerLimits,
    ProgramLimits,
)
from partners.limits.wire import limits_from_proto, limits_to_proto
from partners.points import currency_scale, parse_amount
from pointclear.partners.v1.limits_pb2 import (
    ListLimitsRequest,
    ListLimitsResponse,
    SetLimitsRequest,
    SetLimitsResponse,
)
from pointclear.partners.v1.partners_service_pb2 import ListPartnersRequest, ListPartnersResponse

_L = TypeVar("_L", PartnerLimits, CorridorLimits, ProgramLimits)
NAMES = ("partner_id", "program_id", "source_program", "target_program")
MONEY = ("net_debit_cap", "value_per_day")

Count = Annotated[int | None, typer.Option(metavar="N", min=0, help="0 is no limit.")]
Points = Annotated[int | None, typer.Option(metavar="POINTS", min=0, help="0 is no limit.")]


def limits_app() -> App:
    """The commands about limits."""
    app = App(no_args_is_help=True, help="Limit partners, corridors, programs and members.")
    app.command("partner")(partner)
    app.command("corridor")(corridor)
    app.command("program")(program)
    app.command("list")(list_limits)
    return app


def partner(
    by: ByActingOperator,
    partner_id: Annotated[str, typer.Argument(metavar="ID", help="The partner.")],
    cap: Annotated[
        str | None, typer.Option(metavar="AMOUNT", help="Net debit cap, such as 5000.00.")
    ] = None,
    funding: Annotated[
        Funding | None, typer.Option(case_sensitive=False, help="How it covers what it owes.")
    ] = None,
    headroom: Annotated[
        Headroom | None,
        typer.Option(case_sensitive=False, help="When its credits count as room for debits."),
    ] = None,
    transfers_per_day: Count = None,
    value_per_day: Annotated[
        str | None, typer.Option(metavar="AMOUNT", help="Of what it sends; 0 is no limit.")
    ] = None,
) -> None:
    """Set a partner's limits; those not named stay as they are.

    A cap below what the partner owes stops new debits and nothing else.
    """
    with by.connect() as connection:
        currencies = _currencies(connection)
        if partner_id not in currencies:
            raise Refused(Reason.PARTNER_UNKNOWN, "partner_id", f"there is no partner {partner_id}")
        scale = currency_scale(currencies[partner_id]).scale
        changes = {
            "funding": funding,
            "net_debit_cap": None if cap is None else parse_amount(cap, scale, "cap"),
            "headroom": headroom,
            "transfers_per_day": transfers_per_day,
            "value_per_day": (
                None
                if value_per_day is None
                else parse_amount(value_per_day, scale, "value_per_day")
            ),
        }
        if funding is Funding.PREPAID and cap is None:
            changes["net_debit_cap"] = 0
        after = _change(connection, PartnerLimits(partner_id), changes)
        _show(by.as_json, [after], currencies)


def corridor(
    by: ByActingOperator,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The source program.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The target program.")],
    points_per_day: Points = None,
    member_transfers_per_day: Count = None,
    member_points_per_day: Points = None,
    return_ban_days: Annotated[
        int | None,
        typer.Option(
            metavar="DAYS", min=0, help="Bar what a member had through the opposite corridor."
        ),
    ] = None,
    link_cooling: Annotated[
        str | None, typer.Option(metavar="TIME", help="For a new link, such as 48h.")
    ] = None,
    review_above_points: Points = None,
    review_member_transfers_per_day: Count = None,
    review_member_points_per_day: Points = None,
) -> None:
    """Set a corridor's limits; those not named stay as they are.

    A member is one of the source program. What is above a `review` limit is held for an operator.
    """
    cooling = None if link_cooling is None else parse_duration(link_cooling)
    changes = {
        "source_points_per_day": points_per_day,
        "member_transfers_per_day": member_transfers_per_day,
        "member_points_per_day": member_points_per_day,
        "return_ban_days": return_ban_days,
        "link_cooling": cooling,
        "review_above_points": review_above_points,
        "review_member_transfers_per_day": review_member_transfers_per_day,
        "review_member_points_per_day": review_member_points_per_day,
    }
    with by.connect() as connection:
        _show(by.as_json, [_change(connection, CorridorLimits(source, target), changes)], {})


def program(
    by: ByActingOperator,
    program_id: Annotated[str, typer.Argument(metavar="ID", help="The program.")],
    points_per_day: Annotated[
        int, typer.Option(metavar="POINTS", min=0, help="Granted in all; 0 is no limit.")
    ],
) -> None:
    """Limit the points that a program takes in from others in a day."""
    changes = {"target_points_per_day": points_per_day}
    with by.connect() as connection:
        _show(by.as_json, [_change(connection, ProgramLimits(program_id), changes)], {})


def list_limits(
    by: ByAnybody,
) -> None:
    """List the limits.

    A partner sees its own, its programs' and those of the corridors that it sends through.
    """
    with by.connect() as connection:
        _show(by.as_json, _all(connection), _currencies(connection))


def _all(connection: Connection) -> list[Limits]:
    response: ListLimitsResponse = connection.call(
        connection.partners.ListLimits, ListLimitsRequest()
    )
    return [limits_from_proto(each) for each in response.limits]


def _currencies(connection: Connection) -> dict[str, str]:
    """Each partner's settlement currency."""
    response: ListPartnersResponse = connection.call(
        connection.partners.ListPartners, ListPartnersRequest()
    )
    return {each.partner_id: each.settlement_account.currency for each in response.partners}


def _change(connection: Connection, unlimited: _L, changes: dict[str, Any]) -> Limits:
    """Set what is not None of the changes to a subject's limits as they stand."""
    found = {each.subject: each for each in _all(connection)}
    before = found.get(unlimited.subject, unlimited)
    after = replace(before, **{name: to for name, to in changes.items() if to is not None})
    request = SetLimitsRequest(change_id=uuid_utils.uuid7().bytes, limits=limits_to_proto(after))
    response: SetLimitsResponse = connection.call(connection.partners.SetLimits, request)
    return limits_from_proto(response.limits)


def _show(as_json: bool, limits: Iterable[Limits], currencies: dict[str, str]) -> None:
    documents = [limits_document(each, currencies) for each in limits]
    rows = [
        (each["subject"], name.replace("_", " "), value)
        for each in documents
        for name, value in each.items()
        if name != "subject" and (value or name == "net_debit_cap")
    ]
    answer(
        as_json, {"limits": documents}, table(("subject", "limit", "value"), rows, right=("value",))
    )


def limits_document(limits: Limits, currencies: dict[str, str]) -> dict[str, Any]:
    """A subject's limits; 0 is none, money is a decimal figure, a time is in seconds."""
    document: dict[str, Any] = {"subject": limits.subject}
    for each in fields(limits):
        value = getattr(limits, each.name)
        if each.name in NAMES:
            continue
        if each.name in MONEY and isinstance(limits, PartnerLimits):
            none = each.name != "net_debit_cap" and not value
            value = 0 if none else money(value, currencies[limits.partner_id])
        if isinstance(value, timedelta):
            value = value // timedelta(seconds=1)
        document[each.name + "_s" * (each.name == "link_cooling")] = value
    return document
