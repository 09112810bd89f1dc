"""The calls of SettlementService about the bank: its files, and what lies in suspense."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from partners.caller import Caller
from partners.errors import Reason, Refused
from partners.points import currency_scale
from pointclear.settlement.v1 import bank_pb2
from pointclear.settlement.v1 import settlement_service_pb2 as pb
from settlement.bank import store, wire
from settlement.bank.desk import BankDesk
from settlement.bank.matching import compact
from settlement.course import Course

FILES_DEFAULT = 100
FILES_MAX = 500
ITEMS_MAX = 500


class BankCalls:
    """The handlers. They raise Refused; the edge maps it to the wire."""

    def __init__(
        self, course: Course, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._course = course
        self._desk = BankDesk(course)
        self._clock = clock

    async def import_bank_file(
        self, request: pb.ImportBankFileRequest, caller: Caller
    ) -> pb.ImportBankFileResponse:
        """Operators: book a bank file, all of it or nothing, then whatever it makes possible."""
        caller.require_operator()
        if request.currency:
            currency_scale(request.currency)
        owners = wire.owners_from(request)
        # Shielded: a caller that goes away must not end the turn while its bookings are queued.
        taken = await asyncio.shield(
            self._desk.take_in(request.currency, request.content, request.charge_entries, owners)
        )
        return wire.taken_message(taken)

    async def list_bank_files(
        self, request: bank_pb2.ListBankFilesRequest, caller: Caller
    ) -> bank_pb2.ListBankFilesResponse:
        """Operators: the bank files of a currency, newest first."""
        caller.require_operator()
        currency_scale(request.currency)
        if request.page_size < 0:
            raise Refused(Reason.FIELD_INVALID, "page_size", "a page size is not negative")
        files_max = min(request.page_size or FILES_DEFAULT, FILES_MAX)
        files = await self._course.read(store.newest_files, request.currency, files_max)
        return bank_pb2.ListBankFilesResponse(files=map(wire.imported_message, files))

    async def list_suspense(
        self, request: bank_pb2.ListSuspenseRequest, caller: Caller
    ) -> bank_pb2.ListSuspenseResponse:
        """Operators: what lies in suspense, oldest first."""
        caller.require_operator()
        currency_scale(request.currency)

        def read(connection: Any) -> bank_pb2.ListSuspenseResponse:
            items = store.suspense_items(connection, request.currency)
            partners = store.partner_ids(connection, request.currency)
            now = self._clock()
            return bank_pb2.ListSuspenseResponse(
                items=[wire.item_message(each, partners, now) for each in items[:ITEMS_MAX]],
                total=sum(each.open_amount for each in items),
            )

        return await self._course.read(read)

    async def resolve_suspense(
        self, request: bank_pb2.ResolveSuspenseRequest, caller: Caller
    ) -> bank_pb2.ResolveSuspenseResponse:
        """Operators: money in suspense pays a leg, or goes back to who paid it."""
        caller.require_operator()
        currency_scale(request.currency)
        item_ids = list(request.item_ids)
        match request.WhichOneof("resolution"):
            case "leg_reference":
                reference = compact(request.leg_reference)
                await asyncio.shield(self._desk.allocate(request.currency, item_ids, reference))
            case "payee":
                if len(item_ids) != 1:
                    raise Refused(Reason.FIELD_INVALID, "item_ids", "one item at a time goes back")
                payee = wire.payee_from(request.payee)
                reference = await asyncio.shield(
                    self._desk.give_back(request.currency, item_ids[0], payee)
                )
            case _:
                raise Refused(
                    Reason.FIELD_INVALID, "resolution", "name the leg that it pays, or the payee"
                )
        return bank_pb2.ResolveSuspenseResponse(reference=reference)
