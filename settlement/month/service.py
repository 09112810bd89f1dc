"""The calls about a month's documents and figures. They raise Refused."""

import asyncio
from typing import Any

from partners.caller import Caller
from partners.errors import Reason, Refused
from partners.paging import Paged, page_of
from partners.points import currency_scale
from pointclear.settlement.v1 import month_pb2 as pb
from settlement.course import Course
from settlement.month import issuing, recording, store, wire
from settlement.month.billing.lacking import parties_without_details
from settlement.month.invoicing import check_invoicing
from settlement.month.period import Period, parse_day
from settlement.month.promotion_costs import PromotionBudget, PromotionCost, promotion_costs
from settlement.month.sight import currency_for, issued_for, own


class MonthCalls:
    """The handlers."""

    def __init__(self, course: Course) -> None:
        """`course` reads, books, and keeps the settlement's turn."""
        self._course = course

    async def set_invoicing(
        self, request: pb.SetInvoicingRequest, caller: Caller
    ) -> pb.SetInvoicingResponse:
        """Record how a pair invoices a type of supply."""
        caller.require_operator()
        currency_scale(request.currency)
        invoicing = wire.invoicing_from_proto(request.invoicing)
        check_invoicing(invoicing)
        await asyncio.shield(recording.record(self._course, request.currency, invoicing))
        return pb.SetInvoicingResponse()

    async def list_invoicing(
        self, request: pb.ListInvoicingRequest, caller: Caller
    ) -> pb.ListInvoicingResponse:
        """How supplies are invoiced, as it was recorded."""
        currency = await currency_for(self._course, request.currency, caller)
        recorded = await self._course.read(store.recorded_invoicing, currency)
        newest = {each.subject: each for each in recorded}
        return pb.ListInvoicingResponse(
            invoicing=[
                wire.invoicing_message(each)
                for _, each in sorted(newest.items())
                if caller.is_operator or caller.name in (each.supplier, each.customer)
            ]
        )

    async def issue_invoices(
        self, request: pb.IssueInvoicesRequest, caller: Caller
    ) -> pb.IssueInvoicesResponse:
        """Issue what is missing of a month's invoices and credit notes."""
        caller.require_operator()
        currency_scale(request.currency)
        period = Period.of_month(request.month, "month")
        # Shielded: a caller that goes away must not end the turn while documents are booked.
        plan, issued = await asyncio.shield(issuing.issue(self._course, request.currency, period))
        return pb.IssueInvoicesResponse(
            invoice_ids=[each.invoice_id for each in plan.documents],
            issued=len(issued),
            not_invoiced=map(wire.not_invoiced_message, plan.not_invoiced),
            parties_without_details=parties_without_details(issued),
        )

    async def list_invoices(
        self, request: pb.ListInvoicesRequest, caller: Caller
    ) -> pb.ListInvoicesResponse:
        """Documents in the order of the log, without their lines."""
        currency = await currency_for(self._course, request.currency, caller)
        partner = request.partner_id if caller.is_operator else caller.name
        if request.partner_id not in ("", partner):
            raise Refused(Reason.PARTNER_UNKNOWN, "partner_id", "there is no such partner")
        month = Period.of_month(request.month, "month").name if request.month else ""

        def read(connection: Any) -> tuple[store.Issued, ...]:
            number = store.number_of(connection, currency, partner) if partner else None
            return store.issued(connection, currency, partner_number=number)

        found = await self._course.read(read)
        named = {
            f"{each.log_index:019d}": each for each in found if month in ("", each.document.month)
        }
        asked = pb.ListInvoicesRequest(currency=currency, month=month, partner_id=partner)
        listed = b"invoices" + asked.SerializeToString(deterministic=True)
        paged = Paged(caller.holder, listed, request.page_size, request.page_token)
        page = page_of(list(named), lambda each: each, paged)
        return pb.ListInvoicesResponse(
            invoices=[_message(named[each], lines=False) for each in page.items],
            next_page_token=page.next_token,
        )

    async def get_invoice(
        self, request: pb.GetInvoiceRequest, caller: Caller
    ) -> pb.GetInvoiceResponse:
        """One document."""
        issued = await issued_for(self._course, request.invoice_id, caller)
        return pb.GetInvoiceResponse(invoice=_message(issued, lines=True))

    async def get_ageing(
        self, request: pb.GetAgeingRequest, caller: Caller
    ) -> pb.GetAgeingResponse:
        """Payments and positions by age."""
        currency = await currency_for(self._course, request.currency, caller)
        as_of = parse_day(request.as_of, "as_of")
        legs = await self._course.read(store.unpaid_legs, currency, as_of)
        positions = await self._course.read(store.aged_positions, currency, as_of)
        return wire.ageing_message(currency, own(legs, caller), own(positions, caller))

    async def get_accruals(
        self, request: pb.GetAccrualsRequest, caller: Caller
    ) -> pb.GetAccrualsResponse:
        """What windows of a month that are not stated came to so far."""
        currency = await currency_for(self._course, request.currency, caller)
        month = Period.of_month(request.month, "month")
        found = await self._course.read(store.accruals, currency, month)
        shown = map(wire.accrual_message, own(found, caller))
        return pb.GetAccrualsResponse(accruals=shown, currency=currency)

    async def get_promotion_costs(
        self, request: pb.GetPromotionCostsRequest, caller: Caller
    ) -> pb.GetPromotionCostsResponse:
        """What promotions cost in a month, and their points against their budgets."""
        currency = await currency_for(self._course, request.currency, caller)
        month = Period.of_month(request.month, "month")

        def read(
            connection: Any,
        ) -> tuple[tuple[PromotionCost, ...], tuple[PromotionBudget, ...]]:
            statements = store.statements_of(connection, currency, month)
            return promotion_costs(statements), store.promotion_budgets(connection, currency)

        costs, budgets = await self._course.read(read)
        name, sees_all = caller.name, caller.is_operator
        return pb.GetPromotionCostsResponse(
            currency=currency,
            costs=[
                wire.cost_message(each)
                for each in costs
                if sees_all or name in (each.funder, each.target_partner)
            ],
            budgets=[
                wire.budget_message(each) for each in budgets if sees_all or name in each.parties
            ],
        )


def _message(issued: store.Issued, *, lines: bool) -> pb.Invoice:
    return wire.invoice_message(issued.document, issued.issued_at, issued.log_index, lines=lines)
