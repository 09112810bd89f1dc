"""The calls of SettlementService that set and show schemes."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol, TypeVar

from exchange.commands import Book, Command, Fact
from exchange.json_body import JSON_BODY
from partners.caller import Caller
from partners.errors import Reason, Refused
from partners.limits.wire import change_id_of
from partners.points import currency_scale
from partners.wire import time_to_proto
from pointclear.settlement.v1 import scheme_pb2 as pb
from settlement import store
from settlement.calendar import store as calendar
from settlement.calendar.cut_off import cut_off_of
from settlement.pairs.store import unsettled_window
from settlement.schemes.checks import check_scheme, check_switch
from settlement.schemes.scheme import KIND, Scheme, scheme_body, scheme_of
from settlement.schemes.wire import scheme_from_proto, scheme_to_proto

_T = TypeVar("_T")


class Books(Protocol):
    """Where schemes are kept: settlement's course."""

    async def read(self, read: Callable[..., _T], *arguments: Any) -> _T:
        """Run a blocking function on a connection in a transaction of its own."""

    async def book(self, command: Command) -> object:
        """Submit a command; raises the Refused that answers it."""

    def settling(self) -> AbstractAsyncContextManager[None]:
        """The settlement's turn."""


class SchemeCalls:
    """The handlers. They raise Refused."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def set_scheme(
        self, request: pb.SetSchemeRequest, caller: Caller
    ) -> pb.SetSchemeResponse:
        """Operators: set all of a currency's scheme. It moves no date that was stated before."""
        caller.require_operator()
        change_id = change_id_of(request.change_id)
        scheme = scheme_from_proto(request.scheme)
        # Off the loop: to know every zone's name is to look through a folder.
        await asyncio.to_thread(check_scheme, scheme)
        # Before the first partner settles in it, a currency has no unit in the books.
        await self._books.read(store.unit_of, scheme.currency)
        entry = Book(
            f"{KIND}/{scheme.currency}/{change_id}",
            JSON_BODY,
            scheme_body(scheme),
            facts=(Fact(KIND, scheme.currency),),
        )

        async def book() -> None:
            # On the settlement's turn: no draft is approved meanwhile by which partners pay.
            async with self._books.settling():
                unsettled = await self._books.read(unsettled_window, scheme.currency)
                check_switch(scheme, unsettled)
                await self._books.book(entry)

        await asyncio.shield(book())
        now = await self._books.read(scheme_of, scheme.currency)
        return pb.SetSchemeResponse(scheme=scheme_to_proto(now))

    async def get_scheme(
        self, request: pb.GetSchemeRequest, caller: Caller
    ) -> pb.GetSchemeResponse:
        """The scheme that holds, and when the next window closes by it."""

        def read(connection: Any) -> tuple[Scheme, datetime]:
            currency = _whose(connection, request.currency, caller)
            return scheme_of(connection, currency), calendar.now(connection)

        scheme, now = await self._books.read(read)
        response = pb.GetSchemeResponse(scheme=scheme_to_proto(scheme))
        cut_off = cut_off_of(scheme)
        if cut_off is not None:
            response.next_cut_off.CopyFrom(time_to_proto(cut_off.after(now)))
        return response

    async def list_schemes(
        self, _request: pb.ListSchemesRequest, caller: Caller
    ) -> pb.ListSchemesResponse:
        """All for an operator; its own currency's for a partner."""

        def read(connection: Any) -> list[Scheme]:
            own = None if caller.is_operator else store.currency_of(connection, caller.name)
            found = (each.scheme for each in calendar.standings(connection))
            return [each for each in found if own in (None, each.currency)]

        shown = await self._books.read(read)
        return pb.ListSchemesResponse(schemes=map(scheme_to_proto, shown))


def _whose(connection: Any, currency: str, caller: Caller) -> str:
    """The currency that is asked for; a partner learns nothing of those that it does not settle
    in.
    """
    if caller.is_operator:
        return currency_scale(currency).code
    own = store.currency_of(connection, caller.name)
    if currency not in ("", own):
        raise Refused(
            Reason.FIELD_INVALID, "currency", f"you settle in {own}, and see its scheme only"
        )
    return own
