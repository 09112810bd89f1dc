"""The calls about what partners pay each other.

A confirmation takes the settlement's turn, so that of the two sides one is second and books the
payment, and none is booked while its window is aborted.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

from exchange.commands import Book
from partners.caller import Caller
from partners.envelope import PAYMENT_CONFIRMATION, Envelope, to_json
from partners.errors import Reason, Refused
from partners.points import check_id
from partners.wire import envelope_from_proto
from pointclear.settlement.v1 import pair_pb2 as pb
from settlement import store
from settlement.course import Course
from settlement.pairs.leg import PairLegState, PairPayment, confirmation_entry
from settlement.pairs.store import approved_draft, leg_named, legs_of
from settlement.pairs.wire import Confirmed, confirmed_from, leg_message
from settlement.signed import check_signed_by
from settlement.windows import SettlementWindow, WindowState

WINDOWS_MAX = 500
"""The newest windows among which those are that are not settled."""


class PairCalls:
    """The handlers. They raise Refused; the edge maps it to the wire."""

    def __init__(self, course: Course, audience: str, now: Callable[[], datetime]) -> None:
        self._course = course
        self._audience = audience
        self._now = now

    async def list_pair_legs(
        self, request: pb.ListPairLegsRequest, caller: Caller
    ) -> pb.ListPairLegsResponse:
        """What partners are asked to pay each other; a partner sees its own."""
        if request.window_id:
            check_id(request.window_id, "window_id")

        def read(connection: Any) -> list[pb.PairLeg]:
            return [
                leg_message(leg, due_date)
                for window in _windows(connection, request.window_id, caller)
                for due_date in (_due_date(connection, window),)
                for leg in legs_of(connection, window)
                if caller.is_operator or leg.asked.side_of(caller.name) is not None
            ]

        return pb.ListPairLegsResponse(legs=await self._course.read(read))

    async def confirm_payment(
        self, request: pb.ConfirmPaymentRequest, caller: Caller
    ) -> pb.ConfirmPaymentResponse:
        """A partner confirms that it has paid another, or was paid."""
        envelope = envelope_from_proto(request.confirmation)
        said = await self._course.read(self._said, envelope, caller)

        async def confirm() -> None:
            async with self._course.settling():
                await self._course.book_due(_confirmation_of, said, envelope)
            # A crash here leaves the payment booked: whoever repeats the call, or settles the
            # window again, goes on from there.
            await self._course.advance(said.currency)

        # Shielded: a caller that goes away must not end the turn while its bookings are queued.
        await asyncio.shield(confirm())

        def shown(connection: Any) -> pb.PairLeg:
            leg = _own_leg(connection, said)
            return leg_message(leg, _due_date(connection, leg.window))

        return pb.ConfirmPaymentResponse(leg=await self._course.read(shown))

    def _said(self, connection: Any, envelope: Envelope, caller: Caller) -> Confirmed:
        check_signed_by(
            connection, envelope, PAYMENT_CONFIRMATION, caller, self._audience, self._now()
        )
        said = confirmed_from(envelope.payload, self._audience)
        if caller.holder != f"partner/{said.partner_id}":
            raise Refused(Reason.SIGNER_NOT_CALLER, "partner_id", "you sign for yourself only")
        return said


def _confirmation_of(connection: Any, said: Confirmed, envelope: Envelope) -> Book | None:
    """What books a confirmation; None where this side has confirmed before. Raises Refused."""
    leg = _own_leg(connection, said)
    if leg.has_confirmed(said.side):
        return None
    if leg.state is PairLegState.CARRIED:
        raise Refused(
            Reason.LEG_STATE,
            "reference",
            f"{said.window_id} was aborted: the next window asks for what the pair carries",
        )
    return confirmation_entry(leg, said.side, to_json(envelope))


def _own_leg(connection: Any, said: Confirmed) -> PairPayment:
    """The leg that a confirmation is about, if it says of it what is so; raises Refused."""
    leg = leg_named(connection, said.reference, said.window_id)
    side = leg.asked.side_of(said.partner_id) if leg else None
    if leg is None or side is None:
        # Others' legs are answered as if they did not exist.
        raise Refused(
            Reason.LEG_STATE,
            "reference",
            f"{said.window_id} asks for no payment {said.reference} between you and another",
        )
    if said.side is not side:
        raise Refused(Reason.FIELD_INVALID, "side", f"your side of {said.reference} is {side}")
    if (said.currency, said.amount) != (leg.window.currency.code, leg.asked.payment):
        raise Refused(
            Reason.FIELD_INVALID,
            "amount",
            f"{said.reference} is confirmed whole: {leg.asked.payment} units of"
            f" {leg.window.currency.code}",
            {"amountUnits": str(leg.asked.payment)},
        )
    return leg


def _windows(connection: Any, window_id: str, caller: Caller) -> list[SettlementWindow]:
    """The window that is asked for, or those that are not settled, oldest first."""
    if window_id:
        return [store.window_named(connection, window_id)]
    currency = None if caller.is_operator else store.currency_of(connection, caller.name)
    newest = store.newest_windows(connection, currency, WINDOWS_MAX)
    return [each for each in reversed(newest) if each.state is WindowState.PENDING_SETTLEMENT]


def _due_date(connection: Any, window: SettlementWindow) -> str:
    draft = approved_draft(connection, window.window_id)
    return draft.due_date.isoformat() if draft is not None else ""
