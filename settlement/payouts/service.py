"""The calls about money going out: pay-out files, payment requests and remittance advice.

A file is made once, by two operators, and booked with all that it says; whoever exports it after
that gets the same bytes. Order of effects: decided and written in memory → booked → answered. A
crash before the booking leaves nothing; after it, the same request is answered with the file.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

from exchange.commands import Book
from partners.caller import Caller
from partners.errors import Reason, Refused
from partners.points import check_id, currency_scale
from pointclear.settlement.v1 import payout_pb2 as pb
from settlement import store
from settlement.bank.store import partner_ids
from settlement.calls import chunks_of
from settlement.course import Course
from settlement.payouts.due import due_payments
from settlement.payouts.making import (
    next_file,
    payable,
    payment_requests,
    remittance_advices,
    write_file,
)
from settlement.payouts.series import Series, of_account, of_window
from settlement.payouts.store import Filed, file_entry, files_of, rejection
from settlement.payouts.wire import (
    account_kind_from,
    advice_message,
    file_message,
    instructed_message,
    left_out_message,
    request_message,
)
from settlement.windows import SettlementWindow


class PayOutCalls:
    """The handlers. They raise Refused; the edge maps it to the wire."""

    def __init__(self, course: Course, audience: str, now: Callable[[], datetime]) -> None:
        self._course = course
        self._audience = audience
        self._now = now

    async def make_pay_out_file(
        self, request: pb.MakePayOutFileRequest, caller: Caller
    ) -> pb.MakePayOutFileResponse:
        """Operators: make the next file of a window or an account, of what is instructed and
        stands in none.
        """
        caller.require_operator()

        def read(connection: Any) -> Book | None:
            series, files = _files(connection, request)
            if 1 <= request.number <= len(files):
                return None
            if request.number != len(files) + 1:
                raise Refused(
                    Reason.FIELD_INVALID,
                    "number",
                    f"the next file of {series.name} is number {len(files) + 1}",
                )
            file = next_file(connection, series, request.number, self._audience, self._now())
            names = partner_ids(connection, series.currency.code)
            return file_entry(file, series, {name: number for number, name in names.items()})

        # In turn with bank files: what one of them shows as paid must not be instructed again.
        await self._course.book_due_in_turn(read)
        filed = await self._course.read(_filed, request)
        return pb.MakePayOutFileResponse(file=file_message(filed))

    async def get_pay_out_file(
        self, request: pb.GetPayOutFileRequest, caller: Caller
    ) -> AsyncIterator[pb.GetPayOutFileResponse]:
        """Operators: a file's bytes, the same at every export, in chunks."""
        caller.require_operator()
        filed = await self._course.read(_filed, request)
        content = await asyncio.to_thread(write_file, filed.file, request.format)
        for chunk in chunks_of(content):
            yield pb.GetPayOutFileResponse(chunk=chunk)

    async def list_pay_out_files(
        self, request: pb.ListPayOutFilesRequest, caller: Caller
    ) -> pb.ListPayOutFilesResponse:
        """Operators: the files of a window or an account, and what the next would pay and leave
        out.
        """
        caller.require_operator()

        def read(connection: Any) -> pb.ListPayOutFilesResponse:
            series, files = _files(connection, request)
            payments, left_out = payable(connection, series, self._audience, self._now())
            return pb.ListPayOutFilesResponse(
                files=map(file_message, files),
                payable=map(instructed_message, payments),
                left_out=map(left_out_message, left_out),
                currency=series.currency.code,
            )

        return await self._course.read(read)

    async def reject_pay_out_file(
        self, request: pb.RejectPayOutFileRequest, caller: Caller
    ) -> pb.RejectPayOutFileResponse:
        """Operators: the bank took nothing of a file, or not one of its payments; what it would
        have paid may be filed again, under the same references.
        """
        caller.require_operator()

        def read(connection: Any) -> Book | None:
            series, _ = _files(connection, request)
            filed, one = _filed(connection, request), request.reference
            known = {each.reference for each in filed.file.payments}
            if one and one not in known:
                raise Refused(
                    Reason.FIELD_INVALID, "reference", f"the file has no payment {one}; see it"
                )
            if filed.rejected >= ({one} if one else known):
                return None
            # What a file has told the bank to pay is never taken back: it waits, or it is paid.
            waiting = {each.reference for each in due_payments(connection, series, self._audience)}
            for each in filed.standing:
                if one in ("", each.reference) and each.reference not in waiting:
                    raise Refused(
                        Reason.LEG_STATE, "number", f"the bank has paid {each.reference} of it"
                    )
            return rejection(filed.file, series, one)

        # In turn with bank files: what one of them shows as paid must not be instructed again.
        await self._course.book_due_in_turn(read)
        filed = await self._course.read(_filed, request)
        return pb.RejectPayOutFileResponse(file=file_message(filed))

    async def get_payment_request(
        self, request: pb.GetPaymentRequestRequest, caller: Caller
    ) -> pb.GetPaymentRequestResponse:
        """What a partner is asked to pay for a window."""
        partner_id = whose(request.partner_id, caller)

        def read(connection: Any) -> pb.GetPaymentRequestResponse:
            window = stated_window(connection, request.window_id, partner_id)
            found = payment_requests(connection, window, partner_id, self._audience)
            return pb.GetPaymentRequestResponse(requests=map(request_message, found))

        return await self._course.read(read)

    async def get_remittance_advice(
        self, request: pb.GetRemittanceAdviceRequest, caller: Caller
    ) -> pb.GetRemittanceAdviceResponse:
        """What a partner is paid for a window."""
        partner_id = whose(request.partner_id, caller)

        def read(connection: Any) -> pb.GetRemittanceAdviceResponse:
            window = stated_window(connection, request.window_id, partner_id)
            found = remittance_advices(connection, window, partner_id)
            return pb.GetRemittanceAdviceResponse(advices=map(advice_message, found))

        return await self._course.read(read)


