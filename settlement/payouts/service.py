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
from partners.points import check_id
from pointclear.settlement.v1 import payout_pb2 as pb
from settlement import store
from settlement.course import Course
from settlement.payouts.making import (
    next_file,
    payable,
    payment_requests,
    remittance_advices,
    write_file,
)
from settlement.payouts.store import Filed, file_entry, files_of, rejection
from settlement.payouts.wire import (
    advice_message,
    file_message,
    instructed_message,
    left_out_message,
    request_message,
)
from settlement.windows import SettlementWindow

CHUNK_BYTES_MAX = 60 * 1024
"""So that a message with one stays below 64 KiB."""


class PayOuts:
    """The handlers. They raise Refused; the edge maps it to the wire."""

    def __init__(self, course: Course, audience: str, now: Callable[[], datetime]) -> None:
        self._course = course
        self._audience = audience
        self._now = now

    async def make_pay_out_file(
        self, request: pb.MakePayOutFileRequest, caller: Caller
    ) -> pb.MakePayOutFileResponse:
        """Operators: make the window's next file of what is instructed and stands in none."""
        caller.require_operator()

        def read(connection: Any) -> Book | None:
            window, files = _files(connection, request.window_id)
            if 1 <= request.number <= len(files):
                return None
            if request.number != len(files) + 1:
                raise Refused(
                    Reason.FIELD_INVALID,
                    "number",
                    f"the next file of {window.window_id} is number {len(files) + 1}",
                )
            file = next_file(connection, window, request.number, self._audience, self._now())
            numbers = {leg.partner_id: leg.partner_number for leg in store.legs(connection, window)}
            return file_entry(file, window, numbers)

        # In turn with bank files: what one of them shows as paid must not be instructed again.
        async with self._course.settling():
            entry = await self._course.read(read)
            if entry is not None:
                await self._course.book(entry)
        filed = await self._filed(request.window_id, request.number)
        return pb.MakePayOutFileResponse(file=file_message(filed))

    async def get_pay_out_file(
        self, request: pb.GetPayOutFileRequest, caller: Caller
    ) -> AsyncIterator[pb.GetPayOutFileResponse]:
        """Operators: a file's bytes, the same at every export, in chunks."""
        caller.require_operator()
        filed = await self._filed(request.window_id, request.number)
        content = await asyncio.to_thread(write_file, filed.file, request.format)
        for start in range(0, len(content), CHUNK_BYTES_MAX):
            yield pb.GetPayOutFileResponse(chunk=content[start : start + CHUNK_BYTES_MAX])

    async def list_pay_out_files(
        self, request: pb.ListPayOutFilesRequest, caller: Caller
    ) -> pb.ListPayOutFilesResponse:
        """Operators: a window's files, and what the next would pay and leave out."""
        caller.require_operator()

        def read(connection: Any) -> pb.ListPayOutFilesResponse:
            window, files = _files(connection, request.window_id)
            payments, left_out = payable(connection, window, self._audience, self._now())
            return pb.ListPayOutFilesResponse(
                files=map(file_message, files),
                payable=map(instructed_message, payments),
                left_out=map(left_out_message, left_out),
                currency=window.currency.code,
            )

        return await self._course.read(read)

    async def reject_pay_out_file(
        self, request: pb.RejectPayOutFileRequest, caller: Caller
    ) -> pb.RejectPayOutFileResponse:
        """Operators: the bank took nothing of a file; what it would have paid may be filed again,
        under the same references.
        """
        caller.require_operator()

        def read(connection: Any) -> Book | None:
            window, _ = _files(connection, request.window_id)
            filed = _filed(connection, request.window_id, request.number)
            if filed.rejected:
                return None
            paid = {
                leg.reference
                for leg in store.legs(connection, window)
                if leg.confirmed_index is not None
            }
            for each in filed.file.payments:
                if each.reference in paid:
                    raise Refused(
                        Reason.LEG_STATE, "number", f"the bank has paid {each.reference} of it"
                    )
            return rejection(filed.file, window)

        async with self._course.settling():
            entry = await self._course.read(read)
            if entry is not None:
                await self._course.book(entry)
        filed = await self._filed(request.window_id, request.number)
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

    async def _filed(self, window_id: str, number: int) -> Filed:
        return await self._course.read(_filed, window_id, number)


def _files(connection: Any, window_id: str) -> tuple[SettlementWindow, tuple[Filed, ...]]:
    window = store.window_named(connection, check_id(window_id, "window_id"))
    return window, files_of(connection, window)


def _filed(connection: Any, window_id: str, number: int) -> Filed:
    _, files = _files(connection, window_id)
    if not 1 <= number <= len(files):
        raise Refused(Reason.FIELD_INVALID, "number", f"{window_id} has {len(files)} pay-out files")
    return files[number - 1]


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
