"""Between the wire's messages and the month's values."""

from collections.abc import Iterable
from datetime import datetime

from partners.errors import Reason, Refused
from partners.wire import parse_strictly, time_to_proto
from pointclear.settlement.v1 import month_pb2 as pb
from settlement.month.ageing import AgedLeg, AgedPosition
from settlement.month.balances import SHOWN_MAX, Balance
from settlement.month.billing.wire import details_message
from settlement.month.checklist import Item as CloseItem
from settlement.month.invoices import Document, DocumentKind
from settlement.month.invoicing import Invoicing, Mode
from settlement.month.locks import Standing
from settlement.month.planning import NotInvoiced
from settlement.month.promotion_costs import PromotionBudget, PromotionCost
from settlement.month.store import Accrual
from settlement.month.supplies import Item, SupplyType


def invoicing_from_proto(message: pb.Invoicing) -> Invoicing:
    """What is to be recorded; raises Refused(FIELD_INVALID) where a choice is missing."""
    if message.type not in pb.SupplyType.values() or not message.type:
        raise Refused(Reason.FIELD_INVALID, "invoicing.type", "say what is supplied")
    if message.mode not in pb.InvoicingMode.values() or not message.mode:
        raise Refused(Reason.FIELD_INVALID, "invoicing.mode", "say how it is invoiced")
    return Invoicing(
        message.supplier,
        message.customer,
        SupplyType(pb.SupplyType.Name(message.type).removeprefix("SUPPLY_TYPE_")),
        Mode(pb.InvoicingMode.Name(message.mode).removeprefix("INVOICING_MODE_")),
        message.agreement,
        message.series,
    )


def invoicing_message(invoicing: Invoicing) -> pb.Invoicing:
    """How a pair invoices a type of supply."""
    return pb.Invoicing(
        supplier=invoicing.supplier,
        customer=invoicing.customer,
        type=_type(invoicing.type),
        mode=_mode(invoicing.mode),
        agreement=invoicing.agreement,
        series=invoicing.series,
    )


def invoice_message(
    document: Document, issued_at: datetime, log_index: int, *, lines: bool
) -> pb.Invoice:
    """A document, with its lines or without."""
    pair = document.pair
    supplier, customer = document.supplier_details, document.customer_details
    return pb.Invoice(
        invoice_id=document.invoice_id,
        name=document.name,
        is_credit_note=document.kind is DocumentKind.CREDIT_NOTE,
        issuer=document.issuer,
        series=document.series,
        number=document.number,
        month=document.month,
        currency=document.currency,
        scale=document.scale,
        supplier=pair.supplier,
        supplier_name=document.supplier_name,
        customer=pair.customer,
        customer_name=document.customer_name,
        type=_type(pair.type),
        mode=_mode(document.mode),
        agreement=document.agreement,
        corrects=document.corrects,
        lines=map(_line, document.items) if lines else (),
        net=document.net,
        taxes=[
            pb.InvoiceTax(
                tax_code=each.tax_code,
                basis_points=each.basis_points,
                net=each.net,
                tax=each.tax,
            )
            for each in document.taxes
        ],
        tax=document.tax,
        rounding=document.rounding,
        total=document.total,
        windows=document.windows,
        issued_at=time_to_proto(issued_at),
        log_index=log_index,
        supplier_details=details_message(supplier) if supplier else None,
        customer_details=details_message(customer) if customer else None,
    )


def not_invoiced_message(supply: NotInvoiced) -> pb.NotInvoiced:
    """A supply for which nothing is issued."""
    return pb.NotInvoiced(
        supplier=supply.pair.supplier,
        customer=supply.pair.customer,
        type=_type(supply.pair.type),
        net=supply.net,
        tax=supply.tax,
    )


def _line(item: Item) -> pb.InvoiceLine:
    title = item.title
    return pb.InvoiceLine(
        source_program=title.source_program,
        target_program=title.target_program,
        agreement_id=title.agreement_id,
        promotion_id=title.promotion_id,
        tax_code=title.tax_code,
        tax_basis_points=title.tax_basis_points,
        is_reversed=title.is_reversed,
        corrects=title.corrects,
        count=item.count,
        points=item.points,
        net=item.net,
        tax=item.tax,
    )


