"""The call that gives out papers. They are made when they are asked for, from entries and books: a
document's or a confirmed balance's paper has the same bytes every time.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from partners.caller import Caller
from partners.errors import Reason, Refused
from partners.points import currency_scale
from partners.wire import envelope_from_proto
from pointclear.settlement.v1 import month_pb2 as pb
from settlement.calls import chunks_of
from settlement.course import Course
from settlement.month import store
from settlement.month.balances import balance_of
from settlement.month.confirming.service import ConfirmingCalls
from settlement.month.papers import tables
from settlement.month.papers.balance_pdf import Signed, balance_pdf
from settlement.month.papers.invoice_pdf import invoice_pdf
from settlement.month.period import Period, parse_day
from settlement.month.sight import currency_for, issued_for, own


@dataclass(frozen=True, slots=True)
class PaperCalls:
    """The handlers."""

    course: Course
    confirming: ConfirmingCalls

    async def download_month_paper(
        self, request: pb.DownloadMonthPaperRequest, caller: Caller
    ) -> AsyncIterator[pb.DownloadMonthPaperResponse]:
        """A paper's file, in chunks."""
        is_table = request.paper in (pb.MONTH_PAPER_AGEING, pb.MONTH_PAPER_ACCRUALS)
        formats = (
            (pb.MONTH_FORMAT_CSV, pb.MONTH_FORMAT_XLSX) if is_table else (pb.MONTH_FORMAT_PDF,)
        )
        if request.paper not in pb.MonthPaper.values() or not request.paper:
            raise Refused(Reason.FIELD_INVALID, "paper", "say which paper")
        if request.format not in formats:
            names = " or ".join(pb.MonthFormat.Name(each)[13:].lower() for each in formats)
            raise Refused(Reason.FIELD_INVALID, "format", f"this paper is written as {names}")
        make = {
            pb.MONTH_PAPER_INVOICE: self._invoice,
            pb.MONTH_PAPER_BALANCE: self._balance,
            pb.MONTH_PAPER_AGEING: self._ageing,
            pb.MONTH_PAPER_ACCRUALS: self._accruals,
        }[request.paper]
        content = await make(request, caller)
        for chunk in chunks_of(content):
            yield pb.DownloadMonthPaperResponse(chunk=chunk)

    async def _invoice(self, request: pb.DownloadMonthPaperRequest, caller: Caller) -> bytes:
        issued = await issued_for(self.course, request.invoice_id, caller)
        return await asyncio.to_thread(invoice_pdf, issued)

    async def _balance(self, request: pb.DownloadMonthPaperRequest, caller: Caller) -> bytes:
        asked = pb.GetBalanceConfirmationRequest(
            month=request.period, partner_id=request.partner_id
        )
        answer = await self.confirming.get_balance_confirmation(asked, caller)
        partner_id = request.partner_id or caller.name
        month = Period.of_month(request.period)
        balance = await self.course.read(balance_of, partner_id, month)
        names = await self.course.read(store.names_of, balance.currency)
        envelope = envelope_from_proto(answer.confirmation)
        confirmed = answer.confirmed_at.ToDatetime().date().isoformat()
        signed = Signed(
            envelope.payload,
            tuple(each.key_id for each in envelope.signatures),
            confirmed if answer.is_confirmed else "",
        )
        return await asyncio.to_thread(
            balance_pdf, balance, signed, names["hub"], names[partner_id]
        )

    async def _ageing(self, request: pb.DownloadMonthPaperRequest, caller: Caller) -> bytes:
        currency = await currency_for(self.course, request.currency, caller)
        as_of = parse_day(request.period, "period")
        legs = own(await self.course.read(store.unpaid_legs, currency, as_of), caller)
        found = await self.course.read(store.aged_positions, currency, as_of)
        positions = own(found, caller)
        scale = currency_scale(currency).scale
        is_csv = request.format == pb.MONTH_FORMAT_CSV
        write = tables.ageing_csv if is_csv else tables.ageing_workbook
        return await asyncio.to_thread(write, legs, positions, scale, as_of)

    async def _accruals(self, request: pb.DownloadMonthPaperRequest, caller: Caller) -> bytes:
        currency = await currency_for(self.course, request.currency, caller)
        month = Period.of_month(request.period)
        found = own(await self.course.read(store.accruals, currency, month), caller)
        scale = currency_scale(currency).scale
        if request.format == pb.MONTH_FORMAT_CSV:
            return tables.accruals_csv(found, scale, month.name)
        return await asyncio.to_thread(
            tables.accruals_workbook, found, scale, month.name, month.last
        )
