"""Between the wire's messages and the month's values."""

from datetime import datetime

from partners.errors import Reason, Refused
from partners.wire import time_to_proto
from pointclear.settlement.v1 import month_pb2 as pb
from settlement.month.invoices import Document, DocumentKind
from settlement.month.invoicing import Invoicing, Mode
from settlement.month.planning import NotInvoiced
from settlement.month.supplies import Item, SupplyType


def invoicing_from_proto(message: pb.Invoicing) -> Invoicing:
    """What is to be recorded; raises Refused(FIELD_INVALID) where a choice is missing."""
    if not message.type:
        raise Refused(Reason.FIELD_INVALID, "invoicing.type", "say what is supplied")
    if not message.mode:
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
