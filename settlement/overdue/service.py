"""The calls about what is overdue. Reminding is the server's own (`settlement.overdue.reminding`);
holds are SetSwitches, and unwinds UnwindPartner.
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from exchange.commands import Book
from partners.caller import Caller
from partners.errors import Reason, Refused
from partners.points import check_id, currency_scale, format_amount
from pointclear.settlement.v1 import overdue_pb2 as pb
from settlement import store
from settlement.approval.deciding import check_unwindable
from settlement.course import Course
from settlement.overdue.drawing import draw_for, drawn_entry_body, draws_of
from settlement.overdue.store import (
    collateral_of,
    overdue_legs,
    report_of,
    unsettled_currencies,
)
from settlement.overdue.wire import overdue_message, report_message
from settlement.windows import Leg, LegDirection, LegState, SettlementWindow


class OverdueCalls:
    """The handlers. They raise Refused; the edge maps it to the wire."""

    def __init__(self, course: Course, now: Callable[[], datetime]) -> None:
        self._course = course
        self._now = now

    async def list_overdue(
        self, request: pb.ListOverdueRequest, caller: Caller
    ) -> pb.ListOverdueResponse:
        """What was not paid in time, and what follows: all for an operator, its own for a
        partner.
        """
        if request.currency:
            currency_scale(request.currency)

        def read(connection: Any) -> list[pb.OverduePayment]:
            wanted = (request.currency,) if request.currency else unsettled_currencies(connection)
            return [
                overdue_message(each, currency)
                for currency in wanted
                for each in overdue_legs(connection, currency, self._now())
                if caller.is_operator or each.leg.partner_id == caller.name
            ]

        return pb.ListOverdueResponse(payments=await self._course.read(read))

    async def draw_collateral(
        self, request: pb.DrawCollateralRequest, caller: Caller
    ) -> pb.DrawCollateralResponse:
        """Operators: a partner's collateral pays a leg whose due date is over, all of it."""
        caller.require_operator()
        check_id(request.window_id, "window_id")
        await self._course.book_due_in_turn(self._draw, request)
        body = await self._course.read(_drawn, request.window_id, request.reference)
        return pb.DrawCollateralResponse(draw_reference=body["reference"], amount=body["amount"])

    def _draw(self, connection: Any, request: pb.DrawCollateralRequest) -> Book | None:
        """The entry of a draw; None where it is booked. Raises Refused."""
        window = store.window_named(connection, request.window_id)
        if drawn_entry_body(connection, window, request.reference) is not None:
            return None
        leg = _leg_named(connection, window, request.reference)
        late = overdue_legs(connection, window.currency.code, self._now())
        if all(each.leg.reference != leg.reference for each in late):
            raise Refused(
                Reason.LEG_STATE, "reference", f"{leg.reference} is not overdue: it can be paid yet"
            )
        available = collateral_of(connection, window.unit, leg.partner_number)
        if available < leg.amount:
            lacks = format_amount(leg.amount - available, window.currency.scale)
            raise Refused(
                Reason.LEG_STATE,
                "reference",
                f"the collateral of {leg.partner_id} lacks {lacks} to pay {leg.reference}",
                {"lacksUnits": str(leg.amount - available)},
            )
        return draw_for(leg, window, draws_of(connection, window, leg.partner_number) + 1)

    async def get_unwind_report(
        self, request: pb.GetUnwindReportRequest, caller: Caller
    ) -> pb.GetUnwindReportResponse:
        """Operators: what a stated window would come to without a partner."""
        caller.require_operator()
        check_id(request.window_id, "window_id")
        check_id(request.partner_id, "partner_id")

        def read(connection: Any) -> pb.GetUnwindReportResponse:
            window = store.window_named(connection, request.window_id)
            if not window.state.is_stated:
                raise Refused(
                    Reason.WINDOW_STATE,
                    "window_id",
                    f"{window.window_id} is {window.state}: nothing is asked for yet",
                )
            check_unwindable(connection, window.window_id)
            return report_message(report_of(connection, window, request.partner_id))

        return await self._course.read(read)


def _leg_named(connection: Any, window: SettlementWindow, reference: str) -> Leg:
    """A pay-in that waits for the bank; raises Refused(LEG_STATE)."""
    for leg in store.legs(connection, window):
        if leg.reference == reference and leg.direction is LegDirection.PAY_IN:
            if leg.state is LegState.PENDING:
                return leg
            raise Refused(Reason.LEG_STATE, "reference", f"{reference} is {leg.state}")
    raise Refused(
        Reason.LEG_STATE, "reference", f"{window.window_id} asks for no payment {reference}"
    )


def _drawn(connection: Any, window_id: str, reference: str) -> dict[str, Any]:
    window = store.window_named(connection, window_id)
    body = drawn_entry_body(connection, window, reference)
    assert body is not None, "the draw was booked"
    document: dict[str, Any] = json.loads(body)
    return document
