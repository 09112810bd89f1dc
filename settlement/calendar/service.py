"""The calls about windows, from their opening to their settlement. They raise Refused."""

import asyncio
from datetime import date
from typing import Any

from exchange.commands import CloseWindow, OpenWindow
from exchange.fold import window_id as window_id_of
from partners.caller import Caller
from partners.errors import Reason, Refused
from partners.points import check_id, currency_scale
from pointclear.settlement.v1 import settlement_service_pb2 as pb
from settlement import store, wire
from settlement.course import Course

PAGE_DEFAULT = 100
PAGE_MAX = 500


class WindowCalls:
    """The handlers."""

    def __init__(self, course: Course) -> None:
        self._course = course

    async def open_window(
        self, request: pb.OpenWindowRequest, caller: Caller
    ) -> pb.OpenWindowResponse:
        """Open the first window of a currency."""
        caller.require_operator()
        currency_scale(request.currency)
        day = _date(request.business_date, "business_date")
        await self._course.book(OpenWindow(request.currency, day))
        name = window_id_of(request.currency, day)
        return pb.OpenWindowResponse(window=await self._message(name))

    async def close_window(
        self, request: pb.CloseWindowRequest, caller: Caller
    ) -> pb.CloseWindowResponse:
        """Close a window and open the next."""
        caller.require_operator()
        check_id(request.window_id, "window_id")
        following = request.next_business_date
        day = _date(following, "next_business_date") if following else None
        await self._course.book(CloseWindow(request.window_id, day))
        window = await self._course.read(store.window_named, request.window_id)
        opened = await self._course.read(store.window_after, window)
        return pb.CloseWindowResponse(
            window=await self._message(window.window_id),
            next_window=await self._message(opened.window_id),
        )

    async def list_windows(
        self, request: pb.ListWindowsRequest, caller: Caller
    ) -> pb.ListWindowsResponse:
        """The newest windows; a partner sees those of its currency, with its own net only."""
        if request.page_size < 0:
            raise Refused(Reason.FIELD_INVALID, "page_size", "a page size is not negative")
        windows_max = min(request.page_size or PAGE_DEFAULT, PAGE_MAX)

        def read(connection: Any) -> list[pb.Window]:
            currency = None if caller.is_operator else store.currency_of(connection, caller.name)
            windows = store.newest_windows(connection, currency, windows_max)
            nets = store.net_positions(connection, windows)
            return [
                wire.window_message(
                    window,
                    [
                        each
                        for each in nets.get(window.number, ())
                        if caller.is_operator or each.party == caller.name
                    ],
                )
                for window in windows
            ]

        return pb.ListWindowsResponse(windows=await self._course.read(read))

    async def settle_window(
        self, request: pb.SettleWindowRequest, caller: Caller
    ) -> pb.SettleWindowResponse:
        """State a closed window, record the legs that can be recorded, settle it when all are
        confirmed.
        """
        caller.require_operator()
        check_id(request.window_id, "window_id")
        # Shielded: a caller that goes away must not end the turn while its bookings are queued.
        legs = await asyncio.shield(self._course.settle(request.window_id, request.draft_sha256))
        return pb.SettleWindowResponse(
            window=await self._message(request.window_id), legs=map(wire.leg_message, legs)
        )

    async def _message(self, window_id: str) -> pb.Window:
        """A window as an operator sees it."""

        def read(connection: Any) -> pb.Window:
            window = store.window_named(connection, window_id)
            nets = store.net_positions(connection, [window])
            return wire.window_message(window, nets.get(window.number, ()))

        return await self._course.read(read)


def _date(text: str, field: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Refused(
            Reason.FIELD_INVALID, field, f"{text!r} is not a date such as 2017-01-31"
        ) from None