def _type(supply: SupplyType) -> pb.SupplyType.ValueType:
    return pb.SupplyType.Value(f"SUPPLY_TYPE_{supply}")


def _mode(mode: Mode) -> pb.InvoicingMode.ValueType:
    return pb.InvoicingMode.Value(f"INVOICING_MODE_{mode}")


def balance_payload(balance: Balance, audience: str, signing_key_id: str) -> bytes:
    """The bytes of a `balance-confirmation`: the same whenever they are asked for."""
    return pb.BalanceConfirmation(
        audience=audience,
        partner_id=balance.partner_id,
        currency=balance.currency,
        scale=balance.scale,
        month=balance.month,
        last_window_id=balance.last_window_id,
        log_size=balance.log_size,
        opening=balance.opening,
        net=balance.net,
        payments=balance.payments,
        position=balance.position,
        collateral=balance.collateral,
        points=[
            pb.MonthPoints(program_id=program, points_out=points_out, points_in=points_in)
            for program, points_out, points_in in balance.points
        ],
        open_payments=[
            pb.OpenPayment(window_id=each.window_id, reference=each.reference, amount=each.amount)
            for each in balance.open_payments[:SHOWN_MAX]
        ],
        open_payment_count=len(balance.open_payments),
        open_payment_total=sum(each.amount for each in balance.open_payments),
        signing_key_id=signing_key_id,
    ).SerializeToString(deterministic=True)


def stated_balance(payload: bytes) -> tuple[str, str]:
    """Month and signing key of a `balance-confirmation`; raises Refused for one that is
    malformed.
    """
    message = parse_strictly(pb.BalanceConfirmation(), payload)
    return message.month, message.signing_key_id


def ageing_message(
    currency: str, legs: Iterable[AgedLeg], positions: Iterable[AgedPosition]
) -> pb.GetAgeingResponse:
    """Payments and positions by age."""
    return pb.GetAgeingResponse(
        currency=currency,
        legs=[
            pb.AgedLeg(
                partner_id=each.partner_id,
                window_id=each.window_id,
                reference=each.reference,
                amount=each.payment,
                due_date=each.due_date.isoformat(),
                days_late=each.days_late,
            )
            for each in legs
        ],
        positions=[
            pb.AgedPosition(
                partner_id=each.partner_id,
                position=each.position,
                by_age=pb.AgeBuckets(
                    not_late=each.by_age[0],
                    days_1_to_7=each.by_age[1],
                    days_8_to_30=each.by_age[2],
                    days_31_to_60=each.by_age[3],
                    days_over_60=each.by_age[4],
                ),
            )
            for each in positions
        ],
    )


def accrual_message(accrual: Accrual) -> pb.Accrual:
    """What a window that is not stated came to so far."""
    return pb.Accrual(
        window_id=accrual.window_id,
        partner_id=accrual.partner_id,
        counterparty=accrual.counterparty,
        code=accrual.code.name,
        tax_code=accrual.tax_code,
        amount=accrual.amount,
    )


def cost_message(cost: PromotionCost) -> pb.PromotionCost:
    """What a funder bore for a promotion."""
    return pb.PromotionCost(
        agreement_id=cost.agreement_id,
        promotion_id=cost.promotion_id,
        funder=cost.funder,
        target_partner=cost.target_partner,
        cost=cost.cost,
        is_own=cost.is_own,
    )


def budget_message(budget: PromotionBudget) -> pb.PromotionBudget:
    """A promotion's points against its budget."""
    return pb.PromotionBudget(
        agreement_id=budget.agreement_id,
        version=budget.version,
        promotion_id=budget.promotion_id,
        budget_points=budget.budget_points,
        granted_points=budget.granted_points,
    )


def checklist_message(
    items: Iterable[CloseItem], standing: Standing
) -> pb.GetCloseChecklistResponse:
    """What is done for a close."""
    return pb.GetCloseChecklistResponse(
        items=[
            pb.CloseItem(
                item=each.item,
                state=pb.CloseState.Value(f"CLOSE_STATE_{each.state}"),
                found=each.found,
            )
            for each in items
        ],
        state=period_state(standing),
        adjustment_period=standing.adjustment_period,
    )


def period_state(standing: Standing) -> pb.PeriodState.ValueType:
    """How a period stands."""
    return pb.PeriodState.Value(f"PERIOD_STATE_{standing.state}")
