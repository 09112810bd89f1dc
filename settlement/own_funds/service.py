"""The calls about the operator's own funds. Its own legs are among those of their windows.

A withdrawal takes the settlement's turn, so that what creditors wait for is counted once. A crash
before its booking leaves nothing; after it, the same request is answered with the withdrawal.
"""

from typing import Any

from exchange.commands import Book
from partners.caller import Caller
from partners.points import currency_scale
from pointclear.settlement.v1 import own_funds_pb2 as pb
from settlement.course import Course
from settlement.own_funds.store import own_funds
from settlement.own_funds.wire import own_funds_message, withdrawal_message
from settlement.own_funds.withdrawal import recall_entry, withdrawal_entry


class OwnFundsCalls:
    """The handlers. They raise Refused; the edge maps it to the wire."""

    def __init__(self, course: Course) -> None:
        self._course = course

    async def list_own_funds(
        self, request: pb.ListOwnFundsRequest, caller: Caller
    ) -> pb.ListOwnFundsResponse:
        """Operators: what is the operator's in a currency."""
        caller.require_operator()
        currency_scale(request.currency)
        return own_funds_message(await self._course.read(own_funds, request.currency))

    async def withdraw_own_funds(
        self, request: pb.WithdrawOwnFundsRequest, caller: Caller
    ) -> pb.WithdrawOwnFundsResponse:
        """Operators: have the bank pay out fees or taxes."""
        caller.require_operator()
        currency_scale(request.currency)

        def read(connection: Any) -> Book | None:
            funds = own_funds(connection, request.currency)
            return withdrawal_entry(funds, request.number, request.account, request.amount)

        withdrawal = await self._resolved(read, request.currency, request.number)
        return pb.WithdrawOwnFundsResponse(withdrawal=withdrawal)

    async def recall_own_funds(
        self, request: pb.RecallOwnFundsRequest, caller: Caller
    ) -> pb.RecallOwnFundsResponse:
        """Operators: take a withdrawal back that the bank has not made."""
        caller.require_operator()
        currency_scale(request.currency)

        def read(connection: Any) -> Book | None:
            return recall_entry(own_funds(connection, request.currency), request.number)

        withdrawal = await self._resolved(read, request.currency, request.number)
        return pb.RecallOwnFundsResponse(withdrawal=withdrawal)

    async def _resolved(self, read: Any, currency: str, number: int) -> pb.OwnWithdrawal:
        await self._course.book_due_in_turn(read)
        funds = await self._course.read(own_funds, currency)
        return withdrawal_message(funds.withdrawals[number - 1])