_Asked = (
    pb.MakePayOutFileRequest
    | pb.GetPayOutFileRequest
    | pb.ListPayOutFilesRequest
    | pb.RejectPayOutFileRequest
)


def _series(connection: Any, request: _Asked) -> Series:
    """Whose files are asked for: a window's, or those of other payments out of an account."""
    if not request.currency:
        if request.account:
            raise Refused(Reason.FIELD_INVALID, "account", "name the currency whose account it is")
        window_id = check_id(request.window_id, "window_id")
        return of_window(store.window_named(connection, window_id))
    if request.window_id:
        raise Refused(
            Reason.FIELD_INVALID, "window_id", "name a window, or a currency and its account"
        )
    account = account_kind_from(request.account)
    return of_account(
        currency_scale(request.currency), store.unit_of(connection, request.currency), account
    )


def _files(connection: Any, request: _Asked) -> tuple[Series, tuple[Filed, ...]]:
    series = _series(connection, request)
    return series, files_of(connection, series)


def _filed(
    connection: Any,
    request: pb.MakePayOutFileRequest | pb.GetPayOutFileRequest | pb.RejectPayOutFileRequest,
) -> Filed:
    series, files = _files(connection, request)
    if not 1 <= request.number <= len(files):
        raise Refused(
            Reason.FIELD_INVALID, "number", f"{series.name} has {len(files)} pay-out files"
        )
    return files[request.number - 1]


def whose(partner_id: str, caller: Caller) -> str:
    """The partner whose papers are asked for; others' are answered as if they did not exist."""
    if caller.is_operator:
        if not partner_id:
            raise Refused(Reason.FIELD_INVALID, "partner_id", "an operator names the partner")
        return check_id(partner_id, "partner_id")
    if partner_id not in ("", caller.name):
        raise Refused(Reason.STATEMENT_UNKNOWN, "partner_id", "there is no such statement")
    return caller.name


def stated_window(connection: Any, window_id: str, partner_id: str) -> SettlementWindow:
    """The window, if the partner has a statement of it; raises Refused(STATEMENT_UNKNOWN)."""
    check_id(window_id, "window_id")
    if store.statement_payload(connection, window_id, partner_id) is None:
        raise Refused(
            Reason.STATEMENT_UNKNOWN, "window_id", f"there is no such statement of {window_id}"
        )
    return store.window_named(connection, window_id)
