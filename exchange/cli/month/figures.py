"""`month ageing`, `accruals`, `promotions`: figures that are worked out when they are asked for."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from exchange.cli.calling import ByAnybody
from exchange.cli.documents import money
from exchange.cli.month.options import (
    MonthArgument,
    OwnCurrencyOption,
)
from exchange.cli.output import answer, table
from pointclear.settlement.v1 import month_pb2 as pb

AGES = ("not late", "1 to 7", "8 to 30", "31 to 60", "over 60")


def ageing(
    by: ByAnybody,
    currency: OwnCurrencyOption = "",
    as_of: Annotated[
        str, typer.Option(metavar="YYYY-MM-DD", help="From which ages count. [default: today]")
    ] = "",
) -> None:
    """Show payments that are not confirmed, and positions, by their age in days."""
    day = as_of or datetime.now(UTC).date().isoformat()
    with by.connect() as connection:
        response: pb.GetAgeingResponse = connection.call(
            connection.settlement.GetAgeing, pb.GetAgeingRequest(currency=currency, as_of=day)
        )
    code = response.currency
    legs = [_leg_document(each, code) for each in response.legs]
    positions = [_position_document(each, code) for each in response.positions]
    answer(
        by.as_json,
        {"as_of": day, "currency": code, "payments": legs, "positions": positions},
        table(
            ("partner", "window", "reference", "due", "days late", f"amount {code}"),
            [tuple(each.values()) for each in legs],
            right=("days late", f"amount {code}"),
        ),
        table(
            ("partner", f"position {code}", *AGES),
            [
                (each["partner_id"], each["position"], *each["by_age"].values())
                for each in positions
            ],
            right=(f"position {code}", *AGES),
        ),
    )


def _leg_document(leg: pb.AgedLeg, currency: str) -> dict[str, Any]:
    return {
        "partner_id": leg.partner_id,
        "window_id": leg.window_id,
        "reference": leg.reference,
        "due_date": leg.due_date,
        "days_late": leg.days_late,
        "amount": money(leg.amount, currency),
    }


def _position_document(position: pb.AgedPosition, currency: str) -> dict[str, Any]:
    by_age = zip(AGES, _ages(position.by_age), strict=True)
    return {
        "partner_id": position.partner_id,
        "position": money(position.position, currency),
        "by_age": {name: money(units, currency) for name, units in by_age},
    }


def _ages(ages: pb.AgeBuckets) -> tuple[int, ...]:
    young = (ages.not_late, ages.days_1_to_7, ages.days_8_to_30)
    return (*young, ages.days_31_to_60, ages.days_over_60)


def accruals(
    by: ByAnybody,
    month: MonthArgument,
    currency: OwnCurrencyOption = "",
) -> None:
    """Show what windows of a month that are not stated came to so far."""
    with by.connect() as connection:
        response: pb.GetAccrualsResponse = connection.call(
            connection.settlement.GetAccruals, pb.GetAccrualsRequest(currency=currency, month=month)
        )
    code = response.currency
    documents = [
        {
            "window_id": each.window_id,
            "partner_id": each.partner_id,
            "counterparty": each.counterparty,
            "code": each.code,
            "tax_code": each.tax_code,
            "amount": money(each.amount, code),
        }
        for each in response.accruals
    ]
    answer(
        by.as_json,
        {"month": month, "currency": code, "accruals": documents},
        table(
            ("window", "partner", "against", "code", "tax", f"amount {code}"),
            [tuple(each.values()) for each in documents],
            right=(f"amount {code}",),
        ),
    )


def promotions(
    by: ByAnybody,
    month: MonthArgument,
    currency: OwnCurrencyOption = "",
) -> None:
    """Show what promotions cost in a month, and their points against their budgets."""
    with by.connect() as connection:
        response: pb.GetPromotionCostsResponse = connection.call(
            connection.settlement.GetPromotionCosts,
            pb.GetPromotionCostsRequest(currency=currency, month=month),
        )
    code = response.currency
    costs = [
        {
            "agreement_id": each.agreement_id,
            "promotion_id": each.promotion_id,
            "funder": each.funder,
            "target_partner": each.target_partner,
            "is_own": each.is_own,
            "cost": money(each.cost, code),
        }
        for each in response.costs
    ]
    budgets = [
        {
            "agreement_id": each.agreement_id,
            "version": each.version,
            "promotion_id": each.promotion_id,
            "budget_points": each.budget_points,
            "granted_points": each.granted_points,
        }
        for each in response.budgets
    ]
    answer(
        by.as_json,
        {"month": month, "currency": code, "costs": costs, "budgets": budgets},
        table(
            ("agreement", "promotion", "paid by", "points of", "its own", f"cost {code}"),
            [tuple(each.values()) for each in costs],
            right=(f"cost {code}",),
        ),
        table(
            ("agreement", "version", "promotion", "budget points", "granted points"),
            [tuple(each.values()) for each in budgets],
            right=("budget points", "granted points"),
        ),
    )
