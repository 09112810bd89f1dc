"""The calls about the close: its checklist, locks and reopenings. They raise Refused."""

import asyncio
from typing import Any

from partners.caller import Caller
from partners.errors import Reason, Refused
from partners.points import currency_scale
from pointclear.settlement.v1 import month_pb2 as pb
from settlement.course import Course
from settlement.month import wire
from settlement.month.checklist import check_lockable, checklist
from settlement.month.locks import Standing, lock_entry, reopen_entry, standing_of
from settlement.month.period import Period
from settlement.store import unit_of


class ClosingCalls:
    """The handlers."""

    def __init__(self, course: Course) -> None:
        """`course` reads, books, and keeps the settlement's turn."""
        self._course = course

    async def get_close_checklist(
        self, request: pb.GetCloseChecklistRequest, caller: Caller
    ) -> pb.GetCloseChecklistResponse:
        """What is done for a close and what is not, as it stands now."""
        caller.require_operator()
        currency, period = await self._named(request.currency, request.period)
        items = await self._course.read(checklist, currency, period)
        standing = await self._course.read(standing_of, currency, period)
        return wire.checklist_message(items, standing)

    async def lock_period(
        self, request: pb.LockPeriodRequest, caller: Caller
    ) -> pb.LockPeriodResponse:
        """Lock a day or a month of which nothing is open but what is explained."""
        caller.require_operator()
        currency, period = await self._named(request.currency, request.period)
        explanations = {each.item: each.text for each in request.explanations}
        if len(explanations) < len(request.explanations):
            raise Refused(Reason.FIELD_INVALID, "explanations", "an item is explained twice")
        standing = await asyncio.shield(self._lock(currency, period, explanations))
        return pb.LockPeriodResponse(state=wire.period_state(standing))

    async def _lock(self, currency: str, period: Period, explanations: dict[str, str]) -> Standing:
        # Under the turn: nothing settles between the look at the list and the lock.
        async with self._course.settling():
            standing: Standing = await self._course.read(standing_of, currency, period)
            if standing.locked <= standing.reopened:
                items = await self._course.read(checklist, currency, period)
                check_lockable(items, explanations)
                await self._course.book(lock_entry(currency, standing, explanations))
            return await self._course.read(standing_of, currency, period)

    async def reopen_period(
        self, request: pb.ReopenPeriodRequest, caller: Caller
    ) -> pb.ReopenPeriodResponse:
        """Begin an adjustment period for what was locked."""
        caller.require_operator()
        currency, period = await self._named(request.currency, request.period)

        async def reopen() -> Standing:
            async with self._course.settling():
                before = await self._course.read(standing_of, currency, period)
                await self._course.book(reopen_entry(currency, before, request.reason))
                return await self._course.read(standing_of, currency, period)

        standing = await asyncio.shield(reopen())
        return pb.ReopenPeriodResponse(
            state=wire.period_state(standing), adjustment_period=standing.adjustment_period
        )

    async def _named(self, currency: str, period: str) -> tuple[str, Period]:
        code = currency_scale(currency).code

        def read(connection: Any) -> int:
            return unit_of(connection, code)

        await self._course.read(read)
        return code, Period.named(period)
